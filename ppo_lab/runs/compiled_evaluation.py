"""Evaluation after updates where policy and environment are both compiled: episodes in one call."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.algorithm import SpecPPO
from ppo_lab.compiled.env_steps import is_untouched
from ppo_lab.ppo.callbacks import UnplayedEvalCallback
from ppo_lab.ppo.masked_algorithm import MaskingAlgorithm
from ppo_lab.vec_env.compiled import CompiledVecEnv

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
        and (not model.mask_actions or bool(eval_env.has_masks))  # type: ignore[attr-defined]
        and model.get_vec_normalize_env() is None  # its observations are not the environment's
        and _compiled(model) is not None
    )


def _compiled(model: SpecPPO) -> "tuple[Layout, npt.NDArray[np.float32]] | None":
    """The policy as the kernels have it; None where ``predict`` may do something else."""
    if type(model).predict is not MaskingAlgorithm.predict or "predict" in vars(model):
        return None
    return model.compiled_parameters()


class CompiledEvalCallback(UnplayedEvalCallback):
    """The episodes of ``AfterUpdateEvalCallback``, played by compiled code.

    For a model and an environment of which :func:`can_evaluate` holds. Where it no longer does,
    the policy having been changed meanwhile, ``AfterUpdateEvalCallback`` plays.
    """

    def _evaluate(self) -> None:
        assert isinstance(self.model, SpecPPO)
        if _compiled(self.model) is None:
            super(UnplayedEvalCallback, self)._evaluate()
        else:
            super()._evaluate()

    def _returns_and_lengths(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        env, model = self.eval_env, self.model
        assert isinstance(env, CompiledVecEnv)
        assert isinstance(model, SpecPPO)
        compiled = _compiled(model)
        if self.eval_seed is not None:
            env.seed(self.eval_seed)
        assert compiled is not None
        return env.evaluate(*compiled, self.n_eval_episodes)
