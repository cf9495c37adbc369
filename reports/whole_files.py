"""Files that appear whole or not at all: written beside their place, then renamed."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ["whole_file", "write_all_whole", "write_whole"]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a hidden place beside a file's, and rename what was written there when all went well.

    Args:
        path: the file; its folder is there.
    """
    # The name says whose it is: ppo_lab.runs.leftovers removes what a killed process has left.
    beside = path.with_name(f".{path.name}.part-{os.getpid()}@{socket.gethostname()}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write one file, a text in UTF-8.

    Raises:
        OSError: it cannot be written; a former file of the name is left as it was.
    """
    write_all_whole({path: content})


def write_all_whole(contents: Mapping[Path, str | bytes]) -> None:
    """Write files, all of them before the first takes its place.

    Args:
        contents: file, whose folder is there → its text, in UTF-8, or bytes; they take their
            places in this order.

    Raises:
        OSError: one cannot be written; every former file is left as it was.
    """
    with ExitStack() as places:
        for path in reversed(list(contents)):  # the last that is begun takes its place first
            content = contents[path]
            data = content.encode() if isinstance(content, str) else content
            places.enter_context(whole_file(path)).write_bytes(data)
