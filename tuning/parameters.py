"""The parameters of a search space: what Optuna is asked for, and what the algorithm is given.

Suggest and convert are apart. A :class:`Real` on the scale ``one_minus_log`` is suggested as
``one_minus_gamma`` and converted to ``gamma``; a :class:`Whole` on the scale ``power_of_two`` is
suggested as ``log2_n_steps`` and converted to ``n_steps``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ppo_lab.errors import ArgumentError

__all__ = ["Choice", "Fixed", "Parameter", "Real", "Value", "Whole"]

Value = float | int | str | bool | None | list[int]
"""A hyperparameter as YAML holds it; a list is the sizes of a network's layers."""

RealScale = Literal["linear", "log", "one_minus_log"]
WholeScale = Literal["linear", "log", "power_of_two"]


@dataclass(frozen=True)
class Real:
    """A float between two bounds.

    Attributes:
        name: the algorithm's keyword.
        low: smallest value.
        high: largest value, above ``low``.
        scale: ``linear``; ``log`` (low > 0); ``one_minus_log``: 1 − value on a logarithmic scale
            (high < 1), for discounts near 1.

    Raises:
        ArgumentError: bounds that are not finite, the wrong way round, or that the scale cannot
            hold.
    """

    name: str
    low: float
    high: float
    scale: RealScale = "linear"

    def __post_init__(self) -> None:
        _check(self, get_args(RealScale))
        if self.scale == "log" and self.low <= 0:
            raise ArgumentError(
                f"{self.name}: a logarithmic scale from {self.low:g} passes through 0; "
                "expected low > 0"
            )
        if self.scale == "one_minus_log" and self.high >= 1:
            raise ArgumentError(
                f"{self.name}: 1 − {self.high:g} on a logarithmic scale passes through 0; "
                "expected high < 1"
            )

    @property
    def key(self) -> str:
        """Optuna's name for what is suggested."""
        return f"one_minus_{self.name}" if self.scale == "one_minus_log" else self.name

    @property
    def distribution(self) -> FloatDistribution:
        """What is suggested."""
        if self.scale == "one_minus_log":
            return FloatDistribution(_rounded(1 - self.high), _rounded(1 - self.low), log=True)
        return FloatDistribution(self.low, self.high, log=self.scale == "log")

    def convert(self, suggested: Any) -> float:
        """The algorithm's value."""
        return 1 - float(suggested) if self.scale == "one_minus_log" else float(suggested)

    def nearest(self, value: Any) -> float:
        """What to suggest for a value, or for the bound next to it."""
        wanted = float(value) if _is_number(value) else self.low
        suggested = _rounded(1 - wanted) if self.scale == "one_minus_log" else wanted
        return min(max(suggested, self.distribution.low), self.distribution.high)

    def holds(self, value: Any) -> bool:
        """Whether the value can be suggested."""
        return _is_number(value) and math.isclose(
            self.convert(self.nearest(value)), value, rel_tol=1e-9
        )


@dataclass(frozen=True)
class Whole:
    """A whole number between two bounds, both included.

    Attributes:
        name: the algorithm's keyword.
        low: smallest value.
        high: largest value, above ``low``.
        scale: ``linear``; ``log`` (low ≥ 1); ``power_of_two``: powers of two alone, both bounds
            powers themselves.

    Raises:
        ArgumentError: as for :class:`Real`.
    """

    name: str
    low: int
    high: int
    scale: WholeScale = "linear"

    def __post_init__(self) -> None:
        _check(self, get_args(WholeScale))
        if self.scale == "log" and self.low < 1:
            raise ArgumentError(
                f"{self.name}: a logarithmic scale from {self.low} passes through 0; "
                "expected low ≥ 1"
            )
        if self.scale == "power_of_two":
            for bound in (self.low, self.high):
                if bound < 1 or bound & (bound - 1):
                    raise ArgumentError(f"{self.name}: {bound} is not a power of two")

    @property
    def key(self) -> str:
        """Optuna's name for what is suggested."""
        return f"log2_{self.name}" if self.scale == "power_of_two" else self.name

    @property
    def distribution(self) -> BaseDistribution:
        """What is suggested."""
        if self.scale == "power_of_two":
            return IntDistribution(self.low.bit_length() - 1, self.high.bit_length() - 1)
        return IntDistribution(self.low, self.high, log=self.scale == "log")

    def convert(self, suggested: Any) -> int:
        """The algorithm's value."""
        return 2 ** int(suggested) if self.scale == "power_of_two" else int(suggested)

    def nearest(self, value: Any) -> int:
        """What to suggest for a value, or for the bound next to it."""
        inside = min(max(float(value), self.low), self.high) if _is_number(value) else self.low
        return round(math.log2(inside)) if self.scale == "power_of_two" else round(inside)

    def holds(self, value: Any) -> bool:
        """Whether the value can be suggested."""
        return _is_number(value) and self.convert(self.nearest(value)) == value


