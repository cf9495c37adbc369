"""A comparison's runs: algorithms × environments × seeds, all under one protocol (design)."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.presets import preset
from ppo_lab.hyperparams.sources import (
    Settings,
    committed_settings,
    default_settings,
    file_settings,
    zoo_settings,
)
from ppo_lab.registry import ALGORITHMS
from ppo_lab.runs.config import Evaluation, RunConfig, environment_folder_name
from ppo_lab.runs.environments import inspect_environment
from ppo_lab.runs.execution import RunResult, check_run, finished_run
from ppo_lab.runs.references import ReferenceScores, as_record, reference_scores, stored_reference
from ppo_lab.runs.workers import execute_runs
from reports.text import counted

__all__ = [
    "Cell",
    "Matrix",
    "Source",
    "cells",
    "check_folders",
    "execute",
    "notes",
    "with_references",
]

OURS = "spec_ppo"
"""The algorithm that presets and our files of settings are for."""
OVERSHOOT = 1.05
"""A run that takes more than so many times its budget is named in the report."""


@dataclass(frozen=True)
class Source:
    """Where a comparison's hyperparameters come from.

    Attributes:
        base: ``zoo``: RL Zoo's where rl_zoo3 is installed, else the defaults; ``committed``: ours
            for the algorithms that have a file; ``default``: the algorithms' defaults.
        files: by algorithm, files in the zoo's format that go before ``base``.
        preset: named settings on top of all others, for SpecPPO; None for none.
        n_envs: for every run; None: as the settings say.
    """

    base: str = "zoo"
    files: Mapping[str, Path] | None = None
    preset: str | None = None
    n_envs: int | None = None

    def settings(self, algo: str, env_id: str) -> Settings:
        """What an algorithm is trained with on an environment.

        Raises:
            ArgumentError: a file or the preset has nothing usable.
        """
        found = self._base(algo, env_id)
        if self.n_envs is not None:
            found = replace(found, n_envs=self.n_envs)
        if algo == OURS:
            found = _within_rollout(found) if found.word == "zoo" else found
            found = found if self.preset is None else _with_preset(found, self.preset)
        return found

    def _base(self, algo: str, env_id: str) -> Settings:
        if self.files and algo in self.files:
            return file_settings(self.files[algo], env_id)
        if self.base == "committed" and algo == OURS:
            return committed_settings(algo, env_id)
        from_zoo = None if self.base == "default" else zoo_settings(algo, env_id)
        return from_zoo or default_settings(algo)


def _with_preset(settings: Settings, name: str) -> Settings:
    return replace(
        settings,
        hyperparameters={**settings.hyperparameters, **preset(name)},
        word=name,
        origin=f"{settings.origin}; on top, preset {name!r}",
    )


def _within_rollout(settings: Settings) -> Settings:
    """SB3's PPO takes a minibatch larger than the rollout for the rollout; SpecPPO refuses it."""
    chosen = settings.hyperparameters
    if "batch_size" not in chosen or "n_steps" not in chosen:
        return settings
    rollout = chosen["n_steps"] * settings.n_envs
    if chosen["batch_size"] <= rollout:
        return settings
    origin = f"{settings.origin}; batch_size {chosen['batch_size']} is the rollout's {rollout}"
    return replace(settings, hyperparameters={**chosen, "batch_size": rollout}, origin=origin)


