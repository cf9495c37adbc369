"""Logs from disk to typed records, whatever wrote them; what is bad is set aside, never a crash.

Nothing in the logs is executed: see :mod:`reports.logs.reading`.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from reports.logs import run_folders
from reports.logs.evaluations import FILE as EVALUATIONS
from reports.logs.identity import with_telling_labels, without_continued
from reports.logs.limits import thinned, within_limits
from reports.logs.looks import Looks
from reports.logs.looks_file import LOOKS, read_looks
from reports.logs.records import (
    MAX_RUNS,
    LoadedRuns,
    LogKind,
    NoRunsError,
    Run,
    SetAside,
    reason_of,
)
from reports.logs.run_folders import TUNING_STAGES
from reports.logs.score_csv import read_scores
from reports.logs.training_logs import read_training_folder
from reports.text import clean, counted

__all__ = ["LoadedRuns", "NoRunsError", "Run", "SetAside", "Source", "load_runs"]

MAX_DEPTH = 100
"""Folders below a source; ``os.walk`` itself ends in an error at some thousand."""

_KINDS: dict[LogKind, tuple[str, str]] = {
    "ppo_lab": ("PPO Lab run", "PPO Lab runs"),
    "rl_zoo": ("RL Zoo run", "RL Zoo runs"),
    "sb3": ("run of an SB3 folder", "runs of SB3 folders"),
    "scores": ("run of a table of scores", "runs of a table of scores"),
}
"""In words: one, and several."""


@dataclass(frozen=True)
class Source:
    """Logs to read.

    Attributes:
        path: a folder, searched at any depth, or a CSV file of scores.
        settings: replaces the settings in the label of every run found there, so that two sources
            of one algorithm stay apart: ``ppo (mine)``, ``ppo (theirs)``. None: as logged.
    """

    path: str | Path
    settings: str | None = None


@dataclass
class _Found:
    runs: list[Run] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    tuning_runs: int = 0
    looks: list[Looks] = field(default_factory=list)


def load_runs(*sources: str | Path | Source) -> LoadedRuns:
    """Read every run in folders and tables of scores.

    A folder is searched at any depth, in sorted order, for PPO Lab's run folders (``run.json``),
    RL Zoo's and other SB3 folders (``evaluations.npz``, ``monitor.csv``). Links to folders are
    not followed, and hidden folders, where an unfinished run lies, are not read; both are listed.

    Args:
        sources: at least one; with several, each name in the report begins with its source's.

    Returns:
        The usable runs, what was set aside (malformed, truncated, NaN, failed, gone on from by a
        resumed run, or a second run of the same label, task and seed), and the number of tuning
        runs left out. Labels say what differs between runs that would share one.

    Raises:
        NoRunsError: a source does not exist, or no run can be used.
    """
    wanted = [source if isinstance(source, Source) else Source(source) for source in sources]
    if not wanted:
        raise NoRunsError("no logs were given")
    gathered = _Found()
    summaries: list[str] = []
    already: set[str] = set()
    for source, prefix in zip(wanted, _prefixes(wanted), strict=True):
        of_source = _read_source(source, prefix, already)
        gathered.runs += of_source.runs
        gathered.set_aside += of_source.set_aside
        gathered.tuning_runs += of_source.tuning_runs
        gathered.looks += of_source.looks
        summaries.append(_summary(source, of_source))
    last, continued = without_continued(gathered.runs)
    gathered.runs, gathered.set_aside = last, [*gathered.set_aside, *continued]
    gathered.runs = with_telling_labels(gathered.runs)
    runs, beyond = within_limits(_one_of_each(gathered))
    gathered.set_aside += beyond
    if not runs:
        raise NoRunsError(_why_none([str(source.path) for source in wanted], gathered))
    return LoadedRuns(
        tuple(runs),
        tuple(gathered.set_aside),
        gathered.tuning_runs,
        tuple(summaries),
        tuple(gathered.looks),
    )


def _prefixes(sources: list[Source]) -> list[str]:
    """What sets names of one source apart from those of another; nothing for a single one."""
    if len(sources) == 1:
        return [""]
    names = [source.settings or _base_name(source.path) for source in sources]
    seen: Counter[str] = Counter()
    prefixes: list[str] = []
    for name in names:
        seen[name] += 1
        prefixes.append(f"{name}/" if names.count(name) == 1 else f"{name}#{seen[name]}/")
    return prefixes


def _base_name(path: str | Path) -> str:
    return clean(Path(os.path.realpath(path)).name)


def _read_source(source: Source, prefix: str, already: set[str]) -> _Found:
    root = Path(source.path)
    gathered = _Found()
    if root.is_dir():
        for folder in _folders(root, prefix, gathered):
            parts = (_base_name(root), *map(clean, folder.relative_to(root).parts))
            _read_folder(folder, _name(folder, root, prefix), parts, gathered, already)
    elif root.suffix.lower() == ".csv" and root.is_file():
        # Without a name of its own, a table's prefix is its file name already.
        base = _base_name(root)
        name = f"{prefix}{base}" if source.settings else prefix.rstrip("/") or base
        if _is_new(root, name, gathered, already):
            try:
                runs, asides = read_scores(root, name)
            except Exception as error:  # of one damaged file, whatever its damage raises
                gathered.set_aside.append(SetAside(name, reason_of(error)))
            else:
                gathered.runs += map(thinned, runs)
                gathered.set_aside += asides
    elif root.exists():
        raise NoRunsError(f"{root} is not a folder and not a .csv file")
    else:
        raise NoRunsError(f"{root} is not a folder: there is nothing")
    if source.settings is not None:
        gathered.runs = [replace(run, settings=source.settings) for run in gathered.runs]
    return gathered


def _folders(root: Path, prefix: str, gathered: _Found) -> Iterator[Path]:
    """Every folder that may be a run's, in sorted order; what is not entered is set aside."""

    def unreadable(error: OSError) -> None:
        path = Path(str(error.filename))
        reason = f"the folder cannot be read ({type(error).__name__})"
        gathered.set_aside.append(SetAside(_name(path, root, prefix), reason))

    for place, below, files in os.walk(root, onerror=unreadable):
        folder = Path(place)
        entered: list[str] = []
        for name in sorted(below):
            path = folder / name
            if path.is_symlink():
                reason = "a link to a folder: links are not followed"
                gathered.set_aside.append(SetAside(_name(path, root, prefix), reason))
            elif name.startswith("."):
                if _holds_logs(path):
                    reason = "a hidden folder: a run that is not finished, or was replaced"
                    gathered.set_aside.append(SetAside(_name(path, root, prefix), reason))
            else:
                entered.append(name)
        if entered and len(folder.relative_to(root).parts) >= MAX_DEPTH:
            reason = f"folders nested more than {MAX_DEPTH} deep are not searched"
            gathered.set_aside.append(SetAside(_name(folder, root, prefix), reason))
            entered = []
        below[:] = entered
        if LOOKS in files:
            _read_looks(folder / LOOKS, _name(folder / LOOKS, root, prefix), gathered)
        if any(_is_log(name) for name in files):
            yield folder


