"""sb3-contrib's RecurrentPPO, compiled where the kernels compute the same."""

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib import RecurrentPPO as TorchRecurrentPPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.arguments import Backend
from ppo_lab.compiled.callback_needs import needs_every_step
from ppo_lab.compiled.choice import refusal
from ppo_lab.compiled.recurrent_policy import may_serve, why_not_compiled
from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.settings import UpdateSettings
from ppo_lab.ppo.trust_region import kl_limit

__all__ = ["RecurrentPPO"]

LOGGED = ("entropy_loss", "policy_gradient_loss", "value_loss", "clip_fraction")
"""Means over all minibatches of an update."""


class RecurrentPPO(TorchRecurrentPPO):
    """``RecurrentPPO`` of sb3-contrib, with its updates and the policy's part of rollouts compiled.

    Arguments, attributes, files and what is logged are sb3-contrib's, and so is every computation
    that the kernels do not know: another policy than ``MlpLstmPolicy`` with an LSTM each for actor
    and critic, one layer, of a multiple of 64 cells, on the CPU, with one plain Adam. From the same
    rollout, an update gives sb3-contrib's parameters to rounding.

    Args:
        *args: as for sb3-contrib.
        backend: ``torch``: all is sb3-contrib's; ``compiled``; ``auto``: compiled where it applies.
            With the latter two ``device="auto"`` is the CPU for a policy that they may serve.
        **kwargs: as for sb3-contrib.

    Raises:
        ArgumentError: ``backend="compiled"`` where it does not apply; says why.
        NonFiniteError: from ``learn``, compiled, at a loss or gradient that is not finite.
    """

    def __init__(self, *args: Any, backend: Backend = "auto", **kwargs: Any) -> None:
        if backend not in ("auto", "torch", "compiled"):
            raise ArgumentError(f"backend={backend!r}: expected one of 'auto', 'torch', 'compiled'")
        self._asked_device = kwargs.get("device", "auto")
        self.backend: Backend = backend
        self._path: Any = None
        self._said: str | None = None
        super().__init__(*args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_path", "_said", "_asked_device"]

    def _setup_model(self) -> None:
        # Here, since ``load`` tells backend and policy_kwargs after the constructor.
        is_free = self._asked_device == "auto" and self.backend != "torch"
        if (
            is_free
            and self.device.type != "cpu"
            and may_serve(self.policy_class, self.policy_kwargs)
        ):
            if self.verbose >= 1:
                print(f"Using cpu device, where the kernels run, in the place of {self.device}")
            self.device = th.device("cpu")
        super()._setup_model()
        if self.backend == "compiled":
            self._compiled_path()  # an error now rather than in learn

    def _compiled_path(self) -> Any:
        """The kernels' path through this model; None where torch is to do the work."""
        if self.backend == "torch":
            return None
        reason = why_not_compiled(self)
        if reason is not None:
            if self.backend == "compiled":
                raise refusal(reason)
            self._say(f"Using the torch path, because {reason}")
            return None
        self._say("Using the compiled path: an LSTM each for actor and critic, on the CPU")
        path = getattr(self, "_path", None)
        if path is None or path.model is not self or not path.packed.is_of(self.policy):
            from ppo_lab.compiled.recurrent_path import RecurrentPath  # imports numba

            path = self._path = RecurrentPath(self)
        return path

    def _say(self, message: str) -> None:
        if self.verbose >= 1 and message != getattr(self, "_said", None):
            print(message)
        self._said = message

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """sb3-contrib's, where the kernels act in the policy's place.

        A callback that looks at every step may change the policy between two: torch acts then.
        """
        path = None if needs_every_step(callback) else self._compiled_path()
        if path is None or "forward" in vars(self.policy):
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        with path.acting():
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)

    def train(self) -> None:
        """sb3-contrib's update, by the kernels where they compute the same."""
        path = self._compiled_path()
        if path is None:
            super().train()
            return
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        progress = self._current_progress_remaining
        clip_range = self.clip_range(progress)  # type: ignore[operator]
        clip_range_vf = None
        if self.clip_range_vf is not None:
            clip_range_vf = self.clip_range_vf(progress)  # type: ignore[operator]
        settings = UpdateSettings(
            clip_range=clip_range,
            clip_range_vf=clip_range_vf,
            ent_coef=self.ent_coef,
            vf_coef=self.vf_coef,
            normalize_advantage=self.normalize_advantage,
            max_grad_norm=self.max_grad_norm,
            kl_limit=kl_limit(self.target_kl),
        )
        columns, epochs, stopped = path.update(settings)
        self._n_updates += epochs
        kls = columns["approx_kl"]
        if stopped and self.verbose >= 1:
            print(f"Early stopping at step {epochs - 1} due to reaching max kl: {kls[-1]:.2f}")
        per_epoch = -(-self.rollout_buffer.returns.size // path.batch_size)
        for name in LOGGED:
            self.logger.record(f"train/{name}", float(np.mean(columns[name])))
        last_epoch = kls[(epochs - 1) * per_epoch :]
        self.logger.record("train/approx_kl", float(np.mean(last_epoch)))
        self.logger.record("train/loss", float(columns["loss"][-1]))
        values, returns = self.rollout_buffer.values, self.rollout_buffer.returns
        explained = explained_variance(values.flatten(), returns.flatten())
        self.logger.record("train/explained_variance", explained)
        if isinstance(self.action_space, spaces.Box):
            self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)
