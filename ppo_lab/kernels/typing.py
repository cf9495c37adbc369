"""The types of the kernels' arguments; all arrays are C-contiguous."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppo_lab.kernels.layout import FIXED, UNITS, Layout

__all__ = [
    "Actions",
    "Doubles",
    "Floats",
    "Floats2D",
    "Integers",
    "Networks",
    "Rollout",
    "Trajectories",
]

Floats: TypeAlias = NDArray[np.float32]
"""One dimension."""
Floats2D: TypeAlias = NDArray[np.float32]
"""Two dimensions."""
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Actions: TypeAlias = NDArray[Any]
"""(K, columns): int64 of Discrete and MultiDiscrete, float32 of Box."""


class Networks(NamedTuple):
    """An actor and a critic with room for their intermediate values.

    Attributes:
        params: (P,) all parameters.
        plan: ``Layout.plan``: what lies where.
        work: a ``Layout.workspace``.
        rows: how many samples it has room for at once.
    """

    params: Floats
    plan: Integers
    work: Floats
    rows: int

    @classmethod
    def of(cls, layout: Layout, params: Floats, work: Floats) -> "Networks":
        """The networks of a layout, in a workspace of any number of rows."""
        plan = layout.plan
        return cls(params, plan, work, int((work.size - plan[FIXED]) // plan[UNITS]))


class Rollout(NamedTuple):
    """N transitions, flat, in the order that permutations count.

    Attributes:
        observations: (N, ``Layout.row``) float32.
        actions: (N, action columns) int64, or float32 of a Gaussian.
        old_values: (N,) float32 V(s) at the time of the rollout.
        old_log_probs: (N,) float32 log π_old(a|s).
        advantages: (N,) float32 Â.
        returns: (N,) float32 R̂.
    """

    observations: Floats2D
    actions: Actions
    old_values: Floats
    old_log_probs: Floats
    advantages: Floats
    returns: Floats


class Trajectories(NamedTuple):
    """What value targets are made of: T steps of N environments, and what comes after the last.

    Attributes:
        rewards: (T, N) r_t.
        values: (T, N) V(s_t).
        last_values: (N,) V of the observations after the last step.
        episode_starts: (T, N) 1 where an episode starts at t.
        dones: (N,) 1 where the last step ended its episode.
    """

    rewards: Floats2D
    values: Floats2D
    last_values: Floats
    episode_starts: Floats2D
    dones: Floats
