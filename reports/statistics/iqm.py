"""The interquartile mean (IQM): of one sample, of many resamples at once, and its variance."""

import numpy as np

from reports.statistics.samples import Floats, Scores, Strata, strata


def interquartile_mean(scores: Scores) -> float:
    """Mean of the middle half of all scores: a quarter, rounded down, is cut at each end.

    With N scores in all, ⌊N/4⌋/N of the weight is cut at each end. Every task has the same weight,
    spread evenly over its runs; so with uneven runs a score may be cut in part. With R runs of
    every task this is rliable's ``aggregate_iqm``, whose cut is ⌊N/4⌋ whole scores.
    """
    tasks = strata(scores)
    values, weights, cut = _sorted(tasks)
    reached = np.clip(np.cumsum(weights), cut, len(values) - cut)
    return float(np.diff(reached, prepend=cut) @ values / (len(values) - 2 * cut))


def middle_half_variances(tasks: Strata) -> list[Floats]:
    """Sample variance within each task of the ``winsorised`` scores."""
    return [task.var(ddof=1) for task in winsorised(tasks)]


def winsorised(tasks: Strata) -> Strata:
    """Pull the scores that the IQM cuts to the least and the greatest that it keeps.

    To first order an IQM varies like the mean of these (Tukey and McLaughlin 1963).
    """
    values, weights, cut = _sorted(tasks)
    reached = np.cumsum(weights)
    # Weights of uneven runs add up with rounding; a sliver kept of a score is none.
    kept = (reached > cut + 1e-9) & (reached - weights < len(values) - cut - 1e-9)
    low, high = values[kept][[0, -1]]
    return tuple(np.clip(task, low, high) for task in tasks)


class MiddleHalf:
    """The IQM of many resamples at once.

    With the values in order and C_i the weight drawn up to the i-th, clipped to the middle half,
    the IQM is Σ v_i (C_i − C_{i−1}) over the weight kept; summed by parts, no draw is sorted.
    """

    def __init__(self, tasks: Strata) -> None:
        values, weights, self._cut = _sorted(tasks)
        self._values = values
        self._weights = None if np.all(weights == 1) else weights[:, None]
        self._order = np.argsort(np.concatenate(tasks), kind="stable")

    def __call__(self, counts: Floats) -> Floats:
        """Map the counts of runs (ΣR_t, B) to the IQM of every draw, (B,)."""
        values, cut, total = self._values, self._cut, len(self._values)
        reached = counts[self._order]
        if self._weights is not None:
            reached *= self._weights
        # Row by row: several times faster than cumsum along the first axis.
        for row in range(1, total):
            reached[row] += reached[row - 1]
        np.clip(reached, cut, total - cut, out=reached)
        below = np.diff(values) @ reached[:-1]
        middle = (values[-1] * (total - cut) - values[0] * cut - below) / (total - 2 * cut)
        # Rounding must not leave the range of the scores: constant ones have no width.
        return np.asarray(np.clip(middle, values[0], values[-1]))


def _sorted(tasks: Strata) -> tuple[Floats, Floats, int]:
    """All scores in ascending order, their weights (mean 1), and the weight cut at each end."""
    values = np.concatenate(tasks)
    total = len(values)
    weights = np.concatenate(
        [np.full(len(task), total / (len(tasks) * len(task))) for task in tasks]
    )
    order = np.argsort(values, kind="stable")
    return values[order], weights[order], total // 4
