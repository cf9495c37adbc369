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
    """A replicated trial.

    Attributes:
        trial: its number.
        hyperparameters: the algorithm's arguments.
        screened: its score in screening, which chose it and is too high for that reason.
        scores: on the fresh seeds, in their order.
    """

    trial: int
    hyperparameters: Mapping[str, Any]
    screened: float
    scores: tuple[float, ...]

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


def lower_end(scores: Sequence[float]) -> float:
    """Lower end of the 95 % t-interval of a mean; −∞ for a single score."""
    n = len(scores)
    if n < 2:
        return -math.inf
    half_width = special.stdtrit(n - 1, 0.975) * np.std(scores, ddof=1) / math.sqrt(n)
    return float(np.mean(scores) - half_width)


def ranked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Best first: by mean over fresh seeds, then the lower end of its interval, then age."""
    return tuple(sorted(candidates, key=lambda c: (-c.mean, -c.lower, c.trial)))
