"""A study as a list of tasks that any number of processes and machines share out.

Every task is a trial of Optuna: claiming it, its heartbeat, and the verdict that its worker is
lost are Optuna's, so they work wherever its storages do. A task may take several trials, its
*attempts*: one whose worker was lost is failed without a reason, and a new attempt waits. What
counts is the first attempt with an outcome; so no task is lost, and none counts twice.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.hindsight import quiet

__all__ = ["Claim", "Heart", "TaskList", "retry"]

_LOST = "the worker process died twice (killed, or out of memory)"
"""What earlier versions wrote down as a task's outcome, which it is not."""
_SETTLED = (TrialState.COMPLETE, TrialState.PRUNED)
_OPEN = (TrialState.WAITING, TrialState.RUNNING)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Let a task whose worker was lost wait for another one; Optuna's callback for stale trials.

    However often: what kills a worker is no result of the task.
    """
    attributes = {
        "task": trial.user_attrs["task"],
        "lost": trial.user_attrs.get("lost", 0) + 1,
    }
    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attributes))


@dataclass(frozen=True)
class Claim:
    """A task that this process has taken on.

    Attributes:
        task: its name.
        trial_id: the storage's id of the attempt.
    """

    task: str
    trial_id: int


class Heart:
    """Tells the storage, from a thread of its own, that this process is at work on its claims.

    Args:
        storage: only a database that Optuna itself talks to hears it; a proxy does not.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage if isinstance(storage, RDBStorage) else None
        interval = self._storage.get_heartbeat_interval() if self._storage else None
        self._interval = interval or 0
        self._claimed: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        if self._interval:
            self._thread.start()

    def begin(self, trial_id: int) -> None:
        """Beat for a trial from now on; before it is claimed, so that it is never without."""
        if self._storage is not None:
            self._storage.record_heartbeat(trial_id)
        self._claimed.add(trial_id)

    def end(self, trial_id: int) -> None:
        """Beat for it no longer."""
        self._claimed.discard(trial_id)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._interval:
            self._thread.join()

    def _beat(self) -> None:
        assert self._storage is not None
        while not self._stop.wait(self._interval):
            for trial_id in tuple(self._claimed):
                try:
                    # Its own patience would hold up the command's end.
                    RDBStorage.record_heartbeat(self._storage, trial_id)
                except Exception:
                    # The command meets the same failure at its next claim, and reports it.
                    break


