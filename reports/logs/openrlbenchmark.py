"""openrlbenchmark's cache of W&B runs: ``run_df.csv``, a history, and ``run.json``, settings."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.logs.names import told_by_names
from reports.logs.opening import text_lines
from reports.logs.reading import read_json
from reports.logs.records import Run, SetAside, UnusableError
from reports.logs.scalars import Tracked, plain_settings, tracked_run
from reports.logs.wandb_files import take_row
from reports.text import clean

HISTORY = "run_df.csv"
_SETTINGS = "run.json"


def read_cached_run(folder: Path, name: str, parts: Sequence[str]) -> tuple[Run, list[SetAside]]:
    """Read a cached run.

    Args:
        folder: on disk; holds ``run_df.csv``.
        name: in the report.
        parts: names of the folders down to this one.

    Raises:
        UnusableError: a file is missing or unreadable, or no series of returns is in it.
    """
    stated = read_json(folder / _SETTINGS)
    config = stated.get("config")
    if not isinstance(config, Mapping):
        raise UnusableError(f"{_SETTINGS} holds no config of a run of W&B")
    tracked = Tracked(
        settings=plain_settings(list(config.items())), name=clean(str(stated.get("name") or ""))
    )
    lines = text_lines(folder / HISTORY, "")
    try:
        rows = csv.reader(lines, strict=True)
        header = [clean(title) for title in next(rows, [])]
        for count, row in enumerate(rows):
            if len(row) != len(header):
                raise UnusableError(
                    f"{HISTORY}: line {rows.line_num}: expected {len(header)} fields, found "
                    f"{len(row)}"
                )
            # The frame holds nothing, or NaN, where a call of log said nothing of a series.
            said = {title: text for title, text in zip(header, row, strict=True) if text != ""}
            take_row(said, tracked, count)
    except csv.Error as error:
        raise UnusableError(f"{HISTORY} is not a table: {error}") from error
    told = told_by_names([tracked.name or parts[-1]], None)
    return tracked_run(tracked, told, name, "openrlbenchmark"), []
