"""Gymnasium's time limit, and the one that RL Zoo puts in its place for the whole process."""

import importlib.util
import sys
from functools import cache
from types import CodeType

import gymnasium as gym
from gymnasium.wrappers import TimeLimit

__all__ = ["GYMNASIUMS", "is_altered_time_limit", "is_time_limit", "zoos"]

GYMNASIUMS: type[gym.Wrapper] = next(
    kind for kind in TimeLimit.__mro__ if kind.__module__.startswith("gymnasium.")
)
_ZOOS = "rl_zoo3.gym_patches"


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