@dataclass
class TaskList:
    """The tasks of one study.

    Attributes:
        study: Optuna's.
        storage: the study's, written to directly.
        heart: beats for what is claimed.
    """

    study: optuna.Study
    storage: BaseStorage
    heart: Heart
    _attempts: dict[str, list[FrozenTrial]] = field(default_factory=dict)
    _looked_for_lost: float = 0.0
    _stranded: set[str] = field(default_factory=set)

    def refresh(self) -> None:
        """Read the storage."""
        attempts: dict[str, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if "task" in trial.user_attrs:
                attempts.setdefault(trial.user_attrs["task"], []).append(trial)
        self._attempts = attempts

    def offer(self, tasks: Iterable[str]) -> None:
        """Add the tasks that are not there yet, or have neither an outcome nor an open attempt.

        These were lost by a process that was killed before it could let them wait again.
        """
        self.refresh()
        for task in tasks:
            attempts = self._attempts.get(task, ())
            if self.outcome(task) is None and not any(t.state in _OPEN for t in attempts):
                self.study.add_trial(
                    create_trial(state=TrialState.WAITING, user_attrs={"task": task})
                )
        self.refresh()

    def outcome(self, task: str) -> FrozenTrial | None:
        """The attempt that counts, if the task is finished: completed, stopped or failed."""
        attempts = self._attempts.get(task, ())
        for trial in attempts:
            if trial.state in _SETTLED:
                return trial
            failed = trial.state == TrialState.FAIL and "reason" in trial.user_attrs
            if failed and trial.user_attrs["reason"] != _LOST:
                return trial
        return None

    def running(self) -> int:
        """How many tasks are being worked on, anywhere."""
        return sum(
            trial.state == TrialState.RUNNING
            for attempts in self._attempts.values()
            for trial in attempts
        )

    def claim(self, tasks: Iterable[str], ready: Callable[[str], bool]) -> Claim | None:
        """Take on the first of these tasks that waits and is ready, if this process wins it."""
        for task in tasks:
            if self.outcome(task) is not None or not ready(task):
                continue
            attempts = self._attempts.get(task, ())
            if any(trial.state == TrialState.RUNNING for trial in attempts):
                continue
            for trial in attempts:
                if trial.state == TrialState.WAITING and self._take(trial._trial_id):
                    return Claim(task, trial._trial_id)
        return None

    def _take(self, trial_id: int) -> bool:
        self.heart.begin(trial_id)
        try:
            taken = self.storage.set_trial_state_values(trial_id, state=TrialState.RUNNING)
        except UpdateFinishedTrialError:
            taken = False
        if taken:
            self.storage.set_trial_user_attr(trial_id, "owner", _this_process())
        else:
            self.heart.end(trial_id)
        return taken

    def describe(
        self,
        claim: Claim,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        attributes: Mapping[str, Any],
    ) -> None:
        """Write what a claimed trial is about to be."""
        for name, distribution in distributions.items():
            value = distribution.to_internal_repr(params[name])
            self.storage.set_trial_param(claim.trial_id, name, value, distribution)
        for key, content in attributes.items():
            self.storage.set_trial_user_attr(claim.trial_id, key, content)

    def finish(
        self,
        claim: Claim,
        state: TrialState,
        value: float | None,
        *,
        attributes: Mapping[str, Any],
        system_attributes: Mapping[str, Any],
        points: Mapping[int, float],
    ) -> bool:
        """Write a claimed trial's outcome.

        Returns:
            False where the trial was taken for lost meanwhile: another attempt counts.
        """
        self.heart.end(claim.trial_id)
        try:
            for key, content in attributes.items():
                self.storage.set_trial_user_attr(claim.trial_id, key, content)
            for key, content in system_attributes.items():
                self.storage.set_trial_system_attr(claim.trial_id, key, content)
            for step, point in points.items():
                self.storage.set_trial_intermediate_value(claim.trial_id, step, point)
            values = None if value is None else [value]
            return self.storage.set_trial_state_values(claim.trial_id, state, values)
        except UpdateFinishedTrialError:
            return False

    def release(self, claim: Claim) -> None:
        """Give a claimed task back, for another process or a later call."""
        self.heart.end(claim.trial_id)
        try:
            self.storage.set_trial_state_values(claim.trial_id, state=TrialState.FAIL)
        except UpdateFinishedTrialError:
            return
        self.study.add_trial(
            create_trial(state=TrialState.WAITING, user_attrs={"task": claim.task})
        )

    def retry_lost(self, every: float) -> None:
        """Let tasks wait again whose workers are gone, if this was last done long enough ago.

        On this machine a process that has ended is known for gone at once; of others, the
        heartbeat tells.

        Args:
            every: seconds between two looks.
        """
        now = time.monotonic()
        if self._looked_for_lost and now - self._looked_for_lost < every:
            return
        self._looked_for_lost = now
        with quiet():
            fail_stale_trials(self.study)
        for attempts in self._attempts.values():
            for trial in attempts:
                if trial.state == TrialState.RUNNING and _is_gone(trial.user_attrs.get("owner")):
                    try:
                        self.storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
                    except UpdateFinishedTrialError:
                        continue
                    retry(self.study, trial)
        self.refresh()
        self._reopen_stranded()

    def _reopen_stranded(self) -> None:
        """Let tasks wait again whose last attempt was failed by a process that then died itself.

        Only what two looks find so: it may be about to let them wait.
        """
        stranded = {
            task
            for task, attempts in self._attempts.items()
            if self.outcome(task) is None and not any(t.state in _OPEN for t in attempts)
        }
        if again := stranded & self._stranded:
            self.offer(sorted(again))
        self._stranded = stranded - again


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _is_gone(owner: Mapping[str, Any] | None) -> bool:
    """Whether a process of this machine has ended; of other machines nothing is known."""
    if not owner or owner["host"] != socket.gethostname():
        return False
    if owner["pid"] == os.getpid():
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
