"""Random network distillation under its public name: what is in it is in ``ppo_lab.ppo.rnd``."""

from ppo_lab.ppo.rnd import INTRINSIC_REWARD, RandomNetworkDistillation, VecRND, find_rnd

__all__ = ["INTRINSIC_REWARD", "RandomNetworkDistillation", "VecRND", "find_rnd"]
