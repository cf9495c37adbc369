"""One algorithm on one task in plain numbers, and what may be doubted about its intervals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from reports.statistics.aggregates import DRAWS, aggregates
from reports.statistics.intervals import DEFAULT_METHOD, Estimate, Method
from reports.statistics.samples import Matrix, Scores, constant, strata

ENOUGH_RUNS = 10
"""Below this, measured coverage depends on the scores' distribution (docs/calibration.md)."""


@dataclass(frozen=True)
class TaskSummary:
    """Scores of one algorithm on one task.

    Attributes:
        runs: how many.
        mean: their mean, with its interval.
        iqm: their interquartile mean, with its interval.
        median: the middle score.
        std: standard deviation with divisor R − 1; None of one run.
        min: the least score.
        max: the greatest.
    """

    runs: int
    mean: Estimate
    iqm: Estimate
    median: float
    std: float | None
    min: float
    max: float


@dataclass(frozen=True)
class Doubt:
    """A reason why a nominal 95 % interval may cover the truth less often.

    Attributes:
        kind: ``one run``: some task has one run, so no interval is given; ``few runs``: fewer
            than 10; ``one task``: no other task's runs help; ``constant``: all runs of every task
            scored the same, so the interval has no width.
        runs: the smallest number of runs of any task.
        tasks: how many tasks.
        sentence: the same in words.
    """

    kind: Literal["one run", "few runs", "one task", "constant"]
    runs: int
    tasks: int
    sentence: str


def task_summary(
    scores: Matrix,
    *,
    seed: int,
    key: str,
    draws: int = DRAWS,
    method: Method = DEFAULT_METHOD,
) -> TaskSummary:
    """Sum up (R,) scores of one task; arguments as of ``aggregates.aggregates``."""
    (runs,) = strata([scores], key)
    found = aggregates([runs], seed=seed, key=key, draws=draws, method=method)
    return TaskSummary(
        runs=len(runs),
        mean=found.mean,
        iqm=found.iqm,
        median=float(np.median(runs)),
        std=float(runs.std(ddof=1)) if len(runs) > 1 else None,
        min=float(runs.min()),
        max=float(runs.max()),
    )


def doubts(scores: Scores) -> tuple[Doubt, ...]:
    """List why the intervals of these scores may be too narrow; empty where nothing shows."""
    tasks = strata(scores)
    fewest = min(map(len, tasks))
    found: list[tuple[Literal["one run", "few runs", "one task", "constant"], str]] = []
    if fewest == 1:
        found.append(
            (
                "one run",
                "A task has one run: no interval can be given, and another seed may score very "
                "differently.",
            )
        )
    elif fewest < ENOUGH_RUNS:
        found.append(
            (
                "few runs",
                f"{fewest} runs of a task: below {ENOUGH_RUNS}, whether the interval covers the "
                "true value as often as it promises depends on the distribution of the scores.",
            )
        )
    if len(tasks) == 1 and 1 < fewest < 2 * ENOUGH_RUNS:
        found.append(
            (
                "one task",
                "One task: its scores' distribution alone decides how good the interval is.",
            )
        )
    if fewest > 1 and all(constant(task) for task in tasks):
        found.append(
            (
                "constant",
                "All runs scored the same: an interval without width is no proof that another "
                "seed would.",
            )
        )
    return tuple(Doubt(kind, fewest, len(tasks), sentence) for kind, sentence in found)
