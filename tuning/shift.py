"""One stage's work in this process, beside whoever else works on the study."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.trial import FrozenTrial, TrialState

from ppo_lab.interruption import raise_if_stopped
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.executor import Death, Executor
from ppo_lab.runs.workers import execute_run_within, record_death
from tuning.study import reason_of
from tuning.trial_runs import ExecuteRun, TrialResult, TrialRuns, run_trial
from tuning.work_list import Claim, WorkList

__all__ = ["Progress", "Resources", "Workload", "carry_out"]

POLL_SECONDS = 0.5
"""Between two looks at what other machines have done."""


class Progress(Protocol):
    """What shows how far a stage is."""

    def stage(self, name: str, total: int) -> AbstractContextManager["Progress"]:
        """Begin a stage of ``total`` runs or trials."""

    def advance(self, result: RunResult, label: str = "", elsewhere: bool = False) -> None:
        """One more has its result, of this algorithm, here or on another machine."""

    def running(self, count: int) -> None:
        """How many are being worked on here."""

    def waiting(self, what: str, seconds: float) -> None:
        """What has been worked on here for longest."""


class Workload(Protocol):
    """Items that a stage has to get done."""

    @property
    def work_list(self) -> WorkList:
        """Where they are shared out."""

    @property
    def wanted(self) -> Iterable[str]:
        """The items' names, in the order in which they are begun."""

    def ready(self, item: str) -> bool:
        """Whether an item can be begun."""

    def make(self, claim: Claim) -> TrialRuns:
        """What a worker process has to do for it."""

    def conclude(self, claim: Claim, result: TrialResult) -> None:
        """Write down what came of it."""


@dataclass(frozen=True)
class Resources:
    """What a study's work gets done with.

    Attributes:
        executor: carries the trials out.
        progress: told of every result.
        grace: seconds of silence after which a worker elsewhere is taken for lost.
        companion: name → the work list of the companion study of that name.
        execute_run: what a worker does for one run.
    """

    executor: Executor[TrialResult]
    progress: Progress
    grace: float
    companion: Callable[[str], WorkList]
    execute_run: ExecuteRun = execute_run_within


def carry_out(
    resources: Resources, name: str, work: Mapping[str, Workload]
) -> dict[tuple[str, str], str]:
    """Get a stage's items done, together with whoever else works on the study.

    A worker process that is free takes the next item that is ready, of the algorithm with the
    fewest begun. Returns when every item has an outcome, here or elsewhere, but for those whose
    workers died: such a death is no result, and the item waits for the next call or for another
    machine. An exception gives the items in hand back.

    Returns:
        (label, item) → why it could not be made here and has no outcome.
    """
    for workload in work.values():
        workload.work_list.offer(workload.wanted)
    shift = _Shift(resources, work)
    shift.carry_out(name)
    for workload in work.values():
        workload.work_list.refresh()
    return {
        (label, item): reason
        for (label, item), reason in shift.lost.items()
        if work[label].work_list.outcome(item) is None
    }


