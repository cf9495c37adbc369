"""Where hyperparameters come from: our files, RL Zoo's, a user's, all in the zoo's format."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import is_atari, read_normalize, take_environment
from ppo_lab.registry import ALGORITHMS, closest, known_algorithm
from reports.logs.opening import read_text
from reports.logs.reading import plain_yaml
from reports.logs.records import UnusableError

__all__ = [
    "TrainingSettings",
    "committed_settings",
    "default_settings",
    "file_settings",
    "zoo_settings",
]

UNSUPPORTED = ("noise_type", "noise_std", "replay_buffer_class")
"""The zoo's keywords that a run here does not take."""
ZOO_TUNING = "tuned, where it is tuned, by RL Zoo's authors with a budget and seeds not stated"


@dataclass(frozen=True)
class TrainingSettings:
    """What to train with.

    Attributes:
        n_envs: parallel environments.
        n_timesteps: budget in environment steps.
        policy: SB3's policy name; empty for the one that fits the observations.
        hyperparameters: the algorithm's keyword arguments, plain YAML values.
        normalize: the zoo's keyword: ``VecNormalize``, or its arguments.
        environment: what else the zoo's keywords say of the environments and the callbacks, by
            the names of :class:`ppo_lab.runs.config.RunConfig`'s fields.
        word: what a report files the runs under: ``zoo``, ``default``, ….
        origin: where they stand, in words.
        tuning: what tuning they are known to have had, in words.
    """

    n_envs: int
    n_timesteps: int
    policy: str
    hyperparameters: Mapping[str, Any]
    normalize: bool | Mapping[str, Any] = False
    word: str = "committed"
    origin: str = ""
    tuning: str = "none"
    environment: Mapping[str, Any] = field(default_factory=dict)

    def overlaid(self, given: Mapping[str, Any], word: str, what: str) -> "TrainingSettings":
        """These with others on top of them, which ``what`` says in words."""
        on_top = dict(given)
        environment = take_environment(on_top, what)
        normalize = read_normalize(on_top.pop("normalize", self.normalize))
        return replace(
            self,
            normalize=normalize,
            hyperparameters={**self.hyperparameters, **on_top},
            word=word,
            origin=f"{self.origin}; {what}",
            environment={**self.environment, **environment},
        )


def committed_settings(algo: str, env_id: str) -> TrainingSettings:
    """The settings of ``hyperparams/<algo>.yml`` for an environment.

    Args:
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        env_id: Gymnasium's id.

    Raises:
        ArgumentError: there are none for the algorithm or the environment.
    """
    file = files("ppo_lab") / "hyperparams" / f"{known_algorithm(algo)}.yml"
    if not file.is_file():
        raise ArgumentError(f"no settings come with {algo!r}; give its hyperparameters")
    entries: dict[str, dict[str, Any]] = plain_yaml(file.read_text("utf-8"), file.name)
    if env_id not in entries:
        raise ArgumentError(
            f"no settings of {algo!r} come with {env_id!r}; closest: {closest(env_id, entries)}"
        )
    return _settings(
        entries[env_id],
        "committed",
        f"ppo_lab's {algo}.yml, {env_id}",
        "chosen by this project on seeds of its own, below 1,000",
    )


def default_settings(algo: str) -> TrainingSettings:
    """The algorithm's own defaults, in one environment."""
    if algo == "optimal":
        return TrainingSettings(1, 0, "", {}, word="exact", origin="dynamic programming")
    whose = "the algorithm's" if ALGORITHMS[algo].tabular else "SB3's"
    return TrainingSettings(1, 0, "", {}, word="default", origin=f"{whose} defaults")


