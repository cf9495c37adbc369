"""The document as one HTML page that needs nothing but itself.

Charts are SVG drawn here, so the page is whole with scripts off; a small script adds tips,
switches and downloads. A content security policy forbids everything that is not in the file.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from reports.content.document import Document
from reports.content.numbers import Cell, parts, percent, scale_end, shown
from reports.content.rows import MadeByRow, TaskRow
from reports.output import charts, compact, svg
from reports.output.charts import Chart
from reports.output.formats import column_scales, csv_header, csv_row
from reports.output.table import Column, Table
from reports.output.tables import overall_table, page_main_table, report_tables, split_tests
from reports.text import counted, one_line, shortened

_SECTIONS = (
    ("summary", "Summary"),
    ("main-table", "Table"),
    ("figures", "Figures"),
    ("tasks", "Tasks"),
    ("runtime-section", "Runtime"),
    ("protocol-section", "Protocol"),
    ("repeat-section", "Repeat"),
    ("runs-section", "Runs"),
)
_LONGEST_CELL = 300
_SHARED = ("measure", "versions", "circumstances")
_MOST_NUMBERED = 12
_MOST_LEADING = 3
_MOST_CHARACTERS = 50_000
"""Of the commands that made the runs."""
_WIDE = ("folder", "hyperparameters", "reason")


@dataclass(frozen=True)
class _ShownCell:
    value: str
    interval: str
    kind: str
    mark: str
    wide: bool


@dataclass(frozen=True)
class _Shown:
    """A table ready for the template."""

    title: str
    caption: str
    columns: tuple[Any, ...]
    view: tuple[tuple[_ShownCell, ...], ...]
    rows: tuple[Any, ...]
    common: tuple[str, ...]


@dataclass(frozen=True)
class _TaskSection:
    name: str
    anchor: str
    scale: str
    scores: _Shown | None = None
    failures: _Shown | None = None
    tests: _Shown | None = None
    effects: _Shown | None = None
    speed: _Shown | None = None
    strip: Chart | None = None
    curves: Chart | None = None


def render_page(document: Document) -> str:
    """Return the page: the same document gives the same text.

    Where it would be larger than ``compact.MAX_PAGE_BYTES``, it shows less, and says so.

    Args:
        document: any; what it lacks is left out.
    """
    if len(document.task_scores) <= compact.MANY_GROUPS:
        page = _rendered(document, small=False)
        if len(page.encode("utf-8", "replace")) <= compact.MAX_PAGE_BYTES:
            return page
    return _rendered(document, small=True)


def _rendered(document: Document, *, small: bool) -> str:
    tables = {table.name: table for table in report_tables(document)}
    tables["curves"] = tables["curves"].where("")
    if small:
        tables = compact.without_rows(
            tables, ("scores", "tasks", "failures", "tests", "efficiency", "pairs")
        )
        tables["set_aside"] = compact.first_rows(tables["set_aside"])
    drawn = _charts(document)
    for name in ("curves", "profiles"):
        chart = drawn[name]
        tables[name] = chart.table if chart else tables[name]
    numbered = [(task, f"task-{number}") for number, task in enumerate(document.tasks, start=1)]
    sections = [
        _bare_section(task, anchor) if small else _task_section(document, task, anchor, tables)
        for task, anchor in numbered
    ]
    script = _resource("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    with_aggregates = bool(document.aggregates)
    page: str = _template().render(
        document=document,
        facts=_facts(document),
        leading=_leading(document),
        sections=[
            {"id": anchor, "title": title}
            for anchor, title in _SECTIONS
            if (with_aggregates or anchor not in ("main-table", "figures"))
            and (document.runtimes or anchor != "runtime-section")
            and (document.repeat or anchor != "repeat-section")
        ],
        tables={
            **{name: _shown(table) for name, table in tables.items()},
            "scores": _shown(_numbered(tables["scores"].without({"algo", "settings"}))),
            "table": _shown(page_main_table(document)),
            "overall": _shown(overall_table(document)),
        },
        charts=drawn,
        made_by=_made_by(document),
        tasks=sections,
        rest=compact.REST if small else "",
        swatches=[_swatch(index) for index in range(len(document.labels))],
        data={
            "labels": [one_line(label) for label in document.labels],
            "tables": _embedded_tables(document, tables, [] if small else sections),
            "tasks": compact.task_numbers(document) if small else [],
        },
        style=Markup(_resource("style.css").replace("/*DARK*/", _resource("dark.css"))),
        script=Markup(script),
        script_hash=Markup(f"sha256-{digest}"),
    )
    return page


def _charts(document: Document) -> dict[str, Chart | None]:
    return {
        "curves": charts.curve_chart(document, None, "learning-curves"),
        "intervals": charts.interval_chart(document),
        "profiles": charts.profile_chart(document),
        "pairs": charts.matrix_chart(document),
        "runtime": charts.runtime_chart(document),
    }


def _scale(task: TaskRow) -> str:
    scale = f"Normalised: 0 is {scale_end(task.low)}, 1 is {scale_end(task.high)} ({task.source})."
    if not task.compared:
        scale += " Not every label ran this task, so it is in no number across tasks."
    return scale


def _bare_section(task: TaskRow, anchor: str) -> _TaskSection:
    return _TaskSection(name=task.name, anchor=anchor, scale=_scale(task))


def _task_section(
    document: Document, task: TaskRow, anchor: str, tables: Mapping[str, Table]
) -> _TaskSection:
    parts = _task_tables(task.name, tables)
    return _TaskSection(
        name=task.name,
        anchor=anchor,
        scale=_scale(task),
        **{name: _shown(table) for name, table in parts.items()},
        strip=charts.strip_chart(document, task.name, f"{anchor}-{slug(task.name)}-scores"),
        curves=charts.curve_chart(document, task.name, f"{anchor}-{slug(task.name)}-curves"),
    )


def _task_tables(task: str, tables: Mapping[str, Table]) -> dict[str, Table]:
    """One task's tables by what its section calls them."""
    tests, effects = split_tests(tables["tests"].where(task))
    return {
        "scores": tables["tasks"].where(task),
        "failures": tables["failures"].where(task),
        "tests": tests,
        "effects": effects,
        "speed": tables["efficiency"].where(task),
    }


