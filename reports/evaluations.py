"""``evaluations.npz`` as SB3's ``EvalCallback`` writes it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.archives import read_arrays
from reports.records import MAX_RETURN, MAX_STEPS, UnusableError

FILE = "evaluations.npz"


@dataclass(frozen=True, eq=False)
class Evaluations:
    """A run's evaluations.

    Attributes:
        steps: (P,) int64, never descending, P ≥ 1.
        returns: (P,) float64, mean over the episodes.
        episodes: behind each mean, at least 1.
        success_rate: of the last evaluation; None where successes were not logged.
    """

    steps: NDArray[np.int64]
    returns: NDArray[np.float64]
    episodes: int
    success_rate: float | None


def read_evaluations(path: Path) -> Evaluations:
    """Read the archive.

    Raises:
        UnusableError: missing, damaged, pickled, of wrong shapes, NaN, or with steps that go back.
    """
    steps, results, *more = read_arrays(path, ("timesteps", "results"), "successes")
    numeric = steps.dtype.kind in "iu" and results.dtype.kind in "fiu"
    if not numeric or results.ndim != 2 or results.size == 0 or steps.shape != results.shape[:1]:
        raise UnusableError(
            f"{path.name} must hold whole timesteps of shape (P,) and results of shape (P, E)"
        )
    values, at = results.astype(np.float64), steps.astype(np.int64)
    if not np.isfinite(values).all():
        raise UnusableError(f"{path.name} holds returns that are NaN or infinite")
    if at[0] < 0 or (np.diff(at) < 0).any():
        raise UnusableError(
            f"{path.name} holds steps that go back or below 0: several runs in one file"
        )
    if at[-1] > MAX_STEPS:
        raise UnusableError(f"{path.name} holds steps beyond {MAX_STEPS}")
    if np.abs(values).max() > MAX_RETURN:
        raise UnusableError(f"{path.name} holds returns beyond {MAX_RETURN:g}")
    return Evaluations(at, values.mean(axis=1), values.shape[1], _last_rate(more, values.shape))


def _last_rate(successes: list[NDArray[np.generic]], shape: tuple[int, ...]) -> float | None:
    if not successes or successes[0].shape != shape or successes[0].dtype.kind not in "biuf":
        return None
    rate = float(successes[0][-1].astype(np.float64).mean())
    return rate if 0 <= rate <= 1 else None
