"""From run folders to a report: page, tables and figures in one folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports.cautions import cautions
from reports.comparison import Comparison, compare
from reports.figures import interval_figure, learning_curve_figure
from reports.page import Finding, compose, find, footer
from reports.references import fill_references
from reports.runs import LoadedRuns, Run, load_runs
from reports.statistics import CURVE_DRAWS, TABLE_DRAWS, Draws, label_statistics, learning_curves
from reports.tables import ScoreTable, csv_text

BASELINE = "ppo (tuned)"


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        finding: the main result in words, headline and detail.
        table: the statistics; ``rich.print(report.table.rich())`` shows them on a terminal.
        files: the files, in the order in which they appeared.
    """

    finding: Finding
    table: ScoreTable
    files: tuple[Path, ...]


def write_report(
    source: str | Path | LoadedRuns,
    out: str | Path,
    *,
    baseline: str = BASELINE,
    seed: int = 0,
    notes: Sequence[str] = (),
    table_draws: int = TABLE_DRAWS,
    curve_draws: int = CURVE_DRAWS,
) -> Report:
    """Write ``report.md``, its numbers as CSV and its figures as PNG into one folder.

    The files: ``scores.csv``, ``table.csv``, ``learning_curves.png``, ``intervals.png``,
    ``report.md``. The same run folders, baseline, seed and notes give the same bytes, wherever
    the folders lie. Every file appears whole or not at all, the page last.

    Args:
        source: a folder with run folders at any depth, or what ``load_runs`` returned for it.
        out: folder to write to, made where it is missing.
        baseline: the label ``algo (settings)`` that the others are compared with. If no run has
            it, the first label takes its place, and the report says so.
        seed: seed of the bootstrap.
        notes: plain sentences for the page.
        table_draws: bootstrap draws for each of the table's intervals, at least 1.
        curve_draws: bootstrap draws for each learning curve's band, at least 1.

    Raises:
        NoRunsError: no run can be used, or no environment was run by every label.
        OSError: the folder cannot be written to.
    """
    loaded = source if isinstance(source, LoadedRuns) else load_runs(source)
    loaded = replace(loaded, runs=fill_references(loaded.runs))
    comparison = compare(loaded.runs)
    draws = Draws(table=table_draws, curve=curve_draws, seed=seed)
    table = _table(comparison, loaded, baseline, draws)
    found = find(table.rows, table.baseline)
    labels = [row.label for row in table.rows]
    contents = {
        "scores.csv": _scores_csv(loaded.runs).encode(),
        "table.csv": table.csv().encode(),
        "learning_curves.png": learning_curve_figure(learning_curves(comparison, draws), labels),
        "intervals.png": interval_figure(table.rows),
        "report.md": compose(table, found, notes, loaded).encode("utf-8", "replace"),
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        _write_whole(folder / name, content)
    return Report(found, table, tuple(folder / name for name in contents))


def _table(comparison: Comparison, loaded: LoadedRuns, baseline: str, draws: Draws) -> ScoreTable:
    labels = [scores.label for scores in comparison.labels]
    stated: tuple[str, ...] = ()
    if baseline not in labels:
        stated = (f"No run is of {baseline}: {labels[0]} is the baseline instead.",)
        baseline = labels[0]
    rows = label_statistics(comparison, baseline, draws)
    return ScoreTable(
        rows=rows,
        baseline=baseline,
        footer=footer(comparison, loaded, draws),
        cautions=(*stated, *cautions(comparison, rows, loaded)),
    )


def _scores_csv(runs: Sequence[Run]) -> str:
    header = ("label", "algo", "settings", "env", "seed", "steps", "score", "normalised_score")
    ordered = sorted(runs, key=lambda run: (run.label, run.task, run.seed or 0))
    return csv_text(
        header,
        [
            (
                run.label,
                run.algo,
                run.settings,
                run.task,
                run.seed,
                run.steps,
                run.score,
                run.normalised_score,
            )
            for run in ordered
        ],
    )


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
