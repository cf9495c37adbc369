"""Where hyperparameters come from: our files, RL Zoo's, a user's, all in the zoo's format."""

import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import is_atari, read_normalize, take_environment
from ppo_lab.hyperparams.numbers import whole_number, with_whole_numbers
from ppo_lab.registry import ALGORITHMS, algorithm_class, closest, known_algorithm
from reports.logs.opening import read_text
from reports.logs.reading import plain_yaml
from reports.logs.records import UnusableError

__all__ = [
    "TrainingSettings",
    "committed_settings",
    "default_settings",
    "file_settings",
    "named_settings",
    "with_given",
    "within_rollout",
    "zoo_settings",
]

OURS = "spec_ppo"
"""The algorithm that our files of settings are for."""
RELATIVES = ("ppo", "ppo_lstm", "ppo_mask")
"""Those that take SpecPPO's settings with the same meaning, but for what they have not."""

ZOO_TUNING = "tuned, where it is tuned, by RL Zoo's authors with a budget and seeds not stated"
SHIPPED = "rl_zoo_mujoco.yml"
"""RL Zoo's settings of PPO for MuJoCo, which come with the package as what they are."""
SHIPPED_FROM = "2.9.2"
"""The version of rl_zoo3 that they are from."""


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

    @property
    def is_empty(self) -> bool:
        """Whether they say nothing but that one environment is trained in."""
        return not (self.n_timesteps or self.hyperparameters or self.normalize or self.environment)

    def overlaid(self, given: Mapping[str, Any], word: str, what: str) -> "TrainingSettings":
        """These with others on top of them, which ``what`` says in words."""
        on_top = dict(given)
        environment = take_environment(on_top, what)
        normalize = read_normalize(on_top.pop("normalize", self.normalize))
        return replace(
            self,
            policy=str(on_top.pop("policy", self.policy)),
            normalize=normalize,
            hyperparameters={**self.hyperparameters, **on_top},
            word=word,
            origin=f"{self.origin}; {what}",
            environment={**self.environment, **environment},
        )


def with_given(settings: TrainingSettings, algo: str, given: Mapping[str, Any]) -> TrainingSettings:
    """Settings with what ``-P`` gives an algorithm on top.

    Args:
        settings: of the algorithm.
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        given: single hyperparameters, ``policy`` and the zoo's other words among them.

    Raises:
        ArgumentError: a policy that the algorithm has not.
    """
    algorithm, policy = ALGORITHMS[algo], str(given.get("policy", ""))
    names = [algorithm.policy_for(kind) for kind in algorithm.reads]
    if policy and "." not in policy and policy not in names:
        raise ArgumentError(
            f"-P policy:{policy}: {algo} has no such policy; one of {', '.join(names)}, or a "
            "class by its dotted name"
        )
    return settings.overlaid(given, "given", "on top: -P")


def named_settings(name: str, algo: str, env_id: str, flag: str) -> TrainingSettings:
    """What a word of a command line stands for: the same settings on every machine, or an error.

    An algorithm that a source has no file for (the exact optimum in the zoo, DQN among the
    committed ones) keeps its defaults.

    Args:
        name: ``zoo``: RL Zoo's, which need rl_zoo3; the recurrent PPO has those of PPO where the
            zoo lists none of its own. ``committed``: those that come with the package for SpecPPO,
            which PPO and its other relatives take without what they have not. ``default``: the
            algorithm's own.
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        env_id: Gymnasium's id.
        flag: that gave the name, for errors.

    Raises:
        ArgumentError: rl_zoo3 is missing, or nothing is committed for the environment.
    """
    if name == "zoo":
        if ALGORITHMS[algo].settings_of and importlib.util.find_spec("rl_zoo3") is None:
            raise ArgumentError(
                f"{flag} zoo: the settings of {algo!r} come with rl_zoo3, which is missing: pip "
                f'install "ppo-lab[zoo]" brings it; {flag} default needs nothing'
            )
        settings = zoo_settings(algo, env_id)
        if algo in RELATIVES and settings is not None and settings.is_empty:
            of_ppo = zoo_settings("ppo", env_id)
            if of_ppo is not None and not of_ppo.is_empty:
                note = f"{of_ppo.origin}, since the zoo lists none of {algo} there"
                return replace(of_ppo, origin=note)
        return settings or default_settings(algo)
    if name == "committed" and (algo == OURS or algo in RELATIVES):
        settings = committed_settings(OURS, env_id)
        return settings if algo == OURS else _for_relative(algo, settings)
    return default_settings(algo)


