"""Tables of shares that were measured by simulation, with standard errors and goals."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        cells: what was measured under which conditions.
        met: whether its goal is reached within two standard errors; None where it has none.
    """

    cells: tuple[str, ...]
    met: bool | None = None


@dataclass(frozen=True)
class MeasuredTable:
    """A table of the page: heading, explanation, header and rows."""

    title: str
    words: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]

    def text(self) -> str:
        """The table as Markdown, and how many of its rows with a goal reach it."""
        asked = [row.met for row in self.rows if row.met is not None]
        reached = (
            f"\nGoals reached, within two standard errors: {sum(asked)} of {len(asked)}."
            if asked
            else ""
        )
        lines = [
            f"### {self.title}\n",
            f"{self.words}\n",
            f"| {' | '.join(self.header)} |",
            "|:--|" + "--:|" * (len(self.header) - 1),
            *(f"| {' | '.join(row.cells)} |" for row in self.rows),
            *filter(None, [reached]),
        ]
        return "\n".join(lines) + "\n"


def rng_of(name: str) -> np.random.Generator:
    """The generator of one row."""
    return np.random.default_rng(crc32(name.encode()))


def standard_error(share: float, repetitions: int) -> float:
    """Of a measured share."""
    return float(np.sqrt(share * (1 - share) / repetitions))


def share_cell(share: float, repetitions: int) -> str:
    """A share with its standard error, which of none or all seen is that of half a case."""
    kept = min(max(share, 0.5 / repetitions), 1 - 0.5 / repetitions)
    return f"{share:.3f} ({standard_error(kept, repetitions):.3f})"
