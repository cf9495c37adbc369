"""Hyperparameters that move over training: SB3's floats and callables, and the zoo's strings."""

from stable_baselines3.common.type_aliases import Schedule

from ppo_lab.errors import ArgumentError

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


def as_schedule(name: str, value: float | str | Schedule) -> float | Schedule:
    """Turn the zoo's ``"lin_0.001"`` into a schedule; leave floats and callables as they are.

    Args:
        name: the argument's name, for the error.
        value: what the user gave.

    Raises:
        ArgumentError: a string that is neither a number nor ``lin_<number>``, or a negative number.
    """
    if isinstance(value, str):
        prefix, _, number = value.rpartition("lin_")
        try:
            initial = float(number)
        except ValueError:
            initial = float("nan")
        if prefix or not initial >= 0:
            raise ArgumentError(
                f"{name}={value!r}: expected a number ≥ 0, a callable of the progress remaining, "
                "or the zoo's form 'lin_<number>'"
            )
        return LinearAnnealing(initial) if value.startswith("lin_") else initial
    if callable(value):
        return value
    if not float(value) >= 0:
        raise ArgumentError(f"{name}={value!r}: expected a number ≥ 0")
    return value
