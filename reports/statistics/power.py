"""How many runs the rank test needs to tell two algorithms apart, as a range.

A pilot of few runs says little about how often one algorithm beats the other, and a number of runs
planned from its estimate alone is too small about half of the time. So the interval of P(better) is
planned for, not its middle.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.statistics.improvement import probability_of_improvement
from reports.statistics.ranks import fewest_runs
from reports.statistics.samples import Scores, strata

POWER, ALPHA, ASSURANCE, MOST_RUNS = 0.8, 0.05, 0.8, 1_000


@dataclass(frozen=True)
class SeedsNeeded:
    """Runs of each algorithm on every task for a two-sided rank test with power 0.8.

    Attributes:
        low: would do if the algorithms are as far apart as these runs allow with assurance 0.8;
            None: more than 1,000.
        high: would do, with assurance 0.8, in any case; None: more than 1,000, or no number at all.
        has: the smallest number of runs at hand.
        tasks: on how many tasks.
    """

    low: int | None
    high: int | None
    has: int
    tasks: int

    @property
    def sentence(self) -> str:
        """The finding in words, with what it rests on."""
        basis = f"guessed from {self.has} {'run' if self.has == 1 else 'runs'} of each"
        where = "" if self.tasks == 1 else f" on each of {self.tasks} tasks"
        if self.low is None:
            return (
                f"More than {MOST_RUNS:,} runs of each{where}: these differ so little that no "
                f"smaller number would tell them apart; {basis}."
            )
        if self.high is None:
            return (
                f"At least {self.low} runs of each{where} to tell them apart four times in five, "
                f"and no most: they may not differ at all; {basis}."
            )
        spread = str(self.high) if self.low == self.high else f"{self.low} to {self.high}"
        return (
            f"{spread} runs of each{where} would tell them apart four times in five; the larger "
            f"number is enough with 80 % assurance; {basis}."
        )


def seeds_needed(x: Scores, y: Scores, level: float = ALPHA) -> SeedsNeeded:
    """Find the range of equal numbers of runs that give the rank test its power.

    Args:
        x: scores of one algorithm, T tasks.
        y: scores of the other on the same tasks.
        level: of the test; with Holm's correction over m pairs, 0.05/m is the strictest.
    """
    ours, theirs = strata(x, "x"), strata(y, "y")
    sizes = [(len(first), len(second)) for first, second in zip(ours, theirs, strict=True)]
    rate = probability_of_improvement(x, y)
    least, most = rate_interval(max(rate, 1 - rate), sizes)
    tasks = len(sizes)
    return SeedsNeeded(
        low=rank_runs(most, tasks, level),
        high=rank_runs(least, tasks, level),
        has=min(min(pair) for pair in sizes),
        tasks=tasks,
    )


def rate_interval(rate: float, sizes: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The 80 % interval of P(better): Newcombe's (2006, part 2) fifth method, a pseudo-score.

    All θ with |rate − θ| ≤ z √V(θ), see ``rate_variance``. Unlike an interval from estimated
    variances it has a width where every run of one beat every run of the other. It has a tenth
    outside at either end, since of two algorithms that hardly differ the wrong one may lead.

    Args:
        rate: the estimate, in [0, 1].
        sizes: (T,) pairs of numbers of runs.
    """
    z = float(special.ndtri((1 + ASSURANCE) / 2))
    ends = []
    for away in (0.0, 1.0):
        inside, beyond = rate, away
        for _ in range(60):
            middle = (inside + beyond) / 2
            outside = abs(rate - middle) > z * np.sqrt(rate_variance(middle, sizes))
            inside, beyond = (inside, middle) if outside else (middle, beyond)
        ends.append(inside)
    return ends[0], ends[1]


def rate_variance(rate: float, sizes: Sequence[tuple[int, int]]) -> float:
    """Variance of an estimated P(better), averaged over tasks that all have the same.

    Hanley and McNeil's (1982), exact for exponential scores and equal numbers of runs, near that of
    normal ones. Of one task with m and n runs
    θ(1 − θ)/(m n) · (1 + ((m + n)/2 − 1)((1 − θ)/(2 − θ) + θ/(1 + θ))).

    Args:
        rate: θ, in [0, 1].
        sizes: (T,) pairs (m, n).
    """
    shape = (1 - rate) / (2 - rate) + rate / (1 + rate)
    terms = sum((1 + ((m + n) / 2 - 1) * shape) / (m * n) for m, n in sizes)
    return float(rate * (1 - rate) * terms / len(sizes) ** 2)


def rank_runs(rate: float, tasks: int, level: float) -> int | None:
    """Runs of each on every task for power 0.8 when P(better) is ``rate``; None: above 1,000.

    As Noether (1987), the least R with rate − ½ ≥ z_α σ_0 + z_β σ_1, but with σ_1 that of the rate
    itself: σ_0² = (2R + 1)/(12 R² T), σ_1² = ``rate_variance``. And no fewer than the test needs to
    give a p of ``level`` at all.

    Args:
        rate: the true P(better), averaged over tasks.
        tasks: T.
        level: of the two-sided test.
    """
    alpha, beta = special.ndtri(1 - level / 2), special.ndtri(POWER)

    def enough(runs: int) -> bool:
        null = np.sqrt((2 * runs + 1) / (12 * runs**2 * tasks))
        spread = np.sqrt(rate_variance(rate, [(runs, runs)] * tasks))
        return bool(rate - 0.5 >= alpha * null + beta * spread)

    fewest = fewest_runs(tasks, level)
    if fewest > MOST_RUNS or not enough(MOST_RUNS):
        return None
    return bisect_left(range(MOST_RUNS + 1), True, lo=fewest, key=enough)
