"""Vector environments for SB3: Gymnasium's, compiled ones, and those in a pool of processes."""

from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv
from ppo_lab.vec_env.in_cpp import make_envpool_vec_env
from ppo_lab.vec_env.native import make_native_vec_env
from ppo_lab.vec_env.pool_making import make_pool_vec_env
from ppo_lab.vec_env.sampled_normalize import SampledVecNormalize

__all__ = [
    "GymnasiumVecEnv",
    "SampledVecNormalize",
    "make_envpool_vec_env",
    "make_native_vec_env",
    "make_pool_vec_env",
]
