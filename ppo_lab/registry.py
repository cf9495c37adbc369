"""The algorithms that runs, studies and comparisons know by name, and what each one fits."""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gymnasium import spaces

from ppo_lab.errors import ArgumentError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "algorithm_class",
    "asks_for_masks",
    "closest",
    "known_algorithm",
    "named_algorithm",
    "unknown_hyperparameter",
]

ActionSpaces = tuple[type[spaces.Space], ...]  # type: ignore[type-arg]
ObservationKind = Literal["Mlp", "Cnn", "MultiInput"]
TABLE_POLICY = "table"
"""What stands in a run's ``policy`` where the policy is a table."""


@dataclass(frozen=True)
class Algorithm:
    """What must be known of an algorithm before it runs.

    Attributes:
        module: where its class stands; empty for a tabular one, which has none.
        name: of the class.
        actions: the action spaces that it can use.
        policy: SB3's policy name with ``{}`` in the place of Mlp, Cnn or MultiInput.
        settings_of: the algorithm whose settings in RL Zoo fit it; empty if the zoo has none.
        needs_masks: whether its environment has to say which actions are possible.
        mask_argument: its argument that says whether it does; empty where it has none.
        reads: the kinds of observations that it has a policy for.
        off_policy: whether it learns from a replay buffer.
        one_environment: whether it is trained in a single one, whatever is asked for.
    """

    module: str
    name: str
    actions: ActionSpaces
    policy: str = "{}Policy"
    settings_of: str = ""
    needs_masks: bool = False
    mask_argument: str = ""
    reads: tuple[ObservationKind, ...] = ("Mlp", "Cnn", "MultiInput")
    off_policy: bool = False
    one_environment: bool = False

    @property
    def tabular(self) -> bool:
        """Whether it works on the states of a finite MDP, without SB3."""
        return not self.module

    def policy_for(self, observation: ObservationKind) -> str:
        """The policy's name for a kind of observations."""
        return TABLE_POLICY if self.tabular else self.policy.format(observation)


_COUNTED: ActionSpaces = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
_EVERY: ActionSpaces = (spaces.Box, *_COUNTED)
_ONE_OF: ActionSpaces = (spaces.Discrete,)
_BOX: ActionSpaces = (spaces.Box,)

ALGORITHMS: Mapping[str, Algorithm] = {
    # Every setting of PPO's is one of SpecPPO's and means the same.
    "spec_ppo": Algorithm(
        "ppo_lab.algorithm", "SpecPPO", _EVERY, settings_of="ppo", mask_argument="mask_actions"
    ),
    "ppo": Algorithm("stable_baselines3", "PPO", _EVERY, settings_of="ppo"),
    "a2c": Algorithm("stable_baselines3", "A2C", _EVERY, settings_of="a2c"),
    "dqn": Algorithm("stable_baselines3", "DQN", _ONE_OF, settings_of="dqn", off_policy=True),
    "qrdqn": Algorithm("sb3_contrib", "QRDQN", _ONE_OF, settings_of="qrdqn", off_policy=True),
    "sac": Algorithm("stable_baselines3", "SAC", _BOX, settings_of="sac", off_policy=True),
    "td3": Algorithm("stable_baselines3", "TD3", _BOX, settings_of="td3", off_policy=True),
    "ddpg": Algorithm("stable_baselines3", "DDPG", _BOX, settings_of="ddpg", off_policy=True),
    "tqc": Algorithm("sb3_contrib", "TQC", _BOX, settings_of="tqc", off_policy=True),
    "crossq": Algorithm(
        "sb3_contrib", "CrossQ", _BOX, settings_of="crossq", reads=("Mlp",), off_policy=True
    ),
    "ars": Algorithm(
        "ppo_lab.runs.random_search",
        "ARS",
        (*_BOX, *_ONE_OF),
        settings_of="ars",
        reads=("Mlp",),
        one_environment=True,
    ),
    "trpo": Algorithm("sb3_contrib", "TRPO", _EVERY, settings_of="trpo"),
    "ppo_lstm": Algorithm(
        "sb3_contrib", "RecurrentPPO", _EVERY, policy="{}LstmPolicy", settings_of="ppo_lstm"
    ),
    "ppo_mask": Algorithm("sb3_contrib", "MaskablePPO", _COUNTED, needs_masks=True),
    "q_learning": Algorithm("", "Q-learning", _ONE_OF, one_environment=True),
    "optimal": Algorithm("", "dynamic programming", _ONE_OF, one_environment=True),
}
"""By name in the zoo's sense."""


def asks_for_masks(algo: str, hyperparameters: Mapping[str, object]) -> bool:
    """Whether a run acts under the masks of its environments' ``action_masks()`` (Spec 13).

    Args:
        algo: a name in :data:`ALGORITHMS`.
        hyperparameters: its keyword arguments.
    """
    algorithm = ALGORITHMS[algo]
    argument = algorithm.mask_argument
    return algorithm.needs_masks or (argument != "" and hyperparameters.get(argument) is True)


def closest(name: str, names: Iterable[str]) -> str:
    """The known names that look like this one, for an error message; all if none does."""
    choices = sorted(names)
    return ", ".join(difflib.get_close_matches(name, choices, n=3, cutoff=0.5) or choices)


def known_algorithm(name: str) -> str:
    """The name, if it is one of :data:`ALGORITHMS`.

    Raises:
        ArgumentError: it is not; names the closest ones.
    """
    if name not in ALGORITHMS:
        raise ArgumentError(f"unknown algorithm {name!r}; closest: {closest(name, ALGORITHMS)}")
    return name


def named_algorithm(text: str) -> str:
    """The algorithm that a user's word means: its name here, or its class, in any letters.

    ``PPO``, ``spec-ppo`` and ``RecurrentPPO`` are ``ppo``, ``spec_ppo`` and ``ppo_lstm``.

    Raises:
        ArgumentError: none does; names the closest ones.
    """
    word = text.casefold().replace("-", "_")
    for name, algorithm in ALGORITHMS.items():
        if word in (name, algorithm.name.casefold().replace("-", "_")):
            return name
    raise ArgumentError(f"unknown algorithm {text!r}; closest: {closest(word, ALGORITHMS)}")


def unknown_hyperparameter(name: str, algos: str, names: Iterable[str]) -> str:
    """What is said of a hyperparameter that an algorithm has not.

    Args:
        name: as given.
        algos: whose it was to be, in words.
        names: those that there are.
    """
    return f"unknown hyperparameter {name!r} of {algos}; closest: {closest(name, names)}"


def algorithm_class(name: str) -> "type[BaseAlgorithm]":
    """Load an SB3 algorithm's class.

    Raises:
        ArgumentError: the name is unknown, or the algorithm is tabular and has no class.
    """
    algorithm = ALGORITHMS[known_algorithm(name)]
    if algorithm.tabular:
        raise ArgumentError(f"{name!r} is tabular: it has no SB3 class")
    module = importlib.import_module(algorithm.module)
    loaded: type[BaseAlgorithm] = getattr(module, algorithm.name)
    return loaded
