"""Finite Markov decision processes as arrays: what every tabular environment here *is* (Spec 1)."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

# Sums of a few float64 probabilities such as three times 1/3 are off by some 1e-16; this leaves
# room for probabilities read from text with nine digits.
PROBABILITY_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A finite MDP with S states, A actions and at most K outcomes per state and action (Spec 1).

    Outcomes are stored sparsely: outcome ``k`` of action ``a`` in state ``s`` happens with
    ``probabilities[s, a, k]``, leads to ``next_states[s, a, k]``, pays ``rewards[s, a, k]`` and
    ends the episode where ``terminations[s, a, k]``. A state and action with fewer than K outcomes
    pads with probability 0; padding still holds a valid state and a finite reward. Two outcomes may
    lead to the same state. The arrays are copied and made read-only.

    Attributes:
        next_states: (S, A, K) int64, in ``range(S)``.
        probabilities: (S, A, K) float64, non-negative, each row over K sums to 1.
        rewards: (S, A, K) float64, finite.
        terminations: (S, A, K) bool. The value after a termination is 0 whatever the next state.
        start: (S,) float64, the distribution of the first state, sums to 1.

    Raises:
        ValueError: a shape, a probability, a reward or an index is not as stated above.
    """

    next_states: IntArray
    probabilities: FloatArray
    rewards: FloatArray
    terminations: BoolArray
    start: FloatArray

    def __post_init__(self) -> None:
        for field, dtype in zip(
            fields(self), (np.int64, np.float64, np.float64, np.bool_, np.float64), strict=True
        ):
            array = np.array(getattr(self, field.name))
            if not np.can_cast(array.dtype, dtype, casting="same_kind"):
                raise ValueError(
                    f"{field.name} has dtype {array.dtype}; pass an array that casts to "
                    f"{np.dtype(dtype)} without loss."
                )
            array = array.astype(dtype)
            array.setflags(write=False)
            object.__setattr__(self, field.name, array)
        _check_shapes(self)
        _check_numbers(self)

    @property
    def n_states(self) -> int:
        """S, the number of states."""
        return int(self.next_states.shape[0])

    @property
    def n_actions(self) -> int:
        """A, the number of actions, the same in every state."""
        return int(self.next_states.shape[1])

    @cached_property
    def P(self) -> FloatArray:  # noqa: N802 - the field's symbol
        """(S, A, S) float64: the probability of each next state, terminating or not.

        Dense: S·A·S numbers; 100 × 100 cells would take 3 GB. Planners use ``continuation``.
        """
        dense = np.zeros((self.n_states, self.n_actions, self.n_states))
        s = np.arange(self.n_states)[:, np.newaxis, np.newaxis]
        a = np.arange(self.n_actions)[:, np.newaxis]
        np.add.at(dense, (s, a, self.next_states), self.probabilities)
        return dense

    @cached_property
    def R(self) -> FloatArray:  # noqa: N802 - the field's symbol
        """(S, A) float64: the expected reward of each action."""
        expected: FloatArray = (self.probabilities * self.rewards).sum(axis=2)
        return expected

    @cached_property
    def continuation(self) -> Any:
        """(S·A, S) ``scipy.sparse.csr_array``: P without the outcomes that end the episode.

        Row ``s * A + a``. ``R + γ · continuation @ V`` is the Bellman back-up: terminating
        outcomes are left out because nothing follows them (Spec 1).
        """
        from scipy.sparse import csr_array  # 25 MiB, for whoever solves an MDP

        n_rows, k = self.n_states * self.n_actions, self.next_states.shape[2]
        weights = np.where(self.terminations, 0.0, self.probabilities).ravel()
        rows = np.repeat(np.arange(n_rows), k)
        kept = weights > 0.0
        entries = (weights[kept], (rows[kept], self.next_states.ravel()[kept]))
        return csr_array(entries, shape=(n_rows, self.n_states))

    @cached_property
    def cumulative(self) -> FloatArray:
        """(S, A, K) float64: for u uniform in [0, 1), ``(u >= cumulative[s, a]).sum()`` is the k.

        From the last possible outcome on it is exactly 1, so rounding never selects padding.
        """
        return _cumulative(self.probabilities)

    @cached_property
    def cumulative_start(self) -> FloatArray:
        """(S,) float64: ``searchsorted(cumulative_start, u, "right")`` draws a start state."""
        return _cumulative(self.start)


