"""Scores summed up: over tasks for each label, and on each task for each label."""

from collections.abc import Mapping, Sequence

import numpy as np

from reports.content.arrangement import Arrangement, RunGroup, shared_steps
from reports.content.document import ReportSettings
from reports.content.rows import Aggregate, FailureRow, Interval, Pair, TaskScore
from reports.content.verdicts import Verdict
from reports.logs.records import Steps
from reports.statistics import rliable_engine
from reports.statistics.aggregates import aggregates
from reports.statistics.efficiency import (
    ThresholdTimes,
    area_under_curve,
    threshold_times,
    time_to_threshold,
)
from reports.statistics.failures import Failures, above_worst, failures
from reports.statistics.samples import Floats
from reports.statistics.summaries import task_summary


def aggregate_rows(
    arrangement: Arrangement,
    settings: ReportSettings,
    pairs: Sequence[Pair],
    judged: Mapping[str, Verdict],
) -> tuple[Aggregate, ...]:
    """Sum every label up over the tasks that all labels ran; none where there is no such task.

    Args:
        arrangement: normalised runs.
        settings: the report's.
        pairs: probabilities of improvement, those over the baseline among them.
        judged: every other label against the baseline.
    """
    if not arrangement.shared_tasks:
        return ()
    over = {pair.label: pair.improvement for pair in pairs if pair.other == settings.baseline}
    return tuple(
        _aggregate(
            arrangement,
            label,
            settings,
            over.get(label),
            judged[label].p if label in judged else None,
        )
        for label in arrangement.labels
    )


def task_score_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[TaskScore, ...]:
    """Sum every label up on every task that it ran, in the environments' own units."""
    rows = []
    for task in arrangement.tasks:
        groups = arrangement.on_task(task)
        steps = shared_steps(groups)
        rows += [_task_score(group, steps, settings) for group in groups]
    return tuple(rows)


def failed_by_label(arrangement: Arrangement, settings: ReportSettings) -> dict[str, Failures]:
    """Count every label's failed runs over the tasks of all labels; none without such a task."""
    if not arrangement.shared_tasks:
        return {}
    best = settings.best_checkpoints
    return {
        label: failures(arrangement.shared(label, best=best), settings.failed_below)
        for label in arrangement.labels
    }


def failure_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[FailureRow, ...]:
    """Count every label's failed runs on every task that it ran."""
    return tuple(
        _failure_row(group, settings)
        for task in arrangement.tasks
        for group in arrangement.on_task(task)
    )


def _failure_row(group: RunGroup, settings: ReportSettings) -> FailureRow:
    normalised = group.best_scores if settings.best_checkpoints else group.scores
    found = failures([normalised], settings.failed_below)
    (threshold,) = found.thresholds
    raw = _raw(group, settings)
    first = group.runs[0]
    return FailureRow(
        task=group.task,
        label=group.label,
        runs=len(group.runs),
        threshold=None if threshold is None else first.low + threshold * (first.high - first.low),
        failed=None if threshold is None else found.failed,
        bound=None if threshold is None else found.bound,
        worst=float(raw.min()),
        worst_seed=group.runs[int(raw.argmin())].seed,
        above_worst=above_worst(len(group.runs)),
    )


def _aggregate(
    arrangement: Arrangement,
    label: str,
    settings: ReportSettings,
    improvement: Interval | None,
    rank_p: float | None,
) -> Aggregate:
    scores = arrangement.shared(label, best=settings.best_checkpoints)
    estimated = rliable_engine.aggregates if settings.engine == "rliable" else aggregates
    estimates = estimated(
        scores, seed=settings.seed, key=f"aggregates of {label}", draws=settings.table_draws
    )
    best = estimated(
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
        optimality_gap=Interval.of(estimates.optimality_gap),
        improvement=improvement,
        rank_p=rank_p,
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
