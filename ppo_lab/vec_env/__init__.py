"""Vector environments for SB3: Gymnasium's, and those that run in compiled code."""

from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv
from ppo_lab.vec_env.native import make_native_vec_env

__all__ = ["GymnasiumVecEnv", "make_native_vec_env"]
