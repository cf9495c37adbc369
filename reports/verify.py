"""A report's numbers computed again by rliable: the points, and the intervals before stretching.

Only the report's own record of the runs is used, so that reading, arranging and normalising are
checked with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import starmap

import numpy as np

from reports.content.document import Document
from reports.content.rows import Interval
from reports.statistics import rliable_engine
from reports.statistics.aggregates import bootstrap_aggregates
from reports.statistics.improvement import bootstrap_improvement
from reports.statistics.intervals import LEVEL
from reports.statistics.samples import Floats, ScoresError, Strata, generator, strata

POINT_TOLERANCE = 1e-9
"""Of a point, as a share of its size or absolute where it is below 1."""
END_TOLERANCE = 5.0
"""Of an interval's end, in standard errors of rliable's draws."""
DRAWS = 2_000
OUR_DRAWS = 20_000


@dataclass(frozen=True)
class Verification:
    """What rliable said of a report.

    Attributes:
        points: how many points were computed again.
        ends: how many interval ends were.
        point: the greatest difference of a point, as a share of its size.
        end: how far the farthest end lies from ours, in Monte-Carlo standard errors.
        width: the greatest difference of an end, as a share of its interval's width.
        where: what the greatest differences are of.
        left_out: what rliable cannot compute, as sentences.
    """

    points: int
    ends: int
    point: float
    end: float
    width: float
    where: tuple[str, str]
    left_out: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every difference lies within its tolerance."""
        return self.points > 0 and self.point <= POINT_TOLERANCE and self.end <= END_TOLERANCE

    @property
    def sentence(self) -> str:
        """All of it in words."""
        verdict = "agrees" if self.agrees else "DISAGREES"
        text = (
            f"rliable {version('rliable')} {verdict}: of {self.points} points the greatest "
            f"difference is {self.point:.2g} ({self.where[0] or 'none'}; tolerance "
            f"{POINT_TOLERANCE:g}), of {self.ends} ends of percentile intervals {self.end:.2g} "
            f"Monte-Carlo standard errors, {100 * self.width:.2g} % of a width "
            f"({self.where[1] or 'none'}; tolerance {END_TOLERANCE:g} errors)"
        )
        return ". ".join([text, *self.left_out]) + "."


@dataclass(frozen=True, eq=False)
class _Checked:
    """One quantity: ours and rliable's."""

    name: str
    ours: float | None
    theirs: float
    drawn: Floats | None = None
    ends: tuple[float, float] | None = None


def verify(document: Document, draws: int = DRAWS) -> Verification:
    """Compute the main table's points and intervals again.

    The report's intervals are stretched for few runs (``reports.statistics.intervals``); what is
    compared is the percentile interval that they start from.

    Args:
        document: the report; without tasks that every label ran there is nothing to check.
        draws: of rliable's bootstrap, at least 1; it takes seconds for a thousand of each pair.
    """
    left_out: list[str] = []
    checked = list(_checked(document, draws, left_out))
    points = [(abs(_apart(one)), one.name) for one in checked]
    ends = [
        (errors, width, f"{one.name}, {side} end")
        for one in checked
        for errors, width, side in _ends(one, draws)
    ]
    point, where = max(points, default=(0.0, ""))
    end, _, at = max(ends, default=(0.0, 0.0, ""))
    if not points:
        left_out.append("Nothing was checked: no label has numbers over all tasks")
    return Verification(
        points=len(points),
        ends=len(ends),
        point=point,
        end=end,
        width=max((width for _, width, _ in ends), default=0.0),
        where=(where, at),
        left_out=tuple(left_out),
    )


def _apart(one: _Checked) -> float:
    """The difference as a share of the number's size, infinite where ours is missing."""
    if one.ours is None:
        return float("inf")
    return (one.ours - one.theirs) / max(1.0, abs(one.theirs))


