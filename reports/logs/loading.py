"""Logs from disk to typed records, whatever wrote them; what is bad is set aside, never a crash.

Nothing in the logs is executed: see :mod:`reports.logs.reading`.
"""

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from reports.logs import run_folders
from reports.logs.identity import with_telling_labels, without_continued
from reports.logs.limits import thinned, within_limits
from reports.logs.looks import Looks
from reports.logs.opening import reading_below
from reports.logs.records import (
    MAX_RUNS,
    LoadedRuns,
    LogKind,
    MadeBy,
    NoRunsError,
    Run,
    SetAside,
    reason_of,
)
from reports.logs.run_folders import TUNING_STAGES
from reports.logs.score_csv import read_scores
from reports.logs.searching import Search, reader_of
from reports.logs.wandb_exports import is_export, read_export
from reports.text import clean, counted

__all__ = ["LoadedRuns", "NoRunsError", "Run", "SetAside", "Source", "load_runs"]

_KINDS: dict[LogKind, tuple[str, str]] = {
    "ppo_lab": ("PPO Lab run", "PPO Lab runs"),
    "rl_zoo": ("RL Zoo run", "RL Zoo runs"),
    "zoo_benchmark": ("model of RL Zoo's benchmark", "models of RL Zoo's benchmark"),
    "sb3": ("run of an SB3 folder", "runs of SB3 folders"),
    "tensorboard": ("run of TensorBoard's files", "runs of TensorBoard's files"),
    "wandb": ("run of W&B", "runs of W&B"),
    "openrlbenchmark": ("run of openrlbenchmark's cache", "runs of openrlbenchmark's cache"),
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
    made_by: list[MadeBy] = field(default_factory=list)
    logged_to: dict[str, str] = field(default_factory=dict)
    """TensorBoard's folder, as run.json states it → the run's name in the report."""
    event_folders: dict[str, str] = field(default_factory=dict)
    """Such a folder that was read for itself → its name in the report."""


def load_runs(*sources: str | Path | Source) -> LoadedRuns:
    """Read every run in folders and tables of scores.

    A folder is searched at any depth, in sorted order, for PPO Lab's run folders (``run.json``),
    RL Zoo's and other SB3 folders (``evaluations.npz``, ``monitor.csv``), TensorBoard's, CleanRL's,
    W&B's and openrlbenchmark's. Links to folders are not followed, and hidden folders, where an
    unfinished run lies, are not read; both are listed.

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
        gathered.made_by += of_source.made_by
        gathered.logged_to |= of_source.logged_to
        gathered.event_folders |= of_source.event_folders
        summaries.append(_summary(source, of_source))
    _leave_own_logs(gathered)
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
        given=tuple(map(_as_given, wanted)),
        looks=tuple(gathered.looks),
        made_by=tuple(gathered.made_by),
    )


def _as_given(source: Source) -> str:
    name = _base_name(source.path)
    return name if source.settings is None else f"{source.settings}={name}"


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
        search = Search(root, prefix, gathered.set_aside, gathered.looks, gathered.made_by)
        with reading_below(root):
            for folder in search.folders():
                parts = (_base_name(root), *map(clean, folder.relative_to(root).parts))
                _read_folder(folder, search.name(folder), parts, gathered, already)
    elif root.suffix.lower() == ".csv" and root.is_file():
        # Without a name of its own, a table's prefix is its file name already.
        base = _base_name(root)
        name = f"{prefix}{base}" if source.settings else prefix.rstrip("/") or base
        if _is_new(root, name, gathered, already):
            try:
                runs, asides = (read_export if is_export(root) else read_scores)(root, name)
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
        read = reader_of(folder)
        if read is None:
            record = run_folders.read_record(folder)
            log = record.get("tensorboard")
            if isinstance(log, str) and "\0" not in log:
                gathered.logged_to[os.path.realpath(log)] = name
            if record.get("stage") in TUNING_STAGES:
                gathered.tuning_runs += 1
            else:
                gathered.runs.append(thinned(run_folders.to_run(record, folder, name)))
        else:
            run, asides = read(folder, name, parts)
            gathered.runs.append(thinned(run))
            if run.kind == "tensorboard":
                gathered.event_folders[os.path.realpath(folder)] = name
            gathered.set_aside += asides
    except Exception as error:  # of one damaged file, whatever its damage raises
        gathered.set_aside.append(SetAside(name, reason_of(error)))


def _leave_own_logs(gathered: _Found) -> None:
    """Set aside what TensorBoard logged of runs of ours that are read by their own files."""
    of_run = {
        name: gathered.logged_to[place]
        for place, name in gathered.event_folders.items()
        if place in gathered.logged_to
    }
    gathered.runs = [
        run for run in gathered.runs if run.kind != "tensorboard" or run.folder not in of_run
    ]
    gathered.set_aside += [
        SetAside(name, f"another log of {owner}, which is read by its own files")
        for name, owner in of_run.items()
    ]


def _is_new(path: Path, name: str, gathered: _Found, already: set[str]) -> bool:
    """Whether no other source led here: a run of unknown seed would count twice unnoticed."""
    real = os.path.realpath(path)
    if real in already:
        gathered.set_aside.append(SetAside(name, "read already, by another of the given paths"))
        return False
    already.add(real)
    return True


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
        "folders of PPO Lab, RL Zoo, SB3, TensorBoard, CleanRL or W&B, or a .csv file of scores"
    )
