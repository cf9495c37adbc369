"""Which Gymnasium environments provably *are* a finite MDP of so many steps.

What they are is solved exactly (``envs.planning``) in place of being played. So nothing is taken on
trust: a wrapper, a derived or patched method, or an observer of one's own might do something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker

from envs.gridworld import GridWorld
from envs.gymnasium_internals import (
    GYMNASIUMS,
    UnknownLimitError,
    layers_of,
    shortest_time_limit,
    zoos,
)
from envs.mdp import TabularMDP, from_toy_text
from envs.observations import GridImageObserver, IndexObserver, PictureObserver, TableObserver
from envs.tabular import TabularEnv

__all__ = ["PLAIN_WRAPPERS", "TOY_TEXT", "FiniteTask", "finite_task", "has_own_masks"]

PLAIN_WRAPPERS = (OrderEnforcing, PassiveEnvChecker)
"""What ``gymnasium.make`` puts around an environment beside a time limit."""
TOY_TEXT = (FrozenLakeEnv, CliffWalkingEnv, TaxiEnv)
_OBSERVERS = (IndexObserver, TableObserver, PictureObserver, GridImageObserver)
_RULES = ("reset", "step", "_observation", "_checked", "observations")
"""What of ``TabularEnv`` decides an episode and what is seen of it."""
_AS_WRITTEN: Mapping[type, Mapping[str, Any]] = {
    kind: {name: getattr(kind, name) for name in _RULES if hasattr(kind, name)}
    for kind in (TabularEnv, *TOY_TEXT, GYMNASIUMS, *PLAIN_WRAPPERS)
}


@dataclass(frozen=True, eq=False)
class FiniteTask:
    """An environment as what it is.

    Attributes:
        mdp: its rules.
        horizon: steps after which its time limit ends an episode, at least 1.
        env: as ``gymnasium.make`` made it.
    """

    mdp: TabularMDP
    horizon: int
    env: gym.Env[Any, Any]

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Of one observation; () for the state's index."""
        return tuple(self.env.observation_space.shape or ())

    def observations(self) -> npt.NDArray[Any]:
        """The observation of every state, (S, …)."""
        base: Any = self.env.unwrapped
        if isinstance(base, TabularEnv):
            return base.observations()
        return np.arange(self.mdp.n_states)


def finite_task(env: gym.Env[Any, Any]) -> FiniteTask | None:
    """The finite MDP that an environment is, with its time limit.

    Args:
        env: as ``gymnasium.make`` makes it.

    Returns:
        None where it is none, has no time limit, forbids actions (``action_masks``; a grid world's
        are advice, and its tables have all of them), or anything in or around it could differ from
        its tables.
    """
    *wrappers, base = layers_of(env)
    if not all(_is_as_written(layer, type(layer)) for layer in wrappers):
        return None
    try:
        horizon = shortest_time_limit(env)
    except UnknownLimitError:
        return None
    if horizon < 1 or (hasattr(base, "action_masks") and not has_own_masks(base)):
        return None
    mdp = _tabular(base) if isinstance(base, TabularEnv) else _toy_text(base)
    if mdp is None or not _shows_its_states(base, env, mdp):
        return None
    return FiniteTask(mdp, horizon, env)


def has_own_masks(base: Any) -> bool:
    """Whether an unwrapped environment's masks are those of :class:`~envs.gridworld.GridWorld`.

    They leave out moves that lead nowhere, which ``step`` takes all the same.
    """
    method = getattr(type(base), "action_masks", None)
    return method is GridWorld.action_masks and "action_masks" not in vars(base)


def _is_as_written(layer: Any, kind: type) -> bool:
    """Whether these rules are those of ``kind``: nothing derived, nothing patched."""
    if kind is zoos():
        return "step" not in vars(layer) and _has(layer, "reset", _AS_WRITTEN[GYMNASIUMS]["reset"])
    written = _AS_WRITTEN.get(kind)
    return written is not None and all(_has(layer, name, written[name]) for name in written)


def _has(layer: Any, name: str, method: object) -> bool:
    return getattr(type(layer), name) is method and name not in vars(layer)


def _tabular(env: TabularEnv) -> TabularMDP | None:
    plain = _is_as_written(env, TabularEnv) and type(env.mdp) is TabularMDP
    return env.mdp if plain and type(env.observer) in _OBSERVERS else None


def _toy_text(env: Any) -> TabularMDP | None:
    if not _is_as_written(env, type(env)):
        return None
    if isinstance(env, TaxiEnv) and env.fickle_passenger:
        return None  # the tables do not hold the new destination
    try:
        return from_toy_text(env)
    except (TypeError, ValueError, LookupError):
        return None  # somebody has changed the tables into none


def _shows_its_states(base: Any, env: gym.Env[Any, Any], mdp: TabularMDP) -> bool:
    """Whether actions are the MDP's, and observations follow from its states."""
    action, seen = env.action_space, env.observation_space
    if not isinstance(action, spaces.Discrete) or action.start != 0 or action.n != mdp.n_actions:
        return False
    if isinstance(base, TabularEnv) and seen != base.observer.space:
        return False
    if isinstance(seen, spaces.Discrete):
        return bool(seen.start == 0 and seen.n == mdp.n_states)
    return isinstance(base, TabularEnv)
