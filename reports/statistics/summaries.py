"""One algorithm on one task in plain numbers, and what may be doubted about its intervals."""

from dataclasses import dataclass

from reports.statistics.aggregates import DRAWS, aggregates
from reports.statistics.intervals import DEFAULT_METHOD, Estimate, Method
from reports.statistics.samples import Floats, Scores, constant, strata

ENOUGH_RUNS = 10
"""Below this, measured coverage depends on the scores' distribution (docs/calibration.md)."""


@dataclass(frozen=True)
class TaskSummary:
    """Scores of one algorithm on one task.

    Attributes:
        runs: how many.
        mean: their mean, with its interval.
        iqm: their interquartile mean, with its interval.
        std: standard deviation with divisor R − 1; None of one run.
        min: the least score.
        max: the greatest.
    """

    runs: int
    mean: Estimate
    iqm: Estimate
    std: float | None
    min: float
    max: float


def task_summary(
    scores: Floats, *, seed: int, key: str, draws: int = DRAWS, method: Method = DEFAULT_METHOD
) -> TaskSummary:
    """Sum up (R,) scores of one task; arguments as of ``aggregates.aggregates``."""
    (runs,) = strata([scores], key)
    estimates = aggregates([runs], seed=seed, key=key, draws=draws, method=method)
    return TaskSummary(
        runs=len(runs),
        mean=estimates.mean,
        iqm=estimates.iqm,
        std=float(runs.std(ddof=1)) if len(runs) > 1 else None,
        min=float(runs.min()),
        max=float(runs.max()),
    )


def doubts(scores: Scores, *, planned: bool = False) -> tuple[str, ...]:
    """List, as sentences, why the intervals of these scores may be too narrow, and what to do.

    Args:
        scores: of one algorithm, T tasks.
        planned: a plan that was fixed beforehand says how many runs there are: none may be added.
    """
    tasks = strata(scores)
    fewest = min(map(len, tasks))
    sentences: list[str] = []
    if fewest == 1:
        sentences.append(
            "A task has one run: no interval can be given, and another seed may score very "
            f"differently. {_more('Add seeds', planned, ENOUGH_RUNS)}"
        )
    elif fewest < ENOUGH_RUNS:
        advice = f"Add seeds, {ENOUGH_RUNS} or more"
        sentences.append(
            f"{fewest} runs of a task: below {ENOUGH_RUNS}, whether the interval covers the "
            "true value as often as it promises depends on the distribution of the scores. "
            f"{_more(advice, planned, ENOUGH_RUNS)}"
        )
    if len(tasks) == 1 and 1 < fewest < 2 * ENOUGH_RUNS:
        advice = f"Add tasks, or seeds up to {2 * ENOUGH_RUNS}"
        sentences.append(
            "One task: its scores' distribution alone decides how good the interval is. "
            f"{_more(advice, planned, 2 * ENOUGH_RUNS)}"
        )
    if fewest > 1 and all(constant(task) for task in tasks):
        sentences.append(
            "All runs scored the same: an interval without width is no proof that another "
            f"seed would. {_more('Add seeds', planned, ENOUGH_RUNS)}"
        )
    return tuple(sentences)


def _more(advice: str, planned: bool, first: int) -> str:
    """What to do where more runs would help: as advised, or a plan of its own with other seeds."""
    if planned:
        return f"More take a new plan: another --name and --seed, and --first {first} or more."
    return f"{advice}."
