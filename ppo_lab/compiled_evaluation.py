"""Evaluation after updates where policy and environment are both compiled: episodes in one call."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.algorithm import SpecPPO
from ppo_lab.callbacks import AfterUpdateEvalCallback
from ppo_lab.compiled_vec_env import CompiledVecEnv
from ppo_lab.stepping import is_untouched

if TYPE_CHECKING:
    from ppo_lab.kernels.layout import Layout

__all__ = ["CompiledEvalCallback", "can_evaluate"]


def can_evaluate(model: BaseAlgorithm, eval_env: VecEnv, deterministic: bool) -> bool:
    """Whether :class:`CompiledEvalCallback` can play this model's episodes."""
    return (
        deterministic
        and is_untouched(eval_env, CompiledVecEnv)
        and bool(eval_env.get_attr("max_episode_steps")[0])
        and isinstance(model, SpecPPO)
        and _compiled(model) is not None
    )


def _compiled(model: SpecPPO) -> "tuple[Layout, npt.NDArray[np.float32]] | None":
    """The policy as the kernels have it; None where ``predict`` may do something else."""
    if type(model).predict is not BaseAlgorithm.predict or "predict" in vars(model):
        return None
    return model.compiled_parameters()


class CompiledEvalCallback(AfterUpdateEvalCallback):
    """When, and into which files and logs: as ``AfterUpdateEvalCallback``; the playing is compiled.

    For a model and an environment of which :func:`can_evaluate` holds. Where it no longer does,
    the policy having been changed meanwhile, ``AfterUpdateEvalCallback`` plays.
    """

    def _evaluate(self) -> None:
        env, model = self.eval_env, self.model
        assert isinstance(env, CompiledVecEnv)
        assert isinstance(model, SpecPPO)
        compiled = _compiled(model)
        if compiled is None:
            super()._evaluate()
            return
        if self.eval_seed is not None:
            env.seed(self.eval_seed)
        self.num_timesteps = self._evaluated_at = model.num_timesteps
        returns, lengths = env.evaluate(*compiled, self.n_eval_episodes)
        self._write(returns, lengths)
        self.last_mean_reward = float(returns.mean())
        self.logger.record("eval/mean_reward", self.last_mean_reward)
        self.logger.record("eval/mean_ep_length", float(lengths.mean()))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        self._continue_training = self._tell_the_others()

    def _write(self, returns: npt.NDArray[np.float64], lengths: npt.NDArray[np.int64]) -> None:
        if self.log_path is None:
            return
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(returns.tolist())
        self.evaluations_length.append(lengths.tolist())
        np.savez(
            self.log_path,
            timesteps=self.evaluations_timesteps,
            results=self.evaluations_results,
            ep_lengths=self.evaluations_length,
        )

    def _tell_the_others(self) -> bool:
        """Save a new best model, and call the callbacks that wait for one or for evaluations."""
        goes_on = True
        if self.last_mean_reward > self.best_mean_reward:
            self.best_mean_reward = self.last_mean_reward
            if self.best_model_save_path is not None:
                self.model.save(Path(self.best_model_save_path) / "best_model")
            if self.callback_on_new_best is not None:
                goes_on = self.callback_on_new_best.on_step()
        if self.callback is not None:
            goes_on = goes_on and self._on_event()
        return goes_on
