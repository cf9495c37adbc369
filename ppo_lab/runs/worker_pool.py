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

__all__ = ["Death", "WorkerPool", "new_worker", "time_limit"]

T = TypeVar("T")

ORPHAN_CHECK_SECONDS = 1.0
IDLE_SECONDS = 60.0
"""Workers are kept for the next batch of runs: starting one costs as much as a short run."""
AHEAD = 1
"""Tasks prepared beyond the workers: preparing one may take as long as a short run."""
_EXIT_CODE = re.compile(r"\{(\w+)\((-?\d+)\)")
"""What loky says of a worker that has ended: ``{SIGKILL(-9)}``, ``{EXIT(3)}``."""


@dataclass(frozen=True)
class Death:
    """What a task came to whose worker died.

    Attributes:
        how: by which signal or with which exit code; empty where the system does not say.
        overdue: it took longer than ``run_timeout``; else it died twice, the second time alone.
    """

    how: str
    overdue: bool = False

    def reason(self, env: str, run_timeout: float | None) -> str:
        """One line.

        Args:
            env: the environment's id.
            run_timeout: the pool's.
        """
        if self.overdue:
            return f"{env} did not finish within {run_timeout:g} s (--run-timeout)"
        return f"the worker process died twice ({self.how or 'killed, or out of memory'})"


@dataclass(eq=False)
class _Task:
    key: object
    call: tuple[Any, ...]
    """A function and its arguments."""
    began: float = 0.0
    again: bool = False


class WorkerPool(Generic[T]):
    """Worker processes that are kept busy; one that dies takes its own task with it and no other.

    A task whose worker dies is tried once more, alone: what killed it from outside or left it
    without memory has then passed, and no other task can be the cause.

    Args:
        jobs: worker processes, ≥ 1.
        run_timeout: what the tasks give to :func:`time_limit`; None: nothing.
    """

    def __init__(self, jobs: int, run_timeout: float | None = None) -> None:
        self.jobs = jobs
        self.run_timeout = run_timeout
        self._queue: deque[_Task] = deque()
        self._again: deque[_Task] = deque()
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
            return sum(map(len, (self._queue, self._again, self._at_work, self._outcomes)))

    @property
    def free(self) -> int:
        """How many more it takes: one each worker, and one that waits for the next free one."""
        return self.jobs + AHEAD - self.busy

    def oldest(self) -> tuple[object, float] | None:
        """Key and seconds of the task that has been at work for longest; None: none is."""
        with self._changed:
            task = min(self._at_work, key=lambda each: each.began, default=None)
        return None if task is None else (task.key, time.monotonic() - task.began)

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        """Begin a task, or let it wait for a worker.

        Args:
            key: names it when it comes back.
            function: a module's, called in a worker process.
            arguments: the function's.
        """
        with self._changed:
            self._queue.append(_Task(key, (function, *arguments)))
            if len(self._threads) < min(self.jobs, self.busy):
                # Whatever holds a worker is as many threads: the next task waits for no other.
                self._threads.append(threading.Thread(target=self._serve, daemon=True))
                self._threads[-1].start()
            self._changed.notify_all()

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        """The tasks that have come back, after waiting for at least one up to a timeout.

        Args:
            timeout: seconds.

        Raises:
            Exception: what a task raised; the workers are killed.
        """
        try:
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
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers that are at work; idle ones are there for the next pool, for a while.

        What had not finished leaves no run folder.
        """
        with self._changed:
            self._closed = True
            for tasks in (self._queue, self._again, self._outcomes):
                tasks.clear()
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
                worker, outcome = self._carried_out(task, worker or _idle_worker())
            except BaseException as error:  # the task's; whoever waits for it shall see it
                worker, outcome = self._at_work[task], error
            with self._changed:
                del self._at_work[task]
                if self._closed:
                    break
                died = isinstance(outcome, Death) and not outcome.overdue
                if died and not task.again:
                    task.again = True
                    self._again.append(task)
                else:
                    self._outcomes.append((task, outcome))
                self._changed.notify_all()
        if worker is not None and worker not in self._killed:
            _keep(worker)

    def _next(self) -> _Task | None:
        """The next task, as soon as there is one that may begin; None: the pool is closed."""
        with self._changed:
            while not self._closed:
                alone = any(task.again for task in self._at_work)
                if self._again and not self._at_work:
                    task = self._again.popleft()
                elif self._queue and not self._again and not alone:
                    task = self._queue.popleft()
                else:
                    self._changed.wait()
                    continue
                task.began = time.monotonic()
                self._at_work[task] = None
                return task
            return None

    def _carried_out(
        self, task: _Task, worker: ProcessPoolExecutor
    ) -> tuple[ProcessPoolExecutor | None, T | Death]:
        """The worker, if it lives, and the task's outcome."""
        try:
            future = worker.submit(*task.call)
        except BrokenExecutor:  # it died while it had nothing to do
            worker = new_worker()
            future = worker.submit(*task.call)
        with self._changed:
            self._at_work[task] = worker
            if self._closed:
                self._kill(worker)
        try:
            outcome: T = future.result()
        except BrokenExecutor as error:
            worker.shutdown(wait=False)
            found = _EXIT_CODE.search(str(error))
            name, code = found.groups() if found else ("", "")
            overdue = self.run_timeout is not None and name == "SIGALRM"
            return None, Death(f"exit code {code}" if name == "EXIT" else name, overdue)
        return worker, outcome


_idle: list[tuple[list[str], ProcessPoolExecutor]] = []
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


def _idle_worker() -> ProcessPoolExecutor:
    """One that an earlier pool has left, or a new one; it finds modules where this process does."""
    with _idle_lock:
        while _idle:
            path, worker = _idle.pop()
            if path == sys.path:
                return worker
            worker.shutdown(wait=False)
    return new_worker()


def _keep(worker: ProcessPoolExecutor) -> None:
    with _idle_lock:
        _idle.append((list(sys.path), worker))


def _initialize_worker(parent: int) -> None:
    """Make a new process a worker: it ends with its parent, and with nobody else."""
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
