"""A table: columns, rows of raw values, and which of them are best; ``formats`` writes it out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from reports.content.numbers import Cell, CellKind
from reports.content.rows import Interval

Mark = Literal["", "best", "tied"]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in CSV; an interval's ends get ``_low`` and ``_high`` after it.
        title: its name for a reader.
        kind: how its cells are shown.
        better: 1 where the highest value of a group is best, −1 where the lowest, 0 where neither.
        interval: whether its cells are intervals.
        value: its cell in the row of a record; None: the record's attribute of the key's name.
    """

    key: str
    title: str
    kind: CellKind = "text"
    better: int = 0
    interval: bool = False
    value: Callable[[Any], Cell] | None = None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: its file name without ending; plain letters.
        title: its heading.
        caption: what its columns mean, a sentence or two.
        columns: at least one.
        rows: as long as ``columns`` each.
        grouped: whether best and tied are judged within equal first cells.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    grouped: bool = False

    @property
    def marks(self) -> tuple[tuple[Mark, ...], ...]:
        """``best`` for each group's best value of a column, ``tied`` where its interval meets it.

        A group of one row, or of equal values, has no best.
        """
        marks: list[list[Mark]] = [[""] * len(self.columns) for _ in self.rows]
        groups: dict[Cell, list[int]] = {}
        for index, row in enumerate(self.rows):
            groups.setdefault(row[0] if self.grouped else None, []).append(index)
        for place, column in enumerate(self.columns):
            if column.better:
                for members in groups.values():
                    _mark_group(marks, self.rows, members, place, column.better)
        return tuple(tuple(row) for row in marks)

    def without(self, keys: Collection[str]) -> "Table":
        """Return the table without the columns of these keys."""
        kept = [place for place, column in enumerate(self.columns) if column.key not in keys]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            rows=tuple(tuple(row[place] for place in kept) for row in self.rows),
        )

    def leading(self, keys: Sequence[str]) -> "Table":
        """Return the table with the columns of these keys first, those that there are."""
        places = range(len(self.columns))
        first = [place for key in keys for place in places if self.columns[place].key == key]
        order = [*first, *(place for place in places if place not in first)]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in order),
            rows=tuple(tuple(row[place] for place in order) for row in self.rows),
        )

    def where(self, first: Cell) -> "Table":
        """Return the rows whose first cell is ``first``, without that column."""
        rows = tuple(row[1:] for row in self.rows if row[0] == first)
        return Table(self.name, self.title, self.caption, self.columns[1:], rows)


def _mark_group(
    marks: list[list[Mark]],
    rows: Sequence[Sequence[Cell]],
    members: Sequence[int],
    place: int,
    better: int,
) -> None:
    numbers = ((index, _number(rows[index][place])) for index in members)
    heights = {index: better * number for index, number in numbers if number is not None}
    if len(set(heights.values())) < 2:
        return
    leader = max(heights, key=heights.__getitem__)
    for index, height in heights.items():
        if height == heights[leader]:
            marks[index][place] = "best"
        elif _overlap(rows[index][place], rows[leader][place]):
            marks[index][place] = "tied"


def _overlap(first: Cell, second: Cell) -> bool:
    if not isinstance(first, Interval) or not isinstance(second, Interval):
        return False
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return False
    return first.low <= second.high and second.low <= first.high


def _number(cell: Cell) -> float | None:
    if isinstance(cell, Interval):
        return cell.value
    return cell if isinstance(cell, int | float) else None