def from_toy_text(env: gym.Env[Any, Any]) -> TabularMDP:
    """Read the MDP of a Gymnasium toy-text environment (FrozenLake, Taxi, CliffWalking).

    Args:
        env: An environment whose unwrapped form has ``P[state][action]``, a list of
            ``(probability, next_state, reward, terminated)``, and ``initial_state_distrib``.

    Returns:
        The same MDP with S = ``len(P)``, A = ``len(P[0])``.

    Raises:
        TypeError: the environment has no such table.
    """
    table: Any = getattr(env.unwrapped, "P", None)
    start: Any = getattr(env.unwrapped, "initial_state_distrib", None)
    if table is None or start is None:
        raise TypeError(
            f"{env.unwrapped} has no attributes P and initial_state_distrib; pass a toy-text "
            "environment such as FrozenLake, Taxi or CliffWalking."
        )
    n_states, n_actions = len(table), len(table[0])
    n_outcomes = max(len(table[s][a]) for s in range(n_states) for a in range(n_actions))
    shape = (n_states, n_actions, n_outcomes)
    next_states, terminations = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    probabilities, rewards = np.zeros(shape), np.zeros(shape)
    for s, a in np.ndindex(n_states, n_actions):
        for k, (probability, next_state, reward, terminated) in enumerate(table[s][a]):
            next_states[s, a, k], terminations[s, a, k] = next_state, terminated
            probabilities[s, a, k], rewards[s, a, k] = probability, reward
    return TabularMDP(next_states, probabilities, rewards, terminations, np.asarray(start))


def _check_shapes(mdp: TabularMDP) -> None:
    shape = mdp.next_states.shape
    if len(shape) != 3 or 0 in shape:
        raise ValueError(
            f"next_states has shape {shape}; it must be (S, A, K) with at least one state, one "
            "action and one outcome."
        )
    for name in ("probabilities", "rewards", "terminations"):
        given = getattr(mdp, name).shape
        if given != shape:
            raise ValueError(f"{name} has shape {given}; it must be {shape}, as next_states has.")
    if mdp.start.shape != shape[:1]:
        raise ValueError(f"start has shape {mdp.start.shape}; it must be {shape[:1]}, one a state.")


def _check_numbers(mdp: TabularMDP) -> None:
    outside = (mdp.next_states < 0) | (mdp.next_states >= mdp.n_states)
    if outside.any():
        where = _first(outside)
        raise ValueError(
            f"next_states{list(where)} is {mdp.next_states[where]}; states are numbered "
            f"0 to {mdp.n_states - 1} (padding too)."
        )
    infinite = ~np.isfinite(mdp.rewards)
    if infinite.any():
        where = _first(infinite)
        raise ValueError(
            f"rewards{list(where)} is {mdp.rewards[where]}; rewards must be finite (padding too)."
        )
    _check_distribution("probabilities", mdp.probabilities)
    _check_distribution("start", mdp.start)


def _check_distribution(name: str, probabilities: FloatArray) -> None:
    negative = ~(probabilities >= 0.0)  # so written, NaN counts too
    if negative.any():
        where = _first(negative)
        raise ValueError(f"{name}{list(where)} is {probabilities[where]}; it must be at least 0.")
    sums = np.atleast_1d(probabilities.sum(axis=-1))
    off = ~(np.abs(sums - 1.0) <= PROBABILITY_TOLERANCE)
    if off.any():
        where = _first(off)
        row = f"{name}{list(where)}" if probabilities.ndim > 1 else name
        raise ValueError(f"{row} sums to {sums[where]:.10g}; probabilities must sum to 1.")


def _first(mask: BoolArray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


def _cumulative(probabilities: FloatArray) -> FloatArray:
    cumulative: FloatArray = np.cumsum(probabilities, axis=-1)
    later = np.cumsum(probabilities[..., ::-1], axis=-1)[..., ::-1] - probabilities
    return np.where(later > 0.0, cumulative, 1.0)
