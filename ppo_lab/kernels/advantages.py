"""Value targets and advantages of a rollout of SB3's (Spec 3, 4), compiled.

The formulas and the order of their operations are those of :mod:`ppo_lab.ppo.advantages` as
:class:`ppo_lab.ppo.buffers.SpecRolloutBuffer` calls it: V(s_{t+1}) is the next row of ``values``
or, in the last step, ``last_values``; a truncated step has γ V(s_{t+1}) in its reward already, so
that every end is a termination. All arrays are (T, N) float32 but ``last_values`` and ``dones``,
(N,).
"""

import numpy as np

from ppo_lab.kernels.boundary import check_steps
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.kernels.typing import Floats, Matrix

__all__ = ["gae", "monte_carlo", "n_step", "td0"]

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@exact_kernel
def following(now: Matrix, after: Floats, t: int) -> Floats:
    """Row t + 1, or what comes after the last."""
    return after if t == now.shape[0] - 1 else now[t + 1]


def gae(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    gae_lambda: float,
    advantages: Matrix,
    returns: Matrix,
) -> None:
    """Â_t = δ_t + γλ (1 − done_t) Â_{t+1}, R̂_t = Â_t + V(s_t) (Spec 4.1, 4.2, 3.4).

    Args:
        rewards: (T, N) r_t.
        values: (T, N) V(s_t).
        last_values: (N,) V of the observations after the last step.
        episode_starts: (T, N) 1 where an episode starts at t.
        dones: (N,) 1 where the last step ended its episode.
        gamma: γ in [0, 1].
        gae_lambda: λ in [0, 1].
        advantages: (T, N) Â; written.
        returns: (T, N) R̂; written.

    Raises:
        ArgumentError: an array of another shape or type.
    """
    given = (rewards, values, last_values, episode_starts, dones)
    check_steps(*given, advantages=advantages, returns=returns)
    run_gae(*given, gamma, gae_lambda, advantages, returns)


def monte_carlo(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    returns: Matrix,
) -> None:
    """G_t = r_t + γ G_{t+1}, G_T = V(s_T), nothing after an end (Spec 3.1); see :func:`gae`."""
    given = (rewards, values, last_values, episode_starts, dones)
    check_steps(*given, returns=returns)
    run_monte_carlo(*given, gamma, returns)


def td0(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    returns: Matrix,
) -> None:
    """r_t + γ V(s_{t+1}) (1 − done_t) (Spec 3.2); the arguments of :func:`gae`."""
    given = (rewards, values, last_values, episode_starts, dones)
    check_steps(*given, returns=returns)
    run_td0(*given, gamma, returns)


def n_step(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    steps: int,
    returns: Matrix,
) -> None:
    """G^{(1)}_t = r_t + γ V(s_{t+1}), G^{(k)}_t = r_t + γ G^{(k−1)}_{t+1} (Spec 3.3).

    For k up to ``steps`` ≥ 1; shortened where the episode or the rollout ends first; the
    arguments of :func:`gae`.
    """
    given = (rewards, values, last_values, episode_starts, dones)
    check_steps(*given, returns=returns)
    run_n_step(*given, gamma, steps, returns)


@exact_entry_kernel
def run_gae(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    gae_lambda: float,
    advantages: Matrix,
    returns: Matrix,
) -> None:
    """See :func:`gae`, whose arguments these are, checked."""
    discount, decay = np.float32(gamma), np.float32(gamma * gae_lambda)
    for t in range(rewards.shape[0] - 1, -1, -1):
        value, done = following(values, last_values, t), following(episode_starts, dones, t)
        for n in range(rewards.shape[1]):
            goes_on = ONE - done[n]
            delta = rewards[t, n] + discount * value[n] * goes_on - values[t, n]
            carried = ZERO if t == rewards.shape[0] - 1 else advantages[t + 1, n]
            advantages[t, n] = delta + decay * goes_on * carried
            returns[t, n] = advantages[t, n] + values[t, n]


@exact_entry_kernel
def run_monte_carlo(
    rewards: Matrix,
    values: Matrix,  # noqa: ARG001 - one list of arguments for all estimators
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    returns: Matrix,
) -> None:
    """See :func:`monte_carlo`."""
    discount = np.float32(gamma)
    for t in range(rewards.shape[0] - 1, -1, -1):
        done = following(episode_starts, dones, t)
        tail = following(returns, last_values, t)
        for n in range(rewards.shape[1]):
            returns[t, n] = rewards[t, n] + discount * (ZERO if done[n] > ZERO else tail[n])


@exact_entry_kernel
def run_td0(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    returns: Matrix,
) -> None:
    """See :func:`td0`."""
    discount = np.float32(gamma)
    for t in range(rewards.shape[0]):
        value, done = following(values, last_values, t), following(episode_starts, dones, t)
        for n in range(rewards.shape[1]):
            returns[t, n] = rewards[t, n] + discount * value[n] * (ONE - done[n])


@exact_entry_kernel
def run_n_step(
    rewards: Matrix,
    values: Matrix,
    last_values: Floats,
    episode_starts: Matrix,
    dones: Floats,
    gamma: float,
    steps: int,
    returns: Matrix,
) -> None:
    """See :func:`n_step`."""
    discount = np.float32(gamma)
    run_td0(rewards, values, last_values, episode_starts, dones, gamma, returns)
    # Forwards in time: row t + 1 is still of the sweep before when row t is written.
    for _ in range(min(steps, rewards.shape[0]) - 1):
        for t in range(rewards.shape[0] - 1):
            for n in range(rewards.shape[1]):
                if episode_starts[t + 1, n] == ZERO:
                    returns[t, n] = rewards[t, n] + discount * returns[t + 1, n]
