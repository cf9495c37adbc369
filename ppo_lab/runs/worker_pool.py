"""Worker processes: each of its own, so that one that dies takes nothing else with it."""

import os
import re
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from loky import ProcessPoolExecutor

from ppo_lab.runs.executor import Death

__all__ = ["WorkerPool", "is_worker", "new_worker", "time_limit"]

T = TypeVar("T")
Start = Callable[[], ProcessPoolExecutor]

ORPHAN_CHECK_SECONDS = 1.0
IDLE_SECONDS = 60.0
"""Workers are kept for the next batch of runs: starting one costs as much as a short run."""
AHEAD = 1
"""Tasks prepared beyond the workers: preparing one may take as long as a short run."""
_EXIT_CODE = re.compile(r"\{(\w+)\((-?\d+)\)")
"""What loky says of a worker that has ended: ``{SIGKILL(-9)}``, ``{EXIT(3)}``."""


@dataclass(eq=False)
class _Task:
    key: object
    call: tuple[Any, ...]
    """A function and its arguments."""
    began: float = 0.0


class WorkerPool(Generic[T]):
    """An executor: worker processes of this machine that are kept busy.

    Args:
        jobs: worker processes, ≥ 1.
        run_timeout: what the tasks give to :func:`time_limit`; None: nothing.
        start: makes a worker; None: :func:`new_worker`.
    """

    def __init__(
        self, jobs: int, run_timeout: float | None = None, start: Start | None = None
    ) -> None:
        self.jobs = jobs
        self.run_timeout = run_timeout
        self._start = start or new_worker
        self._queue: deque[_Task] = deque()
        self._at_work: dict[_Task, ProcessPoolExecutor | None] = {}
        self._outcomes: deque[tuple[_Task, T | Death | BaseException]] = deque()
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._closed = False
        self._killed: set[ProcessPoolExecutor] = set()

    @property
    def busy(self) -> int:
        """How many tasks have been submitted and not come back."""
        with self._changed:
            return sum(map(len, (self._queue, self._at_work, self._outcomes)))

    @property
    def free(self) -> int:
        """How many more it takes: one each worker, and one that waits for the next free one."""
        return self.jobs + AHEAD - self.busy

    @property
    def where(self) -> str:
        """This machine needs no word."""
        return ""

    def oldest(self) -> tuple[object, float] | None:
        """Key and seconds of the task that has been at work for longest; None: none is."""
        with self._changed:
            task = min(self._at_work, key=lambda each: each.began, default=None)
        return None if task is None else (task.key, time.monotonic() - task.began)

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        """Begin a task, or let it wait for a worker; see :meth:`Executor.submit`."""
        with self._changed:
            self._queue.append(_Task(key, (function, *arguments)))
            if len(self._threads) < min(self.jobs, self.busy):
                # Whatever holds a worker is as many threads: the next task waits for no other.
                self._threads.append(threading.Thread(target=self._serve, daemon=True))
                self._threads[-1].start()
            self._changed.notify_all()

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        """The tasks that have come back; see :meth:`Executor.finished`."""
        with self._changed:
            self._changed.wait_for(lambda: self._outcomes, timeout)
            outcomes = list(self._outcomes)
            self._outcomes.clear()
        results: list[tuple[object, T | Death]] = []
        for task, outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            results.append((task.key, outcome))
        return results

    def close(self) -> None:
        """End the workers that are at work; idle ones are there for the next pool, for a while.

        What had not finished leaves no run folder.
        """
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._outcomes.clear()
            for worker in self._at_work.values():
                if worker is not None:
                    self._kill(worker)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _kill(self, worker: ProcessPoolExecutor) -> None:
        self._killed.add(worker)
        worker.shutdown(wait=False, kill_workers=True)

    def _serve(self) -> None:
        """Pass tasks to one worker process, and to another one in its place when it dies."""
        worker: ProcessPoolExecutor | None = None
        outcome: T | Death | BaseException
        while (task := self._next()) is not None:
            try:
                worker, outcome = self._carried_out(task, worker or _idle_worker(self._start))
            except BaseException as error:  # the task's; whoever waits for it shall see it
                worker, outcome = self._at_work[task], error
            with self._changed:
                del self._at_work[task]
                if self._closed:
                    break
                self._outcomes.append((task, outcome))
                self._changed.notify_all()
        if worker is not None and worker not in self._killed:
            with _idle_lock:
                _idle.append((self._start, list(sys.path), worker))

    def _next(self) -> _Task | None:
        """The next task, as soon as there is one that may begin; None: the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if self._closed:
                return None
            task = self._queue.popleft()
            task.began = time.monotonic()
            self._at_work[task] = None
            return task

    def _carried_out(
        self, task: _Task, worker: ProcessPoolExecutor
    ) -> tuple[ProcessPoolExecutor | None, T | Death]:
        """The worker, if it lives, and the task's outcome."""
        try:
            future = worker.submit(*task.call)
        except BrokenExecutor:  # it died while it had nothing to do
            worker = self._start()
            future = worker.submit(*task.call)
        with self._changed:
            self._at_work[task] = worker
            if self._closed:
                self._kill(worker)
        try:
            outcome: T = future.result()
        except BrokenExecutor as error:
            worker.shutdown(wait=False)
            ended = _EXIT_CODE.search(str(error))
            name, code = ended.groups() if ended else ("", "")
            overdue = self.run_timeout is not None and name == "SIGALRM"
            return None, Death(f"exit code {code}" if name == "EXIT" else name, overdue)
        return worker, outcome


_idle: list[tuple[Start, list[str], ProcessPoolExecutor]] = []
_idle_lock = threading.Lock()


def new_worker() -> ProcessPoolExecutor:
    """A process of its own, started with its first task."""
    return ProcessPoolExecutor(
        1,
        timeout=IDLE_SECONDS,
        initializer=_initialize_worker,
        initargs=(os.getpid(),),
        # A worker that crashes is one line of its run; loky would dump every thread's stack.
        env={"PYTHONFAULTHANDLER": os.environ.get("PYTHONFAULTHANDLER", "")},
    )


def _idle_worker(start: Start) -> ProcessPoolExecutor:
    """One that an earlier pool has left, or a new one; it finds modules where this process does."""
    with _idle_lock:
        while _idle:
            made_by, path, worker = _idle.pop()
            if (made_by, path) == (start, sys.path):
                return worker
            worker.shutdown(wait=False)
    return start()


_is_worker = False


def is_worker() -> bool:
    """Whether this process is a worker of a pool, beside others that have a core each."""
    return _is_worker


def _initialize_worker(parent: int) -> None:
    """Make a new process a worker: it ends with its parent, and with nobody else."""
    global _is_worker
    _is_worker = True
    # Ctrl-C reaches the whole process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A quarter of SB3's time per step, and no number changes: what is not finite is looked for
    # where it comes in (FiniteGuard) and where it would be learned from (SpecPPO).
    # Imported here: it takes 1.4 s, for which whoever starts workers need not wait.
    from torch.distributions import Distribution

    Distribution.set_default_validate_args(False)
    # What a constructor warns of is shown once, where the first of many runs is checked.
    warnings.simplefilter("ignore", UserWarning)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this worker when its parent has been killed and can no longer end it."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_CHECK_SECONDS)
    os._exit(1)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """End this worker process if the block takes longer, whatever it hangs in.

    Args:
        seconds: wall-clock time; None: no limit.
    """
    if seconds is None:
        yield
        return
    # The system itself ends the process: Python's handlers wait for the code that hangs.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
