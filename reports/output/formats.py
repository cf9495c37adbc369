"""Tables as text: cells for readers, CSV, Markdown, LaTeX."""

import csv
import io
import re
from collections.abc import Sequence

from reports.content.numbers import Cell, parts, size
from reports.content.rows import Interval
from reports.output.table import Column, Mark, Table
from reports.text import markdown, one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after a row's end it would be read as an argument, and so would an asterisk
    "*": "{*}",
    "–": "--",
    "−": r"\ensuremath{-}",
    "…": r"\ldots{}",
    "τ": r"\ensuremath{\tau}",
    "·": r"\ensuremath{\cdot}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
}
_MINUS = re.compile(r"-(?=\d)")
_LATEX_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)))


def column_scales(table: Table) -> list[list[float]]:
    """Return for each cell the size of its column's numbers, within the rows of its task."""
    largest: dict[tuple[Cell, int], float] = {}
    keys = [column.key for column in table.columns]
    units = next((place for place, key in enumerate(keys) if key in ("task", "env")), None)
    groups = [None if units is None else row[units] for row in table.rows]
    for group, row in zip(groups, table.rows, strict=True):
        for place, cell in enumerate(row):
            key = (group, place)
            largest[key] = max(largest.get(key, 0.0), size(cell))
    return [[largest[group, place] for place in range(len(table.columns))] for group in groups]


def csv_text(table: Table) -> str:
    """Return a table as CSV with Unix line ends: floats exact, None as nothing.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(csv_header(table.columns))
    for row in table.rows:
        writer.writerow(csv_row(table.columns, row))
    return buffer.getvalue()


def csv_header(columns: Sequence[Column]) -> list[str]:
    """Return the CSV column names: three for an interval."""
    names: list[str] = []
    for column in columns:
        names.append(column.key)
        if column.interval:
            names += [f"{column.key}_low", f"{column.key}_high"]
    return names


def csv_row(columns: Sequence[Column], row: Sequence[Cell]) -> list[str | int | float | None]:
    """Return a row's CSV cells, as many as ``csv_header`` names."""
    cells: list[str | int | float | None] = []
    for column, cell in zip(columns, row, strict=True):
        if isinstance(cell, Interval):
            cells += [cell.value, cell.low, cell.high]
            continue
        if isinstance(cell, str):
            guard = "'" if cell.startswith(_FORMULA) else ""
            # The csv module leaves a bare carriage return unquoted, which ends a row for readers.
            cell = guard + cell.replace("\r", " ")
        cells.append(cell)
        if column.interval:
            cells += [None, None]
    return cells


def markdown_table(table: Table) -> str:
    """Return a GitHub pipe table: best in bold, tied with an asterisk."""
    titles = [markdown(column.title) for column in table.columns]
    rules = [":--" if column.kind == "text" else "--:" for column in table.columns]
    lines = [_pipes(titles), "|" + "|".join(rules) + "|"]
    for row, marks, scales in zip(table.rows, table.marks, column_scales(table), strict=True):
        cells = zip(table.columns, row, marks, scales, strict=True)
        lines.append(_pipes([_markdown_cell(*cell) for cell in cells]))
    return "\n".join(lines) + "\n"


def latex_table(table: Table) -> str:
    r"""Return a ``tabular`` with booktabs' rules: best in bold, tied with an asterisk."""
    rules = "".join("l" if column.kind == "text" else "r" for column in table.columns)
    head = " & ".join(latex(column.title) for column in table.columns)
    lines = [
        r"% \usepackage{booktabs}",
        f"% {latex(table.caption)}",
        rf"\begin{{tabular}}{{{rules}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
    ]
    for row, marks, scales in zip(table.rows, table.marks, column_scales(table), strict=True):
        cells = zip(table.columns, row, marks, scales, strict=True)
        lines.append(" & ".join(_latex_cell(*cell) for cell in cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def latex(text: str) -> str:
    """Escape a text so that LaTeX sets it as it is, on one line."""
    return _LATEX_SPECIAL.sub(lambda match: _LATEX[match[0]], one_line(text))


def _markdown_cell(column: Column, cell: Cell, mark: Mark, scale: float) -> str:
    value, interval = (markdown(part) for part in parts(cell, column.kind, scale))
    if mark == "best":
        value = f"**{value}**"
    elif mark == "tied":
        value += r"\*"
    return " ".join(filter(None, (value, interval)))


def _latex_cell(column: Column, cell: Cell, mark: Mark, scale: float) -> str:
    value, interval = (latex(part) for part in parts(cell, column.kind, scale))
    if column.kind != "text":
        value, interval = (_MINUS.sub(r"\\ensuremath{-}", part) for part in (value, interval))
    if mark == "best":
        value = rf"\textbf{{{value}}}"
    elif mark == "tied":
        value += "*"
    return " ".join(filter(None, (value, interval)))


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
