"""Scores summed up: over tasks for each label, and on each task for each label."""

from collections.abc import Sequence

import numpy as np

from reports.content.arrangement import Arrangement, RunGroup, shared_steps
from reports.content.document import Aggregate, Interval, Pair, ReportSettings, TaskScore
from reports.logs.records import Steps
from reports.statistics.aggregates import aggregates
from reports.statistics.efficiency import (
    ThresholdTimes,
    area_under_curve,
    threshold_times,
    time_to_threshold,
)
from reports.statistics.samples import Floats
from reports.statistics.summaries import task_summary


def aggregate_rows(
    arrangement: Arrangement, settings: ReportSettings, pairs: Sequence[Pair]
) -> tuple[Aggregate, ...]:
    """Sum every label up over the tasks that all labels ran; none where there is no such task.

    Args:
        arrangement: normalised runs.
        settings: the report's.
        pairs: probabilities of improvement, those over the baseline among them.
    """
    if not arrangement.shared_tasks:
        return ()
    over = {pair.label: pair.improvement for pair in pairs if pair.other == settings.baseline}
    return tuple(
        _aggregate(arrangement, label, settings, over.get(label)) for label in arrangement.labels
    )


def task_score_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[TaskScore, ...]:
    """Sum every label up on every task that it ran, in the environments' own units."""
    rows = []
    for task in arrangement.tasks:
        groups = arrangement.on_task(task)
        steps = shared_steps(groups)
        rows += [_task_score(group, steps, settings) for group in groups]
    return tuple(rows)


def _aggregate(
    arrangement: Arrangement, label: str, settings: ReportSettings, improvement: Interval | None
) -> Aggregate:
    scores = arrangement.shared(label, best=settings.best_checkpoints)
    estimates = aggregates(
        scores, seed=settings.seed, key=f"aggregates of {label}", draws=settings.table_draws
    )
    best = aggregates(
        arrangement.shared(label, best=True),
        seed=settings.seed,
        key=f"best checkpoints of {label}",
        draws=settings.table_draws,
    )
    groups = arrangement.shared_by(label)
    areas = [_areas(group, shared_steps(arrangement.on_task(group.task))) for group in groups]
    return Aggregate(
        label=label,
        runs=min(map(len, scores)),
        score=float(_raw(groups[0], settings).mean()) if len(groups) == 1 else None,
        mean=Interval.of(estimates.mean),
        iqm=Interval.of(estimates.iqm),
        median=Interval.of(estimates.median),
        optimality_gap=Interval.of(estimates.optimality_gap),
        improvement=improvement,
        best_checkpoint=Interval.of(best.iqm),
        area=_area(areas, label, settings),
    )


def _task_score(group: RunGroup, steps: Steps, settings: ReportSettings) -> TaskScore:
    where = f"{group.label} on {group.task}"
    raw, rates = _raw(group, settings), group.success_rates
    summary = task_summary(
        raw, seed=settings.seed, key=f"scores of {where}", draws=settings.curve_draws
    )
    times = _times(group, int(steps[-1]), settings) if len(steps) else None
    return TaskScore(
        task=group.task,
        label=group.label,
        runs=len(group.runs),
        mean=Interval.of(summary.mean),
        median=summary.median,
        iqm=Interval.of(summary.iqm),
        std=summary.std,
        minimum=summary.min,
        maximum=summary.max,
        success_rate=float(rates.mean()) if rates.size else None,
        best_checkpoint=float(group.raw_best_scores.mean()),
        area=_area([_areas(group, steps)], where, settings),
        reached=Interval.of(times.share) if times else None,
        median_steps=times.median if times else None,
        mean_steps=Interval.of(times.restricted_mean) if times else None,
        horizon=int(steps[-1]) if len(steps) else None,
        scores=tuple(map(float, raw)),
    )


def _times(group: RunGroup, horizon: int, settings: ReportSettings) -> ThresholdTimes:
    times = [
        time_to_threshold(run.evaluation_steps, run.normalised_returns, settings.threshold)
        for run in group.runs
    ]
    return threshold_times(
        times,
        horizon,
        seed=settings.seed,
        key=f"times of {group.label} on {group.task}",
        draws=settings.curve_draws,
    )


def _raw(group: RunGroup, settings: ReportSettings) -> Floats:
    return group.raw_best_scores if settings.best_checkpoints else group.raw_scores


def _areas(group: RunGroup, steps: Steps) -> Floats | None:
    if len(steps) < 2:
        return None
    return np.array([area_under_curve(steps, curve) for curve in group.curves(steps)])


def _area(areas: Sequence[Floats | None], name: str, settings: ReportSettings) -> Interval | None:
    measured = [area for area in areas if area is not None]
    if len(measured) < len(areas):
        return None
    estimates = aggregates(
        measured, seed=settings.seed, key=f"areas of {name}", draws=settings.curve_draws
    )
    return Interval.of(estimates.iqm)
