"""Numbers as a report shows them."""

from typing import Literal

from reports.content.rows import Interval
from reports.text import one_line

CellKind = Literal["text", "id", "whole", "steps", "unit", "score", "p", "share"]
"""``unit``: normalised, three decimals; ``score``: own units; ``share``: in [0, 1], per cent."""
Cell = str | int | float | Interval | None


NOTHING = "–"


def parts(cell: Cell, kind: CellKind, scale: float | None = None) -> tuple[str, str]:
    """Return a cell's text and its interval's text, which is empty where there is none.

    Args:
        cell: the cell.
        kind: its column's kind.
        scale: the size of the column's numbers, which decides the decimals of a ``score``; None:
            the cell's own.
    """
    scale = size(cell) if scale is None else scale
    if not isinstance(cell, Interval):
        return _plain(cell, kind, scale), ""
    value = _plain(cell.value, kind, scale)
    if cell.value is None or cell.low is None or cell.high is None:
        return value, ""
    return value, f"[{_plain(cell.low, kind, scale)}, {_plain(cell.high, kind, scale)}]"


def shown(cell: Cell, kind: CellKind = "unit") -> str:
    """Return ``0.953 [0.941, 0.962]``, or ``0.953`` where there is no interval."""
    return " ".join(filter(None, parts(cell, kind)))


def decimals(scale: float) -> int:
    """Return how many decimals a score of this size is shown with: about four figures."""
    return 3 if scale < 10 else 2 if scale < 100 else 1 if scale < 1000 else 0


def percent(share: float) -> str:
    """Return ``95 %`` or ``97.5 %``."""
    return f"{100 * share:g} %"


def pair_texts(improvement: Interval) -> tuple[str, str]:
    """A probability of improvement as its cell of the matrix shows it, and its interval or ""."""
    low, high = improvement.low, improvement.high
    ends = "" if low is None or high is None else f"{low:.2f}–{high:.2f}"
    return f"{improvement.value:.2f}", ends


def scale_end(score: float) -> str:
    """A score that normalises others, in the environment's own units: six figures."""
    return f"{score:.6g}"


def size(cell: Cell) -> float:
    """Return the largest number of a cell in size, its interval's ends among them; 0 of a text."""
    ends = (cell.value, cell.low, cell.high) if isinstance(cell, Interval) else (cell,)
    return max((abs(end) for end in ends if isinstance(end, int | float)), default=0.0)


def _plain(cell: str | int | float | None, kind: CellKind, scale: float) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, str):
        return one_line(cell)
    if kind == "id":
        return str(cell)
    if kind == "steps":
        return f"{round(cell):,}"
    if kind == "whole":
        return f"{cell:,}" if abs(cell) >= 10_000 else str(cell)
    if kind == "p":
        return "<0.001" if cell < 0.001 else f"{cell:.3f}"
    if kind == "share":
        return f"{100 * cell:.0f} %"
    if kind == "unit":
        return f"{cell:z.3f}"
    return f"{cell:z,.{decimals(scale)}f}"
