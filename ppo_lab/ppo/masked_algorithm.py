"""An algorithm of SB3's whose policy may be told which actions are allowed (Spec 13)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.action_masks import MaskSource

__all__ = ["MaskingAlgorithm"]


class MaskingAlgorithm(OnPolicyAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` with masks from environments that have ``action_masks()``.

    Attributes:
        mask_actions: whether it does so.
    """

    mask_actions: bool

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` of every environment; SB3's arguments."""
        if not self.mask_actions:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        source = MaskSource(env, self.action_space, lambda: self.num_timesteps)
        self.policy.mask_source = rollout_buffer.mask_source = source  # type: ignore[assignment, attr-defined]
        try:
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        finally:
            self.policy.mask_source = rollout_buffer.mask_source = None  # type: ignore[assignment, attr-defined]

    def predict(
        self,
        observation: NDArray[Any] | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """SB3's ``predict``; with ``mask_actions`` under masks (N, A), or (A,) of one observation.

        Raises:
            ArgumentError: masks where there are none to be, or none where there are.
        """
        if not self.mask_actions and action_masks is None:
            return super().predict(observation, state, episode_start, deterministic)
        if not self.mask_actions:
            raise ArgumentError("predict(action_masks=…) of a model without mask_actions=True")
        return self.policy.predict(  # type: ignore[call-arg]
            observation, state, episode_start, deterministic, action_masks=action_masks
        )