def _read_looks(file: Path, name: str, gathered: _Found) -> None:
    try:
        gathered.looks.append(read_looks(file))
    except Exception as error:  # of a damaged file, whatever its damage raises
        gathered.set_aside.append(SetAside(name, reason_of(error)))


def _is_log(name: str) -> bool:
    return name in (run_folders.RECORD, EVALUATIONS) or name.endswith("monitor.csv")


def _holds_logs(folder: Path) -> bool:
    try:
        return any(_is_log(path.name) for path in folder.iterdir())
    except OSError:
        return False


def _read_folder(
    folder: Path, name: str, parts: tuple[str, ...], gathered: _Found, already: set[str]
) -> None:
    if not _is_new(folder, name, gathered, already):
        return
    if len(gathered.runs) >= MAX_RUNS:
        reason = f"beyond the first {MAX_RUNS:,} runs, which is all that a report takes in"
        gathered.set_aside.append(SetAside(name, reason))
        return
    try:
        if os.path.lexists(folder / run_folders.RECORD):
            record = run_folders.read_record(folder)
            if record.get("stage") in TUNING_STAGES:
                gathered.tuning_runs += 1
            else:
                gathered.runs.append(thinned(run_folders.to_run(record, folder, name)))
        else:
            run, asides = read_training_folder(folder, name, parts)
            gathered.runs.append(thinned(run))
            gathered.set_aside += asides
    except Exception as error:  # of one damaged file, whatever its damage raises
        gathered.set_aside.append(SetAside(name, reason_of(error)))


def _is_new(path: Path, name: str, gathered: _Found, already: set[str]) -> bool:
    """Whether no other source led here: a run of unknown seed would count twice unnoticed."""
    real = os.path.realpath(path)
    if real in already:
        gathered.set_aside.append(SetAside(name, "read already, by another of the given paths"))
        return False
    already.add(real)
    return True


def _name(path: Path, root: Path, prefix: str) -> str:
    return prefix + clean(path.relative_to(root).as_posix())


def _one_of_each(gathered: _Found) -> list[Run]:
    """Set aside every later run of the same label, task and known seed."""
    first_with: dict[tuple[str, str, int], str] = {}
    kept: list[Run] = []
    for run in gathered.runs:
        if run.seed is not None:
            key = (run.label, run.task, run.seed)
            if key in first_with:
                reason = f"same algorithm, settings, environment and seed as {first_with[key]}"
                gathered.set_aside.append(SetAside(run.folder, reason))
                continue
            first_with[key] = run.folder
        kept.append(run)
    return kept


def _summary(source: Source, gathered: _Found) -> str:
    counts = Counter(_KINDS[run.kind] for run in gathered.runs)
    listed = [counted(count, *words) for words, count in counts.items()]
    return f"{_base_name(source.path)}: {', '.join(listed) or 'no usable run'}"


def _why_none(paths: list[str], gathered: _Found) -> str:
    where = " and ".join(paths)
    if gathered.set_aside:
        first = gathered.set_aside[0]
        return (
            f"none of the {len(gathered.set_aside)} runs below {where} can be used; "
            f"the first, {first.folder}: {first.reason}"
        )
    if gathered.tuning_runs:
        return f"all {gathered.tuning_runs} runs below {where} are tuning runs, which never judge"
    return (
        f"no run.json below {where}, and no evaluations.npz or monitor.csv either: expected run "
        "folders of PPO Lab, RL Zoo or SB3, or a .csv file of scores"
    )
