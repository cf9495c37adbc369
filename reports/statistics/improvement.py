"""The probability that a run of one algorithm beats a run of another, for every pair."""

import math
from collections.abc import Mapping
from itertools import combinations

import numpy as np

from reports.statistics.intervals import (
    DEFAULT_METHOD,
    LEVEL,
    Estimate,
    Method,
    Stretch,
    estimate,
    interval,
    stretch,
)
from reports.statistics.resampling import by_task, resampled_counts
from reports.statistics.samples import Floats, Scores, ScoresError, Strata, generator, strata

DRAWS = 2_000
_BLOCK_ENTRIES = 2**19
"""Counts worked on at once, 4 MiB."""


def improvements(
    samples: Mapping[str, Scores],
    *,
    seed: int,
    draws: int = DRAWS,
    method: Method = DEFAULT_METHOD,
    over: str | None = None,
) -> dict[tuple[str, str], Estimate]:
    """Estimate every pair's probability of improvement (Agarwal et al. 2021, section 4.3).

    P(X > Y) + P(X = Y)/2, averaged over tasks, for every ordered pair of algorithms.

    Where every run beats every other, resampling would show certainty; the interval is then that
    of as many wins in independent pairs (except with ``percentile``, which is rliable's).

    Each algorithm is resampled once, from a seed of its own; an interval depends neither on the
    other algorithms nor on their order. Numbers of runs may differ between algorithms and tasks.

    Args:
        samples: scores of every algorithm on the same T tasks in the same order.
        seed: seed of the report.
        draws: bootstrap draws, at least 1.
        method: how the interval is made, see ``reports.statistics.intervals``.
        over: the algorithm that every pair must hold; None: all pairs.

    Returns:
        By (x, y), for every two labels x ≠ y that were compared; that of (y, x) is one minus it.

    Raises:
        ScoresError: the algorithms have different numbers of tasks, or see
            ``reports.statistics.samples.strata``.
    """
    checked = {label: strata(scores, label) for label, scores in samples.items()}
    sizes = {label: len(tasks) for label, tasks in checked.items()}
    if len(set(sizes.values())) > 1:
        raise ScoresError(f"the algorithms must share their tasks; they have {sizes}")
    counts = {
        label: _all_counts(tasks, draws, generator(seed, f"improvement of {label}"))
        for label, tasks in checked.items()
        if min(map(len, tasks)) > 1
    }
    estimates: dict[tuple[str, str], Estimate] = {}
    for x, y in combinations(checked, 2):
        if over not in (None, x, y):
            continue
        # Computed in one order, so that a pair has the same digits whichever label comes first.
        first, second = sorted((x, y))
        duels = _duels(checked[first], checked[second])
        value = float(np.mean([duel.rate for duel in duels]))
        low, high = None, None
        if first in counts and second in counts:
            drawn = _resampled(duels, counts[first], counts[second])
            ends = interval(value, drawn, _stretch(duels, method), support=(0.0, 1.0))
            low, high = map(float, ends)
            if method != "percentile" and value in (0.0, 1.0):
                low, high = _without_a_loss(value, duels)
        estimates[first, second] = estimate(value, low, high)
        estimates[second, first] = complement(estimates[first, second])
    return estimates


def probability_of_improvement(x: Scores, y: Scores) -> float:
    """P(X > Y) + P(X = Y)/2, averaged over tasks: rliable's, without its rank test's p-value.

    Args:
        x: scores of the algorithm in question.
        y: scores of the other on the same tasks; numbers of runs may differ.
    """
    return float(np.mean([duel.rate for duel in _duels(strata(x, "x"), strata(y, "y"))]))


def bootstrap_improvement(x: Scores, y: Scores, draws: int, rng: np.random.Generator) -> Floats:
    """Return the probability that x improves on y in resamples of both, (draws,).

    Args:
        x: scores of the algorithm in question.
        y: scores of the other on the same tasks.
        draws: bootstrap draws, at least 1.
        rng: source of the draws.
    """
    ours, theirs = strata(x, "x"), strata(y, "y")
    counts = [_all_counts(tasks, draws, rng) for tasks in (ours, theirs)]
    return _resampled(_duels(ours, theirs), *counts)


