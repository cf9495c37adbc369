"""Scores as every statistic takes them: one array of runs per task, of any lengths.

``Scores`` is a sequence of T arrays, the t-th (R_t,) float64 with R_t at least 1, or an (R, T)
array where every task has R runs. Tasks are the strata: runs are resampled within them, and
every task counts alike, however many runs it has.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Scores = Sequence[ArrayLike] | Floats
Strata = tuple[Floats, ...]


class ScoresError(ValueError):
    """Scores that no statistic can be computed from."""


def strata(scores: Scores, name: str = "the scores") -> Strata:
    """Check scores and return one (R_t,) float64 array per task.

    Args:
        scores: T sequences of numbers, or an (R, T) array.
        name: what the scores are of, for the error.

    Raises:
        ScoresError: no task, a task without runs, an array of more axes, NaN or infinity.
    """
    columns = scores.T if isinstance(scores, np.ndarray) and scores.ndim == 2 else scores
    tasks = tuple(np.asarray(column, dtype=np.float64) for column in columns)
    if not tasks:
        raise ScoresError(f"{name}: no task; expected at least one array of runs")
    for number, task in enumerate(tasks, start=1):
        if task.ndim != 1 or not task.size:
            raise ScoresError(
                f"{name}, task {number}: an array of shape {task.shape}; expected (runs,) with at "
                "least one run"
            )
        if not np.isfinite(task).all():
            raise ScoresError(
                f"{name}, task {number}: {np.count_nonzero(~np.isfinite(task))} of {task.size} "
                "scores are NaN or infinite; set these runs aside and state it"
            )
    return tasks


def constant(scores: Floats) -> bool:
    """Whether scores (R,) are the same, apart from the rounding of a mean over episodes."""
    # A spread below 1e-150 has a variance below the least float.
    return bool(np.ptp(scores) <= max(1e-12 * np.abs(scores).max(), 1e-150))


def generator(seed: int, key: str) -> np.random.Generator:
    """Return the generator of one quantity: another key draws apart, whatever the order of calls.

    Args:
        seed: seed of the report.
        key: names what is estimated, for instance ``aggregates of ppo (tuned)``.
    """
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
