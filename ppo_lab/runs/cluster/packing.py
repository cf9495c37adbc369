"""A run folder as bytes, and back: bounded, and never outside the folder that was asked for."""

import io
import stat
import zipfile
from pathlib import Path, PurePosixPath

__all__ = ["MOST_BYTES", "PackError", "pack", "unpack"]

MOST_BYTES = 2**30
"""Of one folder's files; more is a case for a file system that all nodes share."""
MOST_FILES = 10_000


class PackError(RuntimeError):
    """A folder is too large to be sent, or what was sent is no folder; one line."""


def pack(folder: Path) -> bytes:
    """The regular files below a folder; links are not followed.

    Raises:
        PackError: they are too many or too large.
        OSError: one cannot be read.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    _check_size(len(files), sum(path.stat().st_size for path in files), folder.name)
    content = io.BytesIO()
    # Stored: models are archives already, and what is stored is as large as it says.
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder).as_posix())
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write the files that :func:`pack` gave into a folder, which is there and empty.

    Raises:
        PackError: it is not what :func:`pack` gives: damaged, too large, or a file would lie
            outside the folder; nothing is written then.
        OSError: a file cannot be written.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_size(len(members), sum(member.file_size for member in members), folder.name)
            names = [_checked(member) for member in members]
            if len({name.as_posix().casefold() for name in names}) < len(names):
                raise PackError("a run folder came back with a file twice")
            if (damaged := archive.testzip()) is not None:
                raise PackError(f"a run folder came back with a damaged file: {damaged!r:.80}")
            for member, name in zip(members, names, strict=True):
                target = folder.joinpath(*name.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise PackError(f"a run folder came back damaged: {error}") from error


def _check_size(files: int, size: int, name: str) -> None:
    if files > MOST_FILES or size > MOST_BYTES:
        raise PackError(
            f"the run folder {name} has {files:,} files of {size:,} bytes, more than are sent "
            f"({MOST_FILES:,}, {MOST_BYTES:,}): let --log-folder be on a file system that all "
            "nodes share"
        )


def _checked(member: zipfile.ZipInfo) -> PurePosixPath:
    """A file's place in the folder.

    Raises:
        PackError: it would lie elsewhere, or is no plain file.
    """
    name = PurePosixPath(member.filename)
    mode = member.external_attr >> 16
    plain = stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0
    if (
        not plain
        or member.is_dir()
        or member.compress_type != zipfile.ZIP_STORED
        or name.is_absolute()
        or not name.parts
        or any(part == ".." or "\\" in part or ":" in part for part in name.parts)
    ):
        raise PackError(f"a run folder came back with a file that is none of it: {name!s:.80}")
    return name
