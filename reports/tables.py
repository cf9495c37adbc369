"""One table of statistics; for the terminal, as Markdown, as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from reports.statistics import Estimate, LabelStatistics
from reports.text import markdown, one_line

_ESTIMATES = ("mean", "iqm", "median", "optimality_gap")


@dataclass(frozen=True)
class ScoreTable:
    """A row per label, and the sentences that say what the numbers rest on.

    Attributes:
        rows: at least one.
        baseline: the label that the probabilities of improvement are over.
        footer: plain sentences under the table.
        cautions: plain sentences that warn.
    """

    rows: tuple[LabelStatistics, ...]
    baseline: str
    footer: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Column titles, as ``cells`` fills them."""
        return (
            "label",
            "runs",
            "score",
            "mean",
            "IQM",
            "median",
            "optimality gap",
            f"P(better than {self.baseline})",
        )

    @property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """The table's texts to three decimals, a row per label."""
        return tuple(
            (
                row.label,
                str(row.runs),
                "–" if row.raw_mean is None else f"{row.raw_mean:z.3f}",
                *(shown(getattr(row, name)) for name in _ESTIMATES),
                "–" if row.improvement is None else shown(row.improvement),
            )
            for row in self.rows
        )

    def rich(self) -> Group:
        """Return the table with its footer for ``rich.print``; no name is read as markup."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for index, title in enumerate(self.header):
            justify = "right" if index else "left"
            table.add_column(Text(one_line(title)), justify=justify)  # type: ignore[arg-type]
        for label, *numbers in self.cells:
            # The interval below its estimate: side by side, eight columns outgrow most terminals.
            stacked = (number.replace(" [", "\n[") for number in numbers)
            table.add_row(Text(one_line(label)), *map(Text, stacked))
        cautions = (Text(one_line(f"! {line}"), style="yellow") for line in self.cautions)
        footer = (Text(one_line(line), style="dim") for line in self.footer)
        return Group(table, *cautions, *footer)

    def markdown(self) -> str:
        """Return the table alone as a GitHub pipe table, ending in a line end."""
        lines = [_pipe_row(self.header), "|:--|" + "--:|" * (len(self.header) - 1)]
        lines.extend(_pipe_row(cells) for cells in self.cells)
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Return the table as CSV in full precision; an interval that does not exist is empty."""
        header = ["label", "runs", "score"]
        for name in (*_ESTIMATES, "p_better"):
            header += [name, f"{name}_low", f"{name}_high"]
        rows: list[list[object]] = []
        for row in self.rows:
            values: list[object] = [row.label, row.runs, row.raw_mean]
            for name in (*_ESTIMATES, "improvement"):
                values += _bounds(getattr(row, name))
            rows.append([*values, self.baseline])
        return csv_text([*header, "baseline"], rows)


def shown(estimate: Estimate) -> str:
    """Return ``0.953 [0.941, 0.962]``, or ``0.953`` where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:z.3f}"
    return f"{estimate.value:z.3f} [{estimate.low:z.3f}, {estimate.high:z.3f}]"


def csv_text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return CSV with Unix line ends; floats by their shortest exact form, None as nothing."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def _bounds(estimate: Estimate | None) -> list[float | None]:
    if estimate is None:
        return [None, None, None]
    return [estimate.value, estimate.low, estimate.high]


def _pipe_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown(cell) for cell in cells) + " |"
