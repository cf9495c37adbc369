"""Hyperparameters that move over training: SB3's floats and callables, and the zoo's strings."""

import math
from numbers import Real
from typing import TYPE_CHECKING

from ppo_lab.errors import ArgumentError

if TYPE_CHECKING:  # who reads a file's settings need not load torch
    from stable_baselines3.common.type_aliases import Schedule

__all__ = ["LinearAnnealing", "as_schedule"]


class LinearAnnealing:
    """value(p) = p · initial value, p = progress remaining, from 1 to 0 (Spec 7.4).

    RL Zoo's ``lin_0.001`` means this schedule. Picklable, so that a model that has it saves.
    """

    def __init__(self, initial_value: float) -> None:
        self.initial_value = initial_value

    def __call__(self, progress_remaining: float) -> float:
        """Value at this progress."""
        return progress_remaining * self.initial_value

    def __repr__(self) -> str:
        return f"LinearAnnealing({self.initial_value})"


def as_schedule(name: str, value: "float | str | Schedule") -> "float | Schedule":
    """Turn the zoo's ``"lin_0.001"`` into a schedule; leave floats and callables as they are.

    Args:
        name: the argument's name, for the error.
        value: what the user gave.

    Raises:
        ArgumentError: neither a number ≥ 0 (finite), nor ``lin_<number>``, nor callable.
    """
    if isinstance(value, str):
        prefix, keyword, number = value.rpartition("lin_")
        if not prefix and (initial := _number_of(number)) is not None:
            return LinearAnnealing(initial) if keyword else initial
    elif callable(value) or _number_of(value) is not None:
        return value
    raise ArgumentError(
        f"{name}={value!r}: expected a finite number ≥ 0, a callable of the progress remaining, or "
        "the zoo's form 'lin_<number>'"
    )


def _number_of(value: object) -> float | None:
    """The finite number ≥ 0 that this is or reads as; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, Real | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
