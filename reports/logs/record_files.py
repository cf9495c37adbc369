"""Files of one binary record after the other, whose last one a killed process may have cut."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from reports.logs.opening import open_plain, refusing, shown_name
from reports.logs.records import SetAside

Records = Callable[[BinaryIO, str], Iterator[bytes | None]]
"""Of a file and its name: each record, checked, and None in place of one that is cut."""


def take_records(
    path: Path, folder: str, limit: int, records: Records, take: Callable[[bytes], None]
) -> tuple[int, list[SetAside]]:
    """Hand on every record of a file.

    Args:
        path: the file.
        folder: the name of its folder in the report.
        limit: bytes that it may hold at most.
        records: finds them.
        take: is given each whole one.

    Returns:
        How many bytes were read, and the half-written last record, which was left out.

    Raises:
        UnusableError: the file is damaged or too large, or ``take`` does not take a record.
    """
    name, asides = shown_name(path), list[SetAside]()
    with refusing(name, Exception), open_plain(path, limit) as file:  # protobuf raises its own
        for record in records(file, name):
            if record is None:
                reason = "its last record is half-written and was left out"
                asides.append(SetAside(f"{folder}/{name}", reason))
            else:
                take(record)
        return file.tell(), asides
