"""Mean, interquartile mean and optimality gap over runs and tasks, with intervals.

The definitions are rliable's (Agarwal et al. 2021, section 4.3), carried over to uneven numbers
of runs so that every task counts alike.
"""

from dataclasses import dataclass

import numpy as np

from reports.statistics.intervals import (
    DEFAULT_METHOD,
    Estimate,
    Method,
    Stretch,
    estimate,
    interval,
    stretch,
)
from reports.statistics.iqm import MiddleHalf, interquartile_mean, middle_half_variances
from reports.statistics.resampling import resampled_counts, task_means
from reports.statistics.samples import Floats, Scores, Strata, generator, strata

DRAWS = 50_000


@dataclass(frozen=True)
class Aggregates:
    """One algorithm's scores summed up.

    Attributes:
        iqm: interquartile mean, see ``reports.statistics.iqm``.
        mean: mean over tasks of the mean over runs.
        optimality_gap: 1 − the mean over tasks and runs of min(score, 1), 0 is best.
    """

    iqm: Estimate
    mean: Estimate
    optimality_gap: Estimate


def aggregates(
    scores: Scores, *, seed: int, key: str, draws: int = DRAWS, method: Method = DEFAULT_METHOD
) -> Aggregates:
    """Estimate the three aggregates with 95 % stratified-bootstrap intervals.

    Args:
        scores: one array of runs per task, or (R, T).
        seed: seed of the report.
        key: names the scores; with ``seed`` it fixes the draws.
        draws: bootstrap draws, at least 1.
        method: how the interval is made, see ``reports.statistics.intervals``.

    Raises:
        ScoresError: see ``reports.statistics.samples.strata``.
    """
    tasks = strata(scores, key)
    points = aggregate_points(tasks)
    if min(map(len, tasks)) < 2:
        return Aggregates(*(estimate(point, None, None) for point in points))
    drawn = bootstrap_aggregates(tasks, draws, generator(seed, key))
    low, high = interval(points, drawn, _stretches(tasks, method))
    low[-1] = max(low[-1], 0.0)  # the optimality gap has no negative values
    return Aggregates(*map(estimate, points, low, high))


def aggregate_points(tasks: Strata) -> Floats:
    """Return IQM, mean and optimality gap, (3,), of checked scores."""
    means = np.array([task.mean() for task in tasks])
    gap = 1 - np.mean([np.minimum(task, 1).mean() for task in tasks])
    return np.array([interquartile_mean(tasks), means.mean(), gap])


def bootstrap_aggregates(tasks: Strata, draws: int, rng: np.random.Generator) -> Floats:
    """Return the aggregates of resamples, (draws, 3): IQM, mean, optimality gap.

    Args:
        tasks: checked scores.
        draws: bootstrap draws, at least 1.
        rng: source of the draws.
    """
    quartiles = MiddleHalf(tasks)
    capped = tuple(np.minimum(task, 1) for task in tasks)
    drawn = []
    for counts in resampled_counts([len(task) for task in tasks], draws, rng):
        means = task_means(tasks, counts).mean(axis=0)
        gaps = 1 - task_means(capped, counts).mean(axis=0)
        drawn.append(np.stack([quartiles(counts), means, gaps]))
    return np.concatenate(drawn, axis=1).T


def _stretches(tasks: Strata, method: Method) -> Stretch | None:
    """What the runs ask of the intervals of IQM, mean and optimality gap."""
    raw = [task.var(ddof=1) for task in tasks]
    capped = [np.minimum(task, 1).var(ddof=1) for task in tasks]
    variances = np.array([middle_half_variances(tasks), raw, capped]).T
    return stretch(list(variances), [len(task) for task in tasks], method)
