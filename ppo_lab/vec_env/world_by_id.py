"""An environment by its id, where compiled code restates every copy of it."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import gymnasium as gym
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv

from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.vec_env.making import make_checked

if TYPE_CHECKING:
    from ppo_lab.worlds.registry import CompiledWorld

__all__ = ["has_world", "world_by_id"]


def has_world(env_id: str, env_kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether :class:`~ppo_lab.vec_env.compiled.CompiledVecEnv` can stand for an environment.

    Args:
        env_id: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.

    Returns:
        False also where ``gymnasium.make`` refuses the arguments.
    """
    try:
        world_by_id(env_id, env_kwargs or {}, 1).env.close()
    except NoWorldError:
        return False
    return True


def world_by_id(env_id: str, env_kwargs: Mapping[str, Any], n_envs: int) -> "CompiledWorld":
    """The world of ``n_envs`` copies of an environment.

    Args:
        env_id: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.
        n_envs: how many. A factory is called once for each, and may make another each time: the
            copies are then compared. A known class is made once.

    Raises:
        NoWorldError: there is none, the copies differ, or ``gymnasium.make`` refuses the
            arguments.
    """
    from ppo_lab.worlds.registry import world_of

    def made() -> "CompiledWorld":
        env = _made(env_id, env_kwargs)
        try:
            return world_of(env)
        except NoWorldError:
            env.close()
            raise

    first = made()
    if _is_one_each_time(first.env):
        return first
    for copy in range(1, n_envs):
        try:
            other = made()
        except NoWorldError:
            first.env.close()
            raise
        other.env.close()
        if not first.is_as(other):
            first.env.close()
            raise NoWorldError(f"copies 0 and {copy} of it differ", altered=True)
    return first


def _made(env_id: str, env_kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    try:
        return make_checked(env_id, env_kwargs)
    except ArgumentError as error:
        raise NoWorldError(str(error)) from error


def _is_one_each_time(env: gym.Env[Any, Any]) -> bool:
    """Whether ``gymnasium.make`` of this environment makes the same again: a known constructor."""
    kind, spec = type(env.unwrapped), env.spec
    if spec is None or kind.__module__.split(".")[0] not in ("gymnasium", "envs"):
        return False
    if kind is FrozenLakeEnv and spec.kwargs.get("map_name", "4x4") is None:
        return False  # a random map
    entry: Any = spec.entry_point
    return (resolve_name(entry) if isinstance(entry, str) else entry) is kind
