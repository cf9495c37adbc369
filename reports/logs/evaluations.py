"""``evaluations.npz`` as SB3's ``EvalCallback`` writes it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.logs.archives import read_arrays
from reports.logs.records import MAX_RETURN, MAX_STEPS, Floats, Steps, UnusableError

FILE = "evaluations.npz"

_VALUES = 2_000_000


@dataclass(frozen=True, eq=False)
class Evaluations:
    """A run's evaluations.

    Attributes:
        steps: (P,) int64, never descending, P ≥ 1.
        returns: (P,) float64, mean over the episodes.
        episodes: behind each mean, at least 1.
        success_rate: of the last evaluation; None where successes were not logged.
    """

    steps: Steps
    returns: Floats
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
    whole_steps = steps.astype(np.int64)
    returns, largest = _means(results)
    if not math.isfinite(largest):
        raise UnusableError(f"{path.name} holds returns that are NaN or infinite")
    if whole_steps[0] < 0 or (np.diff(whole_steps) < 0).any():
        raise UnusableError(
            f"{path.name} holds steps that go back or below 0: several runs in one file"
        )
    if whole_steps[-1] > MAX_STEPS:
        raise UnusableError(f"{path.name} holds steps beyond {MAX_STEPS}")
    if largest > MAX_RETURN:
        raise UnusableError(f"{path.name} holds returns beyond {MAX_RETURN:g}")
    return Evaluations(whole_steps, returns, results.shape[1], _last_rate(more, results.shape))


def stated_evaluations(stated: object) -> Evaluations:
    """The evaluations that a record states in place of an archive.

    Args:
        stated: ``steps`` and the mean ``returns`` of each evaluation, lists of the same length,
            and ``last``: the last one's episodes.

    Raises:
        UnusableError: of another form, not finite, with steps that go back, or at odds with itself.
    """
    stated = stated if isinstance(stated, dict) else {}
    steps, returns, last = (_numbers(stated.get(key)) for key in ("steps", "returns", "last"))
    if not 0 < len(steps) == len(returns) or not len(last):
        raise UnusableError("evaluations must hold as many steps as returns, and the last episodes")
    whole = (steps == np.floor(steps)).all() and steps[0] >= 0 and steps[-1] <= MAX_STEPS
    if not whole or (np.diff(steps) < 0).any():
        raise UnusableError(
            "evaluations hold steps that are not whole, go back or are below 0 or beyond "
            f"{MAX_STEPS}"
        )
    if not math.isclose(last.mean(), returns[-1], rel_tol=1e-6, abs_tol=1e-9):
        raise UnusableError("evaluations: the last return is not the mean of the last episodes")
    return Evaluations(steps.astype(np.int64), returns, len(last), None)


def _numbers(values: object) -> Floats:
    """A list of JSON as (N,) float64.

    Raises:
        UnusableError: it is no list of finite numbers.
    """
    if not isinstance(values, list):
        raise UnusableError("evaluations must be lists of numbers")
    for value in values:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise UnusableError("evaluations must be lists of numbers")
        if not abs(value) <= MAX_RETURN:
            raise UnusableError(f"evaluations hold numbers beyond {MAX_RETURN:g}")
    return np.array(values, np.float64)


def _means(results: NDArray[np.generic]) -> tuple[Floats, float]:
    """Mean over the episodes of every evaluation, and the largest size of any return.

    Some evaluations at a time: as float64 all of them may take many times the archive's bytes.
    """
    rows = max(1, _VALUES // results.shape[1])
    means, largest = [], []
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that are refused just after
        for start in range(0, len(results), rows):
            values = results[start : start + rows].astype(np.float64)
            means.append(values.mean(axis=1))
            largest.append(np.abs(values).max())
    return np.concatenate(means), float(np.max(largest))


def _last_rate(successes: list[NDArray[np.generic]], shape: tuple[int, ...]) -> float | None:
    if not successes or successes[0].shape != shape or successes[0].dtype.kind not in "biuf":
        return None
    rate = float(successes[0][-1].astype(np.float64).mean())
    return rate if 0 <= rate <= 1 else None
