"""What a reader should not conclude from a table, as plain sentences."""

from collections.abc import Sequence

import numpy as np

from reports.comparison import Comparison, LabelScores
from reports.runs import LoadedRuns, Run
from reports.statistics import LabelStatistics

ENOUGH_RUNS = 10
"""Below this, percentile intervals miss the true value clearly more often than they promise."""


def cautions(
    comparison: Comparison, rows: Sequence[LabelStatistics], loaded: LoadedRuns
) -> tuple[str, ...]:
    """List every reason to doubt the numbers that can be seen in the runs themselves."""
    sentences = [
        sentence for scores in comparison.labels for sentence in _on_label(scores, comparison.runs)
    ]
    if any(row.improvement is not None and row.improvement.value in (0, 1) for row in rows):
        sentences.append(
            "A probability of 0 or 1 has an interval without width, because no draw of these runs "
            "could turn out otherwise; that is no certainty about other seeds."
        )
    sentences.extend(comparison.omissions)
    sentences.extend(_on_protocol(comparison))
    if loaded.set_aside:
        sentences.append(
            f"{counted(len(loaded.set_aside), 'run folder')} set aside, each listed in the report "
            "with its reason: the statistics describe the other runs only."
        )
    return tuple(sentences)


def counted(number: int, noun: str) -> str:
    """Return ``1 run``, ``2 runs``, ``1,000 runs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _on_label(scores: LabelScores, runs: Sequence[Run]) -> list[str]:
    count = len(scores.scores)
    label = scores.label
    sentences: list[str] = []
    if count == 1:
        sentences.append(
            f"{label} has one run per environment: no interval can be given, and another seed may "
            "score very differently."
        )
    elif count < ENOUGH_RUNS:
        sentences.append(
            f"{label} has {count} runs per environment: with fewer than {ENOUGH_RUNS}, the "
            "intervals cover the true value less often than 95 % of the time."
        )
    if count > 1 and (np.ptp(scores.scores, axis=0) == 0).all():
        sentences.append(
            f"All runs of {label} scored the same: its intervals have no width, which is no proof "
            "that another seed would score the same."
        )
    if _mixes_hyperparameters([run for run in runs if run.label == label]):
        sentences.append(f"The runs of {label} do not all have the same hyperparameters.")
    return sentences


def _mixes_hyperparameters(runs: Sequence[Run]) -> bool:
    """Whether one environment was run with different hyperparameters."""
    settings = {(run.task, run.hyperparameters) for run in runs}
    return len(settings) > len({run.task for run in runs})


def _on_protocol(comparison: Comparison) -> list[str]:
    sentences: list[str] = []
    for task in comparison.tasks:
        protocols = [dict(run.protocol) for run in comparison.runs if run.task == task]
        sentences.extend(
            f"The runs of {task} do not all have the same {what}: their scores are not strictly "
            "comparable."
            for what in protocols[0]
            if len({protocol[what] for protocol in protocols}) > 1
        )
    return sentences
