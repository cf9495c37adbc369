"""``VecNormalize`` over whole numbers: their space stays, and SB3 2.8 stores by the space.

What was normalised is then cut to whole numbers on its way into the rollout buffer (−1 becomes 255
in uint8), and by ``VecFrameStack``: the policy acts on other observations than it learns from.
"""

import warnings
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

__all__ = ["show_decimals", "warn_of_cut_observations"]


def warn_of_cut_observations(model: OnPolicyAlgorithm) -> None:
    """Warn where a model's observations are normalised, and stored as whole numbers."""
    env = model.get_vec_normalize_env()
    parts = {} if env is None else _normalized_parts(env, model.observation_space)
    for part in filter(_cuts, parts.values()):
        warnings.warn(
            f"the observations that VecNormalize has normalised are stored as {part.dtype}, as "
            "their space says, and the policy learns from what is left of them: wrap each "
            "environment in gymnasium.wrappers.DtypeObservation(env, numpy.float32)",
            stacklevel=3,
        )
        return


def show_decimals(env: VecNormalize) -> None:
    """Let the space say float32 where the observations are, as SB3 does for images.

    It changes no number that the environment returns. Whoever reads the space comes afterwards.
    """
    space, bound = env.observation_space, env.clip_obs
    for key, part in _normalized_parts(env, space).items():
        if _cuts(part):
            decimals = spaces.Box(-bound, bound, part.shape, np.float32)
            if isinstance(space, spaces.Dict):
                space = spaces.Dict({**space.spaces, key: decimals})
            else:
                space = decimals
    env.observation_space = space


def _normalized_parts(env: VecNormalize, space: spaces.Space[Any]) -> dict[str, spaces.Box]:
    """Key → space; the key of an observation that has no keys is empty."""
    if not env.norm_obs:
        return {}
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    keys = env.norm_obs_keys or [""]
    return {key: part for key in keys if isinstance(part := parts.get(key), spaces.Box)}


def _cuts(space: spaces.Box) -> bool:
    return not np.can_cast(np.float32, space.dtype)
