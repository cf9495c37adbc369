"""W&B's own file of a run, ``wandb/…run-DATE-ID/run-ID.wandb``, offline or not.

It is a log of LevelDB's form with CRC-32 checksums, read here in bounded memory; what a record says
is read by W&B's own messages. Nothing is sent anywhere.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from reports.logs.names import told_by_names
from reports.logs.reading import plain_json
from reports.logs.record_files import take_records
from reports.logs.records import Run, SetAside, UnusableError
from reports.logs.scalars import SERIES, Tracked, plain_settings, tracked_run

SUFFIX = ".wandb"
MAX_WANDB_BYTES = 256_000_000

_HEADER = b":W&B\xe1\xbe\x00"
_BLOCK = 32_768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MAX_RECORD = 16_000_000
_STEP = "global_step"
_NEEDED = "W&B's files need the package wandb to be read: python -m pip install wandb"


def read_wandb_folder(folder: Path, name: str, parts: Sequence[str]) -> tuple[Run, list[SetAside]]:
    """Read the run of a folder's one ``.wandb`` file.

    Args:
        folder: on disk; holds at least one.
        name: in the report.
        parts: names of the folders down to this one.

    Returns:
        The run, and what was left out: a half-written last record.

    Raises:
        UnusableError: W&B's package is missing, there are several files, it is damaged or too
            large, or no series of returns is in it.
    """
    record_class = _record_class()
    files = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    if len(files) > 1:
        raise UnusableError(f"{len(files)} files of W&B in one folder: expected one a run")
    tracked = Tracked()
    _, asides = take_records(
        files[0],
        name,
        MAX_WANDB_BYTES,
        _records,
        lambda record: _take(record_class.FromString(record), tracked),
    )
    # Its folder's name is W&B's, of a date and a number; the name of the run may tell.
    told = told_by_names([tracked.name] if tracked.name else parts[-1:], None)
    return tracked_run(tracked, told, name, "wandb"), asides


def _record_class() -> Any:
    try:
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError as error:
        raise UnusableError(_NEEDED) from error
    return Record


def _take(record: Any, tracked: Tracked) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        tracked.name = tracked.name or record.run.display_name
        tracked.settings |= _settings(record.run.config.update)
    elif kind == "config":
        tracked.settings |= _settings(record.config.update)
    elif kind == "history":
        row = {_key(item): item.value_json for item in record.history.item}
        take_row(row, tracked, record.history.step.num)


def take_row(row: Mapping[str, str], tracked: Tracked, count: int) -> None:
    """Add one row of a history: names of series to JSON numbers.

    Args:
        row: of one call of ``log``.
        tracked: what it is added to.
        count: how many such calls there were before, where no global_step says more.

    Raises:
        UnusableError: a return or a step that is no number.
    """
    returns = [tag for tag in row if tag in SERIES]
    if not returns:
        for tag in row:
            tracked.add(tag, 0, 0.0)
        return
    if _STEP in row:
        number = _number(_STEP, row[_STEP])
        if not number.is_integer():
            raise UnusableError(f"{_STEP} holds {row[_STEP]!r:.40}, which is no whole number")
        step = int(number)
    else:
        step, tracked.counted = count, True
    for tag in returns:
        tracked.add(tag, step, _number(tag, row[tag]))


def _number(tag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UnusableError(f"{tag} holds {text!r:.40}, which is no number") from error


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def _settings(items: Iterable[Any]) -> dict[str, object]:
    return plain_settings(
        [(_key(item), plain_json(item.value_json, "a setting")) for item in items]
    )


def _records(file: BinaryIO, name: str) -> Iterator[bytes | None]:
    """Yield each record, checked, and None in place of one that is cut at the file's end.

    Raises:
        UnusableError: no such file, a checksum that does not fit, or a record out of order.
    """
    if file.read(len(_HEADER)) != _HEADER:
        raise UnusableError(f"{name} is damaged: it does not begin as a file of W&B")
    pieces: list[bytes] = []
    while True:
        left = _BLOCK - file.tell() % _BLOCK
        if left < 7:
            file.seek(left, 1)
        head = file.read(7)
        if len(head) < 7:
            break
        crc, length, kind = struct.unpack("<IHB", head)
        data = file.read(length)
        if len(data) < length:
            pieces.append(data)
            break
        begins = kind in (_FULL, _FIRST)
        if zlib.crc32(data, zlib.crc32(head[6:])) != crc or begins == bool(pieces) or kind > _LAST:
            raise UnusableError(f"{name} is damaged: a checksum or a record's order does not fit")
        pieces.append(data)
        if sum(map(len, pieces)) > _MAX_RECORD:
            raise UnusableError(f"{name} holds a record of more than {_MAX_RECORD // 10**6} MB")
        if kind in (_FULL, _LAST):
            yield b"".join(pieces)
            pieces = []
    if pieces or head:
        yield None
