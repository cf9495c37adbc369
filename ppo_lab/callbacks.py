"""SB3 callbacks that PPO Lab adds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.errors import NonFiniteError

__all__ = ["AfterUpdateEvalCallback", "FiniteGuard"]


class FiniteGuard(BaseCallback):
    """Stops training at the first NaN or infinite reward or observation.

    Works with every SB3 algorithm. Nothing of the bad step reaches the networks.

    Raises:
        NonFiniteError: names what was not finite, its value, the step and the environment.
    """

    def _on_rollout_start(self) -> None:
        self._check("observation", self.model._last_obs)

    def _on_step(self) -> bool:
        self._check("reward", self.locals["rewards"])
        self._check("observation", self.locals["new_obs"])
        for index in np.flatnonzero(self.locals["dones"]).tolist():
            # A truncated episode's last observation is valued too, and is not in new_obs.
            last = self.locals["infos"][index].get("terminal_observation")
            if last is not None:
                self._check("terminal observation", last, index)
        return True

    def _check(self, what: str, value: object, environment: int | None = None) -> None:
        if isinstance(value, Mapping):
            for key, part in value.items():
                self._check(f"{what} {key!r}", part, environment)
            return
        array = np.asarray(value)
        if array.dtype.kind != "f" or np.isfinite(array).all():
            return
        bad = np.argwhere(~np.isfinite(array))[0]
        raise NonFiniteError(
            f"{what} is {array[tuple(bad)]} at step {self.model.num_timesteps} in environment "
            f"{bad[0] if environment is None else environment}: training stopped, the parameters "
            "of the last update are kept"
        )


class AfterUpdateEvalCallback(EvalCallback):
    """SB3's ``EvalCallback``, asked between updates instead of in the middle of a rollout.

    ``EvalCallback`` scores the policy before the update that its own timestep belongs to, and
    never the policy that training ends with. This one evaluates at the start of a rollout, once
    at least ``eval_freq`` timesteps have passed since it last did, and after the last update:
    the last row of ``evaluations.npz`` is the final policy's. Files and names are SB3's.

    Args:
        eval_env: as for ``EvalCallback``.
        eval_seed: seeds the evaluation environments before every evaluation, so that all are
            played from the same random numbers; None: they go on where the last one stopped.
        at_start: also score the untrained policy.
        **kwargs: as for ``EvalCallback``, but ``eval_freq`` counts timesteps of all environments.
    """

    def __init__(
        self,
        eval_env: VecEnv,
        *,
        eval_seed: int | None = None,
        at_start: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_env, **kwargs)
        self.eval_seed = eval_seed
        self._evaluated_at: int | None = None if at_start else 0
        self._continue_training = True

    def _on_rollout_start(self) -> None:
        steps = self.model.num_timesteps
        if self._evaluated_at is None or steps - self._evaluated_at >= self.eval_freq:
            self._evaluate()

    def _on_training_end(self) -> None:
        if self._evaluated_at != self.model.num_timesteps:
            self._evaluate()

    def _on_step(self) -> bool:
        return self._continue_training

    def _evaluate(self) -> None:
        if self.eval_seed is not None:
            self.eval_env.seed(self.eval_seed)
        # SB3 sets the callback's own count at each step only, and these places lie between steps.
        self.num_timesteps = self._evaluated_at = self.model.num_timesteps
        self.n_calls = self.eval_freq  # the parent's own condition, met
        self._continue_training = super()._on_step()
