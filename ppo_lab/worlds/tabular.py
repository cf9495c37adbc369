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
        allowed: (S, A), the masks of each state.
    """

    cumulative: FloatArray
    next_states: IntArray
    rewards: FloatArray
    terminations: BoolArray
    start: FloatArray
    observations: npt.NDArray[np.float32] | IntArray
    allowed: BoolArray


def tabular_world(
    mdp: TabularMDP,
    observations: npt.NDArray[np.float32] | IntArray,
    allowed: BoolArray | None = None,
) -> Tabular:
    """The world of an MDP.

    Args:
        mdp: with S states and A actions.
        observations: (S, D), what is shown of each state.
        allowed: (S, A), what ``action_masks()`` says in each state; None: all are allowed.
    """
    if allowed is None:
        allowed = np.ones((mdp.n_states, mdp.n_actions), np.bool_)
    # Read-only arrays are of another type to the compiler, which would compile everything twice.
    return Tabular(
        mdp.cumulative.copy(),
        mdp.next_states.copy(),
        mdp.rewards.copy(),
        mdp.terminations.copy(),
        mdp.cumulative_start.copy(),
        observations.copy(),
        allowed.copy(),
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


def _allow(world: Tabular, state: State, out: Row) -> None:
    s = int(state[0])
    for action in range(out.size):
        out[action] = world.allowed[s, action]


register(Tabular, Rules(_begin, _accepts, _advance, _observe, _allow))
