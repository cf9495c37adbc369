"""Many processes that begin at the same moment: each task is there once, and none is lost."""

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from tests.tuning.contention import check, in_processes, in_threads
from tuning.heart import Heart
from tuning.patience import PatientDatabase
from tuning.storage import file_url, open_storage
from tuning.turns import turn
from tuning.work_list import WorkList

NAMES = ["0", "1", "2"]


def work_list_in(folder: Path, grace: float = 120.0, said: list[str] | None = None) -> WorkList:
    storage = open_storage(file_url(folder / "study.db"))
    study = optuna.create_study(
        study_name="tasks", storage=storage, direction="maximize", load_if_exists=True
    )
    say = (lambda line: None) if said is None else said.append
    return WorkList(study, storage, Heart(storage), grace, say)


def states(work_list: WorkList) -> list[tuple[str, str]]:
    return [(t.user_attrs["task"], t.state.name) for t in work_list.study.get_trials()]


def ended() -> dict[str, object]:
    """A process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return {"host": socket.gethostname(), "pid": process.pid}


def test_workers_that_begin_at_once_make_one_trial_of_each_task(tmp_path: Path) -> None:
    url, names = file_url(tmp_path / "new.db"), ["a", "b"]
    in_threads(3, url, names, 6)  # the first of them makes the database too
    check(url, names, 6)


@pytest.mark.parametrize(
    "said",
    ["table alembic_version already exists", "UNIQUE constraint failed: alembic_version.x",
     "database is locked"],
)  # fmt: skip
def test_who_meets_another_making_the_tables_tries_again(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [said, said]

    class Met(PatientDatabase):
        def __init__(self, *given: Any, **named: Any) -> None:
            if left:
                raise RuntimeError(left.pop())
            super().__init__(*given, **named)

    monkeypatch.setattr("tuning.storage.PatientDatabase", Met)
    open_storage(file_url(tmp_path / "new.db")).engine.dispose()  # type: ignore[attr-defined]
    assert left == []


@pytest.mark.slow
def test_four_processes_fifty_times_on_a_file(tmp_path: Path) -> None:
    url, names = file_url(tmp_path / "new.db"), [f"study-{number}" for number in range(50)]
    in_processes(4, url, names, 32)
    check(url, names, 32)


@pytest.mark.slow
def test_four_processes_fifty_times_on_postgresql() -> None:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    from tests.tuning.postgresql import binaries, server

    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed")
    with server(programs) as url:
        names = [f"study-{number}" for number in range(50)]
        in_processes(4, url, names, 32)
        check(url, names, 32)


@pytest.mark.parametrize("kind", ["memory", "journal"])
def test_any_storage_of_optunas_gives_one_process_the_turn(kind: str, tmp_path: Path) -> None:
    journal = JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    storage = InMemoryStorage() if kind == "memory" else journal
    inside, most = [], 0

    def take() -> None:
        nonlocal most
        with turn(storage, "name", 60):
            inside.append(None)
            most = max(most, len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert optuna.get_all_study_names(storage) == []


@pytest.mark.parametrize("named", [True, False])
def test_offer_of_a_process_that_died_halfway_is_completed(tmp_path: Path, named: bool) -> None:
    work_list = work_list_in(tmp_path, grace=120.0 if named else 0.3)
    work_list.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"task": "0"}))
    left = work_list.storage.create_new_study([StudyDirection.MAXIMIZE], "tasks-offering")
    if named:
        work_list.storage.set_study_user_attr(left, "owner", ended())
    began = time.monotonic()
    work_list.offer(NAMES)
    assert time.monotonic() - began < 20
    assert states(work_list) == [(name, "WAITING") for name in NAMES]
    assert optuna.get_all_study_names(work_list.storage) == ["tasks"]


def test_duplicates_are_closed_and_the_one_that_counts_is_not(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    work_list.offer(NAMES)
    for name in ("0", "1", "1"):
        work_list.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"task": name}))
    work_list.refresh()
    claim = work_list.claim(["0"], lambda _: True)
    assert claim is not None
    work_list.refresh()
    work_list.close_duplicates()
    assert states(work_list) == [("0", "RUNNING"), ("1", "WAITING"), ("2", "WAITING"),
                             ("0", "FAIL"), ("1", "FAIL"), ("1", "FAIL")]  # fmt: skip
    assert work_list.outcome("1") is None  # what was closed is no failure
    work_list.retry_lost(0)
    assert len(states(work_list)) == 6


def test_who_finds_the_first_attempt_taken_does_not_take_its_duplicate(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    work_list.offer(["0"])
    work_list.study.add_trial(create_trial(state=TrialState.WAITING, user_attrs={"task": "0"}))
    work_list.refresh()
    other = work_list_in(tmp_path)
    other.refresh()
    assert other.claim(["0"], lambda _: True) is not None
    assert work_list.claim(["0"], lambda _: True) is None


def test_task_given_up_by_a_process_that_died_then_waits_again(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path)
    work_list.offer(NAMES)
    claim = work_list.claim(NAMES, lambda _: True)
    assert claim is not None
    work_list.storage.set_trial_state_values(claim.trial_id, TrialState.FAIL)
    for looks in (3, 4):  # at the first look another process may be about to add it
        work_list.refresh()
        work_list.retry_lost(0)
        assert len(states(work_list)) == looks
    assert states(work_list)[-1] == ("0", "WAITING")


def test_claim_without_a_name_is_tried_again(tmp_path: Path) -> None:
    work_list = work_list_in(tmp_path, grace=0.6)
    work_list.offer(NAMES)
    trial = work_list.study.get_trials()[0]
    work_list.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    deadline = time.monotonic() + 30
    while ("0", "FAIL") not in states(work_list):
        assert time.monotonic() < deadline
        work_list.refresh()
        work_list.retry_lost(30)
        time.sleep(0.1)
    assert states(work_list)[-1] == ("0", "WAITING")


def test_what_is_waited_for_is_said_once_with_the_time(tmp_path: Path) -> None:
    said: list[str] = []
    work_list = work_list_in(tmp_path, grace=60.0, said=said)
    work_list.offer(NAMES)
    work_list.storage.set_trial_state_values(
        work_list.study.get_trials()[0]._trial_id, TrialState.RUNNING
    )
    began = time.monotonic()
    while time.monotonic() - began < 2.6:
        work_list.refresh()
        work_list.retry_lost(30)
        time.sleep(0.2)
    (line,) = said
    assert "task 0 of tasks, claimed by a process that left no name" in line
    assert line.startswith("Waiting until ")


def test_two_processes_never_both_claim_a_trial_of_a_file(tmp_path: Path) -> None:
    first, second = work_list_in(tmp_path), work_list_in(tmp_path)
    names = [str(number) for number in range(30)]
    first.offer(names)
    second.refresh()
    barrier, won = threading.Barrier(2), []

    def claim_all(work_list: WorkList) -> None:
        for name in names:
            barrier.wait()
            if work_list.claim([name], lambda _: True):
                won.append(name)

    threads = [threading.Thread(target=claim_all, args=(t,)) for t in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(names)
