"""Evaluation after updates where policy and environment are both compiled: episodes in one call."""

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.algorithm import SpecPPO
from ppo_lab.callbacks import UnplayedEvalCallback
from ppo_lab.compiled_vec_env import CompiledVecEnv

__all__ = ["CompiledEvalCallback", "can_evaluate"]


def can_evaluate(model: BaseAlgorithm, eval_env: VecEnv, deterministic: bool) -> bool:
    """Whether :class:`CompiledEvalCallback` can play this model's episodes."""
    return (
        deterministic
        and type(eval_env) is CompiledVecEnv
        and bool(eval_env.max_episode_steps)
        and isinstance(model, SpecPPO)
        and model.compiled_parameters() is not None
    )


class CompiledEvalCallback(UnplayedEvalCallback):
    """The episodes of ``AfterUpdateEvalCallback``, played by compiled code.

    For a model and an environment of which :func:`can_evaluate` holds.
    """

    def _returns_and_lengths(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        env, model = self.eval_env, self.model
        assert isinstance(env, CompiledVecEnv)
        assert isinstance(model, SpecPPO)
        if self.eval_seed is not None:
            env.seed(self.eval_seed)
        compiled = model.compiled_parameters()
        assert compiled is not None
        return env.evaluate(*compiled, self.n_eval_episodes)
