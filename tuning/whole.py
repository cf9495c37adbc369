"""A whole study: every stage in turn, and the words that say what was chosen and how."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ppo_lab.environments import reference_scores
from ppo_lab.runs import RunResult
from tuning.protocol import Protocol
from tuning.stages import Progress, Stages, Tuned, judge, replicate, screen
from tuning.study import AlgorithmStudy, open_study

__all__ = ["Outcome", "run_study"]


@dataclass(frozen=True)
class Outcome:
    """What a study came to.

    Attributes:
        judged: the folder of the judged runs, for the report.
        tuned: each algorithm's candidates, best first.
        notes: plain sentences on the protocol and the choice, the same for the same seed.
    """

    judged: Path
    tuned: tuple[Tuned, ...]
    notes: tuple[str, ...]


def run_study(
    protocol: Protocol,
    algos: Sequence[str],
    folder: Path,
    *,
    storage: str | None,
    jobs: int,
    progress: Progress,
    say: Callable[[str], None],
) -> Outcome:
    """Screen, replicate and judge; whatever an earlier call finished is taken as it is.

    Args:
        protocol: budgets, shapes and seeds, the same for every algorithm.
        algos: names of the algorithms.
        folder: the study's folder; its name is the study's.
        storage: Optuna's URL; None: ``study.db`` in the folder.
        jobs: worker processes.
        progress: told of every result.
        say: told in a line what is being gone on with.

    Raises:
        ArgumentError: the storage or the folder holds a study of other settings.
        StudyError: a stage has nothing to hand on.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    url = storage or f"sqlite:///{folder.resolve() / 'study.db'}"
    studies = [open_study(folder.name, url, algo, protocol) for algo in algos]
    trials = sum(study.finished() for study in studies)
    runs = sum(1 for _ in folder.glob("*/**/run.json"))
    if trials or runs:
        say(
            f"Going on with study {folder.name}: {trials} of "
            f"{protocol.trials * len(studies)} trials are finished, {runs} runs are on disk."
        )
    stages = Stages(protocol, folder, jobs, progress)
    screen(stages, studies)
    tuned = replicate(stages, studies)
    reference = reference_scores(protocol.env, {})
    results = judge(stages, tuned, reference)
    notes = [
        *_protocol_notes(protocol),
        *_choice_notes(studies, tuned),
        *_failure_notes(studies, results),
    ]
    return Outcome(folder / "judge", tuple(tuned), tuple(notes))


def _protocol_notes(protocol: Protocol) -> list[str]:
    shape = ", ".join(f"{name} {value}" for name, value in protocol.shape.items())
    return [
        f"Tuning, for each algorithm alike: {protocol.trials} trials of {protocol.timesteps} "
        f"steps on one tuning seed, then the best {protocol.finalists} again on "
        f"{protocol.replicas} fresh tuning seeds; the best mean over the fresh seeds won.",
        f"Every run: {protocol.n_envs} environments, {shape}; all else SB3's defaults. A score is "
        f"the mean return of the policy after its last update over {protocol.episodes} episodes.",
        f"Tuning seeds {protocol.screen_seed} and {_span(protocol.replica_seeds)}; test seeds from "
        f"{protocol.judge_seeds[0]} on; no seed serves both.",
    ]


def _choice_notes(studies: Sequence[AlgorithmStudy], tuned: Sequence[Tuned]) -> list[str]:
    notes = []
    for study, outcome in zip(studies, tuned, strict=True):
        winner = outcome.winner
        chosen = ", ".join(f"{name} {value:.4g}" for name, value in winner.hyperparameters.items())
        notes.append(
            f"{study.algo} (tuned) is trial {winner.trial + 1}: {chosen}; screened at "
            f"{winner.screened:.3f}, {winner.mean:.3f} on the fresh seeds."
        )
    return notes


def _failure_notes(
    studies: Sequence[AlgorithmStudy], judged: Mapping[Path, RunResult]
) -> list[str]:
    notes = []
    for study in studies:
        failures = study.failures()
        if failures:
            reason = failures[0].user_attrs.get("reason")
            notes.append(f"{len(failures)} trials of {study.algo} failed, the first: {reason}")
    reasons = [result.reason for result in judged.values() if result.reason]
    if reasons:
        notes.append(f"{len(reasons)} judged runs failed, the first: {reasons[0]}")
    return notes


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]}–{seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"


def check_writable(folder: Path) -> None:
    """Make a folder and a file in it, to fail before any work is done.

    Raises:
        OSError: it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
