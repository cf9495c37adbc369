"""Who is at work in a folder: a lock that ends with its process, however that ends.

The kernel holds the lock (``flock``) and lets it go at a process's death, SIGKILL and power cuts
included; NFS passes it on between machines. The file says who holds it. Where a file system has no
locks, what the file says is believed as long as that process may be alive.
"""

import errno
import importlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ppo_lab.runs.storage_url import this_command

fcntl: Any
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "FolderInUseError",
    "Holder",
    "folder_lock",
    "holder_of",
    "is_alive",
    "let_go",
    "lock_handle",
]

LOCK = ".lock"
PATIENCE, PAUSE = 0.5, 0.05
"""Seconds: somebody who looks whether a lock is held holds it for an instant."""
CLOCK_SECONDS = 2.0
"""How exactly the kernel says when a process began."""
_UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF,
                errno.EINVAL)  # fmt: skip
_held: set[int] = set()


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        pid: its number.
        host: its machine.
        since: seconds since 1970 at which it took the lock.
        command: what it was started as, without passwords.
    """

    pid: int
    host: str
    since: float
    command: str = ""

    @classmethod
    def this_process(cls) -> "Holder":
        """The one that asks."""
        return cls(os.getpid(), socket.gethostname(), time.time(), this_command())

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} since {since}"


_UNKNOWN = Holder(0, "", 0.0)


class FolderInUseError(OSError):
    """Another process is at work in a folder.

    Attributes:
        folder: the folder.
        holder: the process.
    """

    def __init__(self, folder: Path, holder: Holder) -> None:
        self.folder, self.holder = folder, holder
        super().__init__(
            f"{folder}/ is in use by {holder}"
            + (f" ({holder.command})" if holder.command else "")
            + ": wait for it, or choose another folder"
        )


@contextmanager
def folder_lock(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Be the only process at work in a folder.

    Args:
        folder: made if it is not there.
        shared: beside others that share it too.

    Raises:
        FolderInUseError: another process is.
        OSError: the folder cannot be written.
    """
    handle = _acquire(folder, shared)
    try:
        yield
    finally:
        _release(folder / LOCK, handle, shared)


def holder_of(folder: Path) -> Holder | None:
    """The process that is at work in a folder; None if there is none."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError:
        return _UNKNOWN
    try:
        free = lock_handle(handle, shared=True)
        holder = _read(handle)
        if free is None:
            free = not _may_be_alive(holder)
        return None if free else holder
    finally:
        let_go(handle)


def lock_handle(handle: int, *, shared: bool = False) -> bool | None:
    """Lock an open file or folder, without waiting.

    Whatever comes of it, :func:`let_go` closes it.

    Returns:
        Whether it is locked now; None where the file system has no locks.
    """
    _held.add(handle)
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def let_go(handle: int) -> None:
    """Close what was locked; a forked child has closed its copy already."""
    if handle in _held:
        _held.remove(handle)
        os.close(handle)


def is_alive(pid: int, before: float) -> bool:
    """Whether this machine has a process of this number that began before a time.

    Args:
        pid: the number, which may have been given to another process meanwhile.
        before: seconds since 1970.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    began = _began(pid)
    return began is None or began <= before + CLOCK_SECONDS


def _acquire(folder: Path, shared: bool) -> int:
    file, deadline = folder / LOCK, time.monotonic() + PATIENCE
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # the folder went away in between
            handle = -1
        if handle >= 0:
            taken, holder = _try(handle, shared)
            if taken and _lies_at(handle, file):
                _write(handle)
                return handle
            let_go(handle)
            if not taken and time.monotonic() > deadline:
                raise FolderInUseError(folder, holder)
        time.sleep(PAUSE)


def _try(handle: int, shared: bool) -> tuple[bool, Holder]:
    taken, holder = lock_handle(handle, shared=shared), _read(handle)
    if taken is None:
        taken = shared or not _may_be_alive(holder)
    return taken, holder


def _release(file: Path, handle: int, shared: bool) -> None:
    # The last of several that share it removes the file.
    if (not shared or lock_handle(handle) is True) and _lies_at(handle, file):
        with suppress(OSError):
            file.unlink()
    let_go(handle)


def _lies_at(handle: int, file: Path) -> bool:
    """Whether an open file is still the one of that name: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(file))  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return False


def _write(handle: int) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(asdict(Holder.this_process())).encode())


def _read(handle: int) -> Holder:
    """What a lock's file says, which anyone may have written."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        holder = Holder(**json.loads(os.read(handle, 10_000)))
        time.localtime(holder.since)
    except (ValueError, TypeError, OverflowError, OSError):
        return _UNKNOWN
    plain = isinstance(holder.pid, int) and isinstance(holder.host, str)
    return holder if plain and isinstance(holder.command, str) else _UNKNOWN


def _may_be_alive(holder: Holder) -> bool:
    """Whether to believe the file where there are no locks; of other machines nothing is known."""
    if not holder.pid:
        return False
    return holder.host != socket.gethostname() or is_alive(holder.pid, holder.since)


def _began(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None where that is not to be learned."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        booted = next(
            line.split()[1]
            for line in Path("/proc/stat").read_text().splitlines()
            if line.startswith("btime")
        )
        return float(booted) + float(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _forget() -> None:
    """In a forked child: its copies would hold the locks after its parent's death."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
