"""What normalises a task whose environment states no good score: the best of the report itself."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from reports.runs import Run

FALLBACK = "high: the best mean score of any label in this report"
UNIT_SCALE = "high: low + 1, as no label beats the random policy"


def fill_references(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Give every run whose ``high`` is NaN (none stated) a high score, and say so in its source.

    The high score of such a task is the best mean score of a label on it. The best label then
    normalises to 1 by construction: ranks and differences stand, "optimality" does not.

    Args:
        runs: all usable runs.

    Returns:
        The runs in their order, ``low < high`` in each.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        scores.setdefault(run.task, {}).setdefault(run.label, []).append(run.score)
    best = {task: max(map(fmean, labels.values())) for task, labels in scores.items()}
    return tuple(run if math.isfinite(run.high) else _filled(run, best[run.task]) for run in runs)


def _filled(run: Run, best: float) -> Run:
    if best > run.low:
        return replace(run, high=best, source=f"{run.source}; {FALLBACK}")
    return replace(run, high=run.low + 1.0, source=f"{run.source}; {UNIT_SCALE}")
