"""The settings that come with PPO Lab, in RL Zoo's format, one file for each algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from ppo_lab.algorithms import closest, known_algorithm
from ppo_lab.errors import ArgumentError

__all__ = ["Settings", "committed_settings"]


@dataclass(frozen=True)
class Settings:
    """What to train with.

    Attributes:
        n_envs: parallel environments.
        n_timesteps: budget in environment steps.
        policy: SB3's policy name.
        hyperparameters: the algorithm's keyword arguments.
    """

    n_envs: int
    n_timesteps: int
    policy: str
    hyperparameters: Mapping[str, Any]


def committed_settings(algo: str, env_id: str) -> Settings:
    """The settings of ``hyperparams/<algo>.yml`` for an environment.

    Args:
        algo: a name in :data:`ppo_lab.algorithms.ALGORITHMS`.
        env_id: Gymnasium's id.

    Raises:
        ArgumentError: there are none for the algorithm or the environment.
    """
    file = files("ppo_lab") / "hyperparams" / f"{known_algorithm(algo)}.yml"
    if not file.is_file():
        raise ArgumentError(f"no settings come with {algo!r}; give its hyperparameters")
    known: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    if env_id not in known:
        raise ArgumentError(
            f"no settings of {algo!r} come with {env_id!r}; closest: {closest(env_id, known)}"
        )
    chosen = dict(known[env_id])
    return Settings(
        int(chosen.pop("n_envs")), int(chosen.pop("n_timesteps")), chosen.pop("policy"), chosen
    )
