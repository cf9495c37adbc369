"""A team on a grid map: its joint MDP, its exact returns, and the game that it is."""

import subprocess
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from envs.maps import MOVES, grid_mdp, read_map
from envs.planning import (
    optimal_return,
    policy_return,
    random_policy,
    random_return,
    value_iteration,
)
from envs.team_grid import MAPS, TeamGrid
from envs.team_mdp import read_team, team_mdp, team_table

ROOM = "1..+\n.#.-\n2..."


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_team_of_one_is_the_agent_alone(noise: float) -> None:
    alone = grid_mdp(read_map("...+\n.#.-\nS..."), noise, 0.0)
    team = team_mdp(read_team("...+\n.#.-\n1..."), noise)
    for horizon in (1, 7, 50):
        assert optimal_return(team, horizon) == pytest.approx(optimal_return(alone, horizon))
        assert random_return(team, horizon) == pytest.approx(random_return(alone, horizon))


def test_agents_behind_walls_earn_what_they_earn_alone() -> None:
    team = team_mdp(read_team("1.+-\n####\n-2.+"), 0.1)
    parts = [grid_mdp(read_map(text), 0.1, 0.0) for text in ("S.+-", "-S.+")]
    for horizon in (3, 8, 40):
        for returns in (optimal_return, random_return):
            expected = sum(returns(part, horizon) for part in parts)
            assert returns(team, horizon) == pytest.approx(expected, abs=1e-12)


def test_the_optimum_of_two_on_the_reference_map_is_two_exits_less_six_steps() -> None:
    game = TeamGrid()
    assert (game.mdp.n_states, game.mdp.n_actions) == (12**2, 4**2)
    # The farther agent enters the exit with its fifth move and leaves with the sixth; 0.04 each.
    assert optimal_return(game.mdp, 50) == pytest.approx(2 - 6 * 0.04)


def slowly(rows: list[str], places: Any, moves: Any) -> Any:
    """Where agents stand after their moves, from the map's text; None: home."""

    def is_open(row: int, column: int) -> bool:
        inside = 0 <= row < len(rows) and 0 <= column < len(rows[0])
        return inside and rows[row][column] != "#"

    wanted = []
    for place, move in zip(places, moves, strict=True):
        if place is None or rows[place[0]][place[1]] in "+-":
            wanted.append(None)
            continue
        to = (place[0] + MOVES[move][0], place[1] + MOVES[move][1])
        wanted.append(to if is_open(*to) else place)
    after = []
    for i, to in enumerate(wanted):
        others = [j for j in range(len(places)) if j != i]
        in_the_way = any(to in (places[j], wanted[j]) for j in others)
        after.append(places[i] if to is not None and in_the_way else to)
    return after


def test_moves_are_those_of_the_rules_in_every_joint_state() -> None:
    team = read_team(ROOM)
    mdp, rows = team_mdp(team, living_reward=-0.5), list(team.grid.rows)
    spots = [tuple(cell) for cell in team.grid.cells.tolist()] + [None]
    number = {spot: index for index, spot in enumerate(spots)}
    pay = {"+": 1.0, "-": -1.0}
    for state, (one, two) in enumerate(team.places.tolist()):
        places = [spots[one], spots[two]]
        for action, moves in enumerate(product(range(4), repeat=2)):
            after = slowly(rows, places, moves)
            paid = sum(pay.get(rows[p[0]][p[1]], 0.0) for p in places if p is not None)
            if places != [None, None]:
                paid -= 0.5
            arrived = number[after[0]] * len(spots) + number[after[1]]
            assert mdp.next_states[state, action, 0] == arrived
            assert mdp.rewards[state, action, 0] == pytest.approx(paid)
            assert mdp.terminations[state, action, 0] == (after == [None, None])


def test_who_moves_into_anothers_way_stays() -> None:
    game = TeamGrid("1.2\n..+")
    game.reset()
    for moves, text in (((1, 3), "0.1\n..+"), ((1, 0), ".01\n..+"), ((1, 3), ".01\n..+")):
        game.step(dict(zip(game.agents, moves, strict=True)))
        assert game._text() == text + "\n"


def test_the_optimal_joint_policy_earns_the_optimum_when_played() -> None:
    game = TeamGrid()
    policy, total = value_iteration(game.mdp, 1.0).policy, 0.0
    game.reset(seed=0)
    while game.agents:
        first, second = divmod(int(policy[game.joint_state]), 4)
        _, rewards, ended, late, _ = game.step({"agent_0": first, "agent_1": second})
        assert rewards["agent_0"] == rewards["agent_1"]
        total += rewards["agent_0"]
    assert ended == {"agent_0": True, "agent_1": True}
    assert not any(late.values())
    assert total == pytest.approx(optimal_return(game.mdp, 50))


