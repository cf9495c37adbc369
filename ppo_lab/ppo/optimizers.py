"""An actor and a critic with an optimiser each: their rates, and how they are saved (Spec 5.2)."""

from typing import Any

import torch as th
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule, update_learning_rate
from torch import nn

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.joint_adam import as_one_step
from ppo_lab.ppo.policies import (
    SpecActorCriticPolicy,
    critic_optimizer_of,
    has_joint_optimizer,
    parameters_of,
)
from ppo_lab.ppo.schedules import as_schedule
from ppo_lab.ppo.torch_internals import no_compiler_import, norms_of, uncompiled

__all__ = ["GradientStep", "TwoOptimizerAlgorithm", "optimizers_of"]


class TwoOptimizerAlgorithm(OnPolicyAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` where the critic may learn at a rate of its own.

    Attributes:
        critic_learning_rate: the critic's, or the zoo's words for it; None: ``learning_rate``.
        critic_lr_schedule: the schedule in use.
    """

    critic_learning_rate: float | str | Schedule | None
    critic_lr_schedule: Schedule
    _gradient_step: "GradientStep"

    def _setup_lr_schedule(self) -> None:
        self.learning_rate = as_schedule("learning_rate", self.learning_rate)
        super()._setup_lr_schedule()
        rate = self.critic_learning_rate
        self.critic_lr_schedule = (
            self.lr_schedule
            if rate is None
            else FloatSchedule(as_schedule("critic_learning_rate", rate))
        )

    def _update_learning_rates(self, joint: bool) -> None:
        """Set the rates for now; ``joint``: whether ``policy.optimizer`` moves both networks."""
        self._update_learning_rate(self.policy.optimizer)
        critic_optimizer = critic_optimizer_of(self.policy)
        if joint:
            if self.critic_learning_rate is not None:
                raise ArgumentError(
                    "critic_learning_rate with a policy.optimizer that holds the critic's "
                    "parameters too: make policy.optimizer of policy.actor_parameters() alone"
                )
        elif critic_optimizer is not None:
            rate = self.critic_lr_schedule(self._current_progress_remaining)
            update_learning_rate(critic_optimizer, rate)
            self.logger.record("train/critic_learning_rate", rate)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_gradient_step"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        state_dicts, variables = super()._get_torch_save_params()
        if critic_optimizer_of(self.policy) is not None and not has_joint_optimizer(self.policy):
            state_dicts = [*state_dicts, "policy.critic_optimizer"]
        return state_dicts, variables

    def set_parameters(
        self, load_path_or_dict: Any, exact_match: bool = True, device: th.device | str = "auto"
    ) -> None:
        """Load weights and optimisers, of a model of ours or of one that SB3's ``PPO`` saved.

        ``PPO``'s one optimiser is split into the actor's and the critic's, and these are joined
        where ``policy.optimizer`` moves both networks: training goes on as it would have there.

        Args:
            load_path_or_dict: what ``save`` wrote, or what ``get_parameters`` gave.
            exact_match: refuse parameters that are missing or too many.
            device: where they are loaded to.

        Raises:
            ValueError: with ``exact_match``, the names differ.
        """
        parameters = load_path_or_dict
        if not isinstance(parameters, dict):
            _, parameters, _ = load_from_zip_file(parameters, device=device, load_data=False)
        policy = uncompiled(self.policy)
        if isinstance(policy, SpecActorCriticPolicy):
            parameters = policy.with_fitting_optimizers(parameters)
        with no_compiler_import():
            super().set_parameters(parameters, exact_match, device)

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """The states of the policy and of its optimisers, by SB3's names."""
        with no_compiler_import():
            return super().get_parameters()


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
        self._follow = as_one_step(self._optimizers)
        self._all = list(policy.parameters())
        self._networks: tuple[list[nn.Parameter], list[nn.Parameter]] | None = None
        if critic_optimizer_of(policy) is not None:
            # By attribute, since ``torch.compile`` wraps a policy in another class.
            self._networks = policy.actor_parameters(), policy.critic_parameters()  # type: ignore[operator]

    def zero_grad(self) -> None:
        """Clear the gradients of what the optimisers hold, as SB3 does."""
        for optimizer in self._optimizers:
            optimizer.zero_grad()

    def clip(
        self, max_grad_norm: float, critic_max_grad_norm: float | None
    ) -> dict[str, th.Tensor]:
        """Scale the gradients to g · min(1, limit/‖g‖₂), jointly or apart (Spec 6.5).

        Args:
            max_grad_norm: limit of all parameters together, or of the actor's alone.
            critic_max_grad_norm: limit of the critic's; None: both together, as in SB3.

        Returns:
            The norms before clipping, scalars by the name that they are logged under:
            ``actor_grad_norm`` and ``critic_grad_norm``, or ``grad_norm`` in a policy of SB3's.
        """
        if self._networks is None:
            return {"grad_norm": nn.utils.clip_grad_norm_(self._all, max_grad_norm)}
        actor, critic = self._networks
        if critic_max_grad_norm is None:
            norms = self._clip_together(max_grad_norm)
        else:
            norms = (
                nn.utils.clip_grad_norm_(actor, max_grad_norm),
                nn.utils.clip_grad_norm_(critic, critic_max_grad_norm),
            )
        return {"actor_grad_norm": norms[0], "critic_grad_norm": norms[1]}

    def _clip_together(self, max_grad_norm: float) -> tuple[th.Tensor, th.Tensor]:
        """``clip_grad_norm_`` of all, with each parameter's norm taken once for all three norms."""
        with_gradient = [p for p in self._all if p.grad is not None]
        norms = norms_of([p.grad for p in with_gradient])  # type: ignore[misc]
        norm_of = dict(zip(map(id, with_gradient), norms, strict=True))
        total = _total(norms)
        nn.utils.clip_grads_with_norm_(self._all, max_grad_norm, total)
        actor, critic = (
            _total([norm_of[id(p)] for p in network if id(p) in norm_of])
            for network in self._networks or ()
        )
        return actor, critic

    def step(self) -> None:
        """Move every parameter once, by the optimiser that holds it."""
        self._follow()


def _total(norms: list[th.Tensor]) -> th.Tensor:
    """The norm of vectors laid end to end, of their norms; 0 of none."""
    return th.linalg.vector_norm(th.stack(norms)) if norms else th.tensor(0.0)
