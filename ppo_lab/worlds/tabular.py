"""Finite MDPs (Spec 10, 11.3, and Gymnasium's toy text) as a compiled world."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from envs.mdp import BoolArray, FloatArray, IntArray, TabularMDP
from ppo_lab.worlds.randomness import StreamArray, uniform
from ppo_lab.worlds.rules import Row, Rules, State, register

__all__ = ["Tabular", "tabular_world"]


class Tabular(NamedTuple):
    """An MDP's tables; a copy's state is (1,), the index.

    Attributes:
        cumulative: (S, A, K), ``TabularMDP.cumulative``.
        next_states: (S, A, K).
        rewards: (S, A, K).
        terminations: (S, A, K).
        start: (S,), ``TabularMDP.cumulative_start``.
        observations: (S, D), what is shown of each state: float32 numbers, or int64 indices.
    """

    cumulative: FloatArray
    next_states: IntArray
    rewards: FloatArray
    terminations: BoolArray
    start: FloatArray
    observations: npt.NDArray[np.float32] | IntArray


def tabular_world(mdp: TabularMDP, observations: npt.NDArray[np.float32] | IntArray) -> Tabular:
    """The world of an MDP whose state s is shown as ``observations[s]``, (S, D)."""
    # Read-only arrays are of another type to the compiler, which would compile everything twice.
    return Tabular(
        mdp.cumulative.copy(),
        mdp.next_states.copy(),
        mdp.rewards.copy(),
        mdp.terminations.copy(),
        mdp.cumulative_start.copy(),
        observations.copy(),
    )


def _begin(world: Tabular, state: State, stream: StreamArray) -> None:
    state[0] = np.searchsorted(world.start, uniform(stream), side="right")


def _accepts(world: Tabular, action: Row) -> bool:
    return bool(0 <= action[0] < world.rewards.shape[1])


def _advance(world: Tabular, state: State, action: Row, stream: StreamArray) -> tuple[float, bool]:
    s, a = int(state[0]), int(action[0])
    draw = uniform(stream)
    k = 0
    while draw >= world.cumulative[s, a, k]:  # exactly 1 from the last possible outcome on
        k += 1
    state[0] = world.next_states[s, a, k]
    return world.rewards[s, a, k], world.terminations[s, a, k]


def _observe(world: Tabular, state: State, out: Row) -> None:
    s = int(state[0])
    for column in range(out.size):
        out[column] = world.observations[s, column]


register(Tabular, Rules(_begin, _accepts, _advance, _observe))
