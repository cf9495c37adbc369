"""Calls that travel: a function with its arguments as bytes, its run folders by their place.

What lies below one folder on the one machine, the *home*, lies below another on the other: a path
below the home travels as the rest of it. So nobody who submits a task has to know that it leaves.
"""

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ppo_lab.runs.cluster.packing import PackError, pack, unpack
from ppo_lab.runs.leftovers import discard, move_into_place, new_folder_beside

__all__ = ["Parcel", "opened", "place_in", "receive", "sealed"]

RECORD = "run.json"


@dataclass(frozen=True)
class Parcel:
    """A call, on its way.

    Attributes:
        call: the function and its arguments, pickled.
        places: of the folders below the home that the arguments name, with forward slashes.
        folders: place → what lies there already, packed.
    """

    call: bytes
    places: tuple[str, ...] = ()
    folders: dict[str, bytes] = field(default_factory=dict)


def sealed(home: Path | None, function: Callable[..., Any], *arguments: object) -> Parcel:
    """Prepare a call for another machine, with the run folders that are there already.

    Args:
        home: what the folders lie below; None: paths travel as they are.
        function: a module's.
        arguments: its arguments; run folders are ``Path`` objects.

    Raises:
        PackError: a folder is too large.
        OSError: a folder cannot be read.
    """
    content = io.BytesIO()
    pickler = _Pickler(content, home)
    pickler.dump((function, arguments))
    places = tuple(dict.fromkeys(pickler.places))
    made = {} if home is None else {place: place_in(home, place) for place in places}
    folders = {place: pack(path) for place, path in made.items() if (path / RECORD).is_file()}
    return Parcel(content.getvalue(), places, folders)


def opened(call: bytes, home: Path | None) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function and its arguments, with folders below the home of this machine."""
    function, arguments = _Unpickler(io.BytesIO(call), home).load()
    return function, arguments


def place_in(home: Path, place: str) -> Path:
    """Where a place is below a home.

    Raises:
        PackError: it is none below it.
    """
    parts = PurePosixPath(place).parts
    if not parts or PurePosixPath(place).is_absolute() or ".." in parts:
        raise PackError(f"{place!r:.80} is no place of a run folder")
    return home.joinpath(*parts)


def receive(content: bytes, folder: Path) -> None:
    """Put a run folder in its place, whole; a failure never takes the place of a result.

    Args:
        content: packed.
        folder: the place; what is there is replaced, or kept aside where it is a finished run and
            the new one is not.

    Raises:
        PackError: it is no packed folder.
        OSError: it cannot be written.
    """
    begun = new_folder_beside(folder, swept=True)  # when the command began
    try:
        unpack(content, begun)
    except BaseException:
        discard(begun)
        raise
    keep_former = _status(begun) != "completed" and _status(folder) == "completed"
    move_into_place(begun, folder, keep_former)


def _status(folder: Path) -> object:
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8")).get("status")
    except (OSError, ValueError, AttributeError):
        return None


class _Pickler(pickle.Pickler):
    def __init__(self, content: io.BytesIO, home: Path | None) -> None:
        super().__init__(content, protocol=pickle.HIGHEST_PROTOCOL)
        self.places: list[str] = []
        self._home = home

    def persistent_id(self, obj: Any) -> str | None:
        """The place of a path below the home."""
        if self._home is None or not isinstance(obj, Path) or not obj.is_relative_to(self._home):
            return None
        place = obj.relative_to(self._home).as_posix()
        self.places.append(place)
        return place


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: io.BytesIO, home: Path | None) -> None:
        super().__init__(content)
        self._home = home

    def persistent_load(self, pid: str) -> Path:
        """The path of a place."""
        assert self._home is not None
        return place_in(self._home, pid)
