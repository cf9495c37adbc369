"""Exploit and explore, the rules of population-based training (Spec 15.3); nothing is trained.

Jaderberg et al. 2017, section 3 and appendix A: truncation selection, and perturbation by a factor
of 0.8 or 1.2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from tuning.parameters import Choice, Fixed, Real, Whole
from tuning.proposals import quiet
from tuning.spaces import Space, distributions

__all__ = ["Copied", "exploited", "perturbed", "random_suggestions", "truncated"]

FACTORS = (0.8, 1.2)
FIFTH = 5


@dataclass(frozen=True)
class Copied:
    """A member that takes over another's weights and settings.

    Attributes:
        member: the number of the one that does.
        donor: the number of the other.
    """

    member: int
    donor: int


def truncated(population: int) -> int:
    """How many are the worst fifth, and the best: rounded up, so that it is one at least."""
    return math.ceil(population / FIFTH)


def exploited(scores: Sequence[float | None], rng: np.random.Generator) -> list[Copied]:
    """Who copies whom: each of the worst fifth one of the best fifth, drawn uniformly.

    Args:
        scores: of the members in their order; None: it failed, which is worse than any score, and
            copies even outside of the worst fifth, for it has no weights of its own.
        rng: draws the donors, the worst member's first.

    Returns:
        Of equal scores the member of the lower number is the better one.
    """
    order = sorted(
        range(len(scores)), key=lambda m: (scores[m] is None, -(scores[m] or 0.0), m)
    )  # best first
    some = truncated(len(scores))
    alive = [member for member in order if scores[member] is not None]
    best = alive[:some]
    worst = [m for m in order if scores[m] is None or m in order[-some:]]
    return [
        Copied(member, best[int(rng.integers(len(best)))])
        for member in reversed(worst)
        if member not in best
    ]


def perturbed(
    space: Space, suggested: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Every setting up or down, as likely as not: a factor of 1.2 or 0.8, within its range.

    On the scale on which it is suggested: of 1 − γ, of an exponent of two one more or less. A whole
    number moves by one at least; a choice to the next or the last one listed.

    Args:
        space: what is searched.
        suggested: Optuna's name → value.
        rng: draws one number a setting, in the space's order.
    """
    moved = dict(suggested)
    for parameter in space:
        if isinstance(parameter, Fixed):
            continue
        up = bool(rng.integers(2))
        moved[parameter.key] = _moved(parameter, suggested[parameter.key], up)
    return moved


def _moved(parameter: Real | Whole | Choice, value: Any, up: bool) -> Any:
    step = 1 if up else -1
    if isinstance(parameter, Choice):
        listed = list(parameter.distribution.choices)  # type: ignore[attr-defined]
        place = listed.index(value) + step
        return listed[min(max(place, 0), len(listed) - 1)]
    factor = FACTORS[up]
    if isinstance(parameter, Real):
        bounds = parameter.distribution
        return min(max(value * factor, bounds.low), bounds.high)
    whole = parameter.distribution
    by_factor = value + step if parameter.scale == "power_of_two" else round(value * factor)
    further = by_factor if by_factor != value else value + step
    return min(max(further, whole.low), whole.high)  # type: ignore[attr-defined]


def random_suggestions(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """Settings drawn from a space, each on its own scale.

    Args:
        space: what is searched.
        count: how many.
        seed: of the draws.
    """
    with quiet():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        return [dict(study.ask(distributions(space)).params) for _ in range(count)]
