"""Vector environments for SB3: Gymnasium's, and those that run in compiled code."""

from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv
from ppo_lab.vec_env.in_cpp import make_envpool_vec_env
from ppo_lab.vec_env.native import make_native_vec_env
from ppo_lab.vec_env.sampled_normalize import SampledVecNormalize

__all__ = ["GymnasiumVecEnv", "SampledVecNormalize", "make_envpool_vec_env", "make_native_vec_env"]
