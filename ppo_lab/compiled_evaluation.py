"""Evaluation after updates where policy and environment are both compiled: episodes in one call."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.algorithm import SpecPPO
from ppo_lab.callbacks import AfterUpdateEvalCallback
from ppo_lab.compiled_vec_env import CompiledVecEnv

__all__ = ["CompiledEvalCallback", "can_evaluate"]


def can_evaluate(model: BaseAlgorithm, eval_env: VecEnv, deterministic: bool) -> bool:
    """Whether :class:`CompiledEvalCallback` can play this model's episodes."""
    return (
        deterministic
        and type(eval_env) is CompiledVecEnv
        and bool(eval_env.max_episode_steps)
        and isinstance(model, SpecPPO)
        and model.get_vec_normalize_env() is None  # its observations are not the environment's
        and model.compiled_parameters() is not None
    )


class CompiledEvalCallback(AfterUpdateEvalCallback):
    """When, and into which files and logs: as ``AfterUpdateEvalCallback``; the playing is compiled.

    For a model and an environment of which :func:`can_evaluate` holds.
    """

    def _evaluate(self) -> None:
        env, model = self.eval_env, self.model
        assert isinstance(env, CompiledVecEnv)
        assert isinstance(model, SpecPPO)
        if self.eval_seed is not None:
            env.seed(self.eval_seed)
        self.num_timesteps = self._evaluated_at = model.num_timesteps
        compiled = model.compiled_parameters()
        assert compiled is not None
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