def _ends(one: _Checked, draws: int) -> Iterator[tuple[float, float, str]]:
    """How far each of rliable's ends lies from ours: in standard errors, and of the width.

    Of our draws a share of 0.025 lies beyond our end. Few runs repeat a draw, so that share may
    jump: what lies at rliable's end itself counts on the side that brings the two together.
    """
    if one.drawn is None or one.ends is None:
        return
    tail = (1 - LEVEL) / 2
    error = float(np.sqrt(tail * (1 - tail) * (1 / draws + 1 / OUR_DRAWS)))
    low, high = np.quantile(one.drawn, [tail, 1 - tail])
    near = 1e-9 * max(1.0, float(np.abs(one.drawn).max()))
    for sign, end, ours, side in ((1, one.ends[0], low, "low"), (-1, one.ends[1], high, "high")):
        beyond = float((sign * one.drawn < sign * end - near).mean())
        reaching = float((sign * one.drawn <= sign * end + near).mean())
        distance = max(beyond - tail, tail - reaching, 0.0)
        width = float(high - low)
        yield distance / error, abs(end - float(ours)) / width if width > near else 0.0, side


def _checked(document: Document, draws: int, left_out: list[str]) -> Iterator[_Checked]:
    seed, baseline = document.settings.seed, document.settings.baseline
    scores = {row.label: _scores(document, row.label) for row in document.aggregates}
    for row in document.aggregates:
        try:
            given = rliable_engine.matrix(scores[row.label], row.label)
        except ScoresError as error:
            left_out.append(f"Not checked: {error}")
            continue
        yield from starmap(_Checked, _aggregates(row.label, given, _stated(row), seed, draws))
        other = scores.get(baseline)
        if row.improvement is None or other is None:
            continue
        try:
            rliable_engine.matrix(other, baseline)
        except ScoresError:
            continue  # said where the baseline's own row comes
        key = f"verify {row.label} over {baseline}"
        theirs = rliable_engine.improvement(
            scores[row.label], other, seed=seed, key=key, draws=draws
        )
        drawn = None
        if theirs.low is not None:
            drawn = bootstrap_improvement(
                scores[row.label], other, OUR_DRAWS, generator(seed, f"our {key}")
            )
        name = f"P({row.label} better than {baseline})"
        ends = None if theirs.low is None or theirs.high is None else (theirs.low, theirs.high)
        yield _Checked(name, row.improvement.value, theirs.value, drawn, ends)


def _stated(row: object) -> tuple[Interval, ...]:
    return tuple(getattr(row, name) for name in ("iqm", "mean", "optimality_gap"))


def _aggregates(
    label: str, given: Floats, stated: tuple[Interval, ...], seed: int, draws: int
) -> Iterator[tuple[str, float | None, float, Floats | None, tuple[float, float] | None]]:
    key = f"verify {label}"
    estimates = rliable_engine.aggregates(given, seed=seed, key=key, draws=draws)
    drawn = None
    if len(given) > 1:
        drawn = bootstrap_aggregates(strata(given), OUR_DRAWS, generator(seed, f"our {key}"))
    theirs = (estimates.iqm, estimates.mean, estimates.optimality_gap)
    for place, (name, ours, of_rliable) in enumerate(
        zip(("IQM", "mean", "optimality gap"), stated, theirs, strict=True)
    ):
        ends = None
        if of_rliable.low is not None and of_rliable.high is not None:
            ends = (of_rliable.low, of_rliable.high)
        column = None if drawn is None else drawn[:, place]
        yield f"{name} of {label}", ours.value, of_rliable.value, column, ends


def _scores(document: Document, label: str) -> Strata:
    """The label's normalised scores on each compared task, from the rows of the runs."""
    best = document.settings.best_checkpoints
    by_task: dict[str, list[float]] = {task.name: [] for task in document.tasks if task.compared}
    scale = {task.name: (task.low, task.high - task.low) for task in document.tasks}
    for run in document.runs:
        if run.label == label and run.task in by_task:
            low, span = scale[run.task]
            by_task[run.task].append(((run.best_checkpoint if best else run.score) - low) / span)
    return tuple(np.array(scores) for scores in by_task.values())
