"""PPO from the specification on Stable-Baselines3's base classes, with honest tuning and reports.

Importing this package registers the ``ppo_lab/…`` environments with Gymnasium and costs no
torch: the exports below are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ppo_lab._moved import find_moved_modules
from ppo_lab._packages import check_own_packages

check_own_packages()
find_moved_modules()

from envs.registration import register_environments  # noqa: E402 - only once they are known ours

register_environments()

if TYPE_CHECKING:
    from ppo_lab.algorithm import SpecPPO
    from ppo_lab.coverage import CoverageCallback
    from ppo_lab.ppo.curriculum import Curriculum
    from ppo_lab.ppo.policies import (
        CnnPolicy,
        MlpPolicy,
        MultiInputPolicy,
        SharedTrunk,
        SpecActorCriticPolicy,
    )
    from ppo_lab.ppo.rnd import VecRND
    from ppo_lab.recurrent import RecurrentPPO

__version__ = "0.1.0"

_EXPORTS = {
    "SpecPPO": "ppo_lab.algorithm",
    "SpecActorCriticPolicy": "ppo_lab.ppo.policies",
    "MlpPolicy": "ppo_lab.ppo.policies",
    "CnnPolicy": "ppo_lab.ppo.policies",
    "MultiInputPolicy": "ppo_lab.ppo.policies",
    "SharedTrunk": "ppo_lab.ppo.policies",
    "Curriculum": "ppo_lab.ppo.curriculum",
    "CoverageCallback": "ppo_lab.coverage",
    "VecRND": "ppo_lab.ppo.rnd",
    "RecurrentPPO": "ppo_lab.recurrent",
}

__all__ = [
    "CnnPolicy",
    "CoverageCallback",
    "Curriculum",
    "MlpPolicy",
    "MultiInputPolicy",
    "RecurrentPPO",
    "SharedTrunk",
    "SpecActorCriticPolicy",
    "SpecPPO",
    "VecRND",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
