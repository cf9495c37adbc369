"""Several agents at once: games of PettingZoo's parallel form for SB3 (Spec 14)."""

from ppo_lab.multi_agent.exact_team import exact_team_return, normalized_team_return
from ppo_lab.multi_agent.groups import GroupsPPO
from ppo_lab.multi_agent.making import make_parallel_vec_env
from ppo_lab.multi_agent.vec_env import ParallelVecEnv

__all__ = [
    "GroupsPPO",
    "ParallelVecEnv",
    "exact_team_return",
    "make_parallel_vec_env",
    "normalized_team_return",
]
