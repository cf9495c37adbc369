"""Value targets and advantages of a rollout of SB3's (Spec 3, 4), compiled.

The formulas and the order of their operations are those of :mod:`ppo_lab.ppo.advantages` as
:class:`ppo_lab.ppo.buffers.SpecRolloutBuffer` calls it: V(s_{t+1}) is the next row of ``values``
or, in the last step, ``last_values``; a truncated step has γ V(s_{t+1}) in its reward already, so
that every end is a termination.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from ppo_lab.kernels.boundary import check_trajectories
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.kernels.typing import Floats, Floats2D, Trajectories

__all__ = ["estimate_advantages", "kernel_call"]

ZERO, ONE = np.float32(0.0), np.float32(1.0)


def estimate_advantages(
    estimator: Literal["gae", "mc", "td0", "nstep"],
    trajectories: Trajectories,
    gamma: float,
    gae_lambda: float,
    n_step: int,
    advantages: Floats2D,
    returns: Floats2D,
) -> None:
    """R̂ by one of Spec 3.1–3.4 and Â = R̂ − V; of ``gae`` Â by Spec 4.2 and R̂ = Â + V.

    Args:
        estimator: which.
        trajectories: T steps of N environments.
        gamma: γ in [0, 1].
        gae_lambda: λ in [0, 1], of ``gae``.
        n_step: n ≥ 1, of ``nstep``.
        advantages: (T, N) float32 Â; written.
        returns: (T, N) float32 R̂; written.

    Raises:
        ArgumentError: an array of another shape or type.
    """
    check_trajectories(trajectories, advantages=advantages, returns=returns)
    kernel, args = kernel_call(
        estimator, trajectories, gamma, gae_lambda, n_step, advantages, returns
    )
    kernel(*args)
    if estimator != "gae":
        np.subtract(returns, trajectories.values, out=advantages)


def kernel_call(
    estimator: Literal["gae", "mc", "td0", "nstep"],
    trajectories: Trajectories,
    gamma: float,
    gae_lambda: float,
    n_step: int,
    advantages: Floats2D,
    returns: Floats2D,
) -> tuple[Callable[..., None], tuple[Any, ...]]:
    """The kernel of an estimator and what it is called with; see :func:`estimate_advantages`."""
    if estimator == "gae":
        return run_gae, (trajectories, gamma, gae_lambda, advantages, returns)
    if estimator == "mc":
        return run_monte_carlo, (trajectories, gamma, returns)
    if estimator == "td0":
        return run_td0, (trajectories, gamma, returns)
    return run_n_step, (trajectories, gamma, n_step, returns)


@exact_kernel
def following(now: Floats2D, after: Floats, t: int) -> Floats:
    """Row t + 1, or what comes after the last."""
    return after if t == now.shape[0] - 1 else now[t + 1]


@exact_entry_kernel
def run_gae(
    trajectories: Trajectories,
    gamma: float,
    gae_lambda: float,
    advantages: Floats2D,
    returns: Floats2D,
) -> None:
    """Â_t = δ_t + γλ (1 − done_t) Â_{t+1}, R̂_t = Â_t + V(s_t) (Spec 4.1, 4.2, 3.4)."""
    rewards, values = trajectories.rewards, trajectories.values
    discount, decay = np.float32(gamma), np.float32(gamma * gae_lambda)
    for t in range(rewards.shape[0] - 1, -1, -1):
        value = following(values, trajectories.last_values, t)
        done = following(trajectories.episode_starts, trajectories.dones, t)
        for n in range(rewards.shape[1]):
            goes_on = ONE - done[n]
            delta = rewards[t, n] + discount * value[n] * goes_on - values[t, n]
            carried = ZERO if t == rewards.shape[0] - 1 else advantages[t + 1, n]
            advantages[t, n] = delta + decay * goes_on * carried
            returns[t, n] = advantages[t, n] + values[t, n]


@exact_entry_kernel
def run_monte_carlo(trajectories: Trajectories, gamma: float, returns: Floats2D) -> None:
    """G_t = r_t + γ G_{t+1}, G_T = V(s_T), nothing after an end (Spec 3.1)."""
    rewards, discount = trajectories.rewards, np.float32(gamma)
    for t in range(rewards.shape[0] - 1, -1, -1):
        done = following(trajectories.episode_starts, trajectories.dones, t)
        tail = following(returns, trajectories.last_values, t)
        for n in range(rewards.shape[1]):
            returns[t, n] = rewards[t, n] + discount * (ZERO if done[n] > ZERO else tail[n])


@exact_entry_kernel
def run_td0(trajectories: Trajectories, gamma: float, returns: Floats2D) -> None:
    """r_t + γ V(s_{t+1}) (1 − done_t) (Spec 3.2)."""
    rewards, discount = trajectories.rewards, np.float32(gamma)
    for t in range(rewards.shape[0]):
        value = following(trajectories.values, trajectories.last_values, t)
        done = following(trajectories.episode_starts, trajectories.dones, t)
        for n in range(rewards.shape[1]):
            returns[t, n] = rewards[t, n] + discount * value[n] * (ONE - done[n])


@exact_entry_kernel
def run_n_step(trajectories: Trajectories, gamma: float, n_step: int, returns: Floats2D) -> None:
    """G^{(1)}_t = r_t + γ V(s_{t+1}), G^{(k)}_t = r_t + γ G^{(k−1)}_{t+1} (Spec 3.3).

    For k up to ``n_step``; shortened where the episode or the rollout ends first.
    """
    rewards, discount = trajectories.rewards, np.float32(gamma)
    run_td0(trajectories, gamma, returns)
    # Forwards in time: row t + 1 is still of the sweep before when row t is written.
    for _ in range(min(n_step, rewards.shape[0]) - 1):
        for t in range(rewards.shape[0] - 1):
            for n in range(rewards.shape[1]):
                if trajectories.episode_starts[t + 1, n] == ZERO:
                    returns[t, n] = rewards[t, n] + discount * returns[t + 1, n]
