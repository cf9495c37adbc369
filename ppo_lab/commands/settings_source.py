"""Where a comparison's hyperparameters come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ppo_lab.commands.environment_flags import (
    check_mask_flag,
    packages_of,
    with_environment_flags,
    with_mask_flag,
)
from ppo_lab.commands.options import CompareOptions, EnvironmentOptions
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.presets import preset
from ppo_lab.hyperparams.reading import words_as_hyperparameters
from ppo_lab.hyperparams.sources import (
    OURS,
    TrainingSettings,
    file_settings,
    named_settings,
    with_given,
    within_rollout,
)

__all__ = ["SettingsSource", "settings_source"]


def settings_source(options: CompareOptions, algos: Sequence[str]) -> "SettingsSource":
    """The source that ``--settings``, ``--conf``, ``--preset`` and ``--n-envs`` describe.

    Args:
        options: the command's.
        algos: that are compared.

    Raises:
        ArgumentError: a file or a preset for an algorithm that is not compared, or an unknown one.
    """
    check_mask_flag(options, algos)
    files: dict[str, Path] = {}
    for given in options.conf:
        name, equals, file = given.rpartition("=")
        if equals and name not in algos:
            raise ArgumentError(f"--conf {given}: {name!r} is none of the --algos")
        files.update({algo: Path(file) for algo in ([name] if equals else algos)})
    if options.preset is not None:
        preset(options.preset)
        if OURS not in algos:
            raise ArgumentError(
                f"--preset {options.preset}: presets are for {OURS}, which is none of the --algos"
            )
    single = _given_by_algorithm(options.hyperparams or (), algos)
    return SettingsSource(options.settings, files, options.preset, options.n_envs, options, single)


def _given_by_algorithm(words: Sequence[str], algos: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What ``-P NAME:VALUE`` gives every algorithm, and ``-P ALGO.NAME:VALUE`` one."""
    for_all, for_one = [], []
    for word in words:
        algo, dot, rest = word.partition(":")[0].partition(".")
        if not dot:
            for_all.append(word)
        elif algo not in algos:
            raise ArgumentError(f"-P {word}: {algo!r} is none of the --algos")
        else:
            for_one.append((algo, f"{rest}:{word.partition(':')[2]}"))
    given = {algo: words_as_hyperparameters(for_all) for algo in algos}
    for algo, word in for_one:
        given[algo].update(words_as_hyperparameters([word]))
    return given


@dataclass(frozen=True)
class SettingsSource:
    """Where a comparison's hyperparameters come from.

    Attributes:
        base: ``zoo``, ``committed`` or ``default``, see
            :func:`ppo_lab.hyperparams.sources.named_settings`.
        files: by algorithm, files in the zoo's format that go before ``base``.
        preset: named settings on top of all others, for SpecPPO; None for none.
        n_envs: for every run; None: as the settings say.
        flags: what the command line says of the environments, on top of all; None: nothing.
        given: by algorithm, single hyperparameters on top of all.
    """

    base: str = "zoo"
    files: Mapping[str, Path] | None = None
    preset: str | None = None
    n_envs: int | None = None
    flags: EnvironmentOptions | None = None
    given: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def packages(self) -> list[str]:
        """What settings may name code of."""
        return [] if self.flags is None else packages_of(self.flags)

    @property
    def device(self) -> str:
        """Where networks are trained."""
        return "auto" if self.flags is None else self.flags.device

    def settings(self, algo: str, env_id: str) -> TrainingSettings:
        """What an algorithm is trained with on an environment.

        Raises:
            ArgumentError: a file or the preset has nothing usable.
        """
        settings = self._base(algo, env_id)
        if self.n_envs is not None:
            settings = replace(settings, n_envs=self.n_envs)
        if algo == OURS:
            settings = within_rollout(settings)
            if self.preset is not None:
                what = f"on top, preset {self.preset!r}"
                settings = settings.overlaid(preset(self.preset), self.preset, what)
        if self.given.get(algo):
            settings = with_given(settings, algo, self.given[algo])
        if self.flags is None:
            return settings
        return with_mask_flag(with_environment_flags(settings, self.flags), algo, self.flags)

    def _base(self, algo: str, env_id: str) -> TrainingSettings:
        if self.files and algo in self.files:
            return file_settings(self.files[algo], env_id)
        return named_settings(self.base, algo, env_id, "--settings")