class _Shift:
    """One stage's work in this process.

    Attributes:
        lost: the items whose workers died, and how; they are not begun again here.
    """

    def __init__(self, resources: Resources, work: Mapping[str, Workload]) -> None:
        self.lost: dict[tuple[str, str], str] = {}
        self._resources, self._work = resources, work
        self._open = {label: self._unfinished(label) for label in work}
        self._claims: dict[tuple[str, str], Claim] = {}
        self._trials: dict[tuple[str, str], TrialRuns] = {}
        self._begun = dict.fromkeys(work, 0)

    def carry_out(self, name: str) -> None:
        executor, progress = self._resources.executor, self._resources.progress
        total = sum(map(len, self._open.values()))
        with progress.stage(name, total):
            try:
                while any(self._open.values()):
                    raise_if_stopped()
                    self._look_around()
                    while executor.free > 0 and self._begin_one():
                        pass
                    progress.running(len(self._claims))
                    if executor.busy:
                        for key, outcome in executor.finished(POLL_SECONDS):
                            self._conclude(key, outcome)
                        self._say_what_takes_long()
                    elif self._can_go_on():
                        time.sleep(POLL_SECONDS)
                    else:
                        return
            except BaseException:
                executor.close()
                for (label, _), claim in self._claims.items():
                    # The storage may be what has failed: then others find these lost.
                    with suppress(Exception):
                        self._work[label].work_list.release(claim)
                raise

    def _can_go_on(self) -> bool:
        """Whether anything is left but what was lost here, and what waits for that."""
        if not self.lost or any(w.work_list.running() for w in self._work.values()):
            return any(self._open.values())
        return any(
            self._work[label].ready(item)
            for label, items in self._open.items()
            for item in items
            if (label, item) not in self.lost
        )

    def _say_what_takes_long(self) -> None:
        oldest = self._resources.executor.oldest()
        if oldest is not None:
            key: Any = oldest[0]
            self._resources.progress.waiting(str(self._trials[key].runs[0][0]), oldest[1])

    def _unfinished(self, label: str) -> list[str]:
        workload = self._work[label]
        return [item for item in workload.wanted if workload.work_list.outcome(item) is None]

    def _look_around(self) -> None:
        """Read what others have done, and take up what they have lost."""
        for label, workload in self._work.items():
            workload.work_list.refresh()
            workload.work_list.retry_lost(self._resources.grace / 4)
            for item in self._open[label]:
                outcome = workload.work_list.outcome(item)
                if outcome is not None and (label, item) not in {*self._claims, *self.lost}:
                    self._resources.progress.advance(_elsewhere(outcome), label, elsewhere=True)
            self._open[label] = self._unfinished(label)

    def _begin_one(self) -> bool:
        for label in sorted(self._work, key=self._begun.__getitem__):
            workload = self._work[label]
            # An item of mine that others took for lost is not begun again while it runs here.
            not_here = {*self._claims, *self.lost}
            items = [item for item in self._open[label] if (label, item) not in not_here]
            claim = workload.work_list.claim(items, workload.ready)
            if claim is not None:
                self._begin(label, claim)
                return True
        return False

    def _begin(self, label: str, claim: Claim) -> None:
        workload, executor = self._work[label], self._resources.executor
        key = label, claim.item
        self._claims[key] = claim
        self._begun[label] += 1
        self._trials[key] = trial = workload.make(claim)
        executor.submit(key, run_trial, trial, executor.run_timeout, self._resources.execute_run)
        workload.work_list.refresh()

    def _conclude(self, key: Any, outcome: TrialResult | Death) -> None:
        label, item = key
        workload = self._work[label]
        claim, trial = self._claims.pop(key), self._trials.pop(key)
        result = self._after_death(trial, outcome) if isinstance(outcome, Death) else outcome
        if isinstance(outcome, Death) and not outcome.overdue:
            self.lost[key] = str(result.reason)
            workload.work_list.release(claim)
        else:
            workload.conclude(claim, result)
        if item in self._open[label]:
            if key not in self.lost:
                self._open[label].remove(item)
            self._resources.progress.advance(_here(result), label)

    def _after_death(self, trial: TrialRuns, death: Death) -> TrialResult:
        run_timeout = self._resources.executor.run_timeout
        return TrialResult(reason=record_death(trial.runs, death, run_timeout).reason)


def _here(result: TrialResult) -> RunResult:
    return RunResult(
        result.score, result.reason, result.seconds, result.reused, result.steps, result.stopped
    )


def _elsewhere(trial: FrozenTrial) -> RunResult:
    failed = trial.state == TrialState.FAIL
    return RunResult(
        None if failed else trial.value,
        reason_of(trial) if failed else None,
        trial.user_attrs.get("seconds", 0.0),
        steps=trial.user_attrs.get("steps", 0),
        stopped=trial.state == TrialState.PRUNED,
    )
