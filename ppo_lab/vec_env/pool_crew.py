"""The workers of a pool together: what is said to all, what is heard from all, and who failed."""

import os
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ppo_lab.errors import WorkerError
from ppo_lab.vec_env.pool_arrays import IDLE, SharedFile
from ppo_lab.vec_env.pool_processes import WorkerProcess, ended, own_error, raised
from ppo_lab.vec_env.pool_worker import Failure

__all__ = ["Crew"]


class Crew:
    """All workers of a pool: begun together, ended together.

    Args:
        method: how processes are started, one of ``multiprocessing``'s.
        makers: cloudpickled, each makes an environment.
        shares: the indices of each worker's environments.
        file: memory for the arrays.
        timeout: seconds that all may take for one thing; None: no limit.

    Attributes:
        workers: none once it is closed.
        at_work: (W,) the environment that a worker is busy with, or ``IDLE``; None: not known yet.

    Raises:
        WorkerError: an environment could not be made.
    """

    def __init__(
        self,
        method: str,
        makers: Sequence[bytes],
        shares: Sequence[range],
        file: SharedFile,
        timeout: float | None,
    ) -> None:
        self.workers: list[WorkerProcess] = []
        self.at_work: npt.NDArray[np.int32] | None = None
        self._timeout = timeout
        self._over = ""
        """Why nothing more can be asked of it."""
        self._whole = True
        """False while something is said that must be heard, or half heard."""
        self._heard: list[Any] | None = None
        """What was heard of the step under way; None: none is."""
        # It holds no reference to the crew, which so may be collected.
        self._end = weakref.finalize(self, ended, self.workers, os.getpid())
        try:
            for number, share in enumerate(shares):
                own = makers[share.start : share.stop]
                self.workers.append(
                    WorkerProcess(method, number, share.start, own, file, self.workers)
                )
            for worker in self.workers:
                self._see_made(worker)
        except BaseException:
            self.close()
            raise

    def _see_made(self, worker: WorkerProcess) -> None:
        """Wait until a worker's environments are made; it says so before each and at the end."""
        begun = worker.environments
        self._hear(worker, None, "while its process was started", begun[0])
        for index in begun:
            failure = self._hear(worker, self._deadline(), "while it was made", index)
            if failure is not None:
                self._fail(raised(failure))

    # ------------------------------------------------------------------ a step

    @property
    def is_stepping(self) -> bool:
        """Whether a step is under way that was not taken."""
        return self._heard is not None

    def begin_step(self, command: bytes) -> None:
        """Let all workers begin a step; there must be none under way."""
        self.check_open()
        self._whole = False
        for worker in self.workers:
            worker.tell(command)
        self._heard, self._whole = [], True

    def settle(self) -> None:
        """Hear what every worker says of the step under way, if there is one, and keep it.

        Ctrl-C while it waits loses nothing: whoever comes next waits on.

        Raises:
            WorkerError: an environment failed; the crew is closed.
        """
        self.check_open()
        if self._heard is None:
            return
        deadline = self._deadline()
        for worker in self.workers[len(self._heard) :]:
            self._wait(worker, deadline, "while it was stepped")
            self._whole = False
            answer = self._taken(worker, "while it was stepped")
            if isinstance(answer, Failure):
                self._fail(raised(answer))
            self._heard.append(answer)
            self._whole = True

    def take_step(self) -> list[Any]:
        """What every worker says of the step under way, once."""
        self.settle()
        assert self._heard is not None
        heard, self._heard = self._heard, None
        return heard

    # ------------------------------------------------------------------ calls

    def call(
        self,
        name: str,
        arguments: Callable[[WorkerProcess], Sequence[Any]],
        among: Sequence[WorkerProcess] | None = None,
        *,
        fatal: bool = False,
    ) -> list[Any]:
        """Call a method of each worker, all at once, after the step under way.

        Args:
            name: the method's.
            arguments: what each is given.
            among: who is asked; None: all.
            fatal: whether the crew is closed when an environment raises.

        Returns:
            What each answered.

        Raises:
            WorkerError: a process died or hangs, or an environment raised something ``fatal``.
            Exception: what an environment raised.
        """
        self.settle()
        asked, doing = self.workers if among is None else among, f"in {name}"
        packed = [arguments(worker) for worker in asked]
        self._whole = False
        for worker, given in zip(asked, packed, strict=True):
            worker.call(name, *given)
        deadline = self._deadline()
        answers = [self._hear(worker, deadline, doing) for worker in asked]
        self._whole = True
        for answer in answers:
            if isinstance(answer, Failure):
                if fatal:
                    self._fail(raised(answer))
                raise own_error(answer)
        return answers

    # ------------------------------------------------------------------ waiting

    def _deadline(self) -> float | None:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _hear(
        self, worker: WorkerProcess, deadline: float | None, doing: str, index: int | None = None
    ) -> Any:
        self._wait(worker, deadline, doing, index)
        return self._taken(worker, doing, index)

    def _wait(
        self, worker: WorkerProcess, deadline: float | None, doing: str, index: int | None = None
    ) -> None:
        try:
            if worker.wait(deadline):
                return
        except EOFError:
            self._mourn(worker, doing, index)
        index = self._busy(worker) if index is None else index
        what = worker.name if index is None else f"environment {index}"
        self._fail(
            WorkerError(
                f"{what} did not answer within timeout={self._timeout:g} seconds {doing}: "
                "its process was ended",
                index,
            ),
            worker,
        )

    def _taken(self, worker: WorkerProcess, doing: str, index: int | None = None) -> Any:
        try:
            return worker.hear()
        except (EOFError, ConnectionError):
            self._mourn(worker, doing, index)

    def _busy(self, worker: WorkerProcess) -> int | None:
        """The environment that a worker is busy with, if any."""
        index = IDLE if self.at_work is None else int(self.at_work[worker.number])
        return None if index == IDLE else index

    def _mourn(self, worker: WorkerProcess, doing: str, index: int | None) -> NoReturn:
        index = self._busy(worker) if index is None else index
        end = worker.end_in_words
        if index is None:
            of = worker.environments
            which = f"environments {of[0]} to {of[-1]}" if len(of) > 1 else f"environment {of[0]}"
            message = f"{which}: {worker.name} {end}, with no environment at work"
        else:
            message = f"environment {index}: {worker.name} {end} {doing}"
        self._fail(WorkerError(message, index), worker)

    # ------------------------------------------------------------------ the end

    def check_open(self) -> None:
        """Check that something can be asked of it.

        Raises:
            WorkerError: it is closed; says why.
        """
        if not self._whole and not self._over:
            self._over = "it was interrupted in the midst of an answer"
            self.close()
        if self._over:
            raise WorkerError(f"the pool of environments is closed, because {self._over}")

    def _fail(self, error: WorkerError, failed: WorkerProcess | None = None) -> NoReturn:
        self._over = str(error)
        ended(self.workers, os.getpid(), failed, patient=False)
        raise error

    def close(self) -> None:
        """End all processes; once is enough."""
        self._over = self._over or "it was closed"
        self._end()
