"""W&B's export of a plot as CSV: one column of steps, and of each run ``NAME - SERIES``."""

import csv
from collections.abc import Sequence
from pathlib import Path

from reports.logs.names import told_by_names
from reports.logs.opening import text_lines
from reports.logs.records import MAX_RUNS, Run, SetAside, UnusableError, reason_of
from reports.logs.scalars import SERIES, Tracked, tracked_run
from reports.logs.wandb_files import take_row
from reports.text import clean

_STEPS = ("global_step", "Step", "step", "_step")
"""What the first column may be called; only the first of them counts environment steps."""
_LISTED = 20


def is_export(path: Path) -> bool:
    """Whether a CSV file's header is one of W&B's plots of returns.

    Raises:
        UnusableError: unreadable.
    """
    header = next(csv.reader(text_lines(path, "")), [])
    return any(_run_and_series(title) for title in header)


def read_export(path: Path, name: str) -> tuple[list[Run], list[SetAside]]:
    """Read the plot's runs; the columns ``…__MIN`` and ``…__MAX`` beside them are left out.

    Args:
        path: the file.
        name: in the report.

    Returns:
        The runs in the order of their columns, and those that cannot be used. Algorithm,
        environment and seed are told by the runs' names, as CleanRL and RL Zoo make them.

    Raises:
        UnusableError: unreadable, a row of another length, or a first column that counts no steps.
    """
    rows = csv.reader(text_lines(path, ""), strict=True)
    try:
        header = [clean(title) for title in next(rows)]
        if header[0] not in _STEPS:
            raise UnusableError(
                f"line 1: the first column is {header[0][:40]!r}; expected global_step or Step"
            )
        columns = {
            place: found for place, title in enumerate(header) if (found := _run_and_series(title))
        }
        tracked = {run: Tracked(name=run) for run, _ in columns.values()}
        faults: dict[str, str] = {}
        for row in rows:
            if len(row) != len(header):
                raise UnusableError(
                    f"line {rows.line_num}: expected {len(header)} fields, found {len(row)}"
                )
            for place, (run, series) in columns.items():
                if row[place] and run not in faults:
                    _take(row, place, series, header[0], tracked[run], faults)
    except csv.Error as error:
        raise UnusableError(f"{error}; what follows was not read") from error
    return _made(tracked, faults, name)


def _run_and_series(title: str) -> tuple[str, str] | None:
    name, dash, series = title.rpartition(" - ")
    return (clean(name), series) if dash and series in SERIES else None


def _take(
    row: Sequence[str],
    place: int,
    series: str,
    counted_by: str,
    tracked: Tracked,
    faults: dict[str, str],
) -> None:
    try:
        take_row({"global_step": row[0], series: row[place]}, tracked, 0)
        tracked.counted = counted_by != "global_step"
    except UnusableError as error:
        faults[tracked.name] = str(error)


def _made(
    tracked: dict[str, Tracked], faults: dict[str, str], name: str
) -> tuple[list[Run], list[SetAside]]:
    runs: list[Run] = []
    asides: list[SetAside] = []
    for number, (run, logged) in enumerate(tracked.items()):
        try:
            if run in faults:
                raise UnusableError(faults[run])
            if len(runs) >= MAX_RUNS:
                raise UnusableError(f"beyond the first {MAX_RUNS:,} runs, which are all read")
            told = told_by_names([run], None)
            runs.append(tracked_run(logged, told, f"{name}:column {number + 1}", "wandb"))
        except UnusableError as error:
            if len(asides) < _LISTED:
                asides.append(SetAside(name, reason_of(UnusableError(f"the run {run}: {error}"))))
    left = len(tracked) - len(runs) - len(asides)
    if left:
        asides.append(SetAside(name, f"and {left:,} more runs"))
    return runs, asides
