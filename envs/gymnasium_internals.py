"""What is read of Gymnasium, and of RL Zoo's change to it, under names that they do not promise.

Each is read here alone, and answers with what is safe where a later version has no such name: the
environment is then stepped as it is, in place of being solved or restated.
"""

import importlib.util
import sys
from functools import cache
from types import CodeType
from typing import Any

import gymnasium as gym
from gymnasium.wrappers import TimeLimit

__all__ = [
    "GYMNASIUMS",
    "UnknownLimitError",
    "has_generator",
    "is_altered_time_limit",
    "is_time_limit",
    "layers_of",
    "pays_as_sutton_and_barto",
    "replaced_on_wrapper",
    "shortest_time_limit",
    "zoos",
]

GYMNASIUMS: type[gym.Wrapper] = next(
    kind for kind in TimeLimit.__mro__ if kind.__module__.startswith("gymnasium.")
)
"""Gymnasium's own time limit, whatever RL Zoo has put in its place for the process."""
_ZOOS = "rl_zoo3.gym_patches"


class UnknownLimitError(ValueError):
    """A time limit that is no whole number of steps from 1 on, or does not say how many."""


def layers_of(env: gym.Env) -> list[gym.Env]:
    """The wrappers from outside in, and the environment itself last."""
    layers = [env]
    while isinstance(env, gym.Wrapper):
        env = env.env
        layers.append(env)
    return layers


# ---------------------------------------------------------------------- time limits


def shortest_time_limit(env: gym.Env) -> int:
    """The steps after which an episode is cut: the least of all time limits around ``env``.

    Returns:
        0 where there is none.

    Raises:
        UnknownLimitError: one of them has no plain number of steps.
    """
    limits = [_steps_of(layer) for layer in layers_of(env) if is_time_limit(layer)]
    for steps in limits:
        if type(steps) is not int or steps < 1:
            raise UnknownLimitError(f"its time limit is {steps!r}")
    return min(limits, default=0)


def _steps_of(time_limit: Any) -> Any:
    """A time limit's steps; without their name those that it writes into its spec, or None."""
    try:
        return time_limit._max_episode_steps
    except AttributeError:
        return getattr(time_limit.spec, "max_episode_steps", None)


def is_time_limit(layer: gym.Env) -> bool:
    """Whether a wrapper is a time limit that ends episodes as Gymnasium's does."""
    return type(layer) is GYMNASIUMS or (type(layer) is zoos() and zoos() is not None)


def is_altered_time_limit(layer: gym.Env) -> bool:
    """Whether a wrapper is RL Zoo's time limit, but not as its source file says."""
    return type(layer).__module__ == _ZOOS and type(layer) is not zoos()


def zoos() -> type[gym.Wrapper] | None:
    """RL Zoo's time limit, where that is imported and as its source file says.

    It differs in one thing, of which SB3's ``VecEnv`` makes the same: an episode that terminates on
    its last step is not truncated too.
    """
    module = sys.modules.get(_ZOOS)
    kind = getattr(module, "PatchedTimeLimit", None)
    if not isinstance(kind, type) or kind.__bases__ != (GYMNASIUMS,):
        return None
    own = {name for name, value in vars(kind).items() if callable(value)}
    step = getattr(vars(kind).get("step"), "__code__", None)
    return kind if own == {"step"} and step == _written_step() else None


@cache
def _written_step() -> CodeType | None:
    """The code of its ``step``, read and not executed: executing it patches Gymnasium."""
    spec = importlib.util.find_spec(_ZOOS)
    code = spec.loader.get_code(_ZOOS) if spec and spec.loader else None  # type: ignore[attr-defined]
    for name in ("PatchedTimeLimit", "step"):
        inner = code.co_consts if code else ()
        code = next((c for c in inner if isinstance(c, CodeType) and c.co_name == name), None)
    return code


# ---------------------------------------------------------------------- other private names


def has_generator(env: gym.Env) -> bool:
    """Whether the random generator of an environment is in use; so too where it cannot be told.

    The public ``np_random`` would make one.
    """
    return getattr(env, "_np_random", env) is not None


def replaced_on_wrapper(layer: gym.Env) -> str | None:
    """Which of a wrapper's spaces or metadata is not the one of what it wraps; None: none."""
    assert isinstance(layer, gym.Wrapper)
    for name in ("observation_space", "action_space", "metadata"):
        if getattr(layer, name) is not getattr(layer.env, name):
            return name
    return None


def pays_as_sutton_and_barto(cartpole: Any) -> Any:
    """CartPole's argument ``sutton_barto_reward``; None where it cannot be told."""
    return getattr(cartpole, "_sutton_barto_reward", None)
