"""How many runs would separate two algorithms, if they differ as much as they seem to."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.statistics.samples import Floats, constant

POWER, ALPHA, MOST_RUNS = 0.8, 0.05, 1_000
_QUANTILES = 2_000


@dataclass(frozen=True)
class SeedsNeeded:
    """Runs of each algorithm for a two-sided Welch test at level 0.05 with power 0.8.

    Attributes:
        runs: how many of each; None where there is no such number.
        reason: None, or why there is none: ``one run`` of an algorithm, ``no variance``, or
            ``too small``: more than 1,000 runs of each would be needed.
        has: the smaller of the two numbers of runs at hand.
    """

    runs: int | None
    reason: str | None
    has: int

    @property
    def sentence(self) -> str:
        """The finding in words, with what it rests on."""
        if self.runs is not None:
            return (
                f"{self.runs} runs of each would show a difference of the observed size four times "
                f"in five, if the true one is as large; it was guessed from {self.has}."
            )
        return {
            "one run": "No guess: two runs of each are the least that show a spread.",
            "no variance": "No guess: the runs do not differ from each other.",
            "too small": (
                f"More than {MOST_RUNS:,} runs of each: at this noise the observed difference is "
                "as good as none, and may have either sign."
            ),
        }[self.reason or ""]


def seeds_needed(x: Floats, y: Floats) -> SeedsNeeded:
    """Find the least equal number of runs that gives Welch's test the power to tell x from y.

    The observed difference and variances are taken for the true ones, which flatters: a
    difference that was noticed because it is large tends to be overestimated.

    Args:
        x: (R_x,) scores.
        y: (R_y,) scores of the same task.
    """
    has = min(len(x), len(y))
    if has < 2:
        return SeedsNeeded(None, "one run", has)
    difference = abs(float(x.mean() - y.mean()))
    variances = float(x.var(ddof=1)), float(y.var(ddof=1))
    if constant(x) and constant(y):
        return SeedsNeeded(None, "no variance", has)
    if welch_power(difference, variances, MOST_RUNS) < POWER:
        return SeedsNeeded(None, "too small", has)
    low, high = 1, MOST_RUNS
    while high - low > 1:
        middle = (low + high) // 2
        if welch_power(difference, variances, middle) >= POWER:
            high = middle
        else:
            low = middle
    return SeedsNeeded(high, None, has)


def welch_power(difference: float, variances: tuple[float, float], runs: int) -> float:
    """Power of a two-sided Welch test at level 0.05 with equal numbers of runs.

    With ν = (v_1 + v_2)² (R − 1)/(v_1² + v_2²), shift δ = difference / sqrt((v_1 + v_2)/R) and
    Student's critical value c, the noncentral t's P(|T| > c) = E[Φ(δ − c S) + Φ(−δ − c S)] over
    S² ~ χ²_ν/ν. The mean is taken over S's quantiles; scipy's ``nct.cdf`` returns NaN for large δ.

    Args:
        difference: true difference of means.
        variances: true variances, not both 0.
        runs: R of each, at least 2.
    """
    largest = max(variances)
    first, second = variances[0] / largest, variances[1] / largest
    freedom = (first + second) ** 2 * (runs - 1) / (first**2 + second**2)
    shift = difference / np.sqrt(largest * (first + second) / runs)
    critical = special.stdtrit(freedom, 1 - ALPHA / 2)
    shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    spread = critical * np.sqrt(special.chdtri(freedom, shares) / freedom)
    return float(np.mean(special.ndtr(shift - spread) + special.ndtr(-shift - spread)))
