"""Several agents at once: games of PettingZoo's parallel form for SB3 (Spec 14)."""

from ppo_lab.multi_agent.groups import GroupsPPO
from ppo_lab.multi_agent.making import make_parallel_vec_env
from ppo_lab.multi_agent.vec_env import ParallelVecEnv

__all__ = ["GroupsPPO", "ParallelVecEnv", "make_parallel_vec_env"]
