"""The stratified bootstrap as counts: how often each run enters each draw.

A statistic of a resample needs only how often each run was drawn: means, win rates and trimmed
means are then products with one matrix of counts, many draws at once.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from reports.statistics.samples import Floats, Strata

_BLOCK_ENTRIES = 2**19
"""Counts held at once, 4 MiB: near the caches, and far below any memory worth naming."""


def resampled_counts(runs: Sequence[int], draws: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each run was drawn, in successive blocks of bootstrap draws.

    Args:
        runs: R_t of every task.
        draws: bootstrap draws in all.
        rng: source of the draws.

    Yields:
        (ΣR_t, B) float64: the first task's runs, then the second's, and so on; within a column
        the counts of a task add to R_t. The B of all blocks add to ``draws``. The array is
        overwritten by the next block.
    """
    total = sum(runs)
    size = max(1, min(draws, _BLOCK_ENTRIES // total))
    table = np.empty((total, size))
    for start in range(0, draws, size):
        width = min(size, draws - start)
        counts = table[:, :width]
        for task in by_task(counts, runs):
            count = len(task)
            chosen = rng.integers(count, size=(count, width)) * width + np.arange(width)
            task[:] = np.bincount(chosen.ravel(), minlength=count * width).reshape(count, width)
        yield counts


def by_task(table: Floats, runs: Sequence[int]) -> list[Floats]:
    """Split a table of ΣR_t rows into views of R_t rows, one per task."""
    ends = np.cumsum(runs).tolist()
    return [table[end - count : end] for count, end in zip(runs, ends, strict=True)]


def task_means(tasks: Strata, counts: Floats) -> Floats:
    """Return every task's mean score in every draw, (T, B)."""
    split = by_task(counts, [len(task) for task in tasks])
    return np.stack(
        [
            # Rounding must not leave the range of the scores: constant ones have no width.
            np.clip(task @ drawn / len(task), task.min(), task.max())
            for task, drawn in zip(tasks, split, strict=True)
        ]
    )
