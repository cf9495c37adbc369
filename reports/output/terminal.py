"""The verdict and the main table on a terminal."""

from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from reports.content.document import Document
from reports.content.numbers import parts
from reports.output.tables import brief_main_table
from reports.text import one_line

_MOST_CAUTIONS = 8


@dataclass(frozen=True)
class TerminalTable:
    """The verdict, and the main table with what it rests on.

    Attributes:
        document: the report that it is of.
    """

    document: Document

    def rich(self) -> Group:
        """Return verdict and table for ``rich.print``; no name is read as markup."""
        document = self.document
        pieces: list[RenderableType] = [Text(one_line(document.headline), style="bold")]
        pieces += [self._table()] if document.aggregates else []
        pieces.append(Text(one_line(document.detail)))
        cautions = [f"! {line}" for line in document.cautions[:_MOST_CAUTIONS]]
        if len(document.cautions) > _MOST_CAUTIONS:
            cautions.append(f"! {len(document.cautions) - _MOST_CAUTIONS} more in the report")
        pieces += [Text(one_line(line), style="yellow") for line in cautions]
        pieces += [Text(one_line(line), style="dim") for line in document.footer]
        return Group(*pieces)

    def _table(self) -> RichTable:
        brief = brief_main_table(self.document)
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in brief.columns:
            justify = "left" if column.kind == "text" else "right"
            table.add_column(Text(one_line(column.title)), justify=justify)  # type: ignore[arg-type]
        for row, marks in zip(brief.rows, brief.marks, strict=True):
            cells = []
            for column, cell, mark in zip(brief.columns, row, marks, strict=True):
                # The interval below its estimate: side by side, eight columns outgrow most screens.
                stacked = "\n".join(filter(None, parts(cell, column.kind)))
                cells.append(Text(stacked, style="bold" if mark == "best" else ""))
            table.add_row(*cells)
        return table
