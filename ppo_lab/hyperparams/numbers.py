"""Whole numbers as people write them: ``1000000``, ``1_000_000``, ``1e6``."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from numbers import Real
from typing import Any

__all__ = ["whole_number", "with_whole_numbers"]

MOST_DIGITS = 18
WHOLE = (
    *("n_steps", "batch_size", "n_epochs", "n_step", "n_envs", "buffer_size"),
    *("learning_starts", "gradient_steps", "target_update_interval", "n_critic_updates"),
)
"""Hyperparameters that are whole numbers in every algorithm that has them."""


def whole_number(value: object) -> int:
    """The whole number that a value is or is written as.

    Args:
        value: a number, or a text such as ``1e5``, which YAML reads as a text too.

    Raises:
        ValueError: it is another kind of value, has a fraction, or more than 18 digits.
    """
    if isinstance(value, bool) or not isinstance(value, Real | str):
        raise ValueError(f"{value!r} is no number")
    try:
        number = Decimal(value.strip() if isinstance(value, str) else str(value))
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number") from None
    if not number.is_finite() or number.adjusted() >= MOST_DIGITS:
        raise ValueError(f"{value!r} is too large")
    if number != number.to_integral_value():
        raise ValueError(f"{value!r} is no whole number")
    return int(number)


def with_whole_numbers(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters with ``n_steps`` and the like as integers where they are written as ``1e3``.

    What is no whole number stays as it is: the algorithm says what it expected.
    """
    read = dict(hyperparameters)
    for name in WHOLE:
        if isinstance(read.get(name), float | str):
            try:
                read[name] = whole_number(read[name])
            except ValueError:
                continue
    return read
