"""An algorithm of SB3's whose rollouts and updates torch or the kernels may make."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch as th
from gymnasium.vector import VectorEnv
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.arguments import Backend
from ppo_lab.compiled.choice import BackendChoice, may_serve
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.callbacks import rollout_started
from ppo_lab.vec_env.envpool import is_envpool
from ppo_lab.vec_env.reset_rows import leave_out_resets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppo_lab.compiled.path import CompiledPath
    from ppo_lab.kernels.layout import Layout

__all__ = ["TwoBackendAlgorithm"]


class TwoBackendAlgorithm(OnPolicyAlgorithm):
    """SB3's ``OnPolicyAlgorithm`` that collects by the kernels where they compute the same.

    Attributes:
        backend: the user's wish.
        as_written: the methods that are the mathematics, by name: where one was replaced, the
            kernels would pass over what stands there now.
    """

    backend: Backend
    as_written: ClassVar[Mapping[str, object]] = {}
    _backend_choice: BackendChoice
    _asked_device: th.device | str

    def _choose_device(self) -> None:
        """Let ``device="auto"`` be the CPU where the kernels may serve, many times faster there."""
        if self._asked_device != "auto" or self.backend == "torch" or self.device.type == "cpu":
            return
        shown = self.observation_space, self.action_space
        if not self.use_sde and may_serve(self.policy_class, self.policy_kwargs, *shown):
            if self.verbose >= 1:
                print(f"Using cpu device, where the kernels run, in the place of {self.device}")
            self.device = th.device("cpu")

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        given: object = env
        if is_envpool(given) or isinstance(given, VectorEnv):
            raise ArgumentError(
                f"env is a {type(given).__name__}, which steps several copies in Gymnasium's way: "
                "pass ppo_lab.vec_env.GymnasiumVecEnv(env), which shows it as SB3's VecEnv"
            )
        return OnPolicyAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    @property
    def measures_rollout_kl(self) -> bool:
        """Whether the KL of whole updates is asked for."""
        return False

    def _compiled_path(self) -> "CompiledPath | None":
        """The kernels' path through this model; None where torch is to do the work.

        Raises:
            ArgumentError: ``backend="compiled"`` on a model that the kernels cannot serve.
        """
        return self._backend_choice.path(
            self, self.backend, self._overridden(), self.measures_rollout_kl
        )

    def _overridden(self) -> str | None:
        kind, own = type(self), vars(self)
        changed = (
            name
            for name, method in self.as_written.items()
            if name in own or getattr(kind, name) is not method
        )
        return next(changed, None)

    def compiled_parameters(self) -> "tuple[Layout, NDArray[np.float32]] | None":
        """The policy as the kernels have it, for ``CompiledVecEnv.evaluate``.

        Returns:
            Its shapes and all its parameters (P,) as they now are; None on the torch path.
        """
        path = self._compiled_path()
        return None if path is None else path.parameters()

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_backend_choice", "_asked_device"]

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` of every environment; SB3's arguments."""
        leave_out_resets(env, rollout_buffer, n_rollout_steps)
        path = self._backend_choice.latest(self) or self._compiled_path()
        if path is None or not isinstance(rollout_buffer, SpecRolloutBuffer):
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        # Again: the callback may have made this another model.
        path = self._compiled_path()
        if path is not None:
            return path.collect(env, callback, rollout_buffer, n_rollout_steps)
        with rollout_started(callback):
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
