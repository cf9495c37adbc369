"""Reading grid maps, and the MDP they describe (Spec 10.1)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.maps import REFERENCE_MAP, Action, grid_mdp, read_map

UP, RIGHT, DOWN, LEFT = Action


def test_states_are_open_cells_row_by_row_from_the_top():
    grid = read_map(REFERENCE_MAP)
    np.testing.assert_array_equal(grid.states, [[0, 1, 2, 3], [4, -1, 5, 6], [7, 8, 9, 10]])
    np.testing.assert_array_equal(np.flatnonzero(grid.starts), [7])
    np.testing.assert_array_equal(np.flatnonzero(grid.exits), [3, 6])
    np.testing.assert_array_equal(grid.exit_rewards[[3, 6]], [1.0, -1.0])


def test_state_at_uses_the_columns_and_rows_of_the_spec():
    grid = read_map(REFERENCE_MAP)
    assert [grid.state_at(1, 1), grid.state_at(4, 3), grid.state_at(4, 2)] == [7, 3, 6]
    for column, row in ((2, 2), (0, 1), (5, 1), (1, 4)):
        with pytest.raises(ValueError, match="is no open cell"):
            grid.state_at(column, row)


def test_a_move_into_a_wall_or_over_the_edge_stays():
    mdp = grid_mdp(read_map(REFERENCE_MAP), noise=0.0, living_reward=0.0)
    # State 4 is left of the wall, state 0 the top left corner.
    assert mdp.next_states[4, RIGHT, 0] == 4
    assert mdp.next_states[0, UP, 0] == 0
    assert mdp.next_states[0, LEFT, 0] == 0
    assert mdp.next_states[0, RIGHT, 0] == 1
    assert mdp.next_states[0, DOWN, 0] == 4


def test_entering_an_exit_pays_nothing_and_leaving_it_pays_and_ends():
    mdp = grid_mdp(read_map(REFERENCE_MAP), noise=0.2, living_reward=-0.5)
    assert mdp.next_states[2, RIGHT, 0] == 3
    assert mdp.rewards[2, RIGHT, 0] == -0.5  # the living reward alone
    assert not mdp.terminations[2].any()
    for action in Action:
        np.testing.assert_array_equal(mdp.probabilities[3, action], [1.0, 0.0, 0.0])
        assert mdp.R[3, action] == 1.0
        assert mdp.terminations[3, action].all()


def test_noise_slips_to_each_perpendicular_direction():
    mdp = grid_mdp(read_map(REFERENCE_MAP), noise=0.2, living_reward=0.0)
    # Down from (3, 3), state 2: on to 5; slips right into exit 3 or left to 1.
    expected = np.zeros(11)
    expected[[5, 3, 1]] = 0.8, 0.1, 0.1
    np.testing.assert_allclose(mdp.P[2, DOWN], expected, atol=1e-15)
    # Left from the start, state 7: stays against the edge; slips up to 4 or down, stays.
    expected = np.zeros(11)
    expected[[7, 4]] = 0.8 + 0.1, 0.1
    np.testing.assert_allclose(mdp.P[7, LEFT], expected, atol=1e-15)


def test_several_starts_are_equally_likely():
    mdp = grid_mdp(read_map("S.S+"), noise=0.0, living_reward=0.0)
    np.testing.assert_array_equal(mdp.start, [0.5, 0.0, 0.5, 0.0])


def test_exits_have_the_rewards_they_are_given():
    grid = read_map("aSb", exits={"a": 2.5, "b": -10.0})
    np.testing.assert_array_equal(grid.exit_rewards, [2.5, np.nan, -10.0])


def test_a_map_can_be_read_from_a_file(tmp_path):
    file = tmp_path / "map.txt"
    file.write_text("\n  S.#\n  ..+\n\n", encoding="utf-8")
    assert read_map(file).rows == ("S.#", "..+")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "map is empty"),
        (" \n\n ", "map is empty"),
        ("S..\n..+.", "Line 2 of the map has 4 cells and line 1 has 3"),
        ("\nS.+\n\n...", "Line 3 of the map has 0 cells and line 2 has 3"),
        ("\n  S..\n  .x+", "'x' at line 3, column 4"),
        ("S. +", "' ' at line 1, column 3"),
        ("..+", "no start"),
        ("S..", "No exit can be reached from the start in row 1 from the top, column 1"),
        ("S#+", "No exit can be reached"),
        ("S.+\n###\n.S.", "start in row 3 from the top, column 2"),
    ],
)
def test_a_bad_map_is_refused_with_the_place(text, message):
    with pytest.raises(ValueError, match=message):
        read_map(text)


@pytest.mark.parametrize(
    ("exits", "message"),
    [
        ({"S": 1.0}, "has the symbol 'S'"),
        ({"++": 1.0}, "use one character"),
        ({"+": float("nan")}, "exit's reward must be finite"),
    ],
)
def test_bad_exits_are_refused(exits, message):
    with pytest.raises(ValueError, match=message):
        read_map("S+", exits)


@pytest.mark.parametrize("noise", [-0.1, 1.1, float("nan")])
def test_noise_outside_zero_to_one_is_refused(noise):
    with pytest.raises(ValueError, match=r"noise is .*must lie in \[0, 1\]"):
        grid_mdp(read_map("S+"), noise, 0.0)


def test_an_infinite_living_reward_is_refused():
    with pytest.raises(ValueError, match="living_reward is inf"):
        grid_mdp(read_map("S+"), 0.0, float("inf"))


@given(
    st.integers(1, 6).flatmap(
        lambda width: st.lists(
            st.text("#.", min_size=width, max_size=width), min_size=1, max_size=6
        )
    ),
    st.floats(0.0, 1.0),
)
def test_every_map_gives_moves_of_at_most_one_cell(rows, noise):
    # A wall-free first row with start and exit makes any block of cells a valid map.
    width = max(2, len(rows[0]))
    top = "S" + "." * (width - 2) + "+"
    grid = read_map("\n".join([top, *(row.ljust(width, "#") for row in rows)]))
    mdp = grid_mdp(grid, noise, living_reward=0.0)
    steps = np.abs(grid.cells[mdp.next_states] - grid.cells[:, None, None, :]).sum(axis=-1)
    assert steps[mdp.probabilities > 0].max() <= 1
    # Uniform actions make noise invisible: each direction is as likely as any other.
    quiet = grid_mdp(grid, 0.0, 0.0)
    np.testing.assert_allclose(mdp.P.mean(axis=1), quiet.P.mean(axis=1), atol=1e-12)
