"""A database that stops answering for a while: waited for, once, with its cause."""

import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from tuning import patience as module
from tuning.heart import Heart
from tuning.patience import Patience, StorageLostError, cause_of
from tuning.storage import open_storage
from tuning.work_list import WorkList

NAMES = ["0", "1"]


class Refused(Exception):  # noqa: N818 - as drivers name theirs
    """What a driver raises; not SQLite's."""


class Faulty:
    """Fails the next statements of an engine, before or after they have been carried out."""

    def __init__(self, storage: Any) -> None:
        self.left = 0
        self._storage = storage
        self._do = storage.engine.dialect.do_commit
        storage.engine.dialect.do_commit = self._commit

    def _commit(self, connection: Any) -> None:
        self._do(connection)
        if self.left:
            self.left -= 1
            raise OperationalError("COMMIT", None, Refused("server closed the connection"))


@pytest.fixture
def work_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkList:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", 60, said.append)
    said.clear()
    study = optuna.create_study(study_name="tasks", storage=storage, direction="maximize")
    return WorkList(study, storage, Heart(storage))


said: list[str] = []


def states(work_list: WorkList) -> list[tuple[str, str]]:
    work_list.refresh()
    return sorted((t.user_attrs["task"], t.state.name) for t in work_list.study.get_trials())


def finish(work_list: WorkList, name: str) -> None:
    claim = work_list.claim([name], lambda _: True)
    assert claim is not None
    work_list.finish(
        claim, TrialState.COMPLETE, 1.0, attributes={"a": 1}, system_attributes={}, points={}
    )


def test_answers_that_are_lost_lose_no_task(work_list: WorkList) -> None:
    faulty = Faulty(work_list.storage)
    work_list.offer(NAMES)
    claim = work_list.claim(["0"], lambda _: True)
    assert claim is not None
    faulty.left = 2
    work_list.describe(claim, {}, {}, {"number": 0})
    assert said == [
        "The study's storage does not answer (Refused: server closed the connection); trying "
        "again for 60 s.",
        "The study's storage answers again.",
    ]
    faulty.left = 1
    work_list.finish(
        claim, TrialState.COMPLETE, 1.0, attributes={}, system_attributes={}, points={}
    )
    finish(work_list, "1")
    assert states(work_list) == [("0", "COMPLETE"), ("1", "COMPLETE")]


def test_claim_whose_answer_is_lost_is_nobodys_and_is_taken_up_again(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}", 1)
    study = optuna.create_study(study_name="tasks", storage=storage, direction="maximize")
    work_list = WorkList(study, storage, Heart(storage))
    work_list.offer(["0"])
    faulty = Faulty(storage)
    set_state = type(storage).set_trial_state_values

    def lost(trial_id: int, state: TrialState, values: Any = None) -> bool:
        faulty.left = 1
        return set_state(storage, trial_id, state, values)

    storage.set_trial_state_values = lost  # type: ignore[method-assign]
    assert work_list.claim(["0"], lambda _: True) is None
    del storage.set_trial_state_values
    assert states(work_list) == [("0", "RUNNING")]
    deadline = time.monotonic() + 30
    while states(work_list) != [("0", "FAIL"), ("0", "WAITING")]:
        assert time.monotonic() < deadline
        work_list.retry_lost(0)
        time.sleep(0.1)


def test_storage_that_stays_away_is_given_up_with_its_cause() -> None:
    waiting = Patience(0.05, said.append)

    def refuse() -> None:
        raise OperationalError("SELECT 1", None, Refused("connection\nrefused"))

    with pytest.raises(StorageLostError, match=r"^it has not answered for 0.05 s: Refused: conn"):
        waiting.wait_for(refuse)


@pytest.mark.parametrize("message", ["database or disk is full", "unable to open database file"])
def test_what_waiting_does_not_mend_is_raised_at_once(tmp_path: Path, message: str) -> None:
    import sqlite3

    calls = []

    def fail() -> None:
        calls.append(1)
        raise OperationalError("COMMIT", None, sqlite3.OperationalError(message))

    with pytest.raises(OperationalError):
        Patience(60).wait_for(fail)
    assert len(calls) == 1


def test_cause_is_the_drivers_and_not_optunas_guess(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    assert isinstance(storage, RDBStorage)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE trials")
        connection.commit()
    with pytest.raises(optuna.exceptions.StorageInternalError) as caught:
        storage.get_trial(0)
    assert cause_of(caught.value) == "OperationalError: no such table: trials"


def test_task_that_two_looks_find_without_an_open_attempt_waits_again(work_list: WorkList) -> None:
    work_list.offer(["0"])
    claim = work_list.claim(["0"], lambda _: True)
    assert claim is not None
    work_list.storage.set_trial_state_values(claim.trial_id, state=TrialState.FAIL)
    work_list.refresh()
    work_list.retry_lost(0)
    assert states(work_list) == [("0", "FAIL")]
    work_list.retry_lost(0)
    work_list.retry_lost(0)
    assert states(work_list) == [("0", "FAIL"), ("0", "WAITING")]
