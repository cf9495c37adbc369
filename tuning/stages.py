"""The three stages of a study: screen, replicate, judge (design: honest comparisons)."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from optuna.trial import Trial

from ppo_lab.environments import ReferenceScores
from ppo_lab.runs import RunConfig, RunResult, environment_folder_name
from ppo_lab.workers import execute_runs
from tuning.protocol import Protocol
from tuning.spaces import SPACES, defaults
from tuning.study import AlgorithmStudy

__all__ = ["Candidate", "Progress", "StudyError", "Tuned", "judge", "replicate", "screen"]


class StudyError(RuntimeError):
    """A stage has nothing to hand on; the message says why."""


class Progress(Interface):
    """What shows how far a stage is."""

    def stage(self, name: str, total: int) -> AbstractContextManager["Progress"]:
        """Begin a stage of ``total`` runs."""

    def advance(self, result: RunResult) -> None:
        """One more run has its result."""


@dataclass(frozen=True)
class Candidate:
    """A replicated trial.

    Attributes:
        trial: its number.
        hyperparameters: what Optuna proposed.
        screened: its score in screening, which chose it and is too high for that reason.
        scores: on the fresh seeds, in their order.
    """

    trial: int
    hyperparameters: Mapping[str, float]
    screened: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """What the choice rests on: the mean over the fresh seeds alone."""
        return float(np.mean(self.scores))


@dataclass(frozen=True)
class Tuned:
    """One algorithm's outcome of screening and replication; ``winner`` is the first candidate."""

    algo: str
    candidates: tuple[Candidate, ...]

    @property
    def winner(self) -> Candidate:
        """The candidate of the best mean over fresh seeds."""
        return self.candidates[0]


@dataclass(frozen=True)
class Stages:
    """Where a study's runs go and how they are made.

    Attributes:
        protocol: budgets and seeds.
        folder: the study's folder.
        jobs: worker processes.
        progress: told of every result.
    """

    protocol: Protocol
    folder: Path
    jobs: int
    progress: Progress

    def execute(self, runs: Mapping[Path, RunConfig]) -> Iterable[tuple[Path, RunResult]]:
        """Execute runs and show progress."""
        for folder, result in execute_runs(runs, self.jobs):
            self.progress.advance(result)
            yield folder, result

    def run(self, algo: str, stage: str, seed: int, searched: Mapping[str, Any]) -> RunConfig:
        """A run under the protocol: its shape, and the searched hyperparameters."""
        return RunConfig(
            algo=algo,
            env=self.protocol.env,
            seed=seed,
            timesteps=self.protocol.timesteps,
            n_envs=self.protocol.n_envs,
            policy=self.protocol.policy,
            hyperparameters={**self.protocol.shape, **searched},
            evaluation=self.protocol.evaluation(judging=stage == "judge"),
            settings="trial",
            stage=stage,
        )

    def place(self, index: int, *parts: str) -> Path:
        """The zoo's place for a run: ``<parts>/<environment>_<index>``, indices from 1."""
        name = environment_folder_name(self.protocol.env)
        return self.folder.joinpath(*parts) / f"{name}_{index}"


def screen(stages: Stages, studies: Sequence[AlgorithmStudy]) -> None:
    """Train every trial of every algorithm once, on the screening seed.

    Raises:
        StudyError: an algorithm has no trial that finished; gives the first failure's reason.
    """
    seed = stages.protocol.screen_seed
    missing = sum(stages.protocol.trials - study.finished() for study in studies)
    with stages.progress.stage("screen", missing):
        generators = [study.unfinished_batches() for study in studies]
        while any(batches := [next(generator, []) for generator in generators]):
            asked: dict[Path, tuple[AlgorithmStudy, Trial]] = {}
            runs: dict[Path, RunConfig] = {}
            for study, batch in zip(studies, batches, strict=True):
                for trial in batch:
                    place = stages.place(trial.number + 1, "screen", study.algo)
                    asked[place] = study, trial
                    runs[place] = stages.run(study.algo, "screen", seed, trial.params)
            for place, result in stages.execute(runs):
                study, trial = asked[place]
                study.tell(trial, result, seed)
    for study in studies:
        if not study.best(1):
            failures = study.failures()
            reason = failures[0].user_attrs.get("reason") if failures else "none was run"
            raise StudyError(
                f"no trial of {study.algo} finished: all {len(failures)} failed, the first with "
                f"{reason}"
            )


def replicate(stages: Stages, studies: Sequence[AlgorithmStudy]) -> list[Tuned]:
    """Train the best trials again on fresh tuning seeds; the best mean wins.

    Raises:
        StudyError: every finalist of an algorithm failed on a fresh seed.
    """
    protocol = stages.protocol
    finalists = [
        (study.algo, trial) for study in studies for trial in study.best(protocol.finalists)
    ]
    runs = {
        stages.place(i, "replicate", algo, f"trial_{trial.number + 1}"): stages.run(
            algo, "replicate", seed, trial.params
        )
        for algo, trial in finalists
        for i, seed in enumerate(protocol.replica_seeds, 1)
    }
    with stages.progress.stage("replicate", len(runs)):
        results = dict(stages.execute(runs))
    candidates: dict[str, list[Candidate]] = {study.algo: [] for study in studies}
    for algo, trial in finalists:
        parts = "replicate", algo, f"trial_{trial.number + 1}"
        scores = [results[stages.place(i, *parts)].score for i in range(1, protocol.replicas + 1)]
        finished = tuple(score for score in scores if score is not None)
        if len(finished) == protocol.replicas and trial.value is not None:
            candidates[algo].append(Candidate(trial.number, trial.params, trial.value, finished))
    for algo, of_algo in candidates.items():
        if not of_algo:
            reason = next(r.reason for r in results.values() if r.reason)
            raise StudyError(f"no finalist of {algo} finished on every fresh seed: {reason}")
    return [
        Tuned(algo, tuple(sorted(of_algo, key=lambda c: (-c.mean, c.trial))))
        for algo, of_algo in candidates.items()
    ]


def judge(
    stages: Stages, tuned: Sequence[Tuned], reference: ReferenceScores
) -> dict[Path, RunResult]:
    """Train the winners and the defaults on the test seeds.

    Args:
        stages: where and how.
        tuned: the outcome of replication.
        reference: what the report normalises by; written into each run.

    Returns:
        Run folder → result; the folders lie below ``judge``.

    Raises:
        StudyError: every run failed.
    """
    runs: dict[Path, RunConfig] = {}
    for outcome in tuned:
        settings = {
            "tuned": outcome.winner.hyperparameters,
            "default": defaults(SPACES[outcome.algo]),
        }
        for name, searched in settings.items():
            for i, seed in enumerate(stages.protocol.judge_seeds, 1):
                run = stages.run(outcome.algo, "judge", seed, searched)
                runs[stages.place(i, "judge", f"{outcome.algo}-{name}")] = replace(
                    run, settings=name, reference=reference.as_dict()
                )
    with stages.progress.stage("judge", len(runs)):
        results = dict(stages.execute(runs))
    if all(result.score is None for result in results.values()):
        raise StudyError(f"every judged run failed: {next(iter(results.values())).reason}")
    return results
