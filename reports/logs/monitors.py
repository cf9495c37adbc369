"""The training curve of a run's monitor files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.logs.episodes import Episodes
from reports.logs.evaluations import Evaluations
from reports.logs.records import Floats, SetAside, Steps, UnusableError

WINDOW = 100
"""Episodes behind a training-return estimate; SB3's own ``ep_rew_mean`` takes as many."""
POINTS = 100
"""Points of a training curve."""


@dataclass(frozen=True, eq=False)
class TrainingCurve(Evaluations):
    """Trailing means over the episodes of all environments of a run.

    ``steps`` are those of all environments together; each mean is of the last up to ``WINDOW``
    episodes, ``episodes`` and ``success_rate`` are of the last one.

    Attributes:
        sessions: how many lie one after the other in one file.
    """

    sessions: int


def training_curve(files: Sequence[Episodes]) -> TrainingCurve:
    """Merge a run's environments by the time at which episodes ended, and smooth.

    Args:
        files: at least one.

    Raises:
        UnusableError: not one episode was finished.
    """
    if not any(len(file.returns) for file in files):
        raise UnusableError("the monitor files hold no finished episode")
    order = _order([file for file in files if len(file.returns)])
    returns = np.concatenate([file.returns for file in files])[order]
    steps = np.cumsum(np.concatenate([file.lengths for file in files])[order])
    shown = np.unique(np.linspace(0, len(returns) - 1, POINTS).round().astype(int))
    logged = [file.successes for file in files if file.successes is not None]
    means = trailing_means(returns, shown)
    rate = None
    if len(logged) == len(files):
        rate = float(trailing_means(np.concatenate(logged)[order], shown)[-1])
    sessions = 1 + max(int(file.sessions[-1]) for file in files if len(file.sessions))
    return TrainingCurve(steps[shown], means, min(WINDOW, len(returns)), rate, sessions)


def _order(files: Sequence[Episodes]) -> Steps:
    """The order in which the episodes of all environments ended; never against a file's own."""
    ended = np.concatenate([file.ended for file in files])
    if all((np.diff(file.ended) >= 0).all() for file in files):
        return np.argsort(ended, kind="stable")
    if len({int(file.sessions[-1]) for file in files}) == 1:
        return np.lexsort((ended, np.concatenate([file.sessions for file in files])))
    # Which sessions belong together is unknown; environments of one run step together.
    steps = np.concatenate([np.cumsum(file.lengths) for file in files])
    return np.argsort(steps, kind="stable")


def left_out(names: Sequence[str], files: Sequence[Episodes], folder: str) -> list[SetAside]:
    """List the rows that hold no episode, and the last lines that are half-written."""
    asides: list[SetAside] = []
    for name, file in zip(names, files, strict=True):
        if file.faults:
            asides.append(SetAside(f"{folder}/{name}", file.faults))
        if file.cut:
            reason = "its last line is half-written and was left out"
            asides.append(SetAside(f"{folder}/{name}", reason))
    return asides


def trailing_means(values: Floats, shown: Steps) -> Floats:
    """Means of the last up to ``WINDOW`` values at each of these places."""
    # Each a mean of its own: a running sum would round small returns away after a large one.
    return np.array([values[max(0, last + 1 - WINDOW) : last + 1].mean() for last in shown])