def zoo_settings(algo: str, env_id: str) -> TrainingSettings | None:
    """RL Zoo's settings of an algorithm for an environment, from rl_zoo3's package data.

    Where the zoo lists no entry it trains with its ``default``, SB3's defaults in one
    environment, and so does this. ``spec_ppo`` has those of ``ppo``.

    Args:
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        env_id: Gymnasium's id.

    Returns:
        The settings; None if rl_zoo3 is not installed or has none for this algorithm.
    """
    theirs = ALGORITHMS[known_algorithm(algo)].settings_of
    # Found without importing it: that would load every algorithm.
    spec = importlib.util.find_spec("rl_zoo3") if theirs else None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / "hyperparams" / f"{theirs}.yml"
    entries = _read(file)
    name = env_id.split(":")[-1]
    source = f"rl_zoo3 {version('rl_zoo3')}'s {theirs}.yml"
    which = _entry_for(env_id, entries)
    if which == "default":
        return TrainingSettings(
            1, 0, "", {}, word="zoo", origin=f"{source}, default (SB3's defaults)"
        )
    if refused := _unsupported(entries[which]):
        raise ArgumentError(f"{source}, {which}: a run cannot take {', '.join(refused)}")
    note = "" if which in (name, "atari") else f" for {name}, which it does not list"
    return _settings(entries[which], "zoo", f"{source}, {which}{note}", ZOO_TUNING)


def file_settings(file: Path, env_id: str) -> TrainingSettings:
    """The settings of a user's file in the zoo's format for an environment.

    Args:
        file: environment ids, or ``default``, with their settings.
        env_id: Gymnasium's id.

    Raises:
        ArgumentError: the file cannot be read, has no entry, or asks for what a run cannot do.
    """
    entries = _read(file)
    which = env_id if env_id in entries else _entry_for(env_id, entries)
    if which not in entries:
        raise ArgumentError(
            f"{file} has no settings for {env_id!r} and no 'default'; it has {', '.join(entries)}"
        )
    if refused := _unsupported(entries[which]):
        raise ArgumentError(f"{file}, {env_id}: a run cannot take {', '.join(refused)}")
    settings = _settings(entries[which], "given", f"{file.name}, {which}", "not known")
    # What is for every environment cannot know what each one shows.
    return replace(settings, policy="") if which == "default" else settings


def _entry_for(env_id: str, entries: Mapping[str, object]) -> str:
    """The entry that RL Zoo would train an environment with, or an older version's.

    The id, else ``atari`` for one of ALE's, else the newest earlier version of the environment
    that is listed, which the zoo would train with ``default``; else ``default``.
    """
    name = env_id.split(":")[-1]
    if name in entries:
        return name
    if "atari" in entries and is_atari(env_id):
        return "atari"
    stem, version_mark, number = name.rpartition("-v")
    if version_mark and number.isdigit():
        for earlier in range(int(number) - 1, -1, -1):
            if f"{stem}-v{earlier}" in entries:
                return f"{stem}-v{earlier}"
    return "default"


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        entries = plain_yaml(read_text(file), file.name, aliases=True)
    except UnusableError as error:
        kind = type(error.__cause__ or error).__name__
        raise ArgumentError(f"{file} cannot be read: {kind}: {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ArgumentError(
            f"{file}: expected environment ids, each with its settings, as in RL Zoo's files"
        )
    return entries


def _unsupported(entry: Mapping[str, Any]) -> list[str]:
    return [name for name in UNSUPPORTED if entry.get(name) is not None]


def _settings(entry: Mapping[str, Any], word: str, origin: str, tuning: str) -> TrainingSettings:
    hyperparameters = dict(entry)
    environment = take_environment(hyperparameters, origin)
    normalize = read_normalize(hyperparameters.pop("normalize", False))
    try:
        n_envs = int(hyperparameters.pop("n_envs", 1))
        n_timesteps = int(hyperparameters.pop("n_timesteps", 0))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{origin}: n_envs and n_timesteps must be whole numbers") from error
    policy = str(hyperparameters.pop("policy", ""))
    return TrainingSettings(
        n_envs, n_timesteps, policy, hyperparameters, normalize, word, origin, tuning, environment
    )
