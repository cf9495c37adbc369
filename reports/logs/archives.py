"""Arrays of numbers from npz archives, and members of zip archives: bounded, never a pickle."""

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from reports.logs.opening import open_plain, refusing, shown_name
from reports.logs.records import UnusableError

MAX_ARRAY_BYTES = 128_000_000
"""Of an archive, and of an array as float64: ten million episodes are more than any run plays."""
MAX_MODEL_BYTES = 4_000_000_000
"""Of a model's archive, of which only a small text is read."""

_MAX_DIRECTORY_BYTES = 1_000_000
"""Of an archive's list of members: some ten thousand, where SB3 writes ten."""
_END_BYTES = 22 + 65_535
"""The record at an archive's end, and the longest comment after it."""
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_CHUNK = 1_000_000


def read_arrays(path: Path, wanted: tuple[str, ...], optional: str) -> list[NDArray[np.generic]]:
    """Read named arrays of numbers from an npz archive.

    Args:
        path: the archive.
        wanted: arrays that must be in it.
        optional: an array that may be in it.

    Returns:
        The wanted arrays, then the optional one if it is there.

    Raises:
        UnusableError: missing, truncated, too large, or holding Python objects.
    """
    name = shown_name(path)
    # Damaged bytes can make the decoders raise anything.
    with refusing(name, Exception), open_archive(path, MAX_ARRAY_BYTES) as archive:
        held = set(archive.namelist())
        names = [*wanted, *([optional] if f"{optional}.npy" in held else [])]
        return [_array(archive, f"{key}.npy", name) for key in names]


@contextmanager
def open_archive(path: Path, limit: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive of at most ``limit`` bytes and a list of members of a sane length.

    Raises:
        UnusableError: no plain file, too large, or a list of members that is.
        zipfile.BadZipFile: damaged.
    """
    with open_plain(path, limit) as file:
        if file.read(6) == b"\x93NUMPY":
            raise UnusableError(f"{shown_name(path)} is not an npz archive")
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _END_BYTES))
        end = file.read(_END_BYTES)
        record = end.rfind(b"PK\x05\x06")
        if 0 <= record <= len(end) - 22:
            (listed,) = struct.unpack_from("<L", end, record + 12)
            if listed > _MAX_DIRECTORY_BYTES:
                raise UnusableError(f"{shown_name(path)} lists too many members")
        with zipfile.ZipFile(file) as archive:
            yield archive


def read_member(archive: zipfile.ZipFile, key: str, limit: int) -> bytes:
    """Return a member's bytes, never unfolding more than ``limit`` and one chunk.

    Raises:
        UnusableError: too large, or packed by a method that numpy and SB3 do not use.
        KeyError: there is none.
    """
    member = archive.getinfo(key)
    # Others unfold a chunk into what it may, and be it gigabytes.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnusableError(f"{key} is packed by a method that is not read")
    pieces: list[bytes] = []
    left = limit
    with archive.open(member) as file:
        while piece := file.read(_CHUNK):
            left -= len(piece)
            if left < 0:
                raise UnusableError(f"{key} unfolds to more than {limit // 1_000_000} MB")
            pieces.append(piece)
    return b"".join(pieces)


def _array(archive: zipfile.ZipFile, key: str, name: str) -> NDArray[np.generic]:
    member = archive.getinfo(key)
    if member.file_size > MAX_ARRAY_BYTES:
        raise UnusableError(f"{name} unfolds to more than {MAX_ARRAY_BYTES // 1_000_000} MB")
    try:
        data = read_member(archive, key, MAX_ARRAY_BYTES)
    except UnusableError as error:
        raise UnusableError(f"{name} cannot be read: {error}") from error
    stream = io.BytesIO(data)
    shape, fortran, dtype = _READERS[npy.read_magic(stream)](stream)
    if dtype.hasobject:
        raise UnusableError(
            f"{name} cannot be read: {key} holds pickled Python objects, which are never opened"
        )
    # Checked before anything is allocated: a header may claim any shape.
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise UnusableError(f"{name} cannot be read: {key} does not hold what it states")
    if math.prod(shape) * 8 > MAX_ARRAY_BYTES:  # int8 takes eight times the space as float64
        raise UnusableError(f"{name} unfolds to more than {MAX_ARRAY_BYTES // 1_000_000} MB")
    flat: NDArray[np.generic] = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
