"""From logs to a report: pages, tables and figures in one folder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from reports.content.arrangement import arrange
from reports.content.assembly import assemble
from reports.content.baseline import chosen_baseline
from reports.content.document import INTERVALS, Document, Engine, ReportSettings, to_json
from reports.content.findings import Finding
from reports.logs.loading import load_runs
from reports.logs.records import LoadedRuns
from reports.logs.references import fill_references
from reports.output import figures, rliable_figures
from reports.output.formats import csv_text, latex_table, markdown_table
from reports.output.markdown import compose
from reports.output.page import render_page
from reports.output.table import Table
from reports.output.tables import TABLE_NAMES, brief_main_table, report_tables
from reports.output.terminal import TerminalTable
from reports.statistics import aggregates, bands, rliable_engine
from reports.statistics.failures import FAILED_BELOW
from reports.whole_files import write_all_whole

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE_DRAWS = aggregates.DRAWS
CURVE_DRAWS = bands.DRAWS
MARGIN = 0.05
THRESHOLD = 0.9

Format = Literal["html", "md", "csv", "tex"]
FORMATS: tuple[Format, ...] = get_args(Format)

_CSV_ONLY = ("scores", "curves", "profiles", "set_aside")


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        document: every number.
        files: the files, in the order in which they appeared.
    """

    document: Document
    files: tuple[Path, ...]

    @property
    def finding(self) -> Finding:
        """The main result in words, headline and detail."""
        return Finding(self.document.headline, self.document.detail)

    @property
    def frames(self) -> "Mapping[str, DataFrame]":
        """Every table by its file's name as a pandas ``DataFrame``, with the columns of its CSV.

        docs/reports.md lists them; ``frame.attrs`` holds ``title``, ``caption`` and what each
        column is called on the page (``columns``). Numbers are float64 or Int64, a number that
        does not exist is NA, texts are as they are in the runs.
        """
        from reports.output.frames import frames

        return frames(self.document)

    @property
    def table(self) -> TerminalTable:
        """The main table; ``rich.print(report.table.rich())`` shows it on a terminal."""
        return TerminalTable(self.document)


def write_report(
    source: str | Path | LoadedRuns,
    out: str | Path,
    *,
    baseline: str | None = None,
    seed: int = 0,
    notes: Sequence[str] = (),
    table_draws: int = TABLE_DRAWS,
    curve_draws: int = CURVE_DRAWS,
    margin: float = MARGIN,
    threshold: float = THRESHOLD,
    failed_below: float = FAILED_BELOW,
    formats: Collection[Format] = FORMATS,
    best: bool = False,
    title: str | None = None,
    engine: Engine = "ppo_lab",
    runtime: bool = False,
) -> Report:
    """Write a report's pages, tables and figures into one folder.

    Always ``report.json`` with every number; by ``formats`` ``report.html``, ``report.md``, and
    ``tables/*.md, *.csv, *.tex``; with ``md`` or ``tex`` also ``figures/*.png, *.svg``. The same
    logs, baseline, seed and notes give the same bytes, wherever the logs lie. All files are
    written beside their places before the first takes its place: where the disk is full, nothing
    changes.

    Args:
        source: a folder with logs at any depth, or what ``load_runs`` returned.
        out: folder to write to, made where it is missing.
        baseline: the label ``algo (settings)`` that the others are compared with; the algorithm's
            name alone serves where it has one label. None: SB3's PPO if it is there, the tuned one
            of several, else the first label; this also where no one label answers to the name,
            and the report says so.
        seed: seed of the resampling.
        notes: plain sentences for the page.
        table_draws: bootstrap draws for each of the main table's intervals, at least 1.
        curve_draws: bootstrap draws for each other interval and each band, at least 1.
        margin: means closer than this share of a task's normalised scale are practically equal.
        threshold: normalised return that the steps to the threshold are counted up to.
        failed_below: a run failed whose normalised score is below this share, in (0, 1), of its
            label's upper quartile on the task.
        formats: which of ``html``, ``md``, ``csv``, ``tex`` to write.
        best: judge the best checkpoints in place of the final policies; the report says so.
        title: of the pages; None: the main result alone.
        engine: what estimates the numbers over tasks: ``ppo_lab``, or ``rliable``, whose plots are
            then drawn beside ours; it takes a label's runs only where every task has as many.
        runtime: show wall time and steps per second of PPO Lab's runs: the same logs still give
            the same bytes, but the same command that trains again does not.

    Raises:
        NoRunsError: no run can be used.
        ScoresError: rliable does not take these runs; a ValueError.
        ValueError: a format or an engine that there is not, a share of failed runs outside (0, 1).
        OSError: the folder cannot be written to.
    """
    _check(formats, failed_below, engine)
    loaded = source if isinstance(source, LoadedRuns) else load_runs(source)
    loaded = replace(loaded, runs=fill_references(loaded.runs))
    baseline, remarks = chosen_baseline(loaded.runs, baseline)
    settings = ReportSettings(
        baseline=baseline,
        seed=seed,
        table_draws=table_draws,
        curve_draws=curve_draws,
        equivalence_margin=margin,
        threshold=threshold,
        failed_below=failed_below,
        best_checkpoints=best,
        engine=engine,
        interval_method=INTERVALS if engine == "ppo_lab" else rliable_engine.INTERVALS,
    )
    document = assemble(
        arrange(loaded.runs),
        loaded,
        settings,
        title=title or "",
        notes=notes,
        remarks=remarks,
        runtime=runtime,
    )
    return Report(document, _written(document, Path(out), formats))


