"""Which lines, labels and thresholds the plots have: pure data that page and figures only draw."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from reports.content.document import Document
from reports.content.rows import Curve, Interval, RuntimeRow

MARKED_POINTS = 10
"""About so many points of a line get its label's marker."""
REFERENCE = 1.0
"""The normalised return of the score that normalises to 1."""
MOST_DRAWN = 24
"""Labels of one plot: more lines cannot be told apart."""
_NEAR = 0.5
"""Lines that stay below this are too far from the reference for its line to matter."""
_MEASURES = (
    ("iqm", "IQM"),
    ("mean", "Mean"),
    ("optimality_gap", "Optimality gap"),
)


@dataclass(frozen=True)
class Line:
    """One label's line with its band.

    Attributes:
        label: the label.
        place: its place among the report's labels, which fixes colour, dashes and marker.
        x: (P,) ascending.
        y: (P,) None where there is no value.
        low: (P,) lower end of the band; empty where there is none.
        high: as ``low``.
    """

    label: str
    place: int
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]

    @property
    def marked_every(self) -> int:
        """Every how many points one is marked."""
        return max(1, len(self.x) // MARKED_POINTS)


@dataclass(frozen=True)
class LinePlot:
    """Lines over one pair of axes.

    Attributes:
        title: its heading.
        shows: what it shows, a few words.
        x_title: of the horizontal axis, in lower case.
        y_title: of the vertical axis, in lower case.
        lines: one per label that has points, in the order of the labels.
        threshold: where a dotted line crosses; None where there is none.
        bounds: ends of the vertical axis; None: those of the lines.
    """

    title: str
    shows: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    threshold: float | None = None
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """One measure of every label: its title, and (label, place, interval) of each."""

    title: str
    rows: tuple[tuple[str, int, Interval], ...]


def learning_curves(document: Document, task: str | None) -> LinePlot | None:
    """Return the curves of one task, or for None of all together; None where there are none."""
    drawn, which = drawn_labels(document, task)
    curves = [curve for curve in document.curves if curve.task == task and curve.label in drawn]
    if not curves:
        return None
    lines = tuple(_curve_line(curve, document) for curve in curves)
    unit = "normalised return" if task is None else "return"
    highest = max((value for line in lines for value in line.y if value is not None), default=0.0)
    return LinePlot(
        title="Learning curves" if task is None else f"Learning curves: {task}",
        shows=f"IQM of the {unit} over environment steps{which}",
        x_title="environment steps",
        y_title=f"{unit}, IQM" + (f" ({REFERENCE:g} = reference)" if task is None else ""),
        lines=lines,
        threshold=REFERENCE if task is None and highest > _NEAR else None,
    )


def profiles(document: Document) -> LinePlot | None:
    """Return the performance profiles; None where there are none."""
    if not document.profiles:
        return None
    drawn, which = drawn_labels(document, None)
    return LinePlot(
        title="Performance profiles",
        shows=f"Share of runs above each normalised score{which}",
        x_title="normalised score τ",
        y_title="share of runs above τ",
        lines=tuple(
            Line(
                profile.label,
                document.labels.index(profile.label),
                profile.taus,
                profile.share,
                profile.low,
                profile.high,
            )
            for profile in document.profiles
            if profile.label in drawn
        ),
        bounds=(0.0, 1.0),
    )


def interval_panels(document: Document) -> tuple[Panel, ...]:
    """Return a panel for each of IQM, mean and optimality gap; none without aggregates."""
    if not document.aggregates:
        return ()
    drawn, _ = drawn_labels(document, None)
    return tuple(
        Panel(
            title,
            tuple(
                (row.label, document.labels.index(row.label), getattr(row, measure))
                for row in document.aggregates
                if row.label in drawn
            ),
        )
        for measure, title in _MEASURES
    )


def runtime_panels(document: Document) -> tuple[Panel, ...]:
    """Return a panel of steps per second and one of wall time; none where no run states them."""
    rows: dict[str, list[RuntimeRow]] = {}
    for row in document.runtimes:
        rows.setdefault(row.label, []).append(row)
    drawn, _ = drawn_labels(document, None)
    kept = [label for label in rows if label in drawn]
    if not kept:
        return ()
    return (
        Panel(
            "Steps/s",
            tuple(
                (
                    label,
                    document.labels.index(label),
                    _over([r.steps_per_second for r in rows[label]]),
                )
                for label in kept
            ),
        ),
        Panel(
            "Wall time, s",
            tuple(
                (label, document.labels.index(label), _over([r.seconds for r in rows[label]]))
                for label in kept
            ),
        ),
    )


def _over(intervals: Sequence[Interval]) -> Interval:
    """The median over tasks of the medians, and the ends over all."""
    middle = median(one.value for one in intervals if one.value is not None)
    ends = interval_ends(intervals)
    return Interval(middle, min(ends), max(ends))


def drawn_labels(document: Document, task: str | None) -> tuple[frozenset[str], str]:
    """Choose which labels the plots show: of very many the baseline and the highest scores.

    Args:
        document: the report.
        task: whose means decide; None: the IQM over all of them.

    Returns:
        The labels, and words that say so; empty where all are shown.
    """
    if task is None:
        scores = {row.label: row.iqm.value for row in document.aggregates}
    else:
        scores = {row.label: row.mean.value for row in document.task_scores if row.task == task}
    if len(scores) <= MOST_DRAWN:
        return frozenset(document.labels), ""
    ranked = sorted(scores, key=lambda label: -_known(scores[label]))
    baseline = document.settings.baseline
    first = [baseline, *(label for label in ranked if label != baseline)][:MOST_DRAWN]
    words = f"; of {len(scores)} labels the baseline and the {MOST_DRAWN - 1} highest scores"
    return frozenset(first), words


def _known(value: float | None) -> float:
    return -float("inf") if value is None else value


def interval_ends(intervals: Iterable[Interval]) -> list[float]:
    """Every number of these intervals that there is: what an axis has to span."""
    ends = (end for each in intervals for end in (each.value, each.low, each.high))
    return [end for end in ends if end is not None]


def _curve_line(curve: Curve, document: Document) -> Line:
    place = document.labels.index(curve.label)
    steps = tuple(map(float, curve.steps))
    return Line(curve.label, place, steps, curve.value, curve.low, curve.high)
