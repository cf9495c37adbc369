"""Runs that share a training seed, in pairs: what one change to an algorithm does.

**The rule.** Two runs are a pair if algorithm, environment, number of environments and training
seed are the same and the one's settings are the other's with one thing changed: both then begin
from the same networks and the same starts, and what these are worth falls out of their difference.
Runs of different algorithms are never paired: a seed means nothing that both would share.

The test is Wilcoxon's (1945) signed-rank test, its sums of all tasks added: where the change does
nothing the two runs of a pair are exchangeable, so every sign of a difference is equally likely,
and the distribution of the sum is counted, not drawn. The estimate is the mean over tasks of the
mean difference, with Student's interval, each task a stratum.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import special
from scipy.stats import rankdata

from reports.statistics.intervals import LEVEL
from reports.statistics.samples import Floats, ScoresError, constant

BySeed = Mapping[int, float]
"""Training seed → score."""


@dataclass(frozen=True)
class PairedTest:
    """Two settings of one algorithm over all tasks, seed by seed.

    Attributes:
        pairs: how many, over all tasks.
        difference: (1/T) Σ_t mean over the task's pairs of x − y.
        low: lower end of its 95 % interval; None with a task of one pair, or where no pair of a
            task differs from another.
        high: its upper end.
        p: two-sided p of the exact signed-rank test; 1 where all pairs score the same.
        least_p: the smallest p that as many pairs could have had, 2^(1 − pairs).
        share: variance of the difference as a share of what unpaired runs of the same spreads would
            have had, (1/T²) Σ_t s²(x − y)/R over (1/T²) Σ_t (s²(x) + s²(y))/R; below 1 pairing
            helps. None where it is not defined.
    """

    pairs: int
    difference: float
    low: float | None
    high: float | None
    p: float
    least_p: float
    share: float | None


def paired_test(x: Sequence[BySeed], y: Sequence[BySeed]) -> PairedTest:
    """Test whether a change does nothing, by the pairs of runs that share a seed.

    Args:
        x: of T tasks the scores by training seed.
        y: of the same tasks, in the same order.

    Raises:
        ScoresError: numbers of tasks that differ, a task without a seed that both have, or a score
            that is not finite.
    """
    if len(x) != len(y) or not x:
        raise ScoresError(f"the settings must share their tasks; {len(x)} and {len(y)}")
    pairs = [_of_shared_seeds(*task) for task in zip(x, y, strict=True)]
    differences = [first - second for first, second in pairs]
    means = np.array([task.mean() for task in differences])
    runs = np.array([len(task) for task in differences])
    low = high = share = None
    if runs.min() > 1:
        parts = np.array([_variance(task) for task in differences]) / runs
        apart = np.array([_variance(a) + _variance(b) for a, b in pairs]) / runs
        if parts.sum() > 0:
            freedom = parts.sum() ** 2 / (parts**2 / (runs - 1)).sum()
            half = special.stdtrit(freedom, (1 + LEVEL) / 2) * sqrt(parts.sum()) / len(runs)
            low, high = float(means.mean() - half), float(means.mean() + half)
        share = float(parts.sum() / apart.sum()) if apart.sum() > 0 else None
    return PairedTest(
        pairs=int(runs.sum()),
        difference=float(means.mean()),
        low=low,
        high=high,
        p=signed_rank_p(differences),
        least_p=float(min(1.0, 2.0 ** (1 - int(runs.sum())))),
        share=share,
    )


def signed_rank_p(differences: Sequence[Floats]) -> float:
    """Two-sided p of the sum over tasks of Wilcoxon's signed ranks, every sign equally likely.

    Ties get midranks; differences of 0 have no sign and no rank.

    Args:
        differences: T arrays (R_t,).
    """
    shares, distance = np.ones(1), 0
    for task in differences:
        moved = task[task != 0]
        # Doubled, so that midranks are whole.
        ranks = np.rint(2 * rankdata(np.abs(moved))).astype(int) if len(moved) else np.zeros(0, int)
        distance += int((np.sign(moved) * ranks).sum())
        for rank in ranks.tolist():
            # Each sign moves the sum by its rank, up or down: index 0 is the least sum.
            wider = np.zeros(len(shares) + 2 * rank)
            wider[: len(shares)] += shares / 2
            wider[2 * rank :] += shares / 2
            shares = wider
    centre = len(shares) // 2
    far = np.abs(np.arange(len(shares)) - centre) >= abs(distance)
    return min(1.0, float(shares[far].sum()))


def _of_shared_seeds(x: BySeed, y: BySeed) -> tuple[Floats, Floats]:
    seeds = sorted(x.keys() & y.keys())
    if not seeds:
        raise ScoresError("no training seed is shared by the runs of a task: they make no pairs")
    first, second = (np.array([side[seed] for seed in seeds], dtype=np.float64) for side in (x, y))
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ScoresError("a score is not finite; set its run aside and state it")
    return first, second


def _variance(scores: Floats) -> float:
    return 0.0 if constant(scores) else float(scores.var(ddof=1))
