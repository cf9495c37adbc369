"""Search spaces as data (Spec 8.3; the ranges suggested for ours in the design's figures)."""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna

__all__ = ["SPACES", "FloatRange", "defaults", "suggest"]


@dataclass(frozen=True)
class FloatRange:
    """One searched hyperparameter.

    Attributes:
        name: the algorithm's keyword.
        low: smallest value.
        high: largest value.
        default: SB3's value, inside the range; the study's first trial.
        log: search on a logarithmic scale.
    """

    name: str
    low: float
    high: float
    default: float
    log: bool = False


_SHARED = (
    FloatRange("clip_range", 0.05, 0.5, default=0.2),
    FloatRange("gae_lambda", 0.8, 0.99, default=0.95),
    FloatRange("learning_rate", 1e-5, 1e-2, default=3e-4, log=True),
)

SPACES: dict[str, tuple[FloatRange, ...]] = {
    "spec_ppo": (
        *_SHARED,
        FloatRange("critic_learning_rate", 1e-5, 1e-2, default=3e-4, log=True),
    ),
    "ppo": _SHARED,
}
"""ε, λ and the learning rates: the actor's and the critic's for ours, the one that SB3 has."""


def suggest(trial: optuna.Trial, space: Sequence[FloatRange]) -> dict[str, float]:
    """Let Optuna propose a value of every range."""
    return {p.name: trial.suggest_float(p.name, p.low, p.high, log=p.log) for p in space}


def defaults(space: Sequence[FloatRange]) -> dict[str, float]:
    """SB3's defaults of the searched hyperparameters."""
    return {p.name: p.default for p in space}
