"""Runs that failed, and how many more may: exact bounds from the number of runs alone.

A run failed whose normalised score is below a share of its label's upper quartile on the task, the
scale's 0 being the task's low score (a random policy's, where it is known). The quartile stays that
of runs that worked as long as fewer than three quarters fail; where it is not above 0, nothing
worked, and no run is called failed.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.statistics.intervals import LEVEL
from reports.statistics.samples import Floats, Scores, strata

FAILED_BELOW = 0.5
"""Of the upper quartile: a run that reaches less than half of what its label's good runs reach."""


@dataclass(frozen=True)
class Failures:
    """Failed runs of one algorithm, over all tasks given.

    Attributes:
        runs: how many on the tasks that have a threshold.
        failed: how many of them failed.
        share: failed / runs; None without runs.
        bound: with 95 % confidence at most this share of all possible runs fails; 1 without runs.
        thresholds: (T,) normalised scores below which a run failed; None where nothing worked.
    """

    runs: int
    failed: int
    share: float | None
    bound: float
    thresholds: tuple[float | None, ...]


def failures(scores: Scores, below: float = FAILED_BELOW) -> Failures:
    """Count the failed runs.

    Args:
        scores: normalised, one array of runs per task.
        below: share of the upper quartile, in (0, 1).

    Raises:
        ScoresError: see ``reports.statistics.samples.strata``.
    """
    tasks = strata(scores)
    thresholds = tuple(failure_threshold(task, below) for task in tasks)
    judged = [(task, end) for task, end in zip(tasks, thresholds, strict=True) if end is not None]
    failed = sum(int((task < end).sum()) for task, end in judged)
    runs = sum(len(task) for task, _ in judged)
    share = failed / runs if runs else None
    return Failures(runs, failed, share, most_failing(failed, runs), thresholds)


def failure_threshold(scores: Floats, below: float = FAILED_BELOW) -> float | None:
    """The score below which a run of these (R,) normalised scores failed; None: nothing worked."""
    quartile = float(np.quantile(scores, 0.75))
    return below * quartile if quartile > 0 else None


def most_failing(failed: int, runs: int) -> float:
    """Clopper and Pearson's (1934) one-sided 95 % bound of the share that fails.

    The share with which as few failures as seen have probability 0.05; over tasks it is of the mean
    share, for which the binomial law is the widest (Hoeffding 1956).
    """
    if failed >= runs:
        return 1.0
    return float(special.betaincinv(failed + 1, runs - failed, LEVEL))


def above_worst(runs: int) -> float:
    """Share of all possible runs that score at least the worst seen, with 95 % confidence.

    Wilks's (1941) tolerance bound 0.05^(1/R): free of the distribution.
    """
    return float((1 - LEVEL) ** (1 / runs))


def unseen_failures_p(x: Floats, y: Floats, margin: float, below: float = FAILED_BELOW) -> float:
    """P of as few failures as seen, if so many runs failed that the means lay ``margin`` apart.

    A failing run is taken to score the least of 0 and all scores seen, in place of the mean of its
    label's runs that did not fail: then the share that must fail in truth, beyond the share seen,
    is what is left of the margin divided by that fall. The larger p of the two labels. It is at
    most 0.05 exactly where Clopper and Pearson's bound leaves no room for such a share.

    Args:
        x: (R_x,) normalised scores of one algorithm.
        y: (R_y,) of the other.
        margin: above 0.
        below: as of ``failures``.
    """
    floor = min(0.0, float(x.min()), float(y.min()))
    difference = float(x.mean() - y.mean())
    return max(
        _hidden_p(x, margin + difference, floor, below),
        _hidden_p(y, margin - difference, floor, below),
    )


def _hidden_p(scores: Floats, left: float, floor: float, below: float) -> float:
    """P of at most the failures seen, if further ones lowered the mean by all that is left."""
    if left <= 0:
        return 1.0
    threshold = failure_threshold(scores, below)
    working = scores if threshold is None else scores[scores >= threshold]
    failed, fall = len(scores) - len(working), float(working.mean()) - floor
    share = failed / len(scores) + (left / fall if fall > 0 else np.inf)
    return float(special.bdtr(failed, len(scores), share)) if share < 1 else 0.0
