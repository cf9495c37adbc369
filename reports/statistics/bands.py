"""Curves with pointwise 95 % bands: performance profiles, and the IQM over environment steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reports.statistics.intervals import DEFAULT_METHOD, Method, interval, stretch
from reports.statistics.iqm import MiddleHalf, interquartile_mean, middle_half_variances
from reports.statistics.resampling import resampled_counts
from reports.statistics.samples import Floats, Scores, ScoresError, Strata, generator, strata

DRAWS = 2_000
"""A curve has many points, each read less closely than a table's number."""


@dataclass(frozen=True, eq=False)
class Band:
    """A curve and its pointwise interval.

    Attributes:
        x: (P,) float64, ascending: thresholds τ, or environment steps.
        value: (P,) float64.
        low: (P,) float64; None where some task has one run.
        high: as ``low``.
    """

    x: Floats
    value: Floats
    low: Floats | None
    high: Floats | None


def profile_thresholds(samples: Iterable[Scores], points: int = 101) -> Floats:
    """Return evenly spaced thresholds from the least to the greatest of all scores, (points,)."""
    every = np.concatenate([task for scores in samples for task in strata(scores)])
    return np.linspace(every.min(), every.max(), points)


def run_score_profile(
    scores: Scores,
    thresholds: ArrayLike,
    *,
    seed: int,
    key: str,
    draws: int = DRAWS,
    method: Method = DEFAULT_METHOD,
) -> Band:
    """Share of runs that score above τ, averaged over tasks (Agarwal et al. 2021, section 4.2).

    rliable's ``score_distributions``. Arguments, and the errors, as of
    ``reports.statistics.aggregates.aggregates``.

    Args:
        scores: one array of runs per task, or (R, T).
        thresholds: (P,) ascending τ.
        seed: seed of the report.
        key: names the scores; with ``seed`` it fixes the draws.
        draws: bootstrap draws, at least 1.
        method: how the band is made.
    """
    tasks, tau = strata(scores, key), np.asarray(thresholds, dtype=np.float64)
    runs = [len(task) for task in tasks]
    above = [(task[:, None] > tau).astype(np.float64) for task in tasks]
    value = np.mean([task.mean(axis=0) for task in above], axis=0)
    if min(runs) < 2:
        return Band(tau, value, None, None)
    shares = np.concatenate([task / (len(task) * len(tasks)) for task in above]).T
    drawn = np.concatenate(
        [shares @ counts for counts in resampled_counts(runs, draws, generator(seed, key))], axis=1
    )
    widening = stretch([task.var(axis=0, ddof=1) for task in above], runs, method)
    low, high = interval(value, drawn.T, widening, support=(0.0, 1.0))
    return Band(tau, value, low, high)


def iqm_curve(
    curves: Sequence[ArrayLike],
    steps: ArrayLike,
    *,
    seed: int,
    key: str,
    draws: int = DRAWS,
    method: Method = DEFAULT_METHOD,
) -> Band:
    """IQM over runs and tasks at every evaluation point: the sample-efficiency curve.

    A draw takes whole runs, so its points belong together.

    Args:
        curves: one (R_t, P) array per task: returns of its runs at the steps.
        steps: (P,) environment steps, ascending, P at least 1.
        seed: seed of the report.
        key: names the curves; with ``seed`` it fixes the draws.
        draws: bootstrap draws, at least 1.
        method: how the band is made.

    Raises:
        ScoresError: shapes that do not fit together, NaN or infinity.
    """
    grid = np.asarray(steps, dtype=np.float64)
    points = _points(curves, grid, key)
    runs = [len(task) for task in points[0]]
    value = np.array([interquartile_mean(point) for point in points])
    if min(runs) < 2:
        return Band(grid, value, None, None)
    middle_halves = [MiddleHalf(point) for point in points]
    drawn = np.concatenate(
        [
            np.stack([middle_half(counts) for middle_half in middle_halves])
            for counts in resampled_counts(runs, draws, generator(seed, key))
        ],
        axis=1,
    )
    variances = np.array([middle_half_variances(point) for point in points]).T
    low, high = interval(value, drawn.T, stretch(list(variances), runs, method))
    return Band(grid, value, low, high)


def _points(curves: Sequence[ArrayLike], steps: Floats, name: str) -> list[Strata]:
    """The tasks' scores at each evaluation point."""
    tasks = [np.asarray(task, dtype=np.float64) for task in curves]
    shapes = [task.shape for task in tasks]
    if not steps.size or any(len(shape) != 2 or shape[1] != steps.size for shape in shapes):
        raise ScoresError(
            f"{name}: curves of shapes {shapes} at {steps.size} steps; expected one array (runs, "
            "steps) per task and at least one step"
        )
    return [
        strata([task[:, point] for task in tasks], f"{name} at step {step:g}")
        for point, step in enumerate(steps)
    ]
