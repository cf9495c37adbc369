"""95 % intervals from bootstrap draws, widened for few runs.

The percentile interval of a bootstrap, rliable's, is too narrow for few runs, for two reasons:
resampling R runs has only (R − 1)/R of their variance, and a variance that is itself estimated
from few runs asks for Student's t in place of the normal law. The default interval keeps the
percentile interval's shape and stretches it about the estimate by both factors; how much longer
one arm is than the other is itself a guess from few runs, so the shorter arm gains a part of the
difference. How often each method covers the truth is measured by ``benchmarks/calibration.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from reports.statistics.samples import Floats

LEVEL = 0.95
Method = Literal["stretched", "percentile"]
DEFAULT_METHOD: Method = "stretched"


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; ``low`` and ``high`` are None where one run gives none."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, eq=False)
class Stretch:
    """What few runs ask of a percentile interval.

    Attributes:
        factor: (…) by which both arms are too short, at least 1.
        freedom: (…) ν, Student's degrees of freedom; the shorter arm gains 1/ν of the difference.
    """

    factor: Floats
    freedom: Floats


def interval(
    points: ArrayLike,
    draws: Floats,
    widening: Stretch | None = None,
    support: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[Floats, Floats]:
    """Return the ends of percentile intervals, stretched about the estimates.

    Args:
        points: (…) estimates.
        draws: (B, …) bootstrap draws of the same.
        widening: what the runs ask for, see ``stretch``; None leaves the percentile interval.
        support: least and greatest value that the quantity can have.

    Returns:
        low and high, each (…). No stretched arm points inwards, so the estimate lies within.
    """
    value = np.asarray(points, dtype=np.float64)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    if widening is not None:
        below, above = np.maximum(value - low, 0), np.maximum(high - value, 0)
        gain = np.abs(above - below) / widening.freedom
        longest = np.maximum(below, above)
        low = value - widening.factor * np.minimum(longest, below + gain * (below < above))
        high = value + widening.factor * np.minimum(longest, above + gain * (above < below))
    return np.clip(low, *support), np.clip(high, *support)


def stretch(
    variances: Sequence[Floats], runs: Sequence[int], method: Method = DEFAULT_METHOD
) -> Stretch | None:
    """Return by how much a percentile interval of few runs is too narrow; None: leave it.

    For an estimate that adds one mean per stratum, s_t² being stratum t's sample variance (divisor
    R_t − 1) of what is averaged: sqrt(Σ s_t²/R_t / Σ s_t² (R_t − 1)/R_t²), the bootstrap's missing
    variance, times t_ν/z, Student's and the normal law's 97.5 % quantiles. ν is Welch's (1947)
    ν = (Σ v_t)² / Σ v_t²/(R_t + 1) − 2 with v_t = s_t²/R_t, which is R − 1 for one stratum.

    Args:
        variances: S arrays (…) of s_t².
        runs: R_t of every stratum, each at least 2.
        method: ``percentile`` asks for no stretching.
    """
    if method == "percentile":
        return None
    squares = np.stack([np.asarray(variance, dtype=np.float64) for variance in variances])
    count = np.asarray(runs, dtype=np.float64).reshape(-1, *[1] * (squares.ndim - 1))
    largest = squares.max(axis=0)
    # Scaled, since a variance may be too small to be squared; without any, all count alike.
    squares = np.where(largest > 0, squares / np.where(largest > 0, largest, 1.0), 1.0)
    mean_variances = squares / count
    total = mean_variances.sum(axis=0)
    missing = (mean_variances * (count - 1) / count).sum(axis=0)
    shares = (mean_variances**2 / (count + 1)).sum(axis=0)
    # Never below the least that the runs of any varying stratum can mean.
    fewest = np.where(squares > 0, count, np.inf).min(axis=0) - 1
    freedom = np.maximum(total**2 / shares - 2, fewest)
    student = special.stdtrit(freedom, (1 + LEVEL) / 2) / special.ndtri((1 + LEVEL) / 2)
    return Stretch(np.asarray(np.sqrt(total / missing) * student), np.asarray(freedom))


def estimate(value: float, low: float | None, high: float | None) -> Estimate:
    """Return plain floats as an ``Estimate``."""
    return Estimate(
        float(value), None if low is None else float(low), None if high is None else float(high)
    )
