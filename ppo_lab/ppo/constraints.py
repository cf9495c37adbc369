"""PPO under a limit on expected cost (Spec 15.2) as pure functions."""

import torch as th

from ppo_lab.ppo.shapes import check_shapes

__all__ = ["constrained_advantages", "next_multiplier"]


def next_multiplier(multiplier: float, mean_cost: float, cost_limit: float, rate: float) -> float:
    """λ ← max(0, λ + η (J_C − d)), a step of dual ascent (Spec 15.2; Ray et al. 2019, section 5).

    Args:
        multiplier: λ ≥ 0.
        mean_cost: J_C, the mean undiscounted cost of an episode.
        cost_limit: d ≥ 0.
        rate: η ≥ 0, λ's own learning rate.

    Returns:
        The next λ ≥ 0.
    """
    return max(0.0, multiplier + rate * (mean_cost - cost_limit))


def constrained_advantages(
    advantages: th.Tensor, cost_advantages: th.Tensor, multiplier: float
) -> th.Tensor:
    """(Â − λ Â_C) / (1 + λ): what the actor follows (Spec 15.2).

    The divisor changes the step's length alone: it keeps a large λ from driving the update.

    Args:
        advantages: (T, N) Â of the rewards.
        cost_advantages: (T, N) Â_C, Spec 4.2 on the costs.
        multiplier: λ ≥ 0.

    Returns:
        (T, N).
    """
    check_shapes(2, advantages=advantages, cost_advantages=cost_advantages)
    return (advantages - multiplier * cost_advantages) / (1.0 + multiplier)
