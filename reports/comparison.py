"""Runs arranged for comparison: one score matrix (runs × tasks) and one curve array per label."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from reports.runs import NoRunsError, Run


@dataclass(frozen=True, eq=False)
class LabelScores:
    """The runs of one label on the tasks that every label shares.

    Attributes:
        label: ``algo (settings)``.
        scores: (R, T) float64, normalised scores; row order follows the seeds.
        raw_scores: (R, T) float64, the same scores as the environments pay them.
        curve_steps: (P,) int64, the environment steps at which every one of the runs was
            evaluated, ascending; P may be 0.
        curves: (R, T, P) float64, normalised evaluation returns at those steps.
        seeds: the distinct seeds of the runs, ascending.
    """

    label: str
    scores: NDArray[np.float64]
    raw_scores: NDArray[np.float64]
    curve_steps: NDArray[np.int64]
    curves: NDArray[np.float64]
    seeds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Labels side by side on the same tasks.

    Attributes:
        labels: in alphabetical order, at least one.
        tasks: the T shared tasks in alphabetical order, at least one.
        runs: the runs behind the matrices.
        omissions: what had to be left out to make the matrices rectangular, as sentences.
    """

    labels: tuple[LabelScores, ...]
    tasks: tuple[str, ...]
    runs: tuple[Run, ...]
    omissions: tuple[str, ...]


def compare(runs: Sequence[Run]) -> Comparison:
    """Arrange runs by label and task.

    A task that some label never ran is left out. Where a label has more runs of one task than of
    another, its first runs by seed enter, as many as on its least-run task. Both are stated in
    ``omissions``; rliable's matrices have no room for gaps.

    Args:
        runs: at least one, no two of the same label, task and seed.

    Raises:
        NoRunsError: no task was run by every label.
    """
    by_label: dict[str, dict[str, list[Run]]] = {}
    for run in sorted(runs, key=lambda run: (run.label, run.task, run.seed or 0)):
        by_label.setdefault(run.label, {}).setdefault(run.task, []).append(run)
    every_task = sorted({run.task for run in runs})
    tasks = [task for task in every_task if all(task in ran for ran in by_label.values())]
    if not tasks:
        raise NoRunsError("no environment was run by every label, so there is nothing to compare")
    omissions = [
        f"{task} is left out of the comparison: {label} has no run of it."
        for task in every_task
        for label, ran in by_label.items()
        if task not in ran
    ]
    labels: list[LabelScores] = []
    entered: list[Run] = []
    for label, ran in by_label.items():
        per_task = [ran[task] for task in tasks]
        fewest = min(len(task_runs) for task_runs in per_task)
        if any(len(task_runs) > fewest for task_runs in per_task):
            omissions.append(
                f"{label} has more runs of some environments than of others: of each environment, "
                f"its first {fewest} by seed enter."
            )
        columns = [task_runs[:fewest] for task_runs in per_task]
        labels.append(_label_scores(label, columns))
        entered.extend(run for column in columns for run in column)
        omissions.extend(_curve_omissions(labels[-1], columns))
    return Comparison(tuple(labels), tuple(tasks), tuple(entered), tuple(omissions))


def _label_scores(label: str, columns: Sequence[Sequence[Run]]) -> LabelScores:
    runs = [run for column in columns for run in column]
    steps = reduce(np.intersect1d, (np.unique(run.evaluation_steps) for run in runs))
    return LabelScores(
        label=label,
        scores=np.array([[run.normalised_score for run in column] for column in columns]).T,
        raw_scores=np.array([[run.score for run in column] for column in columns]).T,
        curve_steps=steps,
        curves=np.array([[_at(run, steps) for run in column] for column in columns]).swapaxes(0, 1),
        seeds=tuple(sorted({run.seed for run in runs if run.seed is not None})),
    )


def _at(run: Run, steps: NDArray[np.int64]) -> list[float]:
    # Of two evaluations at one step the later counts: it saw the later policy.
    latest = dict(zip(run.evaluation_steps.tolist(), run.normalised_returns.tolist(), strict=True))
    return [latest[step] for step in steps.tolist()]


def _curve_omissions(scores: LabelScores, columns: Sequence[Sequence[Run]]) -> list[str]:
    kept = len(scores.curve_steps)
    most = max(len(np.unique(run.evaluation_steps)) for column in columns for run in column)
    if kept == most:
        return []
    return [
        f"The runs of {scores.label} were evaluated at different steps: its learning curve shows "
        f"the {kept} evaluation points they share, of up to {most}."
    ]