def test_random_play_earns_the_exact_expectation() -> None:
    game, rng, totals = TeamGrid("luck", noise=0.2, max_steps=20), np.random.default_rng(0), []
    game.reset(seed=1)
    for _ in range(400):
        totals.append(0.0)
        while game.agents:
            step = game.step({agent: int(rng.integers(4)) for agent in game.agents})
            totals[-1] += step[1]["agent_0"]
        game.reset()
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - random_return(game.mdp, 20)) < 4 * error


def test_a_team_that_chooses_apart_is_a_joint_policy() -> None:
    game = TeamGrid()
    uniform = np.full((game.mdp.n_states, 2, 4), 0.25)
    np.testing.assert_allclose(team_table(uniform), random_policy(game.mdp))
    chosen = np.eye(4)[[[1, 2]] * game.mdp.n_states]
    assert (team_table(chosen).argmax(axis=1) == 1 * 4 + 2).all()
    assert policy_return(game.mdp, team_table(uniform), 50) == pytest.approx(
        random_return(game.mdp, 50)
    )


def test_what_is_seen_is_ones_own_place_and_the_others() -> None:
    own, every = TeamGrid(observation="own"), TeamGrid()
    seen, _ = own.reset()
    # Lower left corner, and the third of four columns in the lowest of three rows.
    assert seen["agent_0"].tolist() == [-1, -1, 0]
    assert seen["agent_1"] == pytest.approx([1 / 3, -1, 0])
    seen, _ = every.reset()
    np.testing.assert_array_equal(seen["agent_0"], every.state())
    np.testing.assert_array_equal(seen["agent_1"], np.roll(every.state(), 3))
    for game in (own, every):
        assert game.observation_space("agent_0").contains(game._observations()["agent_0"])
        assert game.state_space.contains(game.state())


def test_a_game_is_cut_off_after_its_steps() -> None:
    game = TeamGrid(max_steps=2)
    game.reset()
    game.step({"agent_0": 0, "agent_1": 0})
    *_, ended, late, _ = game.step({"agent_0": 0, "agent_1": 0})
    assert (ended["agent_0"], late["agent_0"], game.agents) == (False, True, [])
    with pytest.raises(ResetNeeded):
        game.step({})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"map": "..+\nS.."}, "mark the first agent's with 1"),
        ({"map": "..+\n1.3"}, "starts .*'1', '3'"),
        ({"observation": "some"}, "observation is 'some'"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"noise": 2.0}, "noise is 2.0"),
        ({"map": "1234\n....\n...+"}, "team of 4 on 12 cells has 7,311,616 joint|more than"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(how: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TeamGrid(**{"noise": 0.2, **how})


def test_an_action_that_is_none_is_refused() -> None:
    game = TeamGrid()
    game.reset()
    with pytest.raises(ValueError, match="action of agent_1 is 4"):
        game.step({"agent_0": 0, "agent_1": 4})


def test_it_is_drawn_with_every_agent() -> None:
    game = TeamGrid(render_mode="rgb_array")
    game.reset()
    frame = game.render()
    assert frame.shape == (3 * 96, 4 * 96, 3)
    assert frame[2 * 96 + 48, 48].tolist() == [50, 100, 220]
    assert frame[2 * 96 + 48, 2 * 96 + 48].tolist() == [230, 140, 40]
    assert TeamGrid(render_mode="ansi").metadata["name"] == "team_grid_v0"


def test_every_named_map_has_a_random_team_below_its_optimum() -> None:
    for name in MAPS:
        mdp = TeamGrid(name).mdp
        assert random_return(mdp, 50) < optimal_return(mdp, 50)


def test_the_game_is_there_without_pettingzoo() -> None:
    code = (
        "import sys; sys.modules['pettingzoo'] = None\n"
        "from envs.team_grid import TeamGrid\n"
        "print(TeamGrid().reset(seed=0)[0]['agent_0'].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[-1.0, -1.0, 0.0")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its tests import its old modules
def test_pettingzoo_takes_it_for_one_of_its_own() -> None:
    pytest.importorskip("pettingzoo")
    from pettingzoo import ParallelEnv
    from pettingzoo.test import parallel_api_test

    assert issubclass(TeamGrid, ParallelEnv)
    parallel_api_test(TeamGrid(), num_cycles=60)
