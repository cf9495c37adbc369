"""Aggregates with 95 % stratified-bootstrap intervals, by rliable (Agarwal et al. 2021).

rliable 1.2 accepts a ``random_state`` and ignores it: it draws from numpy's global generator.
``bootstrap`` seeds that generator for one call and puts its state back, so a report repeats from
an integer seed and leaves no trace. It is therefore not for several threads at once.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rliable import library, metrics

from reports.comparison import Comparison, LabelScores
from reports.intervals import Estimate as Estimate

TABLE_DRAWS = 5_000
CURVE_DRAWS = 2_000
"""A curve has many points, each read less closely than a table's number."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LabelStatistics:
    """What one label's scores (R × T) amount to.

    Attributes:
        label: ``algo (settings)``.
        runs: R, runs per task.
        raw_mean: mean score in the environment's own units; None with several tasks, whose units
            do not add.
        mean: mean over tasks of the mean normalised score over runs.
        iqm: interquartile mean, the mean of the middle half of all R·T normalised scores.
        median: median over tasks of the mean normalised score over runs.
        optimality_gap: 1 − mean(min(normalised score, 1)), 0 is best.
        improvement: P(a run of this label scores above a run of the baseline), ties counting
            half, averaged over tasks; None for the baseline itself.
    """

    label: str
    runs: int
    raw_mean: float | None
    mean: Estimate
    iqm: Estimate
    median: Estimate
    optimality_gap: Estimate
    improvement: Estimate | None


@dataclass(frozen=True, eq=False)
class Curve:
    """One label's IQM over environment steps.

    Attributes:
        label: ``algo (settings)``.
        steps: (P,) int64, ascending.
        iqm: (P,) float64, IQM of the normalised returns over runs and tasks.
        low: (P,) float64, pointwise 95 % interval; None where one run gives none.
        high: as ``low``.
    """

    label: str
    steps: NDArray[np.int64]
    iqm: Matrix
    low: Matrix | None
    high: Matrix | None


@dataclass(frozen=True)
class Draws:
    """How many bootstrap draws stand behind an interval, and the seed they come from."""

    table: int
    curve: int
    seed: int


def label_statistics(
    comparison: Comparison, baseline: str, draws: Draws
) -> tuple[LabelStatistics, ...]:
    """Compute every label's aggregates and its probability of improvement over a baseline.

    Args:
        comparison: the score matrices.
        baseline: one of the comparison's labels.
        draws: bootstrap draws and seed; each label and quantity draws from a seed of its own, so
            one label's interval depends neither on the others nor on their order.

    Raises:
        KeyError: the baseline is not among the labels.
    """
    reference = {scores.label: scores for scores in comparison.labels}[baseline]
    return tuple(_one_label(scores, reference, draws) for scores in comparison.labels)


def learning_curves(comparison: Comparison, draws: Draws) -> tuple[Curve, ...]:
    """Compute the IQM over environment steps for every label with a shared evaluation point."""
    return tuple(_one_curve(scores, draws) for scores in comparison.labels if scores.curves.size)


def interquartile_mean(scores: Matrix) -> Matrix:
    """Mean of the middle half along the first axis: a quarter, rounded down, is cut at each end.

    Equal to ``rliable.metrics.aggregate_iqm`` (Agarwal et al. 2021, section 4.3), whose general
    trimmed mean is some twenty times slower for arrays of this size.

    Args:
        scores: (N, …) float64, N at least 1.

    Returns:
        An array of the remaining shape.
    """
    cut = len(scores) // 4
    middle = np.sort(scores, axis=0)[cut : len(scores) - cut]
    return np.asarray(middle.mean(axis=0))


