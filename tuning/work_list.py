"""A study as a list of items that any number of processes and machines share out.

Every item is a trial of Optuna: claiming it, its heartbeat, and the verdict that its worker is
lost are Optuna's, so they work wherever its storages do. An item may take several trials, its
*attempts*: one whose worker was lost is failed without a reason, and a new attempt waits. What
counts is the first attempt with an outcome; so no item is lost, and none counts twice.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuning.heart import Heart
from tuning.optuna_internals import trial_id
from tuning.proposals import quiet
from tuning.turns import is_gone, this_process, turn

__all__ = ["Claim", "WorkList", "retry"]

ITEM = "task"
"""The attribute of a trial that names its item, as it is called in every study so far."""
UNNAMED_SECONDS = 2.0
"""A claim that bears no name for this long is spoken of: its process has most likely died."""
_LOST = "the worker process died twice (killed, or out of memory)"
"""What earlier versions wrote down as an item's outcome, which it is not."""
_SETTLED = (TrialState.COMPLETE, TrialState.PRUNED)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Let an item whose worker was lost wait for another one; Optuna's callback for stale trials.

    However often: what kills a worker is no result of the item.
    """
    _let_wait(study, trial.user_attrs[ITEM], trial.user_attrs.get("lost", 0) + 1)


def _let_wait(study: optuna.Study, item: str, lost: int = 0) -> None:
    attributes = {ITEM: item, "lost": lost} if lost else {ITEM: item}
    study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attributes))


@dataclass(frozen=True)
class Claim:
    """An item that this process has taken on.

    Attributes:
        item: its name.
        trial_id: the storage's id of the attempt.
    """

    item: str
    trial_id: int


@dataclass
class WorkList:
    """The items of one study.

    Attributes:
        study: Optuna's.
        storage: the study's, written to directly.
        heart: beats for what is claimed.
        grace: seconds of silence after which another process is taken for lost.
        say: told in a line what is being waited for.
    """

    study: optuna.Study
    storage: BaseStorage
    heart: Heart
    grace: float = 120.0
    say: Callable[[str], None] = field(default=lambda _: None)
    _attempts: dict[str, list[FrozenTrial]] = field(default_factory=dict)
    _looked_for_lost: float = 0.0
    _unnamed: dict[int, tuple[float, bool]] = field(default_factory=dict)
    _stranded: set[str] = field(default_factory=set)

    def _id(self, trial: FrozenTrial) -> int:
        return trial_id(self.storage, self.study.study_name, trial)

    def refresh(self) -> None:
        """Read the storage."""
        attempts: dict[str, list[FrozenTrial]] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if ITEM in trial.user_attrs and "duplicate" not in trial.user_attrs:
                attempts.setdefault(trial.user_attrs[ITEM], []).append(trial)
        self._attempts = attempts

    def offer(self, items: Iterable[str]) -> None:
        """Add the items that are not there yet; of many processes one at a time does it."""
        wanted = list(dict.fromkeys(items))
        self.refresh()
        if any(map(self._is_missing, wanted)):
            with turn(self.storage, f"{self.study.study_name}-offering", self.grace) as beat:
                self.refresh()  # another process may have had its turn before
                for item in filter(self._is_missing, wanted):
                    beat()
                    self._add(item)
        self.refresh()
        self.close_duplicates()

    def _is_missing(self, item: str) -> bool:
        """Whether no attempt of an item is there that can still come to something."""
        attempts = self._attempts.get(item, ())
        return self.outcome(item) is None and all(map(_is_lost, attempts))

    def _add(self, item: str) -> None:
        attempts = self._attempts.get(item, ())
        lost = max((trial.user_attrs.get("lost", 0) for trial in attempts), default=0)
        _let_wait(self.study, item, lost)

    def close_duplicates(self) -> None:
        """Close attempts that wait beside one that counts: two processes may have added them.

        Of several that wait, the first counts.
        """
        closed = False
        for attempts in tuple(self._attempts.values()):
            live = [trial for trial in attempts if not _is_lost(trial)]
            begun = [trial for trial in live if trial.state != TrialState.WAITING]
            counts = (begun or live)[:1]
            for trial in live:
                if trial.state == TrialState.WAITING and trial not in counts:
                    closed = self._close(self._id(trial)) or closed
        if closed:
            self.refresh()

    def _close(self, trial_id: int) -> bool:
        """End an attempt that waits, unless another process has just claimed it."""
        try:
            if not self.storage.set_trial_state_values(trial_id, state=TrialState.RUNNING):
                return False
            self.storage.set_trial_user_attr(trial_id, "duplicate", True)
            self.storage.set_trial_state_values(trial_id, state=TrialState.FAIL)
        except UpdateFinishedTrialError:
            return False
        return True

    def outcome(self, item: str) -> FrozenTrial | None:
        """The attempt that counts, if the item is finished: completed, stopped or failed."""
        attempts = self._attempts.get(item, ())
        for trial in attempts:
            if trial.state in _SETTLED:
                return trial
            failed = trial.state == TrialState.FAIL and "reason" in trial.user_attrs
            if failed and trial.user_attrs["reason"] != _LOST:
                return trial
        return None

    def running(self) -> int:
        """How many items are being worked on, anywhere."""
        return len(self._running())

    def _running(self) -> list[tuple[str, FrozenTrial]]:
        """The items that are being worked on, with the attempts."""
        return [
            (item, trial)
            for item, attempts in self._attempts.items()
            for trial in attempts
            if trial.state == TrialState.RUNNING
        ]

    def claim(self, items: Iterable[str], ready: Callable[[str], bool]) -> Claim | None:
        """Take on the first of these items that waits and is ready, if this process wins it."""
        for item in items:
            if self.outcome(item) is not None or not ready(item):
                continue
            attempts = self._attempts.get(item, ())
            if any(trial.state == TrialState.RUNNING for trial in attempts):
                continue
            # The first alone: whoever finds it taken must not take a duplicate of it.
            waiting = next((t for t in attempts if t.state == TrialState.WAITING), None)
            if waiting is not None and self._take(self._id(waiting)):
                return Claim(item, self._id(waiting))
        return None

    def _take(self, trial_id: int) -> bool:
        self.heart.begin(trial_id)
        taken = self._set_state(trial_id, TrialState.RUNNING)
        if taken:
            self.storage.set_trial_user_attr(trial_id, "owner", this_process())
        else:
            self.heart.end(trial_id)
        return taken

    def _set_state(self, trial_id: int, state: TrialState) -> bool:
        """Whether it has it now; else it is claimed, or finished, already."""
        try:
            return self.storage.set_trial_state_values(trial_id, state)
        except UpdateFinishedTrialError:
            return False

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
        """Give a claimed item back, for another process or a later call."""
        self.heart.end(claim.trial_id)
        if self._set_state(claim.trial_id, TrialState.FAIL):
            _let_wait(self.study, claim.item)

    def retry_lost(self, every: float) -> None:
        """Let items wait again whose workers are gone, if this was last done long enough ago.

        On this machine a process that has ended is known for gone at once; of others, the
        heartbeat tells.

        Args:
            every: seconds between two looks.
        """
        self._watch_unnamed()
        now = time.monotonic()
        if self._looked_for_lost and now - self._looked_for_lost < every:
            return
        self._looked_for_lost = now
        with quiet():
            fail_stale_trials(self.study)
        for _, trial in self._running():
            if is_gone(trial.user_attrs.get("owner")):
                self._fail_and_retry(trial)
        self.refresh()
        self._add_stranded()
        self.close_duplicates()

    def _fail_and_retry(self, trial: FrozenTrial) -> None:
        if self._set_state(self._id(trial), TrialState.FAIL):
            retry(self.study, trial)

    def _watch_unnamed(self) -> None:
        """Speak of claims without a name, whose process died in claiming, and then retry them."""
        now = time.monotonic()
        unnamed = {
            self._id(trial): (item, trial)
            for item, trial in self._running()
            if "owner" not in trial.user_attrs
        }
        self._unnamed = {key: self._unnamed.get(key, (now, False)) for key in unnamed}
        for key, (item, trial) in unnamed.items():
            since, said = self._unnamed[key]
            if now - since >= self.grace:
                self._fail_and_retry(trial)
            elif not said and now - since >= min(UNNAMED_SECONDS, self.grace):
                self._unnamed[key] = since, True
                left = self.grace - (now - since)
                until = time.strftime("%H:%M:%S", time.localtime(time.time() + left))
                self.say(
                    f"Waiting until {until} for task {item} of {self.study.study_name}, claimed by "
                    "a process that left no name; then it is tried again"
                )

    def _add_stranded(self) -> None:
        """Add items again whose process died between giving them up and letting them wait."""
        stranded = set(filter(self._is_missing, self._attempts))
        lasting = stranded & self._stranded  # at two looks: others may be about to add them
        self._stranded = stranded - lasting
        if lasting:
            self.offer(lasting)


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether an attempt came to nothing, its worker being gone."""
    return trial.state == TrialState.FAIL and trial.user_attrs.get("reason", _LOST) == _LOST
