"""The report's tables as pandas DataFrames; pandas is imported here alone."""

from collections.abc import Mapping

import pandas as pd

from reports.content.document import Document
from reports.content.numbers import Cell
from reports.content.rows import Interval
from reports.output.formats import csv_header
from reports.output.table import Column, Table
from reports.output.tables import report_tables

_WHOLE = ("whole", "id", "steps")


def frames(document: Document) -> Mapping[str, pd.DataFrame]:
    """Return every table by its name, as :attr:`reports.report.Report.frames` describes."""
    return {table.name: _frame(table) for table in report_tables(document)}


def _frame(table: Table) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {}
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in table.rows]
        if column.interval:
            ends = [_ends(cell) for cell in cells]
            for which, name in enumerate(csv_header([column])):
                columns[name] = pd.Series([end[which] for end in ends], dtype="float64")
        else:
            columns[column.key] = pd.Series(cells, dtype=_dtype(column, cells))
    frame = pd.DataFrame(columns)
    frame.attrs |= {
        "title": table.title,
        "caption": table.caption,
        "columns": {column.key: column.title for column in table.columns},
    }
    return frame


def _ends(cell: Cell) -> tuple[float | None, float | None, float | None]:
    if isinstance(cell, Interval):
        return cell.value, cell.low, cell.high
    return (float(cell) if isinstance(cell, int | float) else None), None, None


def _dtype(column: Column, cells: list[Cell]) -> str:
    if column.kind == "text":
        return "object"
    whole = all(cell is None or isinstance(cell, int) for cell in cells)
    return "Int64" if column.kind in _WHOLE and whole else "float64"
