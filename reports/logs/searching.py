"""Finding the folders that hold logs; what is not entered, or holds another run's, is named."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.logs.evaluations import FILE as EVALUATIONS
from reports.logs.event_files import is_event_file, read_event_folder
from reports.logs.looks import Looks
from reports.logs.looks_file import LOOKS, read_looks
from reports.logs.made_by import MADE_BY, read_made_by
from reports.logs.openrlbenchmark import HISTORY, read_cached_run
from reports.logs.records import MadeBy, Run, SetAside, reason_of
from reports.logs.run_folders import RECORD
from reports.logs.training_logs import monitor_files, read_training_folder
from reports.logs.wandb_files import SUFFIX as WANDB_SUFFIX
from reports.logs.wandb_files import read_wandb_folder
from reports.text import clean

MAX_DEPTH = 100
"""Folders below a source; ``os.walk`` itself ends in an error at some thousand."""

Reader = Callable[[Path, str, Sequence[str]], tuple[Run, list[SetAside]]]


@dataclass(frozen=True)
class Search:
    """A search below one folder.

    Attributes:
        root: the folder.
        prefix: of every name in the report.
        set_aside: what is not entered is added here.
        looks: what comparisons noted beside their runs is added here.
        made_by: the commands that they noted are added here.
    """

    root: Path
    prefix: str
    set_aside: list[SetAside]
    looks: list[Looks]
    made_by: list[MadeBy]

    def folders(self) -> Iterator[Path]:
        """Yield every folder that may be a run's, in sorted order."""
        owners: set[Path] = set()
        for place, below, files in os.walk(self.root, onerror=self._unreadable):
            folder = Path(place)
            below[:] = self._entered(folder, below)
            if LOOKS in files:
                self._read_looks(folder / LOOKS)
            if MADE_BY in files:
                self._read_made_by(folder)
            if not any(_is_log(name) for name in files):
                continue
            owner = next((above for above in folder.parents if above in owners), None)
            if _is_own(files):
                owners.add(folder)
            elif owner is not None:
                what = f"another log of {self.name(owner)}, which is read by its own files"
                self._leave(folder, what)
                continue
            yield folder

    def name(self, path: Path) -> str:
        """The path's name in the report."""
        return self.prefix + clean(path.relative_to(self.root).as_posix())

    def _entered(self, folder: Path, below: Sequence[str]) -> list[str]:
        entered: list[str] = []
        for name in sorted(below):
            path = folder / name
            if path.is_symlink():
                self._leave(path, "a link to a folder: links are not followed")
            elif not name.startswith("."):
                entered.append(name)
            elif _holds_logs(path):
                reason = "a hidden folder: a run that is not finished, or was replaced"
                self._leave(path, reason)
        if entered and len(folder.relative_to(self.root).parts) >= MAX_DEPTH:
            self._leave(folder, f"folders nested more than {MAX_DEPTH} deep are not searched")
            return []
        return entered

    def _read_looks(self, file: Path) -> None:
        try:
            self.looks.append(read_looks(file))
        except Exception as error:  # of a damaged file, whatever its damage raises
            self._leave(file, reason_of(error))

    def _read_made_by(self, folder: Path) -> None:
        name = self.name(folder) if folder != self.root else self.prefix.rstrip("/")
        try:
            self.made_by.append(MadeBy(name, read_made_by(folder / MADE_BY)))
        except Exception as error:  # of a damaged file, whatever its damage raises
            self._leave(folder / MADE_BY, reason_of(error))

    def _unreadable(self, error: OSError) -> None:
        reason = f"the folder cannot be read ({type(error).__name__})"
        self._leave(Path(str(error.filename)), reason)

    def _leave(self, path: Path, reason: str) -> None:
        self.set_aside.append(SetAside(self.name(path), reason))


def reader_of(folder: Path) -> Reader | None:
    """What reads a folder's logs, those that say most first; None: a run folder of ours."""
    if os.path.lexists(folder / HISTORY):
        return read_cached_run
    if os.path.lexists(folder / RECORD):
        return None
    if os.path.lexists(folder / EVALUATIONS) or monitor_files(folder):
        return read_training_folder
    if any(path.suffix == WANDB_SUFFIX for path in folder.iterdir()):
        return read_wandb_folder
    return read_event_folder


def _is_log(name: str) -> bool:
    return _is_own([name]) or is_event_file(name)


def _is_own(names: Iterable[str]) -> bool:
    """Whether files of these names are a run's own logs: a tracker's copy may lie below them."""
    return any(
        name in (RECORD, EVALUATIONS, HISTORY) or name.endswith(("monitor.csv", WANDB_SUFFIX))
        for name in names
    )


def _holds_logs(folder: Path) -> bool:
    try:
        return any(_is_log(path.name) for path in folder.iterdir())
    except OSError:
        return False
