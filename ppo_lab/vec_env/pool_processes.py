"""Worker processes of a pool as their parent sees them: begun, told, waited for, ended."""

import multiprocessing
import os
import pickle
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import cloudpickle

from ppo_lab.errors import ArgumentError, WorkerError
from ppo_lab.vec_env.pool_arrays import SharedFile
from ppo_lab.vec_env.pool_worker import ANSWER, CALL, LEAVE, Failure, work

__all__ = [
    "WorkerProcess",
    "ended",
    "own_error",
    "raised",
    "start_method_of",
    "startable_processes",
]

LOOK_MILLISECONDS = 1000
"""How often a parent that waits looks whether the process still lives; a pipe's end says so
sooner, unless another process holds it."""
CLOSING_SECONDS = 10.0
FAILED_SECONDS = 2.0
"""How long environments may take to close: all; those beside one that failed."""


class WorkerProcess:
    """One worker process.

    Args:
        method: how it is started, one of ``multiprocessing``'s.
        number: which worker of the pool it is.
        first: index of its first environment.
        makers: cloudpickled, each makes one of its environments.
        file: memory for the arrays.
        others: the workers that were started before.

    Attributes:
        number: which worker of the pool it is.
        environments: their indices.
    """

    def __init__(
        self,
        method: str,
        number: int,
        first: int,
        makers: Sequence[bytes],
        file: SharedFile,
        others: Sequence["WorkerProcess"],
    ) -> None:
        context: Any = multiprocessing.get_context(method)
        self.number = number
        self.environments = range(first, first + len(makers))
        theirs, self._commands = context.Pipe(duplex=False)
        self._answers, own = context.Pipe(duplex=False)
        ends = [end for other in others for end in (other._commands, other._answers)]
        inherited = [*ends, self._commands, self._answers] if method == "fork" else []
        arguments = (first, number, makers, theirs, own, file, inherited)
        self._process = context.Process(target=work, args=arguments, daemon=True)
        try:
            with startable_processes():
                self._process.start()
        except BaseException:
            self._commands.close()
            self._answers.close()
            raise
        finally:
            theirs.close()
            own.close()
        self._told, self._heard = self._commands.fileno(), self._answers.fileno()
        self._poll = select.poll()
        self._poll.register(self._heard, select.POLLIN)

    def tell(self, command: bytes) -> None:
        """Say one of the commands that need no arguments."""
        try:  # noqa: SIM105 - suppress takes a microsecond, at every step
            os.write(self._told, command)
        except BrokenPipeError:
            pass  # it is dead; whoever waits for its answer will see

    def call(self, name: str, *arguments: Any) -> None:
        """Ask for a call of one of the worker's methods."""
        packed = cloudpickle.dumps((name, arguments))
        with suppress(BrokenPipeError):
            os.write(self._told, CALL)
            self._commands.send_bytes(packed)

    def wait(self, deadline: float | None) -> bool:
        """Wait until it says something, which is then there to be heard.

        Args:
            deadline: on ``time.monotonic``'s clock; None: none.

        Returns:
            Whether it did, before it was too late.

        Raises:
            EOFError: it is dead.
        """
        if deadline is None:
            while not self._poll.poll(LOOK_MILLISECONDS):
                self._check_alive()
            return True
        while (left := deadline - time.monotonic()) > 0.0:
            if self._poll.poll(min(LOOK_MILLISECONDS, 1 + int(1000.0 * left))):
                return True
            self._check_alive()
        return False

    def _check_alive(self) -> None:
        if not self._process.is_alive() and not self._poll.poll(0):
            raise EOFError

    def hear(self) -> Any:
        """What it says, once :meth:`wait` has seen that it does; None: that it is done.

        Raises:
            EOFError: it is dead.
        """
        said = os.read(self._heard, 1)
        if not said:
            raise EOFError
        return pickle.loads(self._answers.recv_bytes()) if said == ANSWER else None

    @property
    def end_in_words(self) -> str:
        """How a process ended that is dead."""
        self._process.join(FAILED_SECONDS)
        code = self._process.exitcode
        if code is None:
            return "closed its pipe"
        if code < 0:
            return f"was ended by {_signal_name(-code)}"
        return f"left with exit code {code}"

    @property
    def name(self) -> str:
        """The process, for a message."""
        return f"its worker process {self._process.pid}"

    def leave(self) -> None:
        """Tell it to close its environments and end; what it was about to say is lost."""
        self.tell(LEAVE)
        self._commands.close()
        self._answers.close()

    def join(self, deadline: float) -> None:
        """Wait for its end until a deadline, and then end it."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._process.close()

    def kill(self) -> None:
        """End it at once; :meth:`join` is still to be called."""
        self._process.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def ended(
    workers: list[WorkerProcess],
    owner: int,
    failed: WorkerProcess | None = None,
    *,
    patient: bool = True,
) -> None:
    """End all workers of a pool, and take them off the list.

    Args:
        workers: those that there are.
        owner: id of the process that started them; a fork of it has no part in them.
        failed: one that cannot be asked to leave.
        patient: whether environments are given much time to close.
    """
    if os.getpid() != owner:
        return
    leaving, workers[:] = list(workers), []
    for worker in leaving:
        if worker is failed:
            worker.kill()
        worker.leave()
    deadline = time.monotonic() + (CLOSING_SECONDS if patient else FAILED_SECONDS)
    for worker in leaving:
        worker.join(deadline)


class _RemoteError(Exception):
    """The traceback of another process, shown as the cause of what is raised in this one."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def raised(failure: Failure) -> WorkerError:
    """The error of an environment that failed."""
    error = WorkerError(f"environment {failure.index} raised {failure.said}", failure.index)
    error.__cause__ = _RemoteError(failure.trace)
    return error


def own_error(failure: Failure) -> BaseException:
    """The environment's own exception where it can be had, with its traceback."""
    error = failure.error
    if error is None or not isinstance(error, Exception):
        return raised(failure)
    error.add_note(f"raised in environment {failure.index} of the pool")
    error.__cause__ = _RemoteError(failure.trace)
    return error


def start_method_of(wish: str | None) -> str:
    """How processes are to be started: as wished, or as SB3's ``SubprocVecEnv`` starts them.

    Raises:
        ArgumentError: there is no such way here, or no process can be started.
    """
    known = multiprocessing.get_all_start_methods()
    if not hasattr(select, "poll"):
        raise ArgumentError(
            "a pool of environments needs a POSIX system: use SB3's SubprocVecEnv here"
        )
    if multiprocessing.current_process().daemon:
        raise ArgumentError(
            "this is a daemonic process, which may start no processes: use SB3's DummyVecEnv in it"
        )
    method = wish or ("forkserver" if "forkserver" in known else "spawn")
    if method not in known:
        raise ArgumentError(f"start_method={wish!r}: expected one of {', '.join(known)}")
    return method


@contextmanager
def startable_processes() -> Iterator[None]:
    """Let processes be started that know Python's own ways to start alone.

    In a worker of ``compare`` or ``tune`` the default way is loky's, which a new process is told
    of and does not know.
    """
    method = multiprocessing.get_start_method(allow_none=True)
    if method is None or method in multiprocessing.get_all_start_methods():
        yield
        return
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(method, force=True)
