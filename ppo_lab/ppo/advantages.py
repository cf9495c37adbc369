"""Value targets and advantages (Spec 3 and 4) as pure functions of tensors.

Every function takes one rollout of T steps in N environments, arrays of shape (T, N), time first,
0 ≤ t < T, and returns arrays of that shape. The symbols are Spec's:

====================  ==========================================================================
``rewards``           r_t
``values``            V(s_t)
``next_values``       V(s_{t+1}), where a time limit cut the episode V of the state it was cut in
``terminated``        1 where the MDP ended at t: nothing follows, V(s_{t+1}) does not count
``done``              1 where the episode ended at t, by termination or by truncation
====================  ==========================================================================

They raise ``ArgumentError`` where these shapes differ.

Termination stops the *bootstrap*; any end stops the *carry*. Keeping the two apart is the
whole point of having both arguments (Spec 1).
"""

import torch as th

from ppo_lab.ppo.shapes import check_shapes

__all__ = [
    "gae",
    "lambda_returns",
    "monte_carlo_returns",
    "n_step_returns",
    "normalize_advantages",
    "td0_targets",
    "td_residuals",
]


def td_residuals(
    rewards: th.Tensor,
    values: th.Tensor,
    next_values: th.Tensor,
    terminated: th.Tensor,
    gamma: float,
) -> th.Tensor:
    """δ_t = r_t + γ V(s_{t+1}) (1 − terminated_t) − V(s_t) (Spec 4.1).

    Args:
        rewards: (T, N) float.
        values: (T, N) float.
        next_values: (T, N) float.
        terminated: (T, N) float, 0 or 1.
        gamma: discount γ in [0, 1].

    Returns:
        (T, N): the one-step advantage estimates.
    """
    check_shapes(2, rewards=rewards, values=values)
    return td0_targets(rewards, next_values, terminated, gamma) - values


def gae(
    rewards: th.Tensor,
    values: th.Tensor,
    next_values: th.Tensor,
    terminated: th.Tensor,
    done: th.Tensor,
    gamma: float,
    gae_lambda: float,
) -> th.Tensor:
    """Generalised advantage estimation (Spec 4.2; Schulman et al. 2016, eq. 16).

    Â_t = Σ_{l=0}^{T−1−t} (γλ)^l δ_{t+l}, computed backwards:
    Â_t = δ_t + γλ (1 − done_t) Â_{t+1}, with Â_T = 0.

    Args:
        rewards: (T, N) float.
        values: (T, N) float.
        next_values: (T, N) float.
        terminated: (T, N) float, 0 or 1.
        done: (T, N) float, 0 or 1; 1 wherever ``terminated`` is.
        gamma: discount γ in [0, 1].
        gae_lambda: λ in [0, 1]; 0 is the TD residual, 1 the Monte Carlo advantage.

    Returns:
        (T, N): Â.
    """
    check_shapes(2, rewards=rewards, done=done)
    deltas = td_residuals(rewards, values, next_values, terminated, gamma)
    carry = gamma * gae_lambda * (1.0 - done)
    advantages = th.empty_like(deltas)
    advantage = th.zeros_like(deltas[0])
    for t in reversed(range(len(deltas))):
        advantage = deltas[t] + carry[t] * advantage
        advantages[t] = advantage
    return advantages


def lambda_returns(advantages: th.Tensor, values: th.Tensor) -> th.Tensor:
    """R̂_t = Â_t^{GAE} + V(s_t), the empirical Q(s_t, a_t) (Spec 3.4).

    Args:
        advantages: (T, N), from :func:`gae`.
        values: (T, N).

    Returns:
        (T, N): the critic's targets.
    """
    check_shapes(2, advantages=advantages, values=values)
    return advantages + values


def monte_carlo_returns(
    rewards: th.Tensor, next_values: th.Tensor, terminated: th.Tensor, done: th.Tensor, gamma: float
) -> th.Tensor:
    """G_t = r_t + γ G_{t+1}, to the end of the episode (Spec 3.1).

    Where the rollout ends first or a time limit cuts, the tail is V of the state reached.

    Args:
        rewards: (T, N) float.
        next_values: (T, N) float; used only at truncations and at t = T − 1.
        terminated: (T, N) float, 0 or 1.
        done: (T, N) float, 0 or 1.
        gamma: discount γ in [0, 1].

    Returns:
        (T, N): G.
    """
    check_shapes(2, rewards=rewards, next_values=next_values, terminated=terminated, done=done)
    bootstrap = (1.0 - terminated) * next_values
    returns = th.empty_like(rewards)
    tail = bootstrap[-1]
    for t in reversed(range(len(rewards))):
        tail = th.where(done[t] > 0, bootstrap[t], tail)
        tail = rewards[t] + gamma * tail
        returns[t] = tail
    return returns


def td0_targets(
    rewards: th.Tensor, next_values: th.Tensor, terminated: th.Tensor, gamma: float
) -> th.Tensor:
    """r_t + γ V(s_{t+1}) (1 − terminated_t) (Spec 3.2).

    Args:
        rewards: (T, N) float.
        next_values: (T, N) float.
        terminated: (T, N) float, 0 or 1.
        gamma: discount γ in [0, 1].

    Returns:
        (T, N): the critic's targets.
    """
    check_shapes(2, rewards=rewards, next_values=next_values, terminated=terminated)
    # The order of the factors is SB3's: equal to the last bit, not merely equal.
    return rewards + gamma * next_values * (1.0 - terminated)


def n_step_returns(
    rewards: th.Tensor,
    next_values: th.Tensor,
    terminated: th.Tensor,
    done: th.Tensor,
    gamma: float,
    n_step: int,
) -> th.Tensor:
    """r_t + γ r_{t+1} + … + γ^{n−1} r_{t+n−1} + γ^n V(s_{t+n}) (Spec 3.3).

    Shortened where the episode or the rollout ends first. Computed by n sweeps of the recursion
    G^{(1)}_t = r_t + γ V(s_{t+1}), G^{(k)}_t = r_t + γ G^{(k−1)}_{t+1}.

    Args:
        rewards: (T, N) float.
        next_values: (T, N) float.
        terminated: (T, N) float, 0 or 1.
        done: (T, N) float, 0 or 1.
        gamma: discount γ in [0, 1].
        n_step: n ≥ 1; n = 1 is :func:`td0_targets`, n ≥ T is :func:`monte_carlo_returns`.

    Returns:
        (T, N): the n-step returns.
    """
    check_shapes(2, rewards=rewards, done=done)
    one_step = td0_targets(rewards, next_values, terminated, gamma)
    returns = one_step.clone()
    continues = done[:-1] == 0
    for _ in range(min(n_step, len(rewards)) - 1):
        longer = rewards[:-1] + gamma * returns[1:]
        returns[:-1] = th.where(continues, longer, one_step[:-1])
    return returns


def normalize_advantages(advantages: th.Tensor) -> th.Tensor:
    """(Â − mean) / (std + 1e-8), std with Bessel's correction as SB3 has it (Spec 4.3).

    Args:
        advantages: any shape of at least two elements: a minibatch or a whole rollout.

    Returns:
        The same shape, mean 0, std 1 (0 where all advantages are equal).
    """
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)
