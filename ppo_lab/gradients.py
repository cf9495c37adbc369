"""What happens to the gradients between ``backward`` and the optimisers' steps (Spec 6.5)."""

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from ppo_lab.policies import critic_optimizer_of

__all__ = ["clip_gradients", "optimizers_of"]


def optimizers_of(policy: ActorCriticPolicy) -> list[th.optim.Optimizer]:
    """The actor's and the critic's optimiser, or the one that moves both in a policy of SB3's."""
    critic = critic_optimizer_of(policy)
    return [policy.optimizer] if critic is None else [policy.optimizer, critic]


def clip_gradients(
    policy: ActorCriticPolicy, max_grad_norm: float, critic_max_grad_norm: float | None
) -> dict[str, float]:
    """Scale the gradients to g · min(1, limit/‖g‖₂), jointly or apart (Spec 6.5).

    Args:
        policy: its parameters' ``grad`` are changed in place.
        max_grad_norm: limit of all parameters together, or of the actor's alone.
        critic_max_grad_norm: limit of the critic's; None: both together, as in SB3.

    Returns:
        The norms before clipping, by the name that they are logged under: ``actor_grad_norm``
        and ``critic_grad_norm``, or ``grad_norm`` where one optimiser moves all.
    """
    if critic_optimizer_of(policy) is None:
        norm = nn.utils.clip_grad_norm_(policy.parameters(), max_grad_norm)
        return {"grad_norm": norm.item()}
    actor, critic = (_parameters_of(optimizer) for optimizer in optimizers_of(policy))
    if critic_max_grad_norm is None:
        norms = _norm(actor), _norm(critic)
        nn.utils.clip_grad_norm_(policy.parameters(), max_grad_norm)
    else:
        norms = (
            nn.utils.clip_grad_norm_(actor, max_grad_norm),
            nn.utils.clip_grad_norm_(critic, critic_max_grad_norm),
        )
    return {"actor_grad_norm": norms[0].item(), "critic_grad_norm": norms[1].item()}


def _parameters_of(optimizer: th.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _norm(parameters: list[nn.Parameter]) -> th.Tensor:
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
