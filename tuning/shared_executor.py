"""An executor that shares its tasks with the same command on other machines, through a storage."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from optuna.trial import FrozenTrial, TrialState

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import NO_PART, RunConfig
from ppo_lab.runs.execution import RunResult, is_damaged, record_failure
from ppo_lab.runs.executor import Death, Executor
from ppo_lab.runs.folder import to_json
from reports.text import counted
from tuning.heart import Heart
from tuning.outputs import restore_run
from tuning.storage import open_storage, open_study
from tuning.trial_runs import evaluations_of, record_of
from tuning.turns import turn
from tuning.work_list import Claim, WorkList

__all__ = ["Notes", "RunNotes", "SharedExecutor", "share"]

T = TypeVar("T")

POLL_SECONDS = 0.5
"""Between two looks at what other machines have done."""


class Notes(Protocol[T]):
    """How a task and its outcome are written into a storage and read from it."""

    def name(self, key: object) -> str:
        """The item's name, the same on every machine."""

    def writing(self, arguments: tuple[Any, ...], outcome: T) -> Mapping[str, Any]:
        """The outcome as JSON, of a task of these arguments."""

    def ended(
        self, arguments: tuple[Any, ...], death: Death, run_timeout: float | None
    ) -> Mapping[str, Any]:
        """As JSON, with its ``reason``, that a task took too long."""

    def reading(self, arguments: tuple[Any, ...], trial: FrozenTrial) -> T | None:
        """What another machine wrote, as if it had come about here; None: it must be made here.

        Raises:
            ArgumentError: it is the outcome of another task of that name.
        """


@dataclass(eq=False)
class _Task:
    key: object
    call: tuple[Any, ...]
    claim: Claim | None = None


class SharedExecutor(Generic[T]):
    """An executor: this machine's beside those of all machines with the same tasks.

    Every task is an item of a list in the storage. Who has room claims the next one; what another
    machine has done comes back as if it had been done here. A machine that is lost is replaced.
    A task whose workers died here is given back, for another machine or a later call.

    Args:
        inner: carries out what this machine claims; closed with this one.
        work_list: the items; its heart is stopped when this executor is closed.
        notes: how outcomes are written down.
    """

    def __init__(self, inner: Executor[T], work_list: WorkList, notes: Notes[T]) -> None:
        self.run_timeout = inner.run_timeout
        self.oldest = inner.oldest
        self._inner, self._work_list, self._notes = inner, work_list, notes
        self._waiting: dict[str, _Task] = {}
        self._offered: set[str] = set()
        self._at_work: dict[object, tuple[str, _Task]] = {}

    @property
    def busy(self) -> int:
        """How many tasks have been submitted and not come back."""
        return len(self._waiting) + len(self._at_work)

    @property
    def free(self) -> int:
        """How many more tasks there is use for now on this machine."""
        return self._inner.free - len(self._waiting)

    @property
    def where(self) -> str:
        """How many tasks other machines are at work on."""
        elsewhere = max(0, self._work_list.running() - len(self._at_work))
        words = (self._inner.where, f"{counted(elsewhere, 'run')} elsewhere" if elsewhere else "")
        return ", ".join(filter(None, words))

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        """Offer a task to all, and begin it here if there is room; see :meth:`Executor.submit`."""
        self._waiting[self._notes.name(key)] = _Task(key, (function, *arguments))
        if self._inner.free > 0:
            self._begin()

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        """The tasks that have come back, from here or elsewhere; see :meth:`Executor.finished`."""
        deadline = time.monotonic() + timeout
        while True:
            results = self._done_elsewhere()
            self._begin()
            left = min(max(0.0, deadline - time.monotonic()), POLL_SECONDS)
            if self._inner.busy:
                results += self._done_here(0.0 if results else left)
            elif not results and self.busy:
                time.sleep(left)
            if results or not self.busy or time.monotonic() >= deadline:
                return results

    @contextmanager
    def turn(self, what: str) -> Iterator[None]:
        """Do something while no other of the machines does it."""
        work_list = self._work_list
        name = f"{work_list.study.study_name}-{what}"
        with turn(work_list.storage, name, work_list.grace):
            yield

    def close(self) -> None:
        """End what is at work here, and give it back; see :meth:`Executor.close`."""
        self._inner.close()
        for _, task in self._at_work.values():
            if task.claim is not None:
                # The storage may be what has failed: then others find these lost.
                with suppress(Exception):
                    self._work_list.release(task.claim)
        self._at_work.clear()
        self._waiting.clear()
        self._work_list.heart.stop()

    def _begin(self) -> None:
        """Claim what waits, as far as there is room here."""
        if not self._waiting:
            return
        if not self._offered.issuperset(self._waiting):
            self._work_list.offer(self._waiting)
            self._offered.update(self._waiting)
        while self._inner.free > 0 and self._waiting:
            claim = self._work_list.claim(list(self._waiting), lambda _: True)
            if claim is None:
                return
            task = self._waiting.pop(claim.item)
            task.claim = claim
            self._pass_on(claim.item, task)
            self._work_list.refresh()

    def _pass_on(self, item: str, task: _Task) -> None:
        self._at_work[task.key] = item, task
        self._inner.submit(task.key, *task.call)

    def _done_elsewhere(self) -> list[tuple[object, T | Death]]:
        """Read what others have done, and take up what they have lost."""
        if not self._waiting:
            return []
        self._work_list.refresh()
        self._work_list.retry_lost(self._work_list.grace / 4)
        results: list[tuple[object, T | Death]] = []
        for item in tuple(self._waiting):
            trial = self._work_list.outcome(item)
            if trial is None:
                continue
            outcome = self._notes.reading(self._waiting[item].call[1:], trial)
            task = self._waiting.pop(item)
            if outcome is None:
                self._pass_on(item, task)
            else:
                results.append((task.key, outcome))
        return results

    def _done_here(self, timeout: float) -> list[tuple[object, T | Death]]:
        results: list[tuple[object, T | Death]] = []
        for key, outcome in self._inner.finished(timeout):
            item, task = self._at_work.pop(key)
            if task.claim is None or self._is_written(task.claim, task, outcome):
                results.append((key, outcome))
            else:
                # Taken for lost meanwhile: another attempt counts, here or elsewhere.
                task.claim = None
                self._waiting[item] = task
        return results

    def _is_written(self, claim: Claim, task: _Task, outcome: T | Death) -> bool:
        """Write an outcome down, unless it is none; whether it counts."""
        if isinstance(outcome, Death) and not outcome.overdue:
            self._work_list.release(claim)
            return True
        arguments = task.call[1:]
        if isinstance(outcome, Death):
            written = self._notes.ended(arguments, outcome, self.run_timeout)
        else:
            written = self._notes.writing(arguments, outcome)
        failed = "reason" in written
        return self._work_list.finish(
            claim,
            TrialState.FAIL if failed else TrialState.COMPLETE,
            None if failed else float(written.get("score", 0.0)),
            attributes=written,
            system_attributes={},
            points={},
        )


