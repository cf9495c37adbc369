"""Who is trained again on fresh seeds: the default settings, always, and the best trials.

The search has to beat what one would have used without it, on the same fresh seeds; where it does
not, the default is kept.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tuning.study import AlgorithmStudy

__all__ = ["Finalist", "finalists", "same_settings"]


@dataclass(frozen=True)
class Finalist:
    """Settings that are trained again on fresh seeds.

    Attributes:
        trial: the number of the trial that had them; None: the default, which lies outside the
            space, so that no trial had it.
        hyperparameters: the algorithm's arguments.
        screened: its score in screening; None: it has none, since no trial had these settings, or
            theirs failed or was stopped.
        is_default: whether they are the default settings.
    """

    trial: int | None
    hyperparameters: Mapping[str, Any]
    screened: float | None
    is_default: bool

    @property
    def name(self) -> str:
        """Its name in work lists: the trial's number."""
        return "default" if self.trial is None else str(self.trial)

    @property
    def folder_name(self) -> str:
        """Its folder in the stage ``replicate``: trials are counted from 1 there."""
        return "default" if self.trial is None else f"trial_{self.trial + 1}"


def finalists(study: AlgorithmStudy) -> list[Finalist]:
    """The default settings, then the best ``protocol.finalists`` of the other trials.

    No settings are there twice: of trials of the same ones the best, then oldest, stands for all.
    The default is there whatever became of its trial.
    """
    chosen = [_default(study)]
    for number, trial in study.best(study.protocol.trials):
        if len(chosen) > study.protocol.finalists:
            break
        settings = study.settings_of(trial)
        if not any(same_settings(settings, other.hyperparameters) for other in chosen):
            chosen.append(Finalist(number, settings, trial.value, is_default=False))
    return chosen


def _default(study: AlgorithmStudy) -> Finalist:
    default = study.default_hyperparameters
    first = study.outcomes().get(0)
    if first is None or not same_settings(study.settings_of(first), default):
        return Finalist(None, default, None, is_default=True)
    return Finalist(0, default, _screened(first), is_default=True)


def _screened(trial: FrozenTrial) -> float | None:
    return trial.value if trial.state == TrialState.COMPLETE else None


def same_settings(one: Any, other: Any) -> bool:
    """Whether hyperparameters are the same, but for the last digits of a float.

    A default that is suggested as 1 − γ, say, may come back with another last digit.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_settings(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_settings, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0)
    return bool(one == other)
