"""First use of compiled code on a machine: said aloud, compiled by one process at a time."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ppo_lab.kernels.numba_internals import on_compiling

__all__ = ["announced"]

CLEAR_LINE = "\r\x1b[2K"
LOCK = "ppo_lab-compiling.lock"
WAITED = 0.5
"""Seconds of waiting for the lock by which another process must have been compiling."""


@contextlib.contextmanager
def announced(what: str, seconds: int) -> Iterator[None]:
    """Say when something must be compiled within the block, and how long it took.

    Other processes that want to compile meanwhile wait, and then find the result on disk: of a
    pool of workers one compiles. Where there are no locks, each does so for itself.

    Args:
        what: is compiled, in words.
        seconds: that it takes on one core of a usual machine.
    """
    first = _First(what, seconds)
    try:
        with on_compiling(first.needed):
            yield
    finally:
        first.over()


class _First:
    def __init__(self, what: str, seconds: int) -> None:
        self._what, self._seconds = what, seconds
        self._began: float | None = None
        self._waited = False
        self._lock: IO[bytes] | None = None

    def needed(self, folder: Path) -> None:
        """Something is not on disk: wait for whoever compiles, or say that this process does."""
        if self._began is not None:
            return
        self._began = time.perf_counter()
        self._lock = _locked(folder / LOCK)
        self._waited = time.perf_counter() - self._began > WAITED
        if not self._waited:
            self._say(f"compiling {self._what}, about {self._seconds} s, once on this machine …")

    def over(self) -> None:
        """Let the others go on."""
        if self._began is None:
            return
        if self._lock is not None:
            self._lock.close()
        if not self._waited:
            self._say(f"compiled {self._what} in {time.perf_counter() - self._began:.1f} s")

    def _say(self, message: str) -> None:
        # As SB3 says which device it uses: stderr is for errors, one line each. A worker writes
        # over the line of its command's bar, which is then drawn anew below.
        own = sys.__stdout__
        is_raw = own is not None and sys.stdout is own and own.isatty()
        print(f"{CLEAR_LINE if is_raw else ''}ppo_lab: {message}", flush=True)


def _locked(path: Path) -> IO[bytes] | None:
    """The file, locked until it is closed; None where it cannot be."""
    try:
        import fcntl

        file = path.open("ab")
    except (ImportError, OSError):
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX)
    return file
