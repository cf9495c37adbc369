"""Opening files that anyone may have written: plain files only, and no more bytes than a bound.

Every reader of this package opens its files here. A pipe, a socket or a device would block or
never end; a link to one is no better.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from reports.logs.records import UnusableError
from reports.text import clean, one_line, shortened

MAX_RECORD_BYTES = 4_000_000
"""A run.json or a YAML file is some kilobytes; beyond this it is something else."""
MAX_TABLE_BYTES = 128_000_000
MAX_LINE = 100_000
"""Characters of a line in a table; a file without line ends is no table."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # should the file have become a pipe since it was looked at
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


_ROOT: ContextVar[str | None] = ContextVar("root", default=None)


@contextmanager
def reading_below(root: Path) -> Iterator[None]:
    """Refuse every file, while the block lasts, that a link leads to from below a folder.

    Logs that somebody sent may hold a link to a file of the reader's own, which a report would
    quote.

    Args:
        root: the folder; what it is itself a link to counts as within.
    """
    token = _ROOT.set(os.path.realpath(root).rstrip(os.sep) + os.sep)
    try:
        yield
    finally:
        _ROOT.reset(token)


def shown_name(path: Path) -> str:
    """The file's name, safe to stand in a one-line message."""
    return shortened(one_line(clean(path.name)), 100)


@contextmanager
def refusing(name: str, *errors: type[Exception]) -> Iterator[None]:
    """Refuse a file that these errors come up in.

    Args:
        name: the file's, safe to show.
        errors: of whatever reads it.

    Raises:
        UnusableError: one of them came up; one that came up itself goes on as it is.
    """
    try:
        yield
    except UnusableError:
        raise
    except errors as error:
        raise UnusableError(f"{name} cannot be read ({type(error).__name__})") from error


def open_plain(path: Path, limit: int) -> BinaryIO:
    """Open a plain file for reading bytes; never waits.

    Args:
        path: the file; links to plain files are followed.
        limit: bytes that it may hold at most.

    Raises:
        UnusableError: missing, no plain file, not readable, larger, or out of the folder that is
            read, see :func:`reading_below`.
    """
    name = shown_name(path)
    with refusing(name, OSError, ValueError):
        root = _ROOT.get()
        if root is not None and not os.path.realpath(path).startswith(root):
            raise UnusableError(f"{name} is a link that leads out of the folder that is read")
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise UnusableError(f"{name} is no file")
            file = os.fdopen(os.open(path, _FLAGS), "rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UnusableError(f"{name} is missing") from error
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= limit:
        return file
    file.close()
    plain = stat.S_ISREG(status.st_mode)
    raise UnusableError(f"{name} is {_larger_than(limit) if plain else 'no file'}")


def read_text(path: Path, limit: int = MAX_RECORD_BYTES) -> str:
    """Return a whole UTF-8 file.

    Raises:
        UnusableError: missing, no file, too large, unreadable or not UTF-8.
    """
    name = shown_name(path)
    with refusing(name, OSError, ValueError):
        with open_plain(path, limit) as file:
            data = file.read(limit + 1)
        if len(data) > limit:  # the size of some system files reads 0, and others grow
            raise UnusableError(f"{name} is {_larger_than(limit)}")
        return data.decode("utf-8-sig")


def text_lines(path: Path, newline: str, limit: int = MAX_TABLE_BYTES) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 file, their ends included, without holding the file.

    Args:
        path: the file.
        newline: what ends a line: ``"\n"``, or ``""`` for any of the usual ends.
        limit: bytes that it may hold at most.

    Raises:
        UnusableError: as :func:`read_text`, or a line of more than ``MAX_LINE`` characters.
    """
    name = shown_name(path)
    read = number = 0
    with refusing(name, OSError, ValueError), open_plain(path, limit) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline)
        while line := text.readline(MAX_LINE + 1):
            number += 1
            read += len(line)
            if len(line) > MAX_LINE:
                raise UnusableError(
                    f"{name}: line {number:,} is longer than {MAX_LINE:,} characters"
                )
            if read > limit:
                raise UnusableError(f"{name} is {_larger_than(limit)}")
            yield line


def _larger_than(limit: int) -> str:
    return f"larger than {limit // 1_000_000} MB"
