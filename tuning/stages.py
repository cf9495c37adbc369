"""The three stages of a study: screen, replicate, judge (design: honest comparisons)."""

import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

from ppo_lab.runs.execution import RunConfig, RunResult, finished_run, is_damaged, record_failure
from ppo_lab.runs.references import ReferenceScores, as_record
from ppo_lab.runs.worker_pool import Death, WorkerPool
from reports.text import counted
from tuning.outputs import former_settings, restore_run
from tuning.study import AlgorithmStudy, Runs, Screening, Workload, reason_of
from tuning.task_list import Claim, TaskList
from tuning.trial_runs import Task, TaskResult, run_task

__all__ = ["Candidate", "Progress", "Stages", "StudyError", "Tuned", "judge", "replicate", "screen"]

POLL_SECONDS = 0.5
"""Between two looks at what other machines have done."""


class StudyError(RuntimeError):
    """A stage has nothing to hand on; the message says why."""


class Progress(Interface):
    """What shows how far a stage is."""

    def stage(self, name: str, total: int) -> AbstractContextManager["Progress"]:
        """Begin a stage of ``total`` runs or trials."""

    def advance(self, result: RunResult, label: str = "", elsewhere: bool = False) -> None:
        """One more has its result, of this algorithm, here or on another machine."""

    def running(self, count: int) -> None:
        """How many are being worked on here."""

    def waiting(self, what: str, seconds: float) -> None:
        """What has been worked on here for longest."""


@dataclass(frozen=True)
class Candidate:
    """A replicated trial.

    Attributes:
        trial: its number.
        hyperparameters: the algorithm's arguments.
        screened: its score in screening, which chose it and is too high for that reason.
        scores: on the fresh seeds, in their order.
    """

    trial: int
    hyperparameters: Mapping[str, Any]
    screened: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """What the choice rests on: the mean over the fresh seeds alone."""
        return float(np.mean(self.scores))

    @property
    def lower(self) -> float:
        """The lower end of the mean's 95 % t-interval, by which equal means are told apart."""
        return lower_end(self.scores)


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
    """How a study's work gets done.

    Attributes:
        pool: the worker processes.
        progress: told of every result.
        grace: seconds of silence after which a worker elsewhere is taken for lost.
        companion: name → the task list of the companion study of that name.
    """

    pool: WorkerPool[TaskResult]
    progress: Progress
    grace: float
    companion: Callable[[str], TaskList]


def lower_end(scores: Sequence[float]) -> float:
    """Lower end of the 95 % t-interval of a mean; −∞ for a single score."""
    n = len(scores)
    if n < 2:
        return -math.inf
    half_width = stats.t.ppf(0.975, n - 1) * np.std(scores, ddof=1) / math.sqrt(n)
    return float(np.mean(scores) - half_width)


def ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Best first: by mean over fresh seeds, then the lower end of its interval, then age."""
    return tuple(sorted(candidates, key=lambda c: (-c.mean, -c.lower, c.trial)))


def screen(stages: Stages, studies: Sequence[AlgorithmStudy]) -> None:
    """Train every trial of every algorithm on the screening seeds.

    Raises:
        StudyError: an algorithm has no trial that finished, or a trial could not be made; gives
            the first failure's reason.
    """
    _whole(carry_out(stages, "screen", {study.algo: Screening(study) for study in studies}))
    for study in studies:
        if not study.best(1):
            failures = study.of_state(TrialState.FAIL)
            raise StudyError(
                f"no trial of {study.algo} finished: all {len(failures)} failed, the first with "
                f"{reason_of(failures[0])}"
            )


def replicate(stages: Stages, studies: Sequence[AlgorithmStudy]) -> list[Tuned]:
    """Train the best trials again on fresh tuning seeds; the best mean wins.

    Raises:
        StudyError: every finalist of an algorithm failed on a fresh seed, or a run could not be
            made.
    """
    work = {study.algo: _replication(stages, study) for study in studies}
    _whole(carry_out(stages, "replicate", work))
    return [_tuned(study, work[study.algo].tasks) for study in studies]


def _replication(stages: Stages, study: AlgorithmStudy) -> Runs:
    protocol = study.protocol
    runs = {}
    for number, trial in study.best(protocol.finalists):
        hyperparameters = study.hyperparameters(trial.params)
        for i in range(1, protocol.replicas + 1):
            place = study.place(i, "replicate", study.algo, f"trial_{number + 1}")
            runs[f"{number}/{i}"] = place, study.run("replicate", i - 1, hyperparameters)
    return Runs(stages.companion(f"{study.algo}-replicate"), runs)


def _tuned(study: AlgorithmStudy, tasks: TaskList) -> Tuned:
    candidates, reasons = [], []
    for number, trial in study.best(study.protocol.finalists):
        outcomes = _settled(tasks, [f"{number}/{i}" for i in range(1, study.protocol.replicas + 1)])
        scores = [o.value for o in outcomes if o.state == TrialState.COMPLETE]
        finished = tuple(score for score in scores if score is not None)
        if len(finished) == study.protocol.replicas and trial.value is not None:
            settings = study.hyperparameters(trial.params)
            candidates.append(Candidate(number, settings, trial.value, finished))
        else:
            reasons.append(next(reason_of(o) for o in outcomes if o.state == TrialState.FAIL))
    if not candidates:
        raise StudyError(f"no finalist of {study.algo} finished on every fresh seed: {reasons[0]}")
    return Tuned(study.algo, ranked(candidates))


def _settled(tasks: TaskList, names: Sequence[str]) -> list[FrozenTrial]:
    return [outcome for name in names if (outcome := tasks.outcome(name)) is not None]


def judge(
    stages: Stages,
    studies: Sequence[AlgorithmStudy],
    tuned: Sequence[Tuned],
    reference: ReferenceScores | None,
) -> dict[Path, FrozenTrial]:
    """Train the winners and the defaults on the test seeds.

    Every run's folder is on this machine afterwards, whichever machine made it.

    Args:
        stages: how.
        studies: the algorithms.
        tuned: their outcomes of replication, in the same order.
        reference: what the report normalises by; written into each run. None: not known.

    Returns:
        Run folder → the trial that made it, a failed one that is in no storage where the run could
        not be made; the folders lie below ``judge``.

    Raises:
        StudyError: every run failed.
    """
    work = {
        study.algo: _judging(stages, study, outcome, reference)
        for study, outcome in zip(studies, tuned, strict=True)
    }
    lost = carry_out(stages, "judge", work)
    _make_damaged_again(stages, work.values())
    results: dict[Path, FrozenTrial] = {}
    for label, runs in work.items():
        for task, (folder, config) in runs.runs.items():
            outcome = runs.tasks.outcome(task) or _not_made(lost[label, task])
            restore_run(folder, config, outcome)
            results[folder] = outcome
    if all(trial.state == TrialState.FAIL for trial in results.values()):
        raise StudyError(f"every judged run failed: {reason_of(next(iter(results.values())))}")
    return results


def _make_damaged_again(stages: Stages, work: Iterable[Runs]) -> None:
    """Make judged runs again that this machine finished and whose files were damaged since.

    The storage has their scores; the report reads their folders, and the models lie there alone.
    """
    damaged = [
        (folder, config)
        for runs in work
        for folder, config in runs.runs.values()
        if folder.exists() and is_damaged(config, folder)
    ]
    while damaged or stages.pool.busy:
        while damaged and stages.pool.free:
            task = damaged.pop()
            stages.pool.submit(task[0], run_task, Task((task,)), stages.pool.run_timeout)
        for folder, outcome in stages.pool.finished(POLL_SECONDS):
            if isinstance(outcome, Death):
                reason = outcome.reason(str(folder), stages.pool.run_timeout)
                _whole({("the damaged runs", str(folder)): reason})


def _judging(
    stages: Stages, study: AlgorithmStudy, outcome: Tuned, reference: ReferenceScores | None
) -> Runs:
    winner = outcome.winner
    settings = {
        "tuned": (str(winner.trial), winner.hyperparameters),
        "default": ("default", study.default_hyperparameters),
    }
    _set_former_winner_aside(study, winner)
    runs: dict[str, tuple[Path, RunConfig]] = {}
    for name, (task, hyperparameters) in settings.items():
        for i in range(1, study.protocol.seeds + 1):
            run = study.run("judge", i - 1, hyperparameters)
            place = study.place(i, "judge", f"{study.algo}-{name}")
            runs[f"{task}/{i}"] = (
                place,
                replace(run, settings=name, reference=as_record(reference)),
            )
    return Runs(stages.companion(f"{study.algo}-judge"), runs, keep_evaluations=True)


def _set_former_winner_aside(study: AlgorithmStudy, winner: Candidate) -> None:
    """With more trials another one may win: the former one's runs leave the report's folder."""
    place = study.folder / "judge" / f"{study.algo}-tuned"
    former = former_settings(place, winner.hyperparameters)
    if former is not None:
        target = study.folder / "former" / f"{study.algo}-{former}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        place.rename(target)


def carry_out(
    stages: Stages, name: str, work: Mapping[str, Workload]
) -> dict[tuple[str, str], str]:
    """Get a stage's tasks done, together with whoever else works on the study.

    A worker process that is free takes the next task that is ready, of the algorithm with the
    fewest begun. Returns when every task has an outcome, here or elsewhere, but for those whose
    workers died: such a death is no result, and the task waits for the next call or for another
    machine. An exception gives the tasks in hand back.

    Returns:
        (label, task) → why it could not be made here and has no outcome.
    """
    for workload in work.values():
        workload.tasks.offer(workload.wanted)
    shift = _Shift(stages, work)
    shift.carry_out(name)
    for workload in work.values():
        workload.tasks.refresh()
    return {
        (label, task): reason
        for (label, task), reason in shift.lost.items()
        if work[label].tasks.outcome(task) is None
    }


def _whole(lost: Mapping[tuple[str, str], str]) -> None:
    """Raise where a stage has not all that the next one rests on.

    Raises:
        StudyError: says what is missing, why, and that it is tried again.
    """
    if not lost:
        return
    (label, _), reason = next(iter(lost.items()))
    raise StudyError(
        f"{counted(len(lost), 'task')} could not be done, the first of {label}: {reason}; the same "
        "command tries again"
    )


def _not_made(reason: str) -> FrozenTrial:
    return create_trial(state=TrialState.FAIL, user_attrs={"reason": reason})


class _Shift:
    """One stage's work in this process.

    Attributes:
        lost: the tasks whose workers died, and how; they are not begun again here.
    """

    def __init__(self, stages: Stages, work: Mapping[str, Workload]) -> None:
        self.lost: dict[tuple[str, str], str] = {}
        self._stages, self._work = stages, work
        self._open = {label: self._unfinished(label) for label in work}
        self._mine: dict[tuple[str, str], Claim] = {}
        self._made: dict[tuple[str, str], Task] = {}
        self._begun = dict.fromkeys(work, 0)

    def carry_out(self, name: str) -> None:
        pool = self._stages.pool
        total = sum(map(len, self._open.values()))
        with self._stages.progress.stage(name, total):
            try:
                while any(self._open.values()):
                    self._look_around()
                    while pool.free and self._begin_one():
                        pass
                    self._stages.progress.running(pool.busy)
                    if pool.busy:
                        for key, outcome in pool.finished(POLL_SECONDS):
                            self._conclude(key, outcome)
                        self._say_what_takes_long()
                    elif self._can_go_on():
                        time.sleep(POLL_SECONDS)
                    else:
                        return
            except BaseException:
                pool.close()
                for (label, _), claim in self._mine.items():
                    # The storage may be what has failed: then others find these lost.
                    with suppress(Exception):
                        self._work[label].tasks.release(claim)
                raise

    def _can_go_on(self) -> bool:
        """Whether anything is left but what was lost here, and what waits for that."""
        if not self.lost or any(w.tasks.running() for w in self._work.values()):
            return any(self._open.values())
        return any(
            self._work[label].ready(task)
            for label, tasks in self._open.items()
            for task in tasks
            if (label, task) not in self.lost
        )

    def _say_what_takes_long(self) -> None:
        oldest = self._stages.pool.oldest()
        if oldest is not None:
            key: Any = oldest[0]
            first = self._made[key].runs[0][0]
            self._stages.progress.waiting(str(first), oldest[1])

    def _unfinished(self, label: str) -> list[str]:
        workload = self._work[label]
        return [task for task in workload.wanted if workload.tasks.outcome(task) is None]

    def _look_around(self) -> None:
        """Read what others have done, and take up what they have lost."""
        for label, workload in self._work.items():
            workload.tasks.refresh()
            workload.tasks.retry_lost(self._stages.grace / 4)
            for task in self._open[label]:
                outcome = workload.tasks.outcome(task)
                if outcome is not None and (label, task) not in {*self._mine, *self.lost}:
                    self._stages.progress.advance(_as_result(outcome), label, elsewhere=True)
            self._open[label] = self._unfinished(label)

    def _begin_one(self) -> bool:
        for label in sorted(self._work, key=self._begun.__getitem__):
            workload = self._work[label]
            # A task of mine that others took for lost is not begun again while it runs here.
            not_here = {*self._mine, *self.lost}
            open_tasks = [task for task in self._open[label] if (label, task) not in not_here]
            claim = workload.tasks.claim(open_tasks, workload.ready)
            if claim is not None:
                key = label, claim.task
                self._mine[key] = claim
                self._begun[label] += 1
                self._made[key] = workload.make(claim)
                pool = self._stages.pool
                pool.submit(key, run_task, self._made[key], pool.run_timeout)
                workload.tasks.refresh()
                return True
        return False

    def _conclude(self, key: Any, outcome: TaskResult | Death) -> None:
        label, name = key
        workload = self._work[label]
        claim, task = self._mine.pop(key), self._made.pop(key)
        result = self._after_death(task, outcome) if isinstance(outcome, Death) else outcome
        if isinstance(outcome, Death) and not outcome.overdue:
            self.lost[key] = str(result.reason)
            workload.tasks.release(claim)
        else:
            workload.conclude(claim, result)
        if name in self._open[label]:
            if key not in self.lost:
                self._open[label].remove(name)
            shown = RunResult(
                result.score,
                result.reason,
                result.seconds,
                result.reused,
                result.steps,
                result.stopped,
            )
            self._stages.progress.advance(shown, label)

    def _after_death(self, task: Task, death: Death) -> TaskResult:
        """Leave the folder of the run that was under way: its process could not."""
        folder, config = next(
            (each for each in task.runs if finished_run(each[1], each[0]) is None), task.runs[-1]
        )
        reason = death.reason(config.env, self._stages.pool.run_timeout)
        record_failure(config, folder, reason)
        return TaskResult(reason=reason)


def _as_result(trial: FrozenTrial) -> RunResult:
    failed = trial.state == TrialState.FAIL
    return RunResult(
        None if failed else trial.value,
        reason_of(trial) if failed else None,
        trial.user_attrs.get("seconds", 0.0),
        steps=trial.user_attrs.get("steps", 0),
        stopped=trial.state == TrialState.PRUNED,
    )