def _check(formats: Collection[Format], failed_below: float, engine: Engine) -> None:
    if unknown := set(formats) - set(FORMATS):
        raise ValueError(f"formats {sorted(unknown)}: expected of {', '.join(FORMATS)}")
    if not 0 < failed_below < 1:
        raise ValueError(f"failed_below={failed_below}: expected a share between 0 and 1")
    if engine not in get_args(Engine):
        raise ValueError(f"engine {engine!r}: expected of {', '.join(get_args(Engine))}")


def _written(document: Document, folder: Path, formats: Collection[Format]) -> tuple[Path, ...]:
    """Write a report's files, and remove an earlier one's that it has not."""
    contents = report_files(document, formats)
    files = {folder / name: content for name, content in contents.items()}
    for parent in {file.parent for file in files}:
        parent.mkdir(parents=True, exist_ok=True)
    write_all_whole(files)
    _remove_stale(folder, contents, formats)
    return tuple(files)


def report_files(document: Document, formats: Collection[Format]) -> dict[str, bytes]:
    """Return every file of a report by its path, the pages last: a pure function."""
    files: dict[str, bytes] = {}
    with_figures = "md" in formats or "tex" in formats
    drawn = figures.report_figures(document) if with_figures else ()
    if with_figures and document.settings.engine == "rliable":
        drawn = (*drawn, *rliable_figures.report_figures(document))
    for figure in drawn:
        files[f"figures/{figure.name}.png"] = figure.png
        files[f"figures/{figure.name}.svg"] = figure.svg
    tables = [table for table in report_tables(document) if table.rows]
    for table in tables:
        files.update(_table_files(document, table, formats))
    files["report.json"] = to_json(document).encode()
    if "md" in formats:
        shown = [(figure.shows, f"figures/{figure.name}.png") for figure in drawn]
        page = compose(document, shown, tables if "csv" in formats else ())
        files["report.md"] = page.encode("utf-8", "replace")
    if "html" in formats:
        files["report.html"] = render_page(document).encode("utf-8", "replace")
    return files


def _table_files(
    document: Document, table: Table, formats: Collection[Format]
) -> Mapping[str, bytes]:
    files: dict[str, bytes] = {}
    path = f"tables/{table.name}"
    if "csv" in formats:
        files[f"{path}.csv"] = csv_text(table).encode()
    if table.name in _CSV_ONLY:
        return files
    brief = brief_main_table(document) if table.name == "table" else table
    if "md" in formats:
        files[f"{path}.md"] = markdown_table(brief).encode()
    if "tex" in formats:
        files[f"{path}.tex"] = latex_table(brief).encode()
    return files


def _remove_stale(folder: Path, contents: Mapping[str, bytes], formats: Collection[Format]) -> None:
    """Remove an earlier report's tables and figures that this report, of these formats, has not."""
    kinds = [f"tables/{name}.{kind}" for name in TABLE_NAMES for kind in formats]
    if "md" in formats or "tex" in formats:
        kinds += [
            f"figures/{name}.{kind}"
            for name in (*figures.NAMES, *rliable_figures.NAMES)
            for kind in ("png", "svg")
        ]
    for name in kinds:
        if name not in contents:
            (folder / name).unlink(missing_ok=True)
