"""Worker processes that are kept: for whom, and what becomes of one that dies while it waits."""

import os
import threading
import time
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

import pytest
from loky import ProcessPoolExecutor

from ppo_lab.runs.executor import Death
from ppo_lab.runs.worker_pool import WorkerPool
from tests.ppo_lab.runs.executors import light_worker

POOL_SECONDS = 120.0


def process(pool: WorkerPool[Any]) -> object:
    """The number of the process that a pool's one worker is; the pool is closed."""
    pool.submit("pid", os.getpid)
    [(_, pid)] = pool.finished(POOL_SECONDS)
    pool.close()
    return pid


def another() -> ProcessPoolExecutor:
    return light_worker()


def test_idle_workers_are_the_next_pools_of_their_kind_where_modules_are_found_alike(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = process(WorkerPool(1, start=light_worker))
    assert process(WorkerPool(1, start=light_worker)) == first
    second = process(WorkerPool(1, start=another))
    assert second != first
    monkeypatch.syspath_prepend(tmp_path)
    assert process(WorkerPool(1, start=another)) != second


class Gone:
    """A worker that is gone: known before a task is given to it, or while the task is its own."""

    def __init__(self, known: bool) -> None:
        self._known = known

    def submit(self, *_: object) -> Future[None]:
        if self._known:
            raise BrokenExecutor("gone")
        future: Future[None] = Future()
        future.set_exception(BrokenExecutor("gone, in words that no release has used so far"))
        return future

    def shutdown(self, **_: object) -> None: ...


def test_worker_that_died_while_it_had_nothing_to_do_costs_no_task() -> None:
    workers: list[Any] = [Gone(known=True), light_worker()]
    assert isinstance(process(WorkerPool(1, start=lambda: workers.pop(0))), int)
    assert workers == []


def test_death_of_which_it_is_not_said_how_is_one_all_the_same() -> None:
    pool: WorkerPool[None] = WorkerPool(1, 5.0, lambda: Gone(known=False))  # type: ignore[arg-type, return-value]
    pool.submit("task", print)
    assert pool.finished(POOL_SECONDS) == [("task", Death("", overdue=False))]
    pool.close()


def test_worker_that_starts_while_its_pool_is_closed_is_ended_too() -> None:
    starting, closed = threading.Event(), threading.Event()

    def start() -> ProcessPoolExecutor:
        starting.set()
        assert closed.wait(POOL_SECONDS)
        return light_worker()

    pool: WorkerPool[None] = WorkerPool(1, start=start)
    pool.submit("holds", time.sleep, POOL_SECONDS)
    assert starting.wait(POOL_SECONDS)
    closing = threading.Thread(target=pool.close, daemon=True)
    closing.start()
    time.sleep(0.2)  # the pool is closed by then; if not, it is closed with the worker at work
    closed.set()
    closing.join(POOL_SECONDS / 4)
    assert not closing.is_alive()
