"""The verdict and the main table on a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from reports.content.document import Document
from reports.content.numbers import Cell, CellKind, parts, percent, shown
from reports.content.rows import Interval
from reports.output.table import Table
from reports.output.tables import brief_main_table
from reports.text import one_line

__all__ = ["TerminalTable"]

MOST_CAUTIONS = 3
BRIEF = {"label": "label", "runs": "runs", "iqm": "IQM", "optimality_gap": "gap",
         "p_better": "P(better)"}  # fmt: skip
"""Columns of the short table, with their titles."""
COARSE = 2
"""Decimals of normalised numbers where three do not fit."""


@dataclass(frozen=True)
class TerminalTable:
    """The verdict, the main table and the gravest cautions, for ``rich.print``.

    Attributes:
        document: the report that it is of.
    """

    document: Document

    def rich(self, explain: bool = False) -> RenderableType:
        """Return what a command prints of a report; no name is read as markup.

        Args:
            explain: every column, every caution and what all of it means.
        """
        pieces: list[RenderableType] = [Text(one_line(self.document.headline), style="bold")]
        pieces += self._explained() if explain else self._brief()
        return Group(*pieces)

    def _brief(self) -> Iterator[RenderableType]:
        document = self.document
        if document.aggregates:
            yield _Short(_short_table(document))
            yield Text(self._legend(), style="dim")
        yield from _cautions(document.cautions, MOST_CAUTIONS)

    def _legend(self) -> str:
        """One line on what the table rests on."""
        document = self.document
        runs = {row.runs for row in document.aggregates}
        compared = [task.name for task in document.tasks if task.compared]
        tasks = compared[0] if len(compared) == 1 else f"{len(compared)} tasks"
        words = [f"{runs.pop()} runs each on {tasks}" if len(runs) == 1 else f"On {tasks}"]
        words.append(f"[…] {percent(document.settings.level)} intervals")
        tested = [row for row in document.aggregates if row.rank_p is not None]
        if tested:
            best = max(tested, key=lambda row: -2.0 if row.iqm.value is None else row.iqm.value)
            words.append(f"P(better) is over {document.settings.baseline}")
            words.append(f"p of {best.label}: {shown(best.rank_p, 'p')}")
        return one_line("; ".join([*words, "--explain says more"]) + ".")

    def _explained(self) -> Iterator[RenderableType]:
        document = self.document
        if document.aggregates:
            yield _stacked(brief_main_table(document))
        yield Text(one_line(document.detail))
        yield from _cautions(document.cautions, len(document.cautions))
        for line in (*document.notes, *document.footer):
            yield Text(one_line(line), style="dim")


class _Short:
    """The short table, with three decimals where they fit into the screen's width, else two."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fine = _side_by_side(self._table, None)
        fits = console.measure(fine, options=options.update(width=1000)).maximum
        yield fine if fits <= options.max_width else _side_by_side(self._table, COARSE)


def _short_table(document: Document) -> Table:
    table = brief_main_table(document)
    hidden = {column.key for column in table.columns} - BRIEF.keys()
    if len({row.runs for row in document.aggregates}) == 1:
        hidden.add("runs")
    short = table.without(hidden)
    titled = (replace(column, title=BRIEF[column.key]) for column in short.columns)
    return replace(short, columns=tuple(titled))


def _side_by_side(table: Table, decimals: int | None) -> RichTable:
    """A table with each interval beside its estimate; only labels may be broken."""
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        is_text = column.kind == "text"
        made.add_column(
            Text(one_line(column.title)),
            justify="left" if is_text else "right",
            no_wrap=not is_text,
            overflow="fold",
        )
    for row, marks in zip(table.rows, table.marks, strict=True):
        cells = zip(table.columns, row, marks, strict=True)
        made.add_row(
            *(
                Text(_in_one_line(cell, column.kind, decimals), "bold" if mark == "best" else "")
                for column, cell, mark in cells
            )
        )
    return made


def _in_one_line(cell: Cell, kind: CellKind, decimals: int | None) -> str:
    if decimals is None or not isinstance(cell, Interval) or cell.value is None:
        return shown(cell, kind)
    value, *ends = (
        f"{end:z.{decimals}f}" for end in (cell.value, cell.low, cell.high) if end is not None
    )
    return f"{value} [{', '.join(ends)}]" if len(ends) == 2 else value


def _stacked(table: Table) -> RichTable:
    """A table with each interval below its estimate: eight columns outgrow most screens."""
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        made.add_column(
            Text(one_line(column.title)), justify="left" if column.kind == "text" else "right"
        )
    for row, marks in zip(table.rows, table.marks, strict=True):
        cells = zip(table.columns, row, marks, strict=True)
        made.add_row(
            *(
                Text(
                    "\n".join(filter(None, parts(cell, column.kind))),
                    "bold" if mark == "best" else "",
                )
                for column, cell, mark in cells
            )
        )
    return made


def _cautions(cautions: Sequence[str], most: int) -> Iterator[Text]:
    for line in cautions[:most]:
        yield Text(one_line(f"! {line}"), style="yellow")
    if len(cautions) > most:
        yield Text(f"! {len(cautions) - most} more in the report", style="yellow")
