"""What a compiled world is: parameters in a named tuple, and functions over one copy's rows.

A world's class is a ``NamedTuple`` of numbers and arrays. Its module hands :func:`register` plain
functions; compiled code then calls ``begin``, ``accepts``, ``advance``, ``observe`` and ``allow``
below with an instance, and the compiler picks the functions of its class. So stepping and whole
rollouts are written once, for all worlds, and only the worlds that are used are compiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from ppo_lab.kernels.compiling import exact_kernel
from ppo_lab.worlds.randomness import StreamArray

__all__ = [
    "Rules",
    "accepts",
    "advance",
    "allow",
    "begin",
    "clipped",
    "is_game",
    "observe",
    "register",
    "tell",
]

Number = TypeVar("Number", float, np.float32)
State = npt.NDArray[np.float64]
Row = npt.NDArray[Any]


def _allow_all(world: Any, state: State, out: Row) -> None:
    for action in range(out.size):
        out[action] = 1


def _tell_nothing(world: Any, state: State, out: Row) -> None:
    """What a world that is no game tells."""


class Rules(NamedTuple):
    """The functions of one world; without an ``allow`` it forbids nothing.

    A world with a ``tell`` is a game of several agents (``game_stepping``).
    """

    begin: Callable[..., None]
    accepts: Callable[..., bool]
    advance: Callable[..., tuple[float, bool]]
    observe: Callable[..., None]
    allow: Callable[..., None] = _allow_all
    tell: Callable[..., None] = _tell_nothing


_RULES: dict[type, Rules] = {}


def register(world_class: type, rules: Rules) -> None:
    """Let compiled code find the functions of a world's class; arguments named as below."""
    _RULES[world_class] = rules


def begin(world: Any, state: State, stream: StreamArray) -> None:
    """Draw a first state into ``state`` (s,)."""
    _RULES[type(world)].begin(world, state, stream)


def accepts(world: Any, action: Row) -> bool:
    """Whether the environment would take ``action`` (A,) without an exception."""
    return _RULES[type(world)].accepts(world, action)


def advance(
    world: Any, state: State, action: Row, stream: StreamArray, *of_game: Any
) -> tuple[float, bool]:
    """Move ``state`` (s,) by ``action`` (A,); the reward, and whether the episode terminated.

    Of a game, which takes more (``game_stepping``): whether it terminated, and was cut off.
    """
    return _RULES[type(world)].advance(world, state, action, stream, *of_game)


def observe(world: Any, state: State, out: Row) -> None:
    """Write what the environment shows of ``state`` (s,) into ``out`` (D,)."""
    _RULES[type(world)].observe(world, state, out)


def allow(world: Any, state: State, out: Row) -> None:
    """Write 1 for each action that ``state`` (s,) allows into ``out`` (A,), 0 for the others."""
    _RULES[type(world)].allow(world, state, out)


def tell(world: Any, state: State, out: Row) -> None:
    """Write a game's ``state()`` into ``out`` (S,)."""
    _RULES[type(world)].tell(world, state, out)


def is_game(world_class: type) -> bool:
    """Whether a world's class is a game of several agents."""
    rules = _RULES.get(world_class)
    return rules is not None and rules.tell is not _tell_nothing


def _compile_by_class(name: str, function: Callable[..., Any]) -> None:
    """Let compiled code that calls ``function`` call the one of that name of the world's class."""

    @overload(function, strict=False)  # type: ignore[untyped-decorator]
    def _of_class(world: Any, *_arguments: Any) -> Callable[..., Any] | None:
        rules = _RULES.get(getattr(world, "instance_class", type(None)))
        return None if rules is None else getattr(rules, name)


for _name, _function in Rules(begin, accepts, advance, observe, allow, tell)._asdict().items():
    _compile_by_class(_name, _function)


@exact_kernel
def clipped(value: Number, low: Number, high: Number) -> Number:
    """``value`` within [low, high]; NaN stays NaN, so that it is seen."""
    if value > high:
        return high
    if value < low:
        return low
    return value
