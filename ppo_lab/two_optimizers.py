"""An actor and a critic with an optimiser each: their rates, and how they are saved (Spec 5.2)."""

from typing import Any

import torch as th
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import FloatSchedule, update_learning_rate

from ppo_lab.errors import ArgumentError
from ppo_lab.light_optimizers import no_compiler_import
from ppo_lab.policies import SpecActorCriticPolicy, critic_optimizer_of, has_joint_optimizer
from ppo_lab.schedules import as_schedule

__all__ = ["TwoOptimizerAlgorithm"]


class TwoOptimizerAlgorithm(OnPolicyAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` where the critic may learn at a rate of its own.

    Attributes:
        critic_learning_rate: the critic's, or the zoo's words for it; None: ``learning_rate``.
        critic_lr_schedule: the schedule in use.
    """

    critic_learning_rate: float | str | Schedule | None
    critic_lr_schedule: Schedule

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
            self._check_joint_optimizer()
        elif critic_optimizer is not None:
            rate = self.critic_lr_schedule(self._current_progress_remaining)
            update_learning_rate(critic_optimizer, rate)
            self.logger.record("train/critic_learning_rate", rate)

    def _check_joint_optimizer(self) -> None:
        if self.critic_learning_rate is not None:
            raise ArgumentError(
                "critic_learning_rate with a policy.optimizer that holds the critic's parameters "
                "too: make policy.optimizer of policy.actor_parameters() alone"
            )

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        state_dicts, variables = super()._get_torch_save_params()
        if critic_optimizer_of(self.policy) is not None and not has_joint_optimizer(self.policy):
            state_dicts = [*state_dicts, "policy.critic_optimizer"]
        return state_dicts, variables

    def set_parameters(
        self,
        load_path_or_dict: Any,
        exact_match: bool = True,
        device: th.device | str = "auto",
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
        policy = getattr(self.policy, "_orig_mod", self.policy)  # torch.compile's wrapper
        if isinstance(policy, SpecActorCriticPolicy):
            parameters = policy.with_fitting_optimizers(parameters)
        with no_compiler_import():
            super().set_parameters(parameters, exact_match, device)

    def get_parameters(self) -> dict[str, dict[str, Any]]:
        """The states of the policy and of its optimisers, by SB3's names."""
        with no_compiler_import():
            return super().get_parameters()
