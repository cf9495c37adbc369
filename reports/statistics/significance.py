"""Tests and effect sizes of two algorithms on one task, with Holm's correction over all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr, stdtrit

from reports.statistics.failures import FAILED_BELOW, unseen_failures_p
from reports.statistics.intervals import LEVEL
from reports.statistics.power import SeedsNeeded, seeds_needed
from reports.statistics.samples import Floats, Scores, ScoresError, constant, generator, strata

_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
PERMUTATIONS = 9_999
"""Random splits of the runs where there are more different ones than this."""
_REMEMBERED_RUNS = 400
"""Up to as many runs in all, their splits are kept for the next pair: 32 MB of them."""
_BLOCK_ENTRIES = 2**22
"""Entries of splits that are worked on at once, 32 MiB."""


@dataclass(frozen=True)
class PairTest:
    """Two algorithms' runs of one task, side by side. None: not defined for these scores.

    Attributes:
        task: name of the task.
        x: label of the first algorithm.
        y: label of the second.
        difference: mean of x − mean of y.
        low: lower end of Welch's 95 % interval of the difference.
        high: its upper end.
        welch_p: two-sided p of Welch's t-test.
        welch_holm: the same after Holm's correction over all comparisons of the report.
        permutation_p: two-sided p of the permutation test of the difference of means.
        permutation_holm: the same after Holm's correction.
        hedges_g: difference in pooled standard deviations, corrected for few runs.
        a12: P(X > Y) + P(X = Y)/2, Vargha and Delaney's A.
        margin: differences smaller than this count as none.
        tost_p: p of two one-sided Welch tests of |difference| ≥ margin, of what was seen.
        equivalence_p: the same, or that of failures not seen that would make up the margin, if it
            is larger: see ``reports.statistics.failures.unseen_failures_p``.
        equivalence_holm: the same after Holm's correction.
        seeds: runs of each with which the rank test would separate the two on this task.
    """

    task: str
    x: str
    y: str
    difference: float
    low: float | None
    high: float | None
    welch_p: float | None
    welch_holm: float | None
    permutation_p: float | None
    permutation_holm: float | None
    hedges_g: float | None
    a12: float
    margin: float
    tost_p: float | None
    equivalence_p: float | None
    equivalence_holm: float | None
    seeds: SeedsNeeded


@dataclass(frozen=True)
class Welch:
    """Welch's t-test. ``error`` is the standard error of the difference, ``freedom`` its ν."""

    difference: float
    error: float
    freedom: float
    p: float
    low: float
    high: float


def pair_tests(
    samples: Mapping[str, Scores],
    tasks: Sequence[str],
    *,
    seed: int,
    margin: float,
    over: str | None = None,
    failed_below: float = FAILED_BELOW,
) -> tuple[PairTest, ...]:
    """Compare every two algorithms on every task.

    Args:
        samples: scores of every algorithm on the same tasks in the same order.
        tasks: the tasks' names.
        seed: seed of the report, for permutation tests that cannot be exact.
        margin: a difference of means smaller than this counts as none; in the scores' units,
            above 0.
        over: the algorithm that every pair must hold; None: all pairs.
        failed_below: what counts as a failed run, see ``reports.statistics.failures``; the scores
            must then be normalised, 0 being a failed run's.

    Raises:
        ScoresError: an algorithm with another number of tasks, a margin that is not positive.
    """
    if not margin > 0:
        raise ScoresError(f"margin={margin}: a margin of equivalence must be above 0")
    checked = {label: strata(scores, label) for label, scores in samples.items()}
    for label, scores in checked.items():
        if len(scores) != len(tasks):
            raise ScoresError(f"{label}: scores of {len(scores)} tasks; expected {len(tasks)}")
    raw = [
        _pair_test(task, (x, checked[x][index]), (y, checked[y][index]), seed, margin, failed_below)
        for x, y in combinations(checked, 2)
        if over in (None, x, y)
        for index, task in enumerate(tasks)
    ]
    return corrected(raw)


def corrected(tests: Sequence[PairTest]) -> tuple[PairTest, ...]:
    """Return the tests with Holm's correction over them all, whatever it was over before."""
    welch = holm([test.welch_p for test in tests])
    permutation = holm([test.permutation_p for test in tests])
    equivalence = holm([test.equivalence_p for test in tests])
    return tuple(
        replace(test, welch_holm=first, permutation_holm=second, equivalence_holm=third)
        for test, first, second, third in zip(tests, welch, permutation, equivalence, strict=True)
    )


def welch_test(x: Floats, y: Floats) -> Welch | None:
    """Welch's t-test of two means; None where it is undefined: one run, or no variance at all."""
    if min(len(x), len(y)) < 2 or (constant(x) and constant(y)):
        return None
    # Written out: scipy's ttest_ind warns of lost precision where one side is constant.
    first, second = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    error = float(np.sqrt(first + second))
    share = first / (first + second)
    freedom = float(1 / (share**2 / (len(x) - 1) + (1 - share) ** 2 / (len(y) - 1)))
    difference = float(x.mean() - y.mean())
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    p = float(2 * stdtr(freedom, -abs(difference) / error))
    return Welch(difference, error, freedom, p, difference - half, difference + half)


