"""How fast an algorithm learns: time to a threshold, and the area under the learning curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from reports.statistics.aggregates import aggregates
from reports.statistics.intervals import DEFAULT_METHOD, LEVEL, Estimate, Method
from reports.statistics.samples import Floats, ScoresError

DRAWS = 5_000


@dataclass(frozen=True)
class ThresholdTimes:
    """When runs of one task first reached a return.

    Attributes:
        share: of the runs that reached it by the horizon, with Wilson's (1927) 95 % interval.
        median: environment steps by which half of the runs had reached it; None where fewer did:
            then all that is known is that the median lies beyond the horizon.
        restricted_mean: mean of min(time, horizon): the mean time lost before the threshold, of
            at most the horizon. Runs that never reached it count with the whole horizon, so the
            number does not improve when failures are left out.
    """

    share: Estimate
    median: float | None
    restricted_mean: Estimate


def time_to_threshold(steps: ArrayLike, returns: ArrayLike, threshold: float) -> float | None:
    """First evaluation step at which a run's return is at or above the threshold, None if never.

    Args:
        steps: (P,) environment steps, ascending.
        returns: (P,) evaluation returns at these steps.
        threshold: return to reach, in the same units.

    Raises:
        ScoresError: shapes that differ, NaN.
    """
    grid, values = _curve(steps, returns)
    hits = np.flatnonzero(values >= threshold)
    return float(grid[hits[0]]) if hits.size else None


def threshold_times(
    times: Sequence[float | None],
    horizon: float,
    *,
    seed: int,
    key: str,
    draws: int = DRAWS,
    method: Method = DEFAULT_METHOD,
) -> ThresholdTimes:
    """Sum up the times of several runs of one task, those that never arrived included.

    Args:
        times: each run's time, None for never; at least one.
        horizon: steps for which all runs of all compared algorithms were watched, the smallest
            budget; a later arrival counts as not yet.
        seed: seed of the report.
        key: names the runs; with ``seed`` it fixes the draws.
        draws: bootstrap draws of the restricted mean, at least 1.
        method: how its interval is made; the ends are kept within 0 and the horizon.

    Raises:
        ScoresError: no run.
    """
    if not times:
        raise ScoresError(f"{key}: no run; expected at least one time to the threshold")
    arrivals = np.array([np.inf if time is None or time > horizon else time for time in times])
    reached = int(np.isfinite(arrivals).sum())
    median = float(np.sort(arrivals)[(len(times) - 1) // 2])
    mean = aggregates(
        [np.minimum(arrivals, horizon)], seed=seed, key=key, draws=draws, method=method
    ).mean
    return ThresholdTimes(
        share=_share(reached, len(times)),
        median=median if np.isfinite(median) else None,
        restricted_mean=_within(mean, 0.0, horizon),
    )


def _share(successes: int, runs: int) -> Estimate:
    """A share of runs and its interval (Wilson 1927, eq. 5); at least one run.

    Written out, since ``scipy.stats``, which has it, takes every command half a second to import.
    """
    share, z = successes / runs, float(special.ndtri((1 + LEVEL) / 2))
    middle = share + z**2 / (2 * runs)
    reach = z * np.sqrt(share * (1 - share) / runs + z**2 / (4 * runs**2))
    scale = 1 + z**2 / runs
    low = 0.0 if successes == 0 else float((middle - reach) / scale)
    high = 1.0 if successes == runs else float((middle + reach) / scale)
    return Estimate(share, low, high)


def area_under_curve(steps: ArrayLike, returns: ArrayLike) -> float:
    """Mean return over training: the trapezoids' area divided by the steps they span.

    Args:
        steps: (P,) environment steps, strictly ascending.
        returns: (P,) evaluation returns; of one point, its return is the area.

    Raises:
        ScoresError: shapes that differ, steps that do not ascend, NaN.
    """
    grid, values = _curve(steps, returns)
    if len(grid) == 1:
        return float(values[0])
    if (np.diff(grid) <= 0).any():
        raise ScoresError("the steps of a learning curve must ascend strictly; sort and merge them")
    return float(np.diff(grid) @ (values[1:] + values[:-1]) / 2 / (grid[-1] - grid[0]))


def _curve(steps: ArrayLike, returns: ArrayLike) -> tuple[Floats, Floats]:
    grid, values = (np.asarray(side, dtype=np.float64) for side in (steps, returns))
    if grid.ndim != 1 or grid.shape != values.shape or not grid.size:
        raise ScoresError(
            f"a learning curve of steps {grid.shape} and returns {values.shape}; expected one "
            "return per step and at least one"
        )
    if np.isnan(grid).any() or np.isnan(values).any():
        raise ScoresError("a learning curve holds NaN; set the run aside and state it")
    return grid, values


def _within(estimate: Estimate, least: float, greatest: float) -> Estimate:
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(estimate.value, max(estimate.low, least), min(estimate.high, greatest))
