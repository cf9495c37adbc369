"""What happens to the gradients between ``backward`` and the optimisers' steps (Spec 6.5)."""

import torch as th
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from ppo_lab.errors import ArgumentError
from ppo_lab.policies import critic_optimizer_of, has_joint_optimizer, parameters_of

__all__ = ["GradientStep", "optimizers_of"]


def optimizers_of(policy: ActorCriticPolicy) -> list[th.optim.Optimizer]:
    """The optimisers that move a policy, each parameter by one of them.

    The actor's and the critic's; ``policy.optimizer`` alone in a policy of SB3's, and where it
    holds parameters of both networks.

    Raises:
        ArgumentError: the critic's optimiser holds parameters that the actor's moves.
    """
    critic = critic_optimizer_of(policy)
    if critic is None or has_joint_optimizer(policy):
        return [policy.optimizer]
    held = {id(p) for p in parameters_of(policy.optimizer)}
    if any(id(p) in held for p in parameters_of(critic)):
        raise ArgumentError(
            "policy.critic_optimizer holds parameters of policy.optimizer, which would be moved "
            "twice: make it of policy.critic_parameters() alone"
        )
    return [policy.optimizer, critic]


class GradientStep:
    """How a policy's gradients are cleared, clipped and followed; looked up once an update.

    Args:
        policy: its parameters and their ``grad`` are changed in place.

    Raises:
        ArgumentError: see :func:`optimizers_of`.
    """

    def __init__(self, policy: ActorCriticPolicy) -> None:
        self._optimizers = optimizers_of(policy)
        self._all = list(policy.parameters())
        self._networks: tuple[list[nn.Parameter], list[nn.Parameter]] | None = None
        if critic_optimizer_of(policy) is not None:
            # By attribute, since ``torch.compile`` wraps a policy in another class.
            self._networks = policy.actor_parameters(), policy.critic_parameters()  # type: ignore[operator]

    def zero_grad(self) -> None:
        """Clear the gradients of what the optimisers hold, as SB3 does."""
        for optimizer in self._optimizers:
            optimizer.zero_grad()

    def clip(self, max_grad_norm: float, critic_max_grad_norm: float | None) -> dict[str, float]:
        """Scale the gradients to g · min(1, limit/‖g‖₂), jointly or apart (Spec 6.5).

        Args:
            max_grad_norm: limit of all parameters together, or of the actor's alone.
            critic_max_grad_norm: limit of the critic's; None: both together, as in SB3.

        Returns:
            The norms before clipping, by the name that they are logged under:
            ``actor_grad_norm`` and ``critic_grad_norm``, or ``grad_norm`` in a policy of SB3's.
        """
        if self._networks is None:
            norm = nn.utils.clip_grad_norm_(self._all, max_grad_norm)
            return {"grad_norm": norm.item()}
        actor, critic = self._networks
        if critic_max_grad_norm is None:
            norms = _norm(actor), _norm(critic)
            nn.utils.clip_grad_norm_(self._all, max_grad_norm)
        else:
            norms = (
                nn.utils.clip_grad_norm_(actor, max_grad_norm),
                nn.utils.clip_grad_norm_(critic, critic_max_grad_norm),
            )
        return {"actor_grad_norm": norms[0].item(), "critic_grad_norm": norms[1].item()}

    def step(self) -> None:
        """Move every parameter once, by the optimiser that holds it."""
        for optimizer in self._optimizers:
            optimizer.step()


def _norm(parameters: list[nn.Parameter]) -> th.Tensor:
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
