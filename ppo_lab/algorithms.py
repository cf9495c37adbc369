"""The algorithms that runs, studies and comparisons know by name."""

import difflib
import importlib
from collections.abc import Iterable

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from ppo_lab.errors import ArgumentError

__all__ = ["ALGORITHMS", "algorithm_class", "closest", "known_algorithm"]

ALGORITHMS = {
    "spec_ppo": ("ppo_lab.algorithm", "SpecPPO"),
    "ppo": ("stable_baselines3", "PPO"),
    "a2c": ("stable_baselines3", "A2C"),
    "trpo": ("sb3_contrib", "TRPO"),
    "ppo_lstm": ("sb3_contrib", "RecurrentPPO"),
}
"""Name in the zoo's sense → (module, class)."""


def closest(name: str, known: Iterable[str]) -> str:
    """The known names that look like this one, for an error message; all if none does."""
    names = sorted(known)
    return ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names)


def known_algorithm(name: str) -> str:
    """The name, if it is one of :data:`ALGORITHMS`.

    Raises:
        ArgumentError: it is not; names the closest ones.
    """
    if name not in ALGORITHMS:
        raise ArgumentError(f"unknown algorithm {name!r}; closest: {closest(name, ALGORITHMS)}")
    return name


def algorithm_class(name: str) -> type[OnPolicyAlgorithm]:
    """Load an algorithm's class.

    Raises:
        ArgumentError: the name is unknown.
    """
    module, attribute = ALGORITHMS[known_algorithm(name)]
    loaded: type[OnPolicyAlgorithm] = getattr(importlib.import_module(module), attribute)
    return loaded
