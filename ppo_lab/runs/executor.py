"""Getting tasks done: what an executor is, and the second try of a task whose worker died."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ppo_lab.interruption import raise_if_stopped

__all__ = ["Death", "Executor", "Retrying", "as_completed"]

T = TypeVar("T")
_Submitted = tuple[Any, ...]
"""A key, a function and its arguments."""

POLL_SECONDS = 1.0
"""Between two looks at what has been running for long."""


@dataclass(frozen=True)
class Death:
    """What a task came to whose worker died.

    Attributes:
        how: by which signal or with which exit code; empty where the system does not say.
        overdue: it took longer than ``run_timeout``; else every try of it died.
        tries: how often it was tried; on this machine twice, the second time alone.
    """

    how: str
    overdue: bool = False
    tries: int = 2

    def reason(self, env: str, run_timeout: float | None) -> str:
        """One line.

        Args:
            env: the environment's id.
            run_timeout: the executor's.
        """
        if self.overdue:
            return f"{env} did not finish within {run_timeout:g} s (--run-timeout)"
        how = self.how or "killed, or out of memory"
        if self.tries == 2:
            return f"the worker process died twice ({how})"
        return f"it was lost {self.tries} times, with its worker or its node, the last time: {how}"


class Executor(Protocol[T]):
    """Whatever carries tasks out.

    Worker processes of this machine, of a cluster, or of all machines that share a storage.
    It says of a task once what it came to; a worker that dies takes its own task with it and no
    other. Whoever submits closes it in the end, whatever has happened.
    """

    @property
    def run_timeout(self) -> float | None:
        """Seconds: a worker that ends by ``time_limit`` is overdue. None: there is no limit."""

    @property
    def busy(self) -> int:
        """How many tasks have been submitted and not come back."""

    @property
    def free(self) -> int:
        """How many more tasks there is use for now; not positive: none."""

    @property
    def where(self) -> str:
        """Who is at work, for the progress; empty: worker processes of this machine alone."""

    def oldest(self) -> tuple[object, float] | None:
        """Key and seconds of the task that has been at work for longest; None: none is."""

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        """Begin a task, or let it wait for a worker.

        Args:
            key: names it when it comes back; hashable, of no other task that has not.
            function: a module's, called in a worker.
            arguments: the function's.
        """

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        """The tasks that have come back, after waiting for at least one up to a timeout.

        Args:
            timeout: seconds.

        Raises:
            Exception: what a task raised.
        """

    def close(self) -> None:
        """End what is at work, and forget what waits; nothing is busy afterwards."""


class Retrying(Generic[T]):
    """An executor that tries a task whose worker dies once more, alone.

    What killed it from outside or left it without memory has then passed, and no other task can
    be the cause. Of a second death, or one that is overdue, it says so.

    Args:
        executor: carries the tasks out.
    """

    def __init__(self, executor: Executor[T]) -> None:
        self.run_timeout = executor.run_timeout
        self.oldest = executor.oldest
        self._executor = executor
        self._queue: deque[_Submitted] = deque()
        self._again: deque[_Submitted] = deque()
        self._begun: dict[object, _Submitted] = {}
        self._alone = False

    @property
    def busy(self) -> int:
        """How many tasks have been submitted and not come back."""
        return len(self._queue) + len(self._again) + self._executor.busy

    @property
    def free(self) -> int:
        """How many more tasks there is use for now."""
        return self._executor.free - len(self._queue) - len(self._again)

    @property
    def where(self) -> str:
        """See :attr:`Executor.where`."""
        return self._executor.where

    def submit(self, key: object, function: Callable[..., T], *arguments: object) -> None:
        """See :meth:`Executor.submit`."""
        self._queue.append((key, function, *arguments))
        self._pass_on()

    def finished(self, timeout: float) -> list[tuple[object, T | Death]]:
        """The tasks that have come back for good; see :meth:`Executor.finished`."""
        results: list[tuple[object, T | Death]] = []
        for key, outcome in self._executor.finished(timeout):
            task = self._begun.pop(key)
            if isinstance(outcome, Death) and not outcome.overdue and not self._alone:
                self._again.append(task)
            else:
                results.append((key, outcome))
            self._alone = False
        self._pass_on()
        return results

    def close(self) -> None:
        """See :meth:`Executor.close`."""
        self._executor.close()
        self._alone = False
        for tasks in (self._queue, self._again, self._begun):
            tasks.clear()

    def _pass_on(self) -> None:
        if self._again and not self._executor.busy:
            self._alone = True
            self._begin(self._again.popleft())
        while self._queue and not self._again and not self._alone and self._executor.free > 0:
            self._begin(self._queue.popleft())

    def _begin(self, task: _Submitted) -> None:
        self._begun[task[0]] = task
        self._executor.submit(*task)


def as_completed(
    executor: Executor[T], waiting: Callable[[str, float], None] | None = None
) -> Iterator[tuple[object, T | Death]]:
    """All that was submitted, as it comes back, until nothing is busy.

    Args:
        executor: where it was submitted.
        waiting: told which task has been at work for longest, and for how many seconds.

    Yields:
        (key, what it came to).

    Raises:
        KeyboardInterrupt: the user has stopped the process.
    """
    while executor.busy:
        raise_if_stopped()
        yield from executor.finished(POLL_SECONDS)
        oldest = executor.oldest()
        if waiting is not None and oldest is not None:
            waiting(str(oldest[0]), oldest[1])