def _embedded_tables(
    document: Document, tables: Mapping[str, Table], sections: Sequence[_TaskSection]
) -> dict[str, object]:
    """Every table that the page's script can save or read, by the id that it has on the page."""
    embedded = {
        name: table
        for name, table in tables.items()
        if name not in ("tasks", "failures", "tests", "efficiency")
        and (table.rows or name != "scores")
    }
    for section in sections:
        for name, table in _task_tables(section.name, tables).items():
            embedded[f"{section.anchor}-{name}"] = table
        if section.curves:
            embedded[f"{section.anchor}-curves"] = section.curves.table
    embedded["overall"] = overall_table(document)
    return {name: _embedded(document, table) for name, table in embedded.items()}


def _made_by(document: Document) -> dict[str, Any]:
    """The commands that made the runs, as many as a page has room for; none is cut."""
    shown: list[MadeByRow] = []
    room = _MOST_CHARACTERS
    for row in document.made_by:
        room -= sum(map(len, (*row.folders, *row.commands)))
        if room < 0:
            break
        shown.append(row)
    left = sum(len(row.commands) for row in document.made_by[len(shown) :])
    return {
        "shown": shown,
        "several": len(document.made_by) > 1,
        "left": counted(left, "more command") if left else "",
    }


def _leading(document: Document) -> list[tuple[str, int, str]]:
    """The highest IQMs and the baseline's: label, its place, the number with its interval."""
    ranked = sorted(
        (row for row in document.aggregates if row.iqm.value is not None),
        key=lambda row: -(row.iqm.value or 0.0),
    )
    first = ranked[:_MOST_LEADING]
    first += [row for row in ranked[_MOST_LEADING:] if row.label == document.settings.baseline]
    return [
        (row.label, document.labels.index(row.label), shown(row.iqm).replace("-", "−"))
        for row in first
    ]