class _Duel:
    """The wins of one task: 1 where x's run scored above y's, ½ where the same, else 0.

    By ranks, since their matrix (R_x, R_y) would grow with the square of the runs; every sum is of
    halves, so it is exact.

    Attributes:
        sizes: R_x and R_y.
        x_rates: (R_x,) share of y's runs that each of x's beat.
        y_rates: (R_y,) share of x's runs that beat each of y's.
        rate: the mean of either.
    """

    def __init__(self, x: Floats, y: Floats) -> None:
        self.sizes = (len(x), len(y))
        self._order = np.argsort(y, kind="stable")
        ranked = y[self._order]
        self._below = np.searchsorted(ranked, x, side="left")
        self._upto = np.searchsorted(ranked, x, side="right")
        ordered = np.sort(x)
        lost = np.searchsorted(ordered, y, side="left") + np.searchsorted(ordered, y, side="right")
        self.x_rates = (self._below + self._upto) / 2 / len(y)
        self.y_rates = (len(x) - lost / 2) / len(x)
        self.rate = float((self._below + self._upto).sum() / 2 / (len(x) * len(y)))

    def resampled(self, x: Floats, y: Floats) -> Floats:
        """Map how often each run was drawn, (R_x, B) and (R_y, B), to the rate in every draw."""
        reached = np.zeros((self.sizes[1] + 1, y.shape[1]))
        np.cumsum(y[self._order], axis=0, out=reached[1:])
        wins = reached[self._below] + reached[self._upto]
        return np.asarray(np.einsum("rb,rb->b", x, wins) / 2 / math.prod(self.sizes))


def _duels(x: Strata, y: Strata) -> list[_Duel]:
    return [_Duel(ours, theirs) for ours, theirs in zip(x, y, strict=True)]


def _all_counts(tasks: Strata, draws: int, rng: np.random.Generator) -> list[Floats]:
    runs = [len(task) for task in tasks]
    blocks = [counts.copy() for counts in resampled_counts(runs, draws, rng)]
    return by_task(np.concatenate(blocks, axis=1), runs)


def _resampled(duels: list[_Duel], x: list[Floats], y: list[Floats]) -> Floats:
    """Mean over tasks of the rate in every draw, (draws,), some draws at a time."""
    draws = x[0].shape[1]
    size = max(1, _BLOCK_ENTRIES // max(map(sum, (duel.sizes for duel in duels))))
    return np.concatenate(
        [
            np.mean(
                [
                    duel.resampled(ours[:, start : start + size], theirs[:, start : start + size])
                    for duel, ours, theirs in zip(duels, x, y, strict=True)
                ],
                axis=0,
            )
            for start in range(0, draws, size)
        ]
    )


def _stretch(duels: list[_Duel], method: Method) -> Stretch | None:
    """To first order the estimate adds each run's own win rate, x's runs and y's runs apart."""
    placements = [*(duel.x_rates for duel in duels), *(duel.y_rates for duel in duels)]
    return stretch(
        [np.var(rates, ddof=1) for rates in placements], list(map(len, placements)), method
    )


def _without_a_loss(value: float, duels: list[_Duel]) -> tuple[float, float]:
    """The interval of 0 or 1, which no resample of these runs can leave.

    Σ_t min(R_x, R_y) pairs share no run; all of them won. Clopper and Pearson's (1934) end for as
    many independent wins without a loss is 0.025^(1/n); tasks of unequal difficulty only make it
    cautious.
    """
    pairs = sum(min(duel.sizes) for duel in duels)
    distance = 1 - ((1 - LEVEL) / 2) ** (1 / pairs)
    return (0.0, distance) if value == 0 else (1 - distance, 1.0)


def complement(estimate: Estimate) -> Estimate:
    """The probability of the other's improvement."""
    low = None if estimate.high is None else 1 - estimate.high
    high = None if estimate.low is None else 1 - estimate.low
    return Estimate(1 - estimate.value, low, high)
