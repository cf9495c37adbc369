"""A comparison's runs: algorithms × environments × seeds, all under one protocol (design)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ppo_lab.algorithms import ALGORITHMS
from ppo_lab.environments import inspect_environment, reference_scores
from ppo_lab.errors import ArgumentError
from ppo_lab.presets import preset
from ppo_lab.run_config import Evaluation, RunConfig, environment_folder_name
from ppo_lab.runs import RunResult, check_run
from ppo_lab.settings import (
    Settings,
    committed_settings,
    default_settings,
    file_settings,
    zoo_settings,
)
from ppo_lab.workers import execute_runs

__all__ = ["Cell", "Matrix", "Source", "cells", "execute", "notes"]

OUR_PRESETS = "spec_ppo"
"""The algorithm whose arguments presets hold."""


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
        if self.files and algo in self.files:
            found = file_settings(self.files[algo], env_id)
        elif self.base == "committed" and algo == "spec_ppo":
            found = committed_settings(algo, env_id)
        else:
            from_zoo = None if self.base == "default" else zoo_settings(algo, env_id)
            found = from_zoo or default_settings(algo)
        if self.preset is not None and algo == OUR_PRESETS:
            found = replace(
                found,
                hyperparameters={**found.hyperparameters, **preset(self.preset)},
                word=self.preset,
                origin=f"{found.origin}; on top: preset {self.preset!r}",
            )
        return found if self.n_envs is None else replace(found, n_envs=self.n_envs)


@dataclass(frozen=True)
class Cell:
    """One algorithm on one environment.

    Attributes:
        run: its run but for the seed.
        tuning: what tuning its settings had, in words.
    """

    run: RunConfig
    tuning: str

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
        folder: where the run folders go: ``<algorithm>-<settings>/<environment>_<number>``.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    folder: Path

    @property
    def runs(self) -> dict[Path, RunConfig]:
        """Run folder → run, a seed of every cell before the next seed."""
        return {
            self._place(cell.run, number): replace(cell.run, seed=seed)
            for (number, seed), cell in product(enumerate(self.seeds, 1), self.cells)
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
        evaluation: of every run.

    Raises:
        ArgumentError: an algorithm does not fit an environment, or cannot be built with its
            settings; says why.
    """
    policies = {pair: inspect_environment(pair[1], {}, pair[0]) for pair in product(algos, envs)}
    references = {env: reference_scores(env, {}).as_dict() for env in envs}
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
            reference=references[env],
            normalize=chosen.normalize,
            origin=chosen.origin,
        )
        check_run(run)
        made.append(Cell(run, chosen.tuning))
    _check_labels(made)
    return tuple(made)


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


def execute(
    matrix: Matrix, jobs: int, advance: Callable[[RunResult], None]
) -> Iterator[tuple[RunConfig, RunResult]]:
    """Make the runs that are not made yet.

    Args:
        matrix: what to run.
        jobs: worker processes.
        advance: told of every result.

    Yields:
        Each run and its result.

    Raises:
        ArgumentError: a folder holds a finished run of another configuration.
        OSError: a folder cannot be written.
    """
    runs = matrix.runs
    for folder, result in execute_runs(runs, jobs):
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
        f"Every run: {run.timesteps} environment steps (whole rollouts, so some take more), "
        f"{len(matrix.seeds)} test seeds from {matrix.seeds[0]} on (--seed {seed}), which no tuning "
        f"by ppo_lab.tune uses. A score is the mean return of the policy after its last update "
        f"over {run.evaluation.episodes} episodes, the same for all."
    )
    return (protocol, *_settings_notes(matrix.cells), *_failure_notes(results))


def _settings_notes(made: Sequence[Cell]) -> list[str]:
    lines = []
    for label in dict.fromkeys(cell.label for cell in made):
        parts = [
            f"{cell.run.env}: {cell.run.origin} (tuning: {cell.tuning})"
            for cell in made
            if cell.label == label
        ]
        lines.append(f"Settings of {label}: {'; '.join(parts)}.")
    return lines


def _failure_notes(results: Sequence[tuple[RunConfig, RunResult]]) -> list[str]:
    failed = Counter((run.algo, run.env) for run, result in results if result.reason)
    reasons = {(run.algo, run.env): result.reason for run, result in results if result.reason}
    return [
        f"{count} runs of {algo} on {env} failed: {reasons[algo, env]}"
        for (algo, env), count in sorted(failed.items())
    ]
