"""The page's charts: a drawing in a wide and a narrow form, what it shows, the table behind it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from markupsafe import Markup

from reports.content.document import Document
from reports.content.numbers import percent
from reports.content.plots import (
    LinePlot,
    interval_panels,
    learning_curves,
    profiles,
    runtime_panels,
)
from reports.output.drawings import (
    Form,
    line_drawing,
    matrix_drawing,
    panels_drawing,
    strip_drawing,
)
from reports.output.multiples import bands_overlap, multiples_drawing
from reports.output.table import Table
from reports.output.tables import (
    curve_table,
    main_table,
    pair_table,
    profile_table,
    runtime_table,
    task_table,
)


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        name: plain letters, digits and dashes: its anchor and the stem of its downloads.
        title: its heading.
        caption: what it shows.
        drawings: ``<svg>`` in a wide and a narrow form.
        table: its numbers.
        labels: places of the labels in its legend; none where the rows are named.
        hover: whether a pointer finds the nearest x of every curve.
        multiples: the same with a panel a label, in both forms; none where lines are told apart.
        fluid: whether it grows and shrinks with the page; else it scrolls where it is too wide.
    """

    name: str
    title: str
    caption: str
    drawings: tuple[Markup, Markup]
    table: Table
    labels: tuple[int, ...] = ()
    hover: bool = False
    fluid: bool = True
    multiples: tuple[Markup, ...] = ()


def curve_chart(document: Document, task: str | None, name: str) -> Chart | None:
    """Return the learning curves of one task, or of all together; None where there are none."""
    plot = learning_curves(document, task)
    if plot is None:
        return None
    caption = f"{plot.shows}, with pointwise {percent(document.settings.level)} bands."
    if plot.threshold is not None:
        caption += f" The dotted line at {plot.threshold:g} is the reference score."
    return _line_chart(name, plot, caption, _drawn(curve_table(document).where(task or ""), plot))


def profile_chart(document: Document) -> Chart | None:
    """Return the performance profiles."""
    plot = profiles(document)
    caption = (
        "Share of runs, averaged over tasks, that score above τ. A curve above another everywhere "
        "is better at every level; where they cross, neither dominates. Where it falls through "
        "one half lies the median run."
    )
    if plot is None:
        return None
    return _line_chart("profiles", plot, caption, _drawn(profile_table(document), plot))


def interval_chart(document: Document) -> Chart | None:
    """Return IQM, mean and optimality gap of every label with their intervals."""
    panels = interval_panels(document)
    if not panels:
        return None
    drawings = _both(lambda form: panels_drawing(panels, form))
    caption = (
        "Point estimates (strokes) and their "
        f"{percent(document.settings.level)} intervals (bars) of the normalised score. Of the "
        "optimality gap, less is better."
    )
    return Chart("intervals", "Intervals", caption, drawings, main_table(document))


def strip_chart(document: Document, task: str, name: str) -> Chart | None:
    """Return every run of one task as a dot, with the mean and its interval."""
    if not any(row.task == task for row in document.task_scores):
        return None
    drawings = _both(lambda form: strip_drawing(document, task, form))
    level = percent(document.settings.level)
    caption = f"One mark a run; the stroke is the mean, the bar its {level} interval."
    return Chart(name, f"Final scores: {task}", caption, drawings, task_table(document).where(task))


def runtime_chart(document: Document) -> Chart | None:
    """Return steps per second and wall time of every label; None where no run states them."""
    panels = runtime_panels(document)
    if not panels:
        return None
    drawings = _both(lambda form: panels_drawing(panels, form))
    caption = (
        "Medians over all runs (strokes), from the least to the greatest (bars), as the runs' own "
        "records state them."
    )
    return Chart("runtime-chart", "Runtime", caption, drawings, runtime_table(document))


def matrix_chart(document: Document) -> Chart | None:
    """Return the probabilities of improvement, row over column."""
    if not document.all_paired:
        return None
    caption = (
        "Probability that a run of the row scores above a run of the column, ties counting half; "
        "below it the interval. Blue: the row is better; orange: the column. Faint text: the "
        "rank test, corrected for all pairs, does not tell the two apart."
    )
    drawings = _both(lambda form: matrix_drawing(document, form))
    return Chart(
        "pairs", "Probability of improvement", caption, drawings, pair_table(document), fluid=False
    )


def _drawn(table: Table, plot: LinePlot) -> Table:
    """Return the rows of the labels that the plot has lines of."""
    drawn = {line.label for line in plot.lines}
    return replace(table, rows=tuple(row for row in table.rows if row[0] in drawn))


def _line_chart(name: str, plot: LinePlot, caption: str, table: Table) -> Chart:
    places = tuple(sorted(line.place for line in plot.lines))
    drawings = _both(lambda form: line_drawing(plot, form))
    panels: tuple[Markup, ...] = ()
    if bands_overlap(plot):
        panels = _both(lambda form: multiples_drawing(plot, form, name))
    return Chart(name, plot.title, caption, drawings, table, places, hover=True, multiples=panels)


def _both(draw: Callable[[Form], Markup]) -> tuple[Markup, Markup]:
    return draw("wide"), draw("narrow")