def _for_relative(algo: str, settings: TrainingSettings) -> TrainingSettings:
    """SpecPPO's settings for another PPO, which says what of them it has not."""
    known = inspect.signature(algorithm_class(algo)).parameters
    kept = {name: value for name, value in settings.hyperparameters.items() if name in known}
    left_out = [name for name in settings.hyperparameters if name not in known]
    note = f", without {', '.join(left_out)}, which {algo} has not" if left_out else ""
    return replace(settings, hyperparameters=kept, origin=f"{settings.origin}{note}")


def committed_settings(algo: str, env_id: str) -> TrainingSettings:
    """The settings that come with the package for an environment.

    Those of ``hyperparams/<algo>.yml``, chosen by this project; for SpecPPO on MuJoCo RL Zoo's, as
    ``hyperparams/rl_zoo_mujoco.yml`` has taken them over, which are called the zoo's.

    Args:
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        env_id: Gymnasium's id.

    Raises:
        ArgumentError: there are none for the algorithm or the environment.
    """
    folder = files("ppo_lab") / "hyperparams"
    file = folder / f"{known_algorithm(algo)}.yml"
    if not file.is_file():
        raise ArgumentError(f"no settings come with {algo!r}; give its hyperparameters")
    entries: dict[str, dict[str, Any]] = plain_yaml(file.read_text("utf-8"), file.name)
    if env_id in entries:
        return _settings(
            entries[env_id],
            "committed",
            f"ppo_lab's {algo}.yml, {env_id}",
            "chosen by this project on seeds of its own, below 1,000",
        )
    taken_over: dict[str, dict[str, Any]] = {}
    if algo == OURS:
        taken_over = plain_yaml((folder / SHIPPED).read_text("utf-8"), SHIPPED)
    which = _entry_for(env_id, taken_over)
    if which not in taken_over:
        alike = closest(env_id, {*entries, *taken_over})
        which = (
            f"closest: {alike}" if alike.count(",") < 3 else "docs/tuned.md lists those there are"
        )
        raise ArgumentError(f"no settings of {algo!r} come with {env_id!r}; {which}")
    origin = f"ppo_lab's {SHIPPED} (rl_zoo3 {SHIPPED_FROM}'s ppo.yml), {which}"
    name = env_id.split(":")[-1]
    note = "" if which == name else f" for {name}, which the zoo does not list"
    return within_rollout(_settings(taken_over[which], "zoo", f"{origin}{note}", ZOO_TUNING))


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
    note = "" if which in (name, "atari") else f" for {name}, which it does not list"
    return _settings(entries[which], "zoo", f"{source}, {which}{note}", ZOO_TUNING)


def file_settings(file: Path, env_id: str) -> TrainingSettings:
    """The settings of a user's file in the zoo's format for an environment.

    Args:
        file: environment ids, or ``default``, with their settings.
        env_id: Gymnasium's id.

    Raises:
        ArgumentError: the file cannot be read, or has no entry.
    """
    entries = _read(file)
    which = env_id if env_id in entries else _entry_for(env_id, entries)
    if which not in entries:
        raise ArgumentError(
            f"{file} has no settings for {env_id!r} and no 'default'; it has {', '.join(entries)}"
        )
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


def within_rollout(settings: TrainingSettings) -> TrainingSettings:
    """The settings as SpecPPO takes them.

    SB3's PPO takes a minibatch larger than the rollout for the rollout; SpecPPO refuses it.
    """
    arguments = settings.hyperparameters
    batch, n_steps = arguments.get("batch_size"), arguments.get("n_steps")
    if not isinstance(batch, int) or not isinstance(n_steps, int):
        return settings
    rollout = n_steps * settings.n_envs
    if batch <= rollout:
        return settings
    origin = f"{settings.origin}; batch_size {batch} is the rollout's {rollout}"
    return replace(settings, hyperparameters={**arguments, "batch_size": rollout}, origin=origin)


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


def _settings(entry: Mapping[str, Any], word: str, origin: str, tuning: str) -> TrainingSettings:
    hyperparameters = with_whole_numbers(entry)
    environment = take_environment(hyperparameters, origin)
    normalize = read_normalize(hyperparameters.pop("normalize", False))
    try:
        n_envs = whole_number(hyperparameters.pop("n_envs", 1))
        n_timesteps = whole_number(hyperparameters.pop("n_timesteps", 0))
    except ValueError as error:
        raise ArgumentError(
            f"{origin}: n_envs and n_timesteps must be whole numbers, and {error}"
        ) from error
    policy = str(hyperparameters.pop("policy", ""))
    return TrainingSettings(
        n_envs, n_timesteps, policy, hyperparameters, normalize, word, origin, tuning, environment
    )
