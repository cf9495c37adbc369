"""rliable's own estimates (Agarwal et al. 2021), for ``--engine rliable`` and to check ours.

rliable takes the same number of runs on every task, and draws from NumPy's global generator
whatever seed it is given: here that generator is seeded for a call and put back after it. Its
package is imported when it is needed.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from reports.statistics.aggregates import Aggregates
from reports.statistics.bands import Band
from reports.statistics.intervals import Estimate, estimate
from reports.statistics.samples import Floats, Scores, ScoresError, generator, strata

INTERVALS = "percentile stratified-bootstrap intervals, made by rliable"


def matrix(scores: Scores, name: str) -> Floats:
    """Return scores as rliable takes them: (R, T).

    Raises:
        ScoresError: the tasks have different numbers of runs.
    """
    tasks = strata(scores, name)
    if len({len(task) for task in tasks}) > 1:
        counts = sorted({len(task) for task in tasks})
        raise ScoresError(
            f"{name} has from {counts[0]} to {counts[-1]} runs of a task; rliable takes as many of "
            "each: use the other engine, which takes all runs as they are"
        )
    return np.stack(tasks, axis=1)


def aggregate_points(scores: Floats) -> Floats:
    """Return IQM, mean and optimality gap, (3,), of an (R, T) array."""
    from rliable import metrics

    return np.array(
        [
            metrics.aggregate_iqm(scores),
            metrics.aggregate_mean(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


def aggregates(scores: Scores, *, seed: int, key: str, draws: int) -> Aggregates:
    """As ``reports.statistics.aggregates.aggregates``, with rliable's percentile intervals."""
    given = matrix(scores, key)
    if len(given) < 2:
        points = aggregate_points(given)
        return Aggregates(*(estimate(point, None, None) for point in points))
    points, (low, high) = _intervals(given, aggregate_points, seed, key, draws)
    return Aggregates(*map(estimate, points, low, high))


def improvement(x: Scores, y: Scores, *, seed: int, key: str, draws: int) -> Estimate:
    """Estimate P(a run of x scores above a run of y), ties half, over the same tasks.

    Args:
        x: one label's scores.
        y: the other's.
        seed: seed of the report.
        key: names the pair; with ``seed`` it fixes the draws.
        draws: bootstrap draws, at least 1.

    Raises:
        ScoresError: a label's tasks have different numbers of runs.
    """
    from rliable import metrics

    first, second = matrix(x, f"x in {key}"), matrix(y, f"y in {key}")

    def probability(ours: Floats, theirs: Floats) -> Floats:
        return np.array([metrics.probability_of_improvement(ours, theirs)])

    if min(len(first), len(second)) < 2:
        return estimate(float(probability(first, second)[0]), None, None)
    points, (low, high) = _intervals((first, second), probability, seed, key, draws)
    return estimate(float(points[0]), float(low[0]), float(high[0]))


def profile(scores: Scores, thresholds: Floats, *, seed: int, key: str, draws: int) -> Band:
    """As ``reports.statistics.bands.run_score_profile``, made by rliable."""
    from rliable import library

    given = matrix(scores, key)
    with _seeded(seed, key):
        share, bands = library.create_performance_profile({key: given}, thresholds, reps=draws)
    if len(given) < 2:
        return Band(thresholds, share[key], None, None)
    low, high = bands[key]
    return Band(thresholds, share[key], low, high)


def _intervals(
    scores: Any, metric: Callable[..., Floats], seed: int, key: str, draws: int
) -> tuple[Floats, Floats]:
    from rliable import library

    with _seeded(seed, key):
        points, intervals = library.get_interval_estimates({"it": scores}, metric, reps=draws)
    return points["it"], intervals["it"]


@contextmanager
def _seeded(seed: int, key: str) -> Iterator[None]:
    """Seed NumPy's global generator, which rliable draws from, and put it back."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(generator(seed, key).integers(2**32))  # noqa: NPY002
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # arch's and SciPy's own, on constant scores
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