def slug(name: str) -> str:
    """Return a name fit for a file: letters, digits, dots, dashes and underscores only."""
    return shortened(re.sub(r"[^A-Za-z0-9._-]+", "-", name), 48).strip("-.…") or "task"


def _facts(document: Document) -> list[str]:
    settings = document.settings
    compared = sum(task.compared for task in document.tasks)
    facts = [
        counted(len(document.runs), "run"),
        counted(len(document.labels), "label"),
        counted(len(document.tasks), "task")
        + ("" if compared == len(document.tasks) else f", {compared} in common"),
        f"{percent(settings.level)} intervals",
        f"{settings.table_draws:,} bootstrap draws",
        f"seed {settings.seed}",
    ]
    if document.set_aside:
        facts.append(f"{counted(len(document.set_aside), 'file')} set aside")
    return facts


def _shown(table: Table) -> _Shown:
    """Prepare a table; a column that says the same in every row becomes a sentence."""
    same = [_same(table, place) for place in range(len(table.columns))]
    kept = [place for place, text in enumerate(same) if text is None]
    titled = [(column.title, text) for column, text in zip(table.columns, same, strict=True)]
    alike = "; ".join(f"{title}: {text}" for title, text in titled if text)
    nowhere = ", ".join(title for title, text in titled if text == "")
    common = [f"In every row, {alike}."] if alike else []
    if nowhere:
        common.append(f"No row has a value of: {nowhere}.")
    view = tuple(
        tuple(_cell(row[n], table.columns[n], marks[n], scales[n]) for n in kept)
        for row, marks, scales in zip(table.rows, table.marks, column_scales(table), strict=True)
    )
    columns = tuple(table.columns[n] for n in kept)
    return _Shown(table.title, table.caption, columns, view, table.rows, tuple(common))


def _numbered(table: Table) -> Table:
    """Replace the long texts that many runs share by numbers, and say below what they stand for."""
    rows = [list(row) for row in table.rows]
    caption = table.caption
    for place, column in enumerate(table.columns):
        texts = list(dict.fromkeys(str(row[place]) for row in rows))
        if column.key not in _SHARED or not 1 < len(texts) <= _MOST_NUMBERED:
            continue
        listed = "; ".join(f"({n}) {text or 'unknown'}" for n, text in enumerate(texts, start=1))
        caption += f" {column.title.capitalize()}: {listed}."
        for row in rows:
            row[place] = f"({texts.index(str(row[place])) + 1})"
    return replace(table, rows=tuple(map(tuple, rows)), caption=caption)


def _same(table: Table, place: int) -> str | None:
    """Return what a column says in every row, empty for nothing; None for a column to show."""
    values = {row[place] for row in table.rows}
    if place == 0 or len(table.rows) < 2 or len(values) > 1:
        return None
    (value,) = values
    if value is None or value == "":
        return ""
    return one_line(value) if isinstance(value, str) else None


def _cell(cell: Cell, column: Column, mark: str, scale: float) -> _ShownCell:
    value, interval = parts(cell, column.kind, scale)
    if column.kind != "text":
        value, interval = value.replace("-", "−"), interval.replace("-", "−")
    return _ShownCell(
        shortened(value, _LONGEST_CELL), interval, column.kind, mark, column.key in _WIDE
    )


def _embedded(document: Document, table: Table) -> dict[str, object]:
    """Return a table as the page's script takes it: CSV cells, and each curve's label."""
    plain: dict[str, object] = {
        "columns": csv_header(table.columns),
        "rows": [csv_row(table.columns, row) for row in table.rows],
    }
    if table.name in ("curves", "profiles"):
        named = dict.fromkeys(row[0] for row in table.rows)
        plain["series"] = [document.labels.index(str(label)) for label in named]
        plain["x"] = table.columns[1].title
    return plain


def _swatch(index: int) -> Markup:
    content = svg.join([svg.polyline([(1, 7), (29, 7)], index), svg.mark(15, 7, index)])
    return Markup('<svg viewBox="0 0 30 14" aria-hidden="true">{}</svg>').format(content)


def _resource(name: str) -> str:
    return (files("reports.output") / "html" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["line"] = one_line
    return environment.from_string(_resource("page.html"))