@dataclass(frozen=True)
class Cell:
    """One algorithm on one environment.

    Attributes:
        run: its run but for the seed.
        tuning: what tuning its settings had, in words.
        warnings: what building it warned of.
    """

    run: RunConfig
    tuning: str
    warnings: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The row of the report."""
        return f"{self.run.algo} ({self.run.settings})"


@dataclass(frozen=True)
class Matrix:
    """What a comparison runs.

    Attributes:
        cells: algorithms × environments.
        seeds: of each cell.
        evaluation_seeds: of each seed's runs, the same in every cell.
        folder: where the run folders go: ``<algorithm>-<settings>/<environment>_<number>``.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    evaluation_seeds: tuple[int, ...]
    folder: Path

    @property
    def runs(self) -> dict[Path, RunConfig]:
        """Run folder → run, a seed of every cell before the next seed."""
        return {
            self._place(cell.run, number): replace(
                cell.run, seed=seed, evaluation=replace(cell.run.evaluation, seed=evaluation_seed)
            )
            for number, (seed, evaluation_seed) in enumerate(
                zip(self.seeds, self.evaluation_seeds, strict=True), 1
            )
            for cell in self.cells
        }

    def _place(self, run: RunConfig, number: int) -> Path:
        name = f"{environment_folder_name(run.env)}_{number}"
        return self.folder / f"{run.algo}-{run.settings}" / name