def probability_of_improvement(x: Matrix, y: Matrix) -> float:
    """P(X > Y) + P(X = Y)/2 averaged over tasks: Agarwal et al. 2021, section 4.3.

    Equal to ``rliable.metrics.probability_of_improvement``, which runs a whole Mann-Whitney test,
    p-value included, for every task and draw, and is some twenty times slower for it.

    Args:
        x: (R, T) scores of the label in question.
        y: (R', T) scores of the baseline; R' may differ from R.
    """
    difference = x[:, None, :] - y[None, :, :]
    return float(np.mean((np.sign(difference) + 1) / 2))


def bootstrap(
    statistic: Callable[..., Matrix], *samples: Matrix, draws: int, seed: int, key: str
) -> tuple[Matrix, Matrix | None, Matrix | None]:
    """Estimate a statistic and its 95 % stratified-bootstrap percentile interval.

    Runs are drawn with replacement within each task, and each sample on its own, by
    ``rliable.library.get_interval_estimates``. numpy's global generator is left as it was found.

    Args:
        statistic: maps the samples to a vector (K,) float64.
        samples: arrays (R, T, …) float64; runs may differ between them.
        draws: bootstrap draws, at least 1.
        seed: seed of the report.
        key: names what is estimated; with ``seed`` it fixes the draws.

    Returns:
        Estimate, low and high, each (K,); low and high are None where some sample has one run,
        since resampling one run measures nothing and would show as certainty.
    """
    if any(len(sample) == 1 for sample in samples):
        return statistic(*samples), None, None
    scores = samples[0] if len(samples) == 1 else samples
    with _seeded_global_generator(seed, key):
        points, intervals = library.get_interval_estimates({key: scores}, statistic, reps=draws)
    low, high = intervals[key]
    return points[key], low, high


@contextmanager
def _seeded_global_generator(seed: int, key: str) -> Iterator[None]:
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    state = np.random.get_state()  # noqa: NPY002 - the generator that rliable draws from
    np.random.seed(np.frombuffer(digest, dtype="<u4"))  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _one_label(scores: LabelScores, baseline: LabelScores, draws: Draws) -> LabelStatistics:
    points, low, high = bootstrap(
        _aggregates,
        scores.scores,
        draws=draws.table,
        seed=draws.seed,
        key=f"aggregates of {scores.label}",
    )
    mean, iqm, median, gap = (_estimate(points, low, high, index) for index in range(4))
    runs, tasks = scores.scores.shape
    return LabelStatistics(
        label=scores.label,
        runs=runs,
        raw_mean=float(scores.raw_scores.mean()) if tasks == 1 else None,
        mean=mean,
        iqm=iqm,
        median=median,
        optimality_gap=gap,
        improvement=None if scores is baseline else _improvement(scores, baseline, draws),
    )


def _improvement(scores: LabelScores, baseline: LabelScores, draws: Draws) -> Estimate:
    points, low, high = bootstrap(
        lambda x, y: np.array([probability_of_improvement(x, y)]),
        scores.scores,
        baseline.scores,
        draws=draws.table,
        seed=draws.seed,
        key=f"improvement of {scores.label} over {baseline.label}",
    )
    return _estimate(points, low, high, 0)


def _one_curve(scores: LabelScores, draws: Draws) -> Curve:
    iqm, low, high = bootstrap(
        lambda curves: interquartile_mean(curves.reshape(-1, curves.shape[-1])),
        scores.curves,
        draws=draws.curve,
        seed=draws.seed,
        key=f"learning curve of {scores.label}",
    )
    return Curve(scores.label, scores.curve_steps, iqm, low, high)


def _aggregates(scores: Matrix) -> Matrix:
    """Map scores (R, T) to the vector of mean, IQM, median, optimality gap."""
    return np.array(
        [
            metrics.aggregate_mean(scores),
            interquartile_mean(scores.ravel()),
            metrics.aggregate_median(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def _estimate(points: Matrix, low: Matrix | None, high: Matrix | None, index: int) -> Estimate:
    if low is None or high is None:
        return Estimate(float(points[index]), None, None)
    return Estimate(float(points[index]), float(low[index]), float(high[index]))
