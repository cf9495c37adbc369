"""What a page of very many labels and tasks shows: it stays small, other files say the rest.

Each task's scores are numbers in the page's data, of which the script makes a table when the task
is opened.
"""

from collections.abc import Sequence
from dataclasses import replace

from reports.content.document import Document
from reports.content.numbers import decimals
from reports.content.rows import TaskScore
from reports.output.table import Table

MAX_PAGE_BYTES = 2_000_000
"""Beyond it a page is slow to open, above all on a phone."""
MANY_GROUPS = 1_000
"""Pairs of a label and a task of which a whole page is surely larger."""
MOST_ROWS = 100
"""Of files set aside."""
REST = (
    "This page shows less than others, as it would be larger than 2 MB: of each task the scores "
    "alone. Every run, test and number stands in report.json, and in tables/*.csv where they were "
    "written."
)


def task_numbers(document: Document) -> list[list[list[float | int | str | None]]]:
    """Each task's rows: the label's place, runs, then mean, its interval's ends, and IQM."""
    by_task: dict[str, list[TaskScore]] = {task.name: [] for task in document.tasks}
    for row in document.task_scores:
        by_task[row.task].append(row)
    places = {label: place for place, label in enumerate(document.labels)}
    return [
        [
            [
                places[row.label],
                row.runs,
                *(
                    _rounded(value)
                    for value in (row.mean.value, row.mean.low, row.mean.high, row.iqm.value)
                ),
            ]
            for row in rows
        ]
        for rows in by_task.values()
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, decimals(abs(value)))


def first_rows(table: Table, most: int = MOST_ROWS) -> Table:
    """The first rows, and how many more there are in its caption."""
    more = len(table.rows) - most
    if more <= 0:
        return table
    caption = f"{table.caption} {more:,} more stand in report.json."
    return replace(table, rows=table.rows[:most], caption=caption)


def without_rows(tables: dict[str, Table], names: Sequence[str]) -> dict[str, Table]:
    """The tables, these of them empty."""
    return {
        name: replace(table, rows=()) if name in names else table for name, table in tables.items()
    }
