"""Compiling in other processes, so that the first use computes what every later one does.

Code compiled in this process is bound to its helpers as they were compiled on their own, code
loaded from disk has copies of them inside: the two may round differently in the last bit. So what
is missing on disk is compiled elsewhere, and loaded from there at once. What is known to be needed
together is compiled side by side, where there is a core for each.
"""

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

__all__ = ["Request", "compiled_apart", "end_compilers", "expected", "is_expecting"]

Request: TypeAlias = tuple[str, str, tuple[Any, ...]]
"""A kernel's module and name, and the types of its arguments."""

HERE = "PPO_LAB_COMPILE_HERE"
"""Set in the environment of a process that compiles for others."""
START = "from ppo_lab.kernels.compiler import serve; serve()"
ENDING_SECONDS = 10.0
"""A compiler that takes longer to end is killed: what it compiled is on disk."""


class Compiler:
    """A process that compiles one request after the other into the cache on disk."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            (sys.executable, "-c", START),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path, HERE: "1"},
        )
        self._waiting: deque[Request] = deque()
        self._answers: dict[Request, bool] = {}

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def knows(self, request: Request) -> bool:
        """Whether it was asked for this before."""
        return request in self._answers or request in self._waiting

    def ask(self, request: Request) -> None:
        """Ask for a kernel, after those that it was asked for before."""
        assert self._process.stdin is not None
        pickle.dump((sys.path, *request), self._process.stdin)
        self._process.stdin.flush()
        self._waiting.append(request)

    def answer(self, request: Request) -> bool:
        """Whether a kernel that was asked for was compiled; waits for it.

        Raises:
            OSError: the process ended.
        """
        assert self._process.stdout is not None
        while request not in self._answers:
            answer = self._process.stdout.read(1)
            if not answer:
                raise OSError("the compiling process ended")
            self._answers[self._waiting.popleft()] = answer == b"1"
        return self._answers[request]

    def end(self) -> None:
        """End the process, at once where it still compiles what nobody waits for."""
        if self._waiting:
            self._process.kill()
        with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=ENDING_SECONDS)
        if self.is_alive:
            self._process.kill()
            self._process.communicate()


_compilers: list[Compiler] = []
_lanes: list[list[Request]] = []


def compiled_apart(module: str, name: str, signature: tuple[Any, ...]) -> bool:
    """Let another process compile a kernel of a module for these types, into the cache on disk.

    Returns:
        False where it could not be done: the caller compiles for itself.
    """
    if HERE in os.environ or module == "__main__" or not sys.executable:
        return False
    request: Request = module, name, signature
    compiler = None
    try:
        compiler = _asked(request)
        return compiler.answer(request)
    except (OSError, ValueError, pickle.PicklingError, AttributeError, TypeError):
        if compiler is None:
            end_compilers()
        else:
            _compilers.remove(compiler)
            compiler.end()
        return False


@contextlib.contextmanager
def expected(lanes: Sequence[Sequence[Request]]) -> Iterator[None]:
    """Within the block, the first kernel that is missing has all of these compiled with it.

    Args:
        lanes: each is compiled by a process of its own, if there are so many cores.
    """
    if _usable_cores() < len(lanes):
        lanes = [[request for lane in lanes for request in lane]]
    _lanes[:] = [list(lane) for lane in lanes]
    try:
        yield
    finally:
        _lanes.clear()


def is_expecting() -> bool:
    """Whether more kernels will be asked for."""
    return bool(_lanes)


def _asked(request: Request) -> Compiler:
    """The process that compiles this; it is asked, and what is expected with it, if it was not."""
    _end_the_dead()
    for compiler in _compilers:
        if compiler.knows(request):
            return compiler
    lanes = _lanes if any(request in lane for lane in _lanes) else [[request]]
    for number, lane in enumerate(lanes):
        if number == len(_compilers):
            _compilers.append(Compiler())
        for each in lane:
            if not any(compiler.knows(each) for compiler in _compilers):
                _compilers[number].ask(each)
    return next(compiler for compiler in _compilers if compiler.knows(request))


def _end_the_dead() -> None:
    for compiler in [compiler for compiler in _compilers if not compiler.is_alive]:
        _compilers.remove(compiler)
        compiler.end()


def _usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@atexit.register
def end_compilers() -> None:
    """End the other processes; the next kernel that is missing starts a new one."""
    while _compilers:
        _compilers.pop().end()
