"""The settings that ``ppo_lab.tune --base`` starts from, for each algorithm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ppo_lab.commands.environment_flags import packages_of, with_environment_flags
from ppo_lab.commands.options import TuneOptions
from ppo_lab.environment_classes import file_digest
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.sources import (
    OURS,
    TrainingSettings,
    default_settings,
    file_settings,
    named_settings,
    within_rollout,
)

__all__ = ["agreed_timesteps", "base_settings", "environment_of"]

NAMES = ("default", "zoo", "committed")


def base_settings(options: TuneOptions, algos: Sequence[str]) -> dict[str, TrainingSettings]:
    """What each algorithm starts from, with the command line's flags on top.

    Args:
        options: the command's.
        algos: names, known.

    Raises:
        ArgumentError: the base is unknown or has nothing for an algorithm or the environment.
    """
    return {algo: _of_algorithm(options, algo) for algo in algos}


def _of_algorithm(options: TuneOptions, algo: str) -> TrainingSettings:
    settings = _named_or_file(options.base, algo, options.env)
    if options.n_envs is not None:
        settings = replace(settings, n_envs=options.n_envs)
    if algo == OURS:
        settings = within_rollout(settings)
    return with_environment_flags(settings, options)


def _named_or_file(base: str, algo: str, env_id: str) -> TrainingSettings:
    if base == "default":
        return default_settings(algo)
    if base not in NAMES:
        if not Path(base).exists():
            raise ArgumentError(
                f"--base {base}: expected {', '.join(NAMES)}, or a file in RL Zoo's format, and "
                "there is no such file"
            )
        return file_settings(Path(base), env_id)
    settings = named_settings(base, algo, env_id, "--base")
    if settings.word == "default":
        raise ArgumentError(f"--base {base}: there are no settings of {algo!r}; leave it out")
    if settings.is_empty:
        raise ArgumentError(
            f"--base {base}: RL Zoo lists no settings of {algo!r} for {env_id!r}; --base default, "
            "or a file"
        )
    return settings


def agreed_timesteps(settings: Mapping[str, TrainingSettings]) -> int:
    """The budget that the settings state, the same for every algorithm; 0 where none does.

    Raises:
        ArgumentError: they state different ones.
    """
    stated = {algo: each.n_timesteps for algo, each in settings.items() if each.n_timesteps}
    if len(set(stated.values())) > 1:
        words = ", ".join(f"{algo} {steps}" for algo, steps in stated.items())
        raise ArgumentError(
            f"the algorithms' settings have different budgets ({words}), and a comparison has one "
            "for all: give --timesteps"
        )
    return next(iter(stated.values()), 0)


def environment_of(settings: TrainingSettings, options: TuneOptions) -> dict[str, Any]:
    """How environments are made and wrapped, by the names of ``RunConfig``'s fields."""
    words = {
        **settings.environment,
        "normalize": settings.normalize,
        "env_packages": packages_of(options),
        "asked_device": "" if options.device == "auto" else options.device,
        "env_sha256": file_digest(options.env),
    }
    if words.get("vec_env") == "dummy":
        del words["vec_env"]
    return {name: value for name, value in words.items() if value}
