"""Hidden folders and files that are written before they get their name; what the dead leave."""

import errno
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ppo_lab.runs.folder_lock import is_alive, let_go, lock_handle

__all__ = [
    "discard",
    "move_into_place",
    "new_folder_beside",
    "own_mark",
    "sweep",
    "sweep_beside",
    "take_name",
]

_BEGUN = re.compile(
    r"\.(?P<target>.+)\.(?P<kind>part|old)-(?P<pid>\d+)(?:-[0-9a-f]+)?(?:@(?P<host>.+))?", re.DOTALL
)
_PASSING = re.compile(r"\.(?:probe|video)-(?P<pid>\d+)(?:-\w+)?(?:@(?P<host>.+))?", re.DOTALL)
SILENT_SECONDS = 24 * 3600.0
"""What another machine has begun, and has not locked, is taken for abandoned after this time."""
_UNLOCKED = -1
_mine: dict[Path, tuple[int, int]] = {}
"""What this process has begun → the open folder, whose lock shows others that it is alive, and the
thread."""


def own_mark() -> str:
    """What the name of something passing ends with: whose it is, and which of theirs."""
    return f"{os.getpid()}-{secrets.token_hex(4)}@{socket.gethostname()}"


def new_folder_beside(target: Path, *, swept: bool = False) -> Path:
    """A hidden folder beside a target, for :func:`move_into_place`; what the dead left is removed.

    Args:
        target: the folder's name to come; its parents are made.
        swept: what the dead left is gone already; among thousands of runs looking takes its time.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not swept:
        sweep_beside(target)
    while True:
        folder = target.with_name(f".{target.name}.part-{own_mark()}")
        # Before it is there: another thread that sweeps would find it without a lock.
        _mine[folder] = _UNLOCKED, threading.get_ident()
        folder.mkdir()
        if _hold(folder):
            return folder
        del _mine[folder]


def move_into_place(begun: Path, target: Path, keep_former: bool = False) -> None:
    """Rename, over a failed or damaged run of the same name.

    Args:
        begun: what was written, whole.
        target: its place.
        keep_former: leave what was there, in a hidden folder beside.
    """
    if target.exists() and keep_former:
        number = 1
        while (kept := target.with_name(f".{target.name}.damaged-{number}")).exists():
            number += 1
        target.rename(kept)
        begun.rename(target)
    elif target.exists():
        outdated = target.with_name(f".{target.name}.old-{own_mark()}")
        _hold(target)  # killed between the two renames, its lock goes, and it gets its name back
        target.rename(outdated)
        begun.rename(target)
        shutil.rmtree(outdated, ignore_errors=True)
        _give_up(target)
    else:
        begun.rename(target)
    _give_up(begun)


def take_name(begun: Path, target: Path) -> bool:
    """Rename, unless there is something of that name; then what was begun is given up."""
    try:
        begun.rename(target)
    except OSError as error:
        discard(begun)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    _give_up(begun)
    return True


def discard(begun: Path) -> None:
    """Give up what was begun."""
    shutil.rmtree(begun, ignore_errors=True)
    _give_up(begun)


def sweep(folder: Path, *, deep: bool = True) -> None:
    """Remove what killed commands have left hidden in a folder of runs.

    What a living process has begun is left alone: its lock is held, or its number is alive on this
    machine. A run that was to be replaced when its process was killed gets its name back.

    Args:
        folder: nothing happens where it is none.
        deep: look into its folders too.
    """
    for hidden in list(_walk(folder) if deep else _in(folder)):
        if not _is_at_work(hidden):
            _remove(hidden)


def sweep_beside(target: Path) -> None:
    """Remove what others have left of one folder, and what this thread has itself given up."""
    for hidden in list(_in(target.parent)):
        if hidden.target == target.name:
            if _mine.get(hidden.path, (0, 0))[1] == threading.get_ident():
                _give_up(hidden.path)
            if not _is_at_work(hidden):
                _remove(hidden)


@dataclass(frozen=True)
class _Hidden:
    path: Path
    pid: int
    target: str = ""
    kind: str = ""
    host: str = ""


def _walk(folder: Path) -> Iterator[_Hidden]:
    for place, folders, _ in os.walk(folder):
        yield from _in(Path(place))
        # Not into runs, nor into what is hidden: nothing is begun there.
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not Path(place, name, "run.json").exists()
        ]


def _in(folder: Path) -> Iterator[_Hidden]:
    with suppress(OSError):
        # Plain names first: this is asked for each run, in a folder of thousands.
        for name in sorted(name for name in os.listdir(folder) if name.startswith(".")):  # noqa: PTH208
            if match := _BEGUN.fullmatch(name):
                target, kind, pid, host = match.groups()
                yield _Hidden(folder / name, int(pid), target, kind, host or "")
            elif match := _PASSING.fullmatch(name):
                yield _Hidden(folder / name, int(match["pid"]), host=match["host"] or "")


def _is_at_work(hidden: _Hidden) -> bool:
    if hidden.path in _mine:
        return True
    try:
        status = hidden.path.lstat()
    except OSError:
        return True  # gone already
    touched = max(status.st_mtime, status.st_ctime)  # a rename changes the latter alone
    age = time.time() - touched
    elsewhere = hidden.host not in ("", socket.gethostname())
    if not elsewhere and hidden.pid != os.getpid() and is_alive(hidden.pid, touched):
        return True
    locked = hidden.path.is_dir() and not hidden.path.is_symlink() and _is_locked(hidden.path)
    if locked is None or elsewhere:  # some file systems keep a lock to the machine that took it
        return bool(locked) or age < SILENT_SECONDS
    return locked


def _is_locked(folder: Path) -> bool | None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    free = lock_handle(handle)
    let_go(handle)
    return None if free is None else not free


def _remove(hidden: _Hidden) -> None:
    if hidden.kind == "old":
        target = hidden.path.with_name(hidden.target)
        with suppress(OSError):
            if not target.exists():
                hidden.path.rename(target)
                return
    if hidden.path.is_dir() and not hidden.path.is_symlink():
        shutil.rmtree(hidden.path, ignore_errors=True)
    else:
        with suppress(OSError):
            hidden.path.unlink()


def _hold(folder: Path) -> bool:
    """Lock a folder; False where another process is about to remove it, or has."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:  # no folder can be opened here: its process's number must do
        return True
    if lock_handle(handle) is False or not folder.exists():
        let_go(handle)
        return False
    _mine[folder] = handle, threading.get_ident()
    return True


def _give_up(folder: Path) -> None:
    handle = _mine.pop(folder, (_UNLOCKED, 0))[0]
    if handle != _UNLOCKED:
        let_go(handle)
