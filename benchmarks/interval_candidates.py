"""Ways to make a 95 % interval that ``benchmarks/calibration.py`` measures side by side.

The two in production are ``reports.statistics.intervals``'; the others stand here because they
lost. All take the same resamples. The statistic is the mean or the interquartile mean (IQM) of T
tasks with R runs each; both are, to first order, means of Winsorised scores, each task's runs
apart.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.statistics.intervals import LEVEL, Stretch, interval, stretch
from reports.statistics.iqm import winsorised
from reports.statistics.samples import Floats, Strata

Ends = tuple[float, float]
_Z = float(special.ndtri((1 + LEVEL) / 2))


@dataclass(frozen=True, eq=False)
class Sample:
    """What the candidates may look at.

    Attributes:
        tasks: T arrays (R,) of scores: Winsorised at the IQM's cuts, or as they are for the mean.
        kept: the share of scores that the statistic averages, 1 for the mean.
        point: the statistic.
        draws: (B,) the statistic of B resamples.
        errors: (B,) standard error of the statistic in the same resamples.
    """

    tasks: Strata
    kept: float
    point: float
    draws: Floats
    errors: Floats


def of_mean(tasks: Strata, point: float, draws: Floats, counts: Floats) -> Sample:
    """The candidates' view of a mean; ``counts`` (ΣR, B) made the draws."""
    return Sample(tasks, 1.0, point, draws, _errors(np.stack(tasks), counts, 1.0))


def of_iqm(tasks: Strata, point: float, draws: Floats, counts: Floats) -> Sample:
    """The candidates' view of an IQM; ``counts`` (ΣR, B) made the draws."""
    total = counts.shape[0]
    cut = total // 4
    kept = (total - 2 * cut) / total
    values = np.concatenate(tasks)
    order = np.argsort(values)
    reached = np.cumsum(counts[order], axis=0)
    low = values[order][(reached <= cut).sum(axis=0)]
    high = values[order][(reached < total - cut).sum(axis=0)]
    clipped = np.clip(np.stack(tasks)[..., None], low, high)
    return Sample(winsorised(tasks), kept, point, draws, _errors(clipped, counts, kept))


def percentile(sample: Sample) -> Ends:
    """What rliable makes by default."""
    low, high = interval(sample.point, sample.draws)
    return float(low), float(high)


def stretched(sample: Sample) -> Ends:
    """The percentile interval stretched about the estimate: production's default."""
    low, high = interval(sample.point, sample.draws, _stretch(sample))
    return float(low), float(high)


def expanded_percentile(sample: Sample) -> Ends:
    """Hesterberg (2015): percentiles further out, Φ(−factor × 1.96) and its complement."""
    widening = _stretch(sample)
    assert widening is not None
    tail = float(special.ndtr(-widening.factor * _Z))
    low, high = np.quantile(sample.draws, [tail, 1 - tail])
    return float(low), float(high)


def bca(sample: Sample) -> Ends:
    """Efron (1987), with the acceleration from the Winsorised deviations."""
    below = np.mean(sample.draws < sample.point) + np.mean(sample.draws == sample.point) / 2
    bias = special.ndtri(np.clip(below, 1e-6, 1 - 1e-6))
    influence = np.concatenate([(task - task.mean()) / len(task) for task in sample.tasks])
    scale = (influence**2).sum() ** 1.5
    acceleration = (influence**3).sum() / (6 * scale) if scale else 0.0
    shifted = bias + np.array([-_Z, _Z])
    tails = special.ndtr(bias + shifted / (1 - acceleration * shifted))
    low, high = np.quantile(sample.draws, tails)
    return float(low), float(high)


def bootstrap_t(sample: Sample) -> Ends:
    """Studentised bootstrap; draws without variance are left out."""
    error = _standard_error(sample)
    usable = sample.errors > 1e-6 * error
    if not usable.any():
        return sample.point, sample.point
    ratios = (sample.draws[usable] - sample.point) / sample.errors[usable]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(sample.point - high * error), float(sample.point - low * error)


def yuen(sample: Sample) -> Ends:
    """Tukey and McLaughlin's t for trimmed means, tasks apart; Student's for a mean of one task."""
    kept_runs = np.array([len(task) * sample.kept for task in sample.tasks])
    variances = np.array(
        [
            (len(task) - 1) * task.var(ddof=1) / (kept * (kept - 1))
            for task, kept in zip(sample.tasks, kept_runs, strict=True)
        ]
    )
    total = variances.sum()
    if not total:
        return sample.point, sample.point
    freedom = total**2 / (variances**2 / (kept_runs + 1)).sum() - 2
    freedom = max(freedom, kept_runs.min() - 1)
    half = special.stdtrit(freedom, (1 + LEVEL) / 2) * np.sqrt(total) / len(sample.tasks)
    return sample.point - float(half), sample.point + float(half)


CANDIDATES = {
    "percentile": percentile,
    "stretched": stretched,
    "expanded percentile": expanded_percentile,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
    "Student/Yuen t": yuen,
}


def _stretch(sample: Sample) -> Stretch | None:
    variances = [np.asarray(task.var(ddof=1)) for task in sample.tasks]
    return stretch(variances, [len(task) for task in sample.tasks])


def _standard_error(sample: Sample) -> float:
    squares = sum(float(task.var(ddof=1)) / len(task) for task in sample.tasks)
    return float(np.sqrt(squares)) / (len(sample.tasks) * sample.kept)


def _errors(scores: Floats, counts: Floats, kept: float) -> Floats:
    """Standard errors in every resample; scores (T, R) or (T, R, B), counts (T·R, B)."""
    tasks, runs = scores.shape[:2]
    weights = counts.reshape(tasks, runs, -1)
    values = scores - scores.mean(axis=1, keepdims=True)
    letters = "tr" if values.ndim == 2 else "trb"
    sums = np.einsum(f"trb,{letters}->tb", weights, values)
    squares = np.einsum(f"trb,{letters}->tb", weights, values**2) - sums**2 / runs
    within = np.maximum(squares, 0) / (runs - 1)
    return np.asarray(np.sqrt(within.sum(axis=0) / runs) / (tasks * kept))