@dataclass(frozen=True)
class RunNotes:
    """Single runs, as :func:`~ppo_lab.runs.workers.execute_runs` submits them.

    Attributes:
        home: the folder below which their folders lie, on this machine.
    """

    home: Path

    def name(self, key: object) -> str:
        """The run folder's place."""
        assert isinstance(key, Path)
        return key.relative_to(self.home).as_posix()

    def writing(self, arguments: tuple[Any, ...], outcome: RunResult) -> Mapping[str, Any]:
        """Its result, and of its folder what a report reads."""
        _, config, folder = arguments
        return {
            "config": _plain(config),
            "record": record_of(folder),
            "evaluations": evaluations_of(folder),
            "seconds": round(outcome.seconds, 3),
            "steps": outcome.steps,
            **({"reason": outcome.reason} if outcome.reason else {"score": outcome.score}),
        }

    def ended(
        self, arguments: tuple[Any, ...], death: Death, run_timeout: float | None
    ) -> Mapping[str, Any]:
        """The reason that this machine's folder gives too, and of which run it is."""
        _, config, _ = arguments
        return {"config": _plain(config), "reason": death.reason(config.env, run_timeout)}

    def reading(self, arguments: tuple[Any, ...], trial: FrozenTrial) -> RunResult | None:
        """Its result, with its folder restored; None where a folder is there that is damaged."""
        _, config, folder = arguments
        told = trial.user_attrs
        theirs, ours = told["config"], _plain(config)
        if theirs != ours:
            keys = sorted(k for k in {*theirs, *ours} if theirs.get(k) != ours.get(k))
            raise ArgumentError(
                f"--storage holds another run of {self.name(folder)} (it differs in "
                f"{', '.join(keys)}); choose another --name"
            )
        if folder.exists() and is_damaged(config, folder):
            return None
        restore_run(folder, config, trial)
        if not folder.exists():  # its machine could not leave one either
            record_failure(config, folder, str(told.get("reason", "no reason is recorded")))
        failed = trial.state == TrialState.FAIL
        return RunResult(
            None if failed else trial.value,
            told.get("reason"),
            told.get("seconds", 0.0),
            steps=told.get("steps", 0),
            elsewhere=True,
        )


def _plain(config: RunConfig) -> dict[str, Any]:
    """What decides a run, as the storage has it."""
    entries = {key: each for key, each in config.as_dict().items() if key not in NO_PART}
    plain: dict[str, Any] = json.loads(to_json(entries))
    return plain


def share(
    make: Callable[[], Executor[RunResult]],
    url: str,
    home: Path,
    grace: int,
    say: Callable[[str], None],
) -> SharedExecutor[RunResult]:
    """Share single runs with the same command on other machines.

    Args:
        make: makes what carries out what this machine claims; called once the storage answers,
            for joining a cluster takes longer.
        url: see :func:`tuning.storage.open_storage`.
        home: the folder below which the run folders lie; its name is the study's.
        grace: seconds of silence after which another machine is taken for lost.
        say: told in a line what is being waited for.

    Raises:
        ArgumentError: the storage cannot be reached.
    """
    storage = open_storage(url, grace, say)
    study = open_study(f"{home.name}-runs", storage, url, {"companion": "runs"})
    return SharedExecutor(
        make(), WorkList(study, storage, Heart(storage), grace, say), RunNotes(home)
    )
