"""``envs.team_grid.TeamGrid`` as a compiled game: the team's joint MDP (Spec 14.6)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from envs.mdp import BoolArray, FloatArray, IntArray
from envs.team_grid import TeamGrid
from ppo_lab.worlds.game_stepping import Shown
from ppo_lab.worlds.randomness import StreamArray, uniform
from ppo_lab.worlds.rules import Row, Rules, State, register

__all__ = ["Team", "team_world"]


class Team(NamedTuple):
    """A joint MDP's tables; a copy's state is (1,), the index of the joint state.

    Attributes:
        cumulative: (J, M, K), ``TabularMDP.cumulative`` of joint states and joint actions.
        next_states: (J, M, K).
        rewards: (J, M, K).
        terminations: (J, M, K).
        start: (J,), ``TabularMDP.cumulative_start``.
        observations: (J, A, D) float32, what each agent sees.
        places: (J, S) float32, ``state()``.
        max_steps: of a game.
        shown: see :class:`~ppo_lab.worlds.game_stepping.Shown`.
    """

    cumulative: FloatArray
    next_states: IntArray
    rewards: FloatArray
    terminations: BoolArray
    start: FloatArray
    observations: npt.NDArray[np.float32]
    places: npt.NDArray[np.float32]
    max_steps: int
    shown: Shown


def team_world(game: TeamGrid, shown: Shown) -> Team:
    """The world of a game."""
    mdp = game.mdp
    # Read-only arrays are of another type to the compiler, which would compile everything twice.
    return Team(
        mdp.cumulative.copy(),
        mdp.next_states.copy(),
        mdp.rewards.copy(),
        mdp.terminations.copy(),
        mdp.cumulative_start.copy(),
        game.observations.copy(),
        game.state_table.copy(),
        game.max_steps,
        shown,
    )


def _begin(world: Team, state: State, stream: StreamArray) -> None:
    state[0] = np.searchsorted(world.start, uniform(stream), side="right")


def _accepts(world: Team, actions: Row) -> bool:
    fits = True
    for agent in range(world.shown.n_agents):
        fits = fits and 0 <= actions[agent, 0] < 4
    return fits


def _advance(
    world: Team, state: State, actions: Row, stream: StreamArray, n_steps: int, paid: FloatArray
) -> tuple[bool, bool]:
    joint = 0
    for agent in range(world.shown.n_agents):
        joint = 4 * joint + int(actions[agent, 0])
    s = int(state[0])
    draw = uniform(stream)
    k = 0
    while draw >= world.cumulative[s, joint, k]:  # exactly 1 from the last possible outcome on
        k += 1
    state[0] = world.next_states[s, joint, k]
    is_over = world.terminations[s, joint, k]
    for agent in range(world.shown.n_agents):
        paid[agent] = world.rewards[s, joint, k]
    return is_over, not is_over and n_steps >= world.max_steps


def _observe(world: Team, state: State, rows: Row) -> None:
    s = int(state[0])
    for agent in range(world.shown.n_agents):
        for column in range(world.shown.width):
            rows[agent, column] = world.observations[s, agent, column]


def _tell(world: Team, state: State, out: Row) -> None:
    s = int(state[0])
    for column in range(out.size):
        out[column] = world.places[s, column]


register(Team, Rules(_begin, _accepts, _advance, _observe, tell=_tell))
