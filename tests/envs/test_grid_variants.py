"""CliffGrid with the exercise of Spec 10.3, and FourRooms."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given
from hypothesis import strategies as st

from envs.cliff_exercise import cliff_preference
from envs.cliffgrid import CliffGrid
from envs.fourrooms import FourRooms, four_rooms_map
from envs.gridworld import GridWorld, GridWorldVector
from envs.planning import finite_horizon_values, optimal_return
from envs.registration import register_environments

register_environments()


@pytest.mark.parametrize(
    ("gamma", "noise", "leaves_by", "risks_cliff"),
    [
        (0.1, 0.0, "close", True),
        (0.1, 0.5, "close", False),
        (0.99, 0.0, "distant", True),
        (0.99, 0.5, "distant", False),
    ],
)
def test_the_exercise_of_the_spec(gamma, noise, leaves_by, risks_cliff):
    found = cliff_preference(gamma, noise)
    assert (found.exit, found.risks_cliff) == (leaves_by, risks_cliff)
    assert sum(found.chances) == pytest.approx(1.0, abs=1e-9)
    assert found.chances[2] == 0.0  # none of the four ever falls


def test_a_little_noise_is_worth_a_fall_now_and_then():
    found = cliff_preference(gamma=0.9, noise=0.01)
    assert found.risks_cliff
    assert 0.0 < found.chances[2] < 0.05


def test_the_cliff_grid_is_what_its_picture_says():
    env = CliffGrid()
    assert env.grid.shape == (5, 5)
    at = env.grid.state_at
    assert env.grid.exit_rewards[at(3, 3)] == 1.0
    assert env.grid.exit_rewards[at(5, 3)] == 10.0
    assert [env.grid.exit_rewards[at(c, 1)] for c in range(1, 6)] == [-10.0] * 5
    assert env.mdp.start[at(1, 2)] == 1.0
    # Four right, one up, and out.
    assert [optimal_return(env.mdp, h) for h in (3, 4, 5, 6)] == [0.0, 1.0, 1.0, 10.0]


def test_the_picture_in_the_docstring_is_the_map_of_eleven():
    drawn = [line.replace(" ", "") for line in FourRooms.__doc__.splitlines() if ". . . ." in line]
    assert drawn == [row for row in four_rooms_map(11).splitlines() if "...." in row]


@given(st.integers(5, 40))
def test_four_rooms_of_any_size_have_four_doors_and_no_detour(size):
    env = FourRooms(size)
    # Walls: a cross of two lines that share a cell, less four doors.
    assert env.mdp.n_states == size * size - (2 * size - 1) + 4
    # The exit is 2 (size − 1) moves away, and one more to leave it.
    moves = 2 * (size - 1)
    assert optimal_return(env.mdp, moves) == 0.0
    assert optimal_return(env.mdp, moves + 1) == 1.0
    assert (finite_horizon_values(env.mdp, 4 * size) == 1.0).all()  # every room has a way out


def test_size_and_noise_pass_through_make():
    env = gym.make("ppo_lab/FourRooms-v0", size=20, noise=0.1, max_episode_steps=300)
    assert env.unwrapped.grid.shape == (20, 20)
    assert env.unwrapped.mdp.next_states.shape[2] == 3
    vector = gym.make_vec(
        "ppo_lab/FourRooms-v0", 2, vectorization_mode="vector_entry_point", size=20
    )
    assert vector.grid.shape == (20, 20)


@pytest.mark.parametrize("size", [4, 0, -1])
def test_rooms_too_small_are_refused(size):
    with pytest.raises(ValueError, match=f"size is {size}; four rooms need at least 5"):
        FourRooms(size)


def test_a_map_file_passes_through_make(tmp_path):
    file = tmp_path / "map.txt"
    file.write_text("S.\n.+\n", encoding="utf-8")
    assert gym.make("ppo_lab/GridWorld-v0", map=file).unwrapped.mdp.n_states == 4


def test_a_bad_map_is_refused_by_the_environment():
    with pytest.raises(ValueError, match="'x' at line 1, column 2"):
        GridWorld("Sx+")


def test_environments_can_be_copied_and_pickled():
    import copy
    import pickle

    env = GridWorld(noise=0.5, observation="image")
    env.reset(seed=0)
    env.step(0)
    twins = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))]
    for action in (0, 1, 2, 3, 0, 1):
        expected = env.step(action)[0]
        for twin in twins:
            np.testing.assert_array_equal(twin.step(action)[0], expected)


def test_masks_leave_out_the_moves_that_lead_nowhere() -> None:
    # The map of Spec 10.2, a wall in its middle: up, right, down, left of each cell.
    #   0 1 2 3(+1)    4 # 5 6(-1)    7 8 9 10
    expected = [
        "-rd-",
        "-r-l",
        "-rdl",
        "urdl",
        "u-d-",
        "urd-",
        "urdl",
        "ur--",
        "-r-l",
        "ur-l",
        "u--l",
    ]
    env = gym.make("ppo_lab/GridWorld-v0")
    grid = env.unwrapped
    assert isinstance(grid, GridWorld)
    for state, letters in enumerate(expected):
        allowed = [letter != "-" for letter in letters]
        assert grid.allowed[state].tolist() == allowed
        for action in range(4):
            leaves = grid.mdp.next_states[state, action, 0] != state
            assert leaves == allowed[action] or grid.grid.exits[state]
    env.reset(seed=0)
    assert env.get_wrapper_attr("action_masks")().tolist() == [True, True, False, False]  # cell 7


def test_masks_of_a_vector_of_grids_are_each_copys_own() -> None:
    env = GridWorldVector(3)
    env.reset(seed=0)
    env.step(np.array([0, 1, 1]))
    assert env.states.tolist() == [4, 8, 8]
    expected = [[True, False, True, False]] + [[False, True, False, True]] * 2
    assert env.action_masks().tolist() == expected


def test_where_walls_are_all_around_every_move_is_left() -> None:
    env = GridWorld("S+#.\n..##")
    env.reset(seed=0)
    enclosed = env.grid.state_at(4, 2)
    assert env.allowed[enclosed].all()
    assert env.allowed.any(axis=1).all()


@pytest.mark.parametrize("make", [GridWorld, lambda: GridWorldVector(2)])
def test_masks_before_the_first_reset_are_refused(make: Any) -> None:
    with pytest.raises(ResetNeeded, match="before the first reset"):
        make().action_masks()
