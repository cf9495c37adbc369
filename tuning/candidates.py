"""The finalists and their order: the best mean over fresh seeds wins."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

__all__ = ["Candidate", "Tuned", "lower_end", "ranked"]


@dataclass(frozen=True)
class Candidate:
    """A finalist that finished on every fresh seed.

    Attributes:
        trial: the number of the trial that had its settings; None: the default, which no trial had.
        hyperparameters: the algorithm's arguments.
        screened: its score in screening, which chose it and is too high for that reason; None: the
            default settings need none.
        scores: on the fresh seeds, in their order.
        is_default: whether its settings are the default ones.
    """

    trial: int | None
    hyperparameters: Mapping[str, Any]
    screened: float | None
    scores: tuple[float, ...]
    is_default: bool = False

    @property
    def mean(self) -> float:
        """What the choice rests on: the mean over the fresh seeds alone."""
        return float(np.mean(self.scores))

    @property
    def lower(self) -> float:
        """The lower end of the mean's 95 % t-interval, by which equal means are told apart."""
        return lower_end(self.scores)


@dataclass(frozen=True)
class Tuned:
    """One algorithm's outcome of screening and replication; ``winner`` is the first candidate."""

    algo: str
    candidates: tuple[Candidate, ...]

    @property
    def winner(self) -> Candidate:
        """The candidate of the best mean over fresh seeds."""
        return self.candidates[0]

    @property
    def keeps_default(self) -> bool:
        """Whether no trial beat the default settings, which then are the outcome."""
        return self.winner.is_default


def lower_end(scores: Sequence[float]) -> float:
    """Lower end of the 95 % t-interval of a mean; −∞ for a single score."""
    n = len(scores)
    if n < 2:
        return -math.inf
    half_width = special.stdtrit(n - 1, 0.975) * np.std(scores, ddof=1) / math.sqrt(n)
    return float(np.mean(scores) - half_width)


def ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Best first: by mean over fresh seeds, the lower end of its interval, the default, age."""

    def order(candidate: Candidate) -> tuple[float, float, bool, int]:
        age = -1 if candidate.trial is None else candidate.trial
        return -candidate.mean, -candidate.lower, not candidate.is_default, age

    return tuple(sorted(candidates, key=order))