def permutation_p(x: Floats, y: Floats, seed: int = 0) -> float | None:
    """Two-sided p of the difference of means when the labels are shuffled; None with one run each.

    The share of splits of all runs into R_x and R_y whose difference is at least the observed one
    in size: of every split where there are at most ``PERMUTATIONS``, else of as many random ones
    and the observed (Phipson and Smyth 2010).

    Args:
        x: (R_x,) scores.
        y: (R_y,) scores of the same task.
        seed: of the random splits, which depend on it and on the numbers of runs alone.
    """
    if len(x) + len(y) < 3:
        return None
    pooled = np.concatenate([x, y])
    pooled = pooled - pooled.mean()
    splits = _splits if len(pooled) <= _REMEMBERED_RUNS else _split_blocks
    differences = np.abs(np.concatenate([block @ pooled for block in splits(len(x), len(y), seed)]))
    # Sums of the same numbers in another order differ by rounding, and must count as equal.
    as_large = differences >= abs(pooled[: len(x)].sum()) - 1e-12 * np.abs(pooled).sum()
    return float(as_large.mean())


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Holm's (1979) step-down correction: the j-th smallest of m times m − j + 1, kept monotone.

    Args:
        p_values: None for a test that is undefined, which stays None and is not counted.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[index] = highest
    return tuple(adjusted)


def hedges_g(x: Floats, y: Floats) -> float | None:
    """(x̄ − ȳ) / pooled s × Γ(ν/2)/(√(ν/2) Γ((ν−1)/2)), ν = R_x + R_y − 2 (Hedges 1981).

    None with fewer than two runs of each or without variance.
    """
    freedom = len(x) + len(y) - 2
    if min(len(x), len(y)) < 2 or (constant(x) and constant(y)):
        return None
    squares = ((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()
    gammas = np.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2))
    correction = gammas / np.sqrt(freedom / 2)
    return float((x.mean() - y.mean()) / np.sqrt(squares / freedom) * correction)


def cliffs_delta(x: Floats, y: Floats) -> float:
    """P(X > Y) − P(X < Y) over all pairs of runs (Cliff 1993); A12 is (δ + 1)/2."""
    ranked = np.sort(y)
    below, upto = (np.searchsorted(ranked, x, side=side) for side in _SIDES)
    return float((below + upto - len(y)).sum() / (len(x) * len(y)))


def tost_p(welch: Welch | None, margin: float) -> float | None:
    """The larger p of two one-sided Welch tests of difference ≤ −margin and ≥ margin (TOST).

    A small p says that the true difference lies within ± margin; a large one says nothing. None
    where Welch's test is undefined.
    """
    if welch is None:
        return None
    above = stdtr(welch.freedom, -(margin + welch.difference) / welch.error)
    below = stdtr(welch.freedom, -(margin - welch.difference) / welch.error)
    return float(max(above, below))


def equivalence_p(
    x: Floats, y: Floats, margin: float, failed_below: float = FAILED_BELOW
) -> float | None:
    """The larger of ``tost_p`` and ``reports.statistics.failures.unseen_failures_p``.

    Two one-sided tests take what was seen for all that there is: of few runs they call a label that
    collapses now and then equal to one that never does. None where they are undefined.
    """
    seen = tost_p(welch_test(x, y), margin)
    return None if seen is None else max(seen, unseen_failures_p(x, y, margin, failed_below))


def _pair_test(
    task: str,
    first: tuple[str, Floats],
    second: tuple[str, Floats],
    seed: int,
    margin: float,
    failed_below: float,
) -> PairTest:
    (x_label, x), (y_label, y) = first, second
    welch = welch_test(x, y)
    # Named in one order: the p of a pair must not depend on which label comes first.
    lower, upper = sorted((first, second), key=lambda side: side[0])
    return PairTest(
        task=task,
        x=x_label,
        y=y_label,
        difference=float(x.mean() - y.mean()),
        low=None if welch is None else welch.low,
        high=None if welch is None else welch.high,
        welch_p=None if welch is None else welch.p,
        welch_holm=None,
        permutation_p=permutation_p(lower[1], upper[1], seed),
        permutation_holm=None,
        hedges_g=hedges_g(x, y),
        a12=(cliffs_delta(x, y) + 1) / 2,
        margin=margin,
        tost_p=tost_p(welch, margin),
        equivalence_p=equivalence_p(x, y, margin, failed_below),
        equivalence_holm=None,
        seeds=seeds_needed([x], [y]),
    )


def _split_blocks(first: int, second: int, seed: int) -> Iterator[Floats]:
    """Yield rows of ones for the runs that go to the first group, the observed split on top."""
    total = first + second
    if comb(total, first) <= PERMUTATIONS:
        yield _rows(np.array(list(combinations(range(total), first))), total)
        return
    yield _rows(np.arange(first)[None], total)
    rng = generator(seed, f"splits of {first} and {second} runs")
    size = max(1, _BLOCK_ENTRIES // total)
    for start in range(0, PERMUTATIONS, size):
        rows = min(size, PERMUTATIONS - start)
        shuffled = rng.permuted(np.tile(np.arange(total), (rows, 1)), axis=1)
        yield _rows(shuffled[:, :first], total)


def _rows(chosen: NDArray[np.int64], total: int) -> Floats:
    rows = np.zeros((len(chosen), total))
    np.put_along_axis(rows, chosen, 1.0, axis=1)
    return rows


@lru_cache(maxsize=8)
def _splits(first: int, second: int, seed: int) -> tuple[Floats]:
    return (np.concatenate(list(_split_blocks(first, second, seed))),)
