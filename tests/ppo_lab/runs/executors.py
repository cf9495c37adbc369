"""Executors beside production's: cheap workers, and a second way of getting tasks done."""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from loky import ProcessPoolExecutor

from ppo_lab.runs.executor import Death

T = TypeVar("T")


def light_worker() -> ProcessPoolExecutor:
    """A worker of the pool's that does not import torch before its first task."""
    return ProcessPoolExecutor(1, timeout=20.0)


class InThisProcess(Generic[T]):
    """An executor that does one task after the other when it is asked what is finished."""

    run_timeout: float | None = None
    where = ""

    def __init__(self) -> None:
        self._queue: deque[tuple[object, Callable[..., T], tuple[object, ...]]] = deque()

    @property
    def busy(self) -> int:
        return len(self._queue)

    @property
    def free(self) -> int:
        return 1 - self.busy

    def oldest(self) -> tuple[object, float] | None:
        return (self._queue[0][0], 0.0) if self._queue else None

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        self._queue.append((key, function, arguments))

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        if not self._queue:
            return []
        key, function, arguments = self._queue.popleft()
        return [(key, function(*arguments))]

    def close(self) -> None:
        self._queue.clear()


class ProcessPerTask(Generic[T]):
    """An executor that starts a process for each task, and keeps none."""

    def __init__(self, jobs: int, run_timeout: float | None = None) -> None:
        self.run_timeout = run_timeout
        self._jobs = jobs
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["pytest", "ppo_lab.runs.worker_pool"])
        self._queue: deque[tuple[object, tuple[Any, ...]]] = deque()
        self._at_work: dict[Connection, tuple[object, Any, float]] = {}

    @property
    def busy(self) -> int:
        return len(self._queue) + len(self._at_work)

    @property
    def free(self) -> int:
        return self._jobs - self.busy

    @property
    def where(self) -> str:
        return ""

    def oldest(self) -> tuple[object, float] | None:
        begun = [(started, key) for key, _, started in self._at_work.values()]
        if not begun:
            return None
        started, key = min(begun, key=lambda each: each[0])
        return key, time.monotonic() - started

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        self._queue.append((key, (function, *arguments)))
        self._start()

    def _start(self) -> None:
        while self._queue and len(self._at_work) < self._jobs:
            key, call = self._queue.popleft()
            receiver, sender = self._context.Pipe(duplex=False)
            process = self._context.Process(target=carry_out, args=(sender, *call))
            process.start()
            sender.close()
            self._at_work[receiver] = key, process, time.monotonic()

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        results: list[tuple[object, T | Death]] = []
        for receiver in wait(list(self._at_work), timeout):
            assert isinstance(receiver, Connection)
            key, process, _ = self._at_work.pop(receiver)
            try:
                raised, outcome = receiver.recv()
            except EOFError:
                process.join()
                raised, outcome = False, self._death(process.exitcode)
            if raised:
                raise outcome
            results.append((key, outcome))
        self._start()
        return results

    def _death(self, code: int) -> Death:
        if code >= 0:
            return Death(f"exit code {code}")
        name = signal.Signals(-code).name
        return Death(name, overdue=self.run_timeout is not None and name == "SIGALRM")

    def close(self) -> None:
        self._queue.clear()
        for _, process, _ in self._at_work.values():
            process.kill()
            process.join()
        self._at_work.clear()


def carry_out(sender: Connection, function: Callable[..., Any], *arguments: object) -> None:
    """Do a task in its process, and send (whether it raised, what came of it)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        answer = False, function(*arguments)
    except Exception as error:
        answer = True, error
    sender.send(answer)


class AtOnce(Generic[T]):
    """An executor that does each task in this process, as it is submitted."""

    run_timeout: float | None = None

    def __init__(self) -> None:
        self._done: list[tuple[object, T | Death]] = []

    @property
    def busy(self) -> int:
        return len(self._done)

    @property
    def free(self) -> int:
        return 1

    def oldest(self) -> tuple[object, float] | None:
        return None

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        self._done.append((key, function(*arguments)))

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._done.clear()
