"""TensorBoard's event files: SB3's ``tensorboard_log``, CleanRL's ``runs``, a ``SummaryWriter``'s.

The records' frame and checksums are read here, in bounded memory; what a record says is read by
TensorBoard's own messages.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from reports.logs.names import told_by_names
from reports.logs.record_files import take_records
from reports.logs.records import Run, SetAside, UnusableError
from reports.logs.scalars import SERIES, Tracked, tracked_run
from reports.text import clean

MARK = ".tfevents."
MAX_EVENT_BYTES = 256_000_000
"""Of all event files of a run together."""

_MAX_RECORD = 64_000
"""Bytes of a record that can be a number or a table of settings; larger are images or graphs."""
_BATCH = 4_096
_SETTINGS_TAG = "hyperparameters/text_summary"
_NEEDED = (
    "TensorBoard's files need the package tensorboard to be read: python -m pip install tensorboard"
)
_FLOAT, _DOUBLE = 1, 2


def is_event_file(name: str) -> bool:
    """Whether a file of this name is TensorBoard's."""
    return MARK in name


def read_event_folder(folder: Path, name: str, parts: Sequence[str]) -> tuple[Run, list[SetAside]]:
    """Read the run that a folder's event files are of.

    Args:
        folder: on disk; holds at least one.
        name: in the report.
        parts: names of the folders down to this one.

    Returns:
        The run, and what was left out: a half-written last record.

    Raises:
        UnusableError: TensorBoard is missing, a file is damaged or too large, or no series of
            returns is in them.
    """
    event_class = _event_class()
    tracked, asides, left = Tracked(), list[SetAside](), MAX_EVENT_BYTES
    for path in sorted(path for path in folder.iterdir() if is_event_file(path.name)):
        read, cut = take_records(
            path,
            name,
            left,
            _records,
            lambda record: _take(event_class.FromString(record), tracked),
        )
        left -= read
        asides += cut
    return tracked_run(tracked, told_by_names(parts, None), name, "tensorboard"), asides


def _event_class() -> Any:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
    except ImportError as error:
        raise UnusableError(_NEEDED) from error
    return Event


def _take(event: Any, tracked: Tracked) -> None:
    for value in event.summary.value:
        if value.tag == _SETTINGS_TAG:
            tracked.settings |= _settings(value.tensor.string_val)
        elif value.WhichOneof("value") == "simple_value":
            tracked.add(value.tag, event.step, value.simple_value)
        elif value.tag in SERIES:
            tracked.add(value.tag, event.step, _number(value.tag, value.tensor))
        else:
            tracked.add(value.tag, event.step, 0.0)


def _number(tag: str, tensor: Any) -> float:
    """The one number of a tensor, as TensorFlow 2 and a new-style ``SummaryWriter`` write it."""
    for values in (tensor.float_val, tensor.double_val):
        if len(values) == 1:
            return float(values[0])
    layouts = {(_FLOAT, 4): "<f", (_DOUBLE, 8): "<d"}
    layout = layouts.get((tensor.dtype, len(tensor.tensor_content)))
    if layout is None:
        raise UnusableError(f"{tag} holds a value that is not one number")
    return float(struct.unpack(layout, tensor.tensor_content)[0])


def _settings(texts: Iterable[bytes]) -> dict[str, object]:
    """CleanRL's settings: rows ``|name|value|`` of a table in Markdown."""
    rows = "\n".join(text.decode("utf-8", "replace") for text in texts).split("\n")[2:]
    pairs = (row.strip().removeprefix("|").removesuffix("|").partition("|") for row in rows)
    return {clean(name): _plain(clean(value)) for name, bar, value in pairs if bar}


def _plain(text: str) -> object:
    """A value that ``str`` wrote: a whole number as one, so that equal settings are equal."""
    if text in ("None", "True", "False"):
        return {"None": None, "True": True, "False": False}[text]
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 16 else text


@dataclass(frozen=True, slots=True)
class _Record:
    """A record as it lies in a file; one too large to be a number has no data."""

    head: bytes
    head_crc: int
    data: bytes
    data_crc: int


def _records(file: BinaryIO, name: str) -> Iterator[bytes | None]:
    """Yield each small record, checked, and None in place of one that is cut at the file's end.

    Raises:
        UnusableError: a checksum does not fit.
    """
    batch: list[_Record] = []
    whole = True
    while whole and (head := file.read(12)):
        whole = len(head) == 12
        if not whole:
            break
        length, head_crc = struct.unpack("<QI", head)
        small = length <= _MAX_RECORD
        data = file.read(length) if small else b""
        if not small:
            file.seek(length, 1)
        tail = file.read(4)
        whole = len(tail) == 4
        crc = struct.unpack("<I", tail)[0] if whole else 0
        batch.append(_Record(head[:8], head_crc, data if whole else b"", crc))
        if len(batch) >= _BATCH:
            yield from _checked(batch, name)
            batch = []
    yield from _checked(batch, name)
    if not whole:
        yield None


def _checked(batch: Sequence[_Record], name: str) -> list[bytes]:
    """Return the records' data in their order.

    Raises:
        UnusableError: a checksum, masked CRC-32C, does not fit.
    """
    by_length: dict[int, list[tuple[bytes, int]]] = {}
    for record in batch:
        by_length.setdefault(8, []).append((record.head, record.head_crc))
        if record.data:
            by_length.setdefault(len(record.data), []).append((record.data, record.data_crc))
    for length, pieces in by_length.items():
        rows = np.frombuffer(b"".join(piece for piece, _ in pieces), np.uint8)
        found = _masked_crc(rows.reshape(len(pieces), length))
        if (found != np.array([crc for _, crc in pieces], np.uint32)).any():
            raise UnusableError(f"{name} is damaged: a checksum does not fit its record")
    return [record.data for record in batch if record.data]


def _masked_crc(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32C (Castagnoli) of each row (N, L), masked as TensorFlow's records mask it: (N,)."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crc = _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8)
    crc = ~crc
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)
    return masked.astype(np.uint32)


def _table() -> NDArray[np.uint32]:
    entries = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        entries = np.where(entries & 1, (entries >> 1) ^ np.uint32(0x82F63B78), entries >> 1)
    return entries.astype(np.uint32)


_TABLE = _table()
