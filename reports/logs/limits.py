"""How much a report takes in: beyond it runs are set aside, never a machine brought down.

Time grows with the pairs of a label and a task, memory with the points of the curves.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from reports.logs.records import MAX_RUNS, Run, SetAside

MAX_LABELS = 500
MAX_GROUPS = 12_000
"""Pairs of a label and a task."""
MAX_POINTS = 10_000
"""Evaluations of a run that are kept."""
MAX_ALL_POINTS = 10_000_000


def thinned(run: Run) -> Run:
    """Keep of a curve of many evaluations the first, the best, the last, and an even spread."""
    count = len(run.evaluation_steps)
    if count <= MAX_POINTS:
        return run
    spread = np.linspace(0, count - 1, MAX_POINTS).round().astype(np.int64)
    kept = np.union1d(spread, run.evaluation_returns.argmax())
    remark = (
        f"Of its many evaluations an even spread of {MAX_POINTS:,} is kept, with the first, the "
        "best and the last: its area under the curve and its steps to the threshold are of these."
    )
    return replace(
        run,
        evaluation_steps=run.evaluation_steps[kept],
        evaluation_returns=run.evaluation_returns[kept],
        remarks=(*run.remarks, remark),
    )


def within_limits(runs: Iterable[Run]) -> tuple[list[Run], list[SetAside]]:
    """Split runs, in their order, into those that a report takes in and those that are too many."""
    labels: set[str] = set()
    groups: set[tuple[str, str]] = set()
    points = 0
    kept: list[Run] = []
    beyond: list[SetAside] = []
    for run in runs:
        label, group = run.label, (run.label, run.task)
        points_with = points + len(run.evaluation_steps)
        if len(kept) >= MAX_RUNS:
            reason = f"beyond the first {MAX_RUNS:,} runs"
        elif label not in labels and len(labels) >= MAX_LABELS:
            reason = f"beyond the first {MAX_LABELS:,} labels"
        elif group not in groups and len(groups) >= MAX_GROUPS:
            reason = f"beyond the first {MAX_GROUPS:,} pairs of a label and a task"
        elif points_with > MAX_ALL_POINTS:
            reason = f"beyond the first {MAX_ALL_POINTS:,} evaluations of all runs"
        else:
            labels.add(label)
            groups.add(group)
            points = points_with
            kept.append(run)
            continue
        beyond.append(SetAside(run.folder, f"{reason}, which is all that a report takes in"))
    return kept, beyond