@dataclass(frozen=True)
class Choice:
    """One of several values, two or more, all different.

    Raises:
        ArgumentError: fewer than two, or two equal ones.
    """

    name: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        texts = [_text(value) for value in self.values]
        if len(set(texts)) < 2 or len(set(texts)) < len(texts):
            raise ArgumentError(
                f"{self.name}: choices {', '.join(texts) or 'none'}; expected two or more "
                "different ones (a single value is fixed: NAME=VALUE)"
            )

    @property
    def key(self) -> str:
        """Optuna's name for what is suggested."""
        return self.name

    @property
    def distribution(self) -> BaseDistribution:
        """The values, a network's sizes as a text such as ``64x64``, which Optuna can store."""
        return CategoricalDistribution([_plain(value) for value in self.values])

    def convert(self, suggested: Any) -> Value:
        """The algorithm's value."""
        return next(value for value in self.values if _plain(value) == suggested)

    def nearest(self, value: Any) -> Any:
        """What to suggest for a value: itself, the closest number, or else the first choice."""
        if value in self.values:
            return _plain(value)
        numbers = [choice for choice in self.values if _is_number(choice)]
        if _is_number(value) and numbers:
            return min(numbers, key=lambda choice: abs(float(choice) - float(value)))  # type: ignore[arg-type]
        return _plain(self.values[0])

    def holds(self, value: Any) -> bool:
        """Whether the value can be suggested."""
        return any(
            value == choice and isinstance(value, bool) == isinstance(choice, bool)
            for choice in self.values
        )


@dataclass(frozen=True)
class Fixed:
    """A value that every run of the study has, the default settings' too."""

    name: str
    value: Value


Parameter = Real | Whole | Choice | Fixed


def at_most(parameter: Whole | Choice, limit: int) -> Parameter | None:
    """The parameter without its values above a limit; None where nothing is left."""
    if isinstance(parameter, Choice):
        kept = tuple(v for v in parameter.values if not _is_number(v) or float(v) <= limit)  # type: ignore[arg-type]
        if len(kept) > 1:
            return replace(parameter, values=kept)
        return Fixed(parameter.name, kept[0]) if kept else None
    high = min(parameter.high, limit)
    if parameter.scale == "power_of_two":
        high = 2 ** (max(high, 1).bit_length() - 1)
    if high < parameter.low or limit < 1:
        return None
    if high == parameter.low:
        return Fixed(parameter.name, high)
    return replace(parameter, high=high)


def as_data(parameter: Parameter) -> Mapping[str, Any]:
    """A parameter as JSON, for the study and for comparison."""
    if isinstance(parameter, Fixed):
        return {"fixed": parameter.value}
    if isinstance(parameter, Choice):
        return {"choices": list(parameter.values)}
    return {"low": parameter.low, "high": parameter.high, "scale": parameter.scale}


def _check(parameter: Real | Whole, scales: tuple[str, ...]) -> None:
    name, low, high, scale = parameter.name, parameter.low, parameter.high, parameter.scale
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(f"{name}: {low} to {high}; expected finite bounds")
    if low >= high:
        raise ArgumentError(
            f"{name}: low {low:g} is not below high {high:g} (a single value is fixed: NAME=VALUE)"
        )
    if scale not in scales:
        raise ArgumentError(f"{name}: unknown scale {scale!r}; expected {', '.join(scales)}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Value) -> str | int | float | bool | None:
    return _text(value) if isinstance(value, list) else value


def _text(value: Value) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _rounded(value: float) -> float:
    """Without the noise of 1 − value: 1 − 0.99 is 0.01, not 0.010000000000000009."""
    return float(f"{value:.12g}")
