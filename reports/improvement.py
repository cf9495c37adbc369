"""The probability that a run of one algorithm beats a run of another, for every pair."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from reports.intervals import (
    DEFAULT_METHOD,
    LEVEL,
    Estimate,
    Method,
    Stretch,
    estimate,
    interval,
    stretch,
)
from reports.resampling import by_task, resampled_counts
from reports.samples import Matrix, Scores, ScoresError, Strata, generator, strata

DRAWS = 2_000


@dataclass(frozen=True)
class Improvements:
    """P(X > Y) + P(X = Y)/2, averaged over tasks, for every ordered pair of algorithms.

    Attributes:
        labels: the algorithms, in the order in which they were given.
        estimates: ``estimates[x, y]`` for every two labels x ≠ y; that of (y, x) is one minus it.
    """

    labels: tuple[str, ...]
    estimates: dict[tuple[str, str], Estimate]


def improvements(
    samples: Mapping[str, Scores],
    *,
    seed: int,
    draws: int = DRAWS,
    method: Method = DEFAULT_METHOD,
) -> Improvements:
    """Estimate every pair's probability of improvement (Agarwal et al. 2021, section 4.3).

    Where every run beats every other, resampling would show certainty; the interval is then that
    of as many wins in independent pairs (except with ``percentile``, which is rliable's).

    Each algorithm is resampled once, from a seed of its own; an interval depends neither on the
    other algorithms nor on their order. Numbers of runs may differ between algorithms and tasks.

    Args:
        samples: scores of every algorithm on the same T tasks in the same order.
        seed: seed of the report.
        draws: bootstrap draws, at least 1.
        method: how the interval is made, see ``reports.intervals``.

    Raises:
        ScoresError: the algorithms have different numbers of tasks, or see
            ``reports.samples.strata``.
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
        # Computed in one order, so that a pair has the same digits whichever label comes first.
        first, second = sorted((x, y))
        wins = _win_matrices(checked[first], checked[second])
        value = float(np.mean([win.mean() for win in wins]))
        low, high = None, None
        if first in counts and second in counts:
            drawn = _resampled(wins, counts[first], counts[second])
            ends = interval(value, drawn, _stretch(wins, method), support=(0.0, 1.0))
            low, high = map(float, ends)
            if method != "percentile" and value in (0.0, 1.0):
                low, high = _without_a_loss(value, wins)
        estimates[first, second] = estimate(value, low, high)
        estimates[second, first] = _complement(estimates[first, second])
    return Improvements(tuple(checked), estimates)


def probability_of_improvement(x: Scores, y: Scores) -> float:
    """P(X > Y) + P(X = Y)/2, averaged over tasks: rliable's, without its rank test's p-value.

    Args:
        x: scores of the algorithm in question.
        y: scores of the other on the same tasks; numbers of runs may differ.
    """
    return float(np.mean([win.mean() for win in _win_matrices(strata(x, "x"), strata(y, "y"))]))


def _win_matrices(x: Strata, y: Strata) -> list[Matrix]:
    """For every task (R_x, R_y): 1 where x's run scored above y's, ½ where the same, else 0."""
    return [
        (np.sign(ours[:, None] - theirs[None, :]) + 1) / 2
        for ours, theirs in zip(x, y, strict=True)
    ]


def _all_counts(tasks: Strata, draws: int, rng: np.random.Generator) -> list[Matrix]:
    runs = [len(task) for task in tasks]
    blocks = [counts.copy() for counts in resampled_counts(runs, draws, rng)]
    return by_task(np.concatenate(blocks, axis=1), runs)


def _resampled(wins: list[Matrix], x: list[Matrix], y: list[Matrix]) -> Matrix:
    """Mean over tasks of c_xᵀ W c_y / (R_x R_y) for every draw, (draws,)."""
    rates = [
        np.einsum("rb,rb->b", ours, win @ theirs) / win.size
        for win, ours, theirs in zip(wins, x, y, strict=True)
    ]
    return np.asarray(np.mean(rates, axis=0))


def _stretch(wins: list[Matrix], method: Method) -> Stretch | None:
    """To first order the estimate adds each run's own win rate, x's runs and y's runs apart."""
    ours = [win.mean(axis=1) for win in wins]
    theirs = [win.mean(axis=0) for win in wins]
    placements = [*ours, *theirs]
    return stretch(
        [np.var(rates, ddof=1) for rates in placements], list(map(len, placements)), method
    )


def _without_a_loss(value: float, wins: list[Matrix]) -> tuple[float, float]:
    """The interval of 0 or 1, which no resample of these runs can leave.

    Σ_t min(R_x, R_y) pairs share no run; all of them won. Clopper and Pearson's (1934) end for as
    many independent wins without a loss is 0.025^(1/n); tasks of unequal difficulty only make it
    cautious.
    """
    pairs = sum(min(win.shape) for win in wins)
    distance = 1 - ((1 - LEVEL) / 2) ** (1 / pairs)
    return (0.0, distance) if value == 0 else (1 - distance, 1.0)


def _complement(of: Estimate) -> Estimate:
    low = None if of.high is None else 1 - of.high
    high = None if of.low is None else 1 - of.low
    return Estimate(1 - of.value, low, high)
