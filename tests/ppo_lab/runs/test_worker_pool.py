"""Worker processes: what dies, what is tried again, what is left to the next pool."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loky import ProcessPoolExecutor

from ppo_lab.runs import worker_pool as module
from ppo_lab.runs.worker_pool import Death, WorkerPool, time_limit

POOL_SECONDS = 120.0


@pytest.fixture(autouse=True)
def _light_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that do not import torch, and are no other test's."""
    made: list[ProcessPoolExecutor] = []

    def light() -> ProcessPoolExecutor:
        made.append(ProcessPoolExecutor(1))
        return made[-1]

    monkeypatch.setattr(module, "new_worker", light)
    monkeypatch.setattr(module, "_idle", [])
    yield
    for worker in made:
        worker.shutdown(wait=False, kill_workers=True)


@pytest.fixture
def pool() -> Iterator[WorkerPool[object]]:
    made: WorkerPool[object] = WorkerPool(2, run_timeout=0.3)
    yield made
    made.close()


def results(pool: WorkerPool[object]) -> dict[object, object]:
    found: dict[object, object] = {}
    deadline = time.monotonic() + POOL_SECONDS
    while pool.busy:
        assert time.monotonic() < deadline
        found.update(pool.finished(1.0))
    return found


def nothing() -> None:
    """A result like any other."""


def die(how: str, note: Path) -> int:
    """Leaves a byte each time it is tried."""
    with note.open("ab") as file:
        file.write(b"x")
    if how == "once" and note.stat().st_size > 1:
        return 7
    if how in ("exit", "once"):
        os._exit(3)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def alone(folder: Path, name: str, seconds: float) -> int:
    """How many were at work at most when this one began and when it ended."""
    (folder / name).touch()
    at_first = len(list(folder.iterdir()))
    time.sleep(seconds)
    at_last = len(list(folder.iterdir()))
    (folder / name).unlink()
    return max(at_first, at_last)


def hang() -> None:
    with time_limit(0.3):
        time.sleep(POOL_SECONDS)


def in_time() -> int:
    with time_limit(0.3):
        pass
    time.sleep(0.5)
    return 1


def refuse() -> None:
    raise ValueError("not this one")


def test_death_is_its_own_tasks_and_is_tried_once_more(
    pool: WorkerPool[object], tmp_path: Path
) -> None:
    for how in ("exit", "killed", "once"):
        pool.submit(how, die, how, tmp_path / how)
    for i in range(4):
        pool.submit(i, nothing)
    pool.submit("hang", hang)
    pool.submit("in time", in_time)
    found = results(pool)
    assert found == {
        "exit": Death("exit code 3"),
        "killed": Death("SIGKILL"),
        "once": 7,
        "hang": Death("SIGALRM", overdue=True),
        "in time": 1,
        **dict.fromkeys(range(4)),
    }
    assert {how: (tmp_path / how).stat().st_size for how in ("exit", "killed", "once")} == {
        "exit": 2,
        "killed": 2,
        "once": 2,
    }


def die_or_count(folder: Path, note: Path) -> int:
    """Dies the first time; the second time it counts who else is at work."""
    if not note.exists():
        note.touch()
        os._exit(1)
    return alone(folder, "again", 0.5)


def test_what_is_tried_again_is_alone(pool: WorkerPool[object], tmp_path: Path) -> None:
    (at_work := tmp_path / "at work").mkdir()
    pool.submit("dies", die_or_count, at_work, tmp_path / "note")
    pool.submit("long", alone, at_work, "long", 4.0)  # a new worker has begun by then
    pool.submit("next", alone, at_work, "next", 0.5)
    found = results(pool)
    assert found.pop("dies") == 1
    assert set(found) == {"long", "next"}


def test_error_of_a_task_is_raised_and_ends_the_pool(pool: WorkerPool[object]) -> None:
    pool.submit("refused", refuse)
    with pytest.raises(ValueError, match="not this one"):
        results(pool)
    assert pool.busy == 0


def test_idle_workers_are_the_next_pools_where_modules_are_found_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def process() -> object:
        one: WorkerPool[int] = WorkerPool(1)
        one.submit("pid", os.getpid)
        [(_, pid)] = one.finished(POOL_SECONDS)
        one.close()
        return pid

    first = process()
    assert process() == first
    monkeypatch.syspath_prepend(tmp_path)
    assert process() != first


def test_closing_ends_what_is_at_work_at_once() -> None:
    pool: WorkerPool[None] = WorkerPool(1)
    pool.submit("sleeps", time.sleep, POOL_SECONDS)
    began = time.monotonic()
    while pool.oldest() is None:
        time.sleep(0.01)
    pool.close()
    assert time.monotonic() - began < POOL_SECONDS / 2
    assert pool.busy == 0
    assert pool.oldest() is None