def cells(
    algos: Sequence[str],
    envs: Sequence[str],
    source: Source,
    timesteps: int,
    evaluation: Evaluation,
) -> tuple[Cell, ...]:
    """Check every algorithm against every environment and settle what each is trained with.

    Args:
        algos: names, known.
        envs: Gymnasium's ids.
        source: of the hyperparameters.
        timesteps: of every run.
        evaluation: of every run, but for its seed.

    Raises:
        ArgumentError: an algorithm does not fit an environment, or cannot be built with its
            settings; says why.
    """
    _check_names(envs)
    policies = {pair: inspect_environment(pair[1], {}, pair[0]) for pair in product(algos, envs)}
    made = []
    for (algo, env), policy in policies.items():
        chosen = source.settings(algo, env)
        run = RunConfig(
            algo=algo,
            env=env,
            seed=0,
            timesteps=timesteps,
            n_envs=1 if ALGORITHMS[algo].tabular else chosen.n_envs,
            policy=policy if ALGORITHMS[algo].tabular else chosen.policy or policy,
            hyperparameters=chosen.hyperparameters,
            evaluation=evaluation,
            settings=chosen.word,
            stage="judge",
            normalize=chosen.normalize,
            origin=chosen.origin,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            check_run(run)
        said = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
        made.append(Cell(run, chosen.tuning, tuple(said)))
    _check_labels(made)
    return tuple(made)


def _check_names(envs: Sequence[str]) -> None:
    """Every environment must have a folder name of its own, on any file system."""
    owners: dict[str, str] = {}
    for env in envs:
        name = environment_folder_name(env)
        other = owners.setdefault(name.casefold(), env)
        if other != env:
            raise ArgumentError(
                f"environments {other!r} and {env!r} would both have run folders {name}_1, …: "
                "compare them in two comparisons, with another --name"
            )


def check_folders(matrix: Matrix) -> None:
    """Check that the folder holds no run, failed ones included, of an environment of a like name.

    Raises:
        ArgumentError: it does.
    """
    wanted = {environment_folder_name(cell.run.env).casefold(): cell.run.env
              for cell in matrix.cells}  # fmt: skip
    for file in sorted(matrix.folder.glob("*/*/run.json")):
        env = wanted.get(file.parent.name.rpartition("_")[0].casefold())
        try:
            there = json.loads(file.read_text(encoding="utf-8"))["env"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if env is not None and there != env:
            raise ArgumentError(
                f"{file.parent} holds a run of {there!r}, whose folders have the names of those "
                f"of {env!r}: choose another --name"
            )


def _check_labels(made: Sequence[Cell]) -> None:
    """Every row of the report must have every environment, under one name."""
    words: dict[str, set[str]] = {}
    for cell in made:
        words.setdefault(cell.run.algo, set()).add(cell.run.settings)
    for algo, of_algo in words.items():
        if len(of_algo) > 1:
            raise ArgumentError(
                f"{algo} would have settings of several kinds ({', '.join(sorted(of_algo))}) on "
                "these environments: compare them one at a time"
            )


def with_references(matrix: Matrix, say: Callable[[str], None]) -> Matrix:
    """The same runs with what the report normalises their scores by.

    Runs that an earlier call finished keep theirs, and the others take it over. What is neither
    there nor stated is measured, once for each environment, if runs are left to be made.

    Args:
        matrix: what to run.
        say: told of what is measured.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
    """
    finished: dict[str, list[Path]] = {}
    left: set[str] = set()
    for folder, run in matrix.runs.items():
        if finished_run(run, folder) is None:
            left.add(run.env)
        else:
            finished.setdefault(run.env, []).append(folder)
    found: dict[str, ReferenceScores | None] = {}
    for env in dict.fromkeys(cell.run.env for cell in matrix.cells):
        kept = [known for folder in finished.get(env, ()) if (known := stored_reference(folder))]
        found[env] = kept[0] if kept else None
        if not kept and env in left:
            found[env] = reference_scores(env, {}, say)
    cells = tuple(
        replace(cell, run=replace(cell.run, reference=as_record(found[cell.run.env])))
        for cell in matrix.cells
    )
    return replace(matrix, cells=cells)


def execute(
    matrix: Matrix,
    jobs: int,
    advance: Callable[[RunResult], None],
    run_timeout: float | None = None,
    waiting: Callable[[str, float], None] | None = None,
) -> Iterator[tuple[RunConfig, RunResult]]:
    """Make the runs that are not made yet.

    Args:
        matrix: what to run.
        jobs: worker processes.
        advance: told of every result.
        run_timeout: seconds after which a run is ended and counts as failed; None: no limit.
        waiting: told which run has been at work for longest, and for how many seconds.

    Yields:
        Each run and its result.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
        OSError: a folder cannot be written, or is gone.
    """
    runs = matrix.runs
    for folder, result in execute_runs(runs, jobs, run_timeout, waiting):
        advance(result)
        yield runs[folder], result


def notes(
    matrix: Matrix, results: Sequence[tuple[RunConfig, RunResult]], seed: int
) -> tuple[str, ...]:
    """What the report says of the protocol, of the settings, and of what failed.

    Args:
        matrix: what was run.
        results: each run's.
        seed: of the comparison.
    """
    run = matrix.cells[0].run
    protocol = (
        f"Every run: a budget of {run.timesteps:,} environment steps and {len(matrix.seeds)} test "
        f"seeds from {matrix.seeds[0]} on (--seed {seed}), which no tuning by ppo_lab.tune uses. "
        f"{run.evaluation.in_words}"
    )
    return (
        protocol,
        *_settings_notes(matrix.cells),
        *(f"{c.run.algo} on {c.run.env}: {said}" for c in matrix.cells for said in c.warnings),
        *_overshoot_notes(results),
        *_failure_notes(results),
    )


def _settings_notes(made: Sequence[Cell]) -> list[str]:
    lines = []
    for label in dict.fromkeys(cell.label for cell in made):
        environments: dict[str, list[str]] = {}
        for cell in made:
            if cell.label == label:
                source = f"{cell.run.origin}; tuning: {cell.tuning}"
                environments.setdefault(source, []).append(cell.run.env)
        parts = [f"{source} ({', '.join(envs)})" for source, envs in environments.items()]
        lines.append(f"Settings of {label}: {'; '.join(parts)}.")
    return lines


def _overshoot_notes(results: Sequence[tuple[RunConfig, RunResult]]) -> list[str]:
    """Rollouts are whole: a budget of less than one, or of a few and a bit, is overrun."""
    steps = {
        (run.algo, run.env): result.steps
        for run, result in results
        if result.steps > OVERSHOOT * run.timesteps
    }
    return [
        f"{algo} took {taken:,} steps on {env}, more than the budget: its rollouts are whole."
        for (algo, env), taken in sorted(steps.items())
    ]


def _failure_notes(results: Sequence[tuple[RunConfig, RunResult]]) -> list[str]:
    failed = Counter((run.algo, run.env) for run, result in results if result.reason)
    reasons = {(run.algo, run.env): result.reason for run, result in results if result.reason}
    return [
        f"{counted(count, 'run')} of {algo} on {env} failed: {reasons[algo, env]}"
        for (algo, env), count in sorted(failed.items())
    ]
