"""Which environments have a compiled world: the classes that are restated, and its making."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

from envs.costcliff import CostCliffGrid
from envs.crawler_continuous import CrawlerContinuous
from envs.finite import PLAIN_WRAPPERS, TOY_TEXT, has_own_masks
from envs.gymnasium_internals import (
    UnknownLimitError,
    has_generator,
    is_altered_time_limit,
    is_time_limit,
    layers_of,
    pays_as_sutton_and_barto,
    shortest_time_limit,
)
from envs.mdp import BoolArray, TabularMDP, from_toy_text
from envs.observations import IndexObserver, TableObserver
from envs.tabular import TabularEnv
from ppo_lab.errors import NoWorldError
from ppo_lab.worlds import acrobot, cartpole, mountain_car, pendulum
from ppo_lab.worlds.acrobot import Acrobot
from ppo_lab.worlds.alterations import (
    PLAIN_NUMBERS,
    why_constants_differ,
    why_not_tabular,
    why_replaced,
)
from ppo_lab.worlds.cartpole import CartPole
from ppo_lab.worlds.crawler import Crawler
from ppo_lab.worlds.mountain_car import MountainCar, MountainCarContinuous
from ppo_lab.worlds.pendulum import Pendulum
from ppo_lab.worlds.tabular import Tabular, tabular_world

__all__ = ["CompiledWorld", "world_of"]


class Restatement(NamedTuple):
    """How the environments of a class are restated.

    Attributes:
        constants: the attributes that the world holds fast, by name.
        parameters: what compiled code takes for one environment, with what it follows of it.
        n_numbers: s, the numbers of one copy's state.
    """

    constants: Mapping[str, Any]
    parameters: Callable[[Any], Any]
    n_numbers: int


RESTATED: Mapping[type, Restatement] = {
    CartPoleEnv: Restatement(cartpole.RESTATED, lambda env: CartPole(_reward_form(env)), 4),
    PendulumEnv: Restatement(pendulum.RESTATED, lambda env: Pendulum(_number(env, "g")), 2),
    MountainCarEnv: Restatement(
        mountain_car.RESTATED, lambda env: MountainCar(_number(env, "goal_velocity")), 2
    ),
    Continuous_MountainCarEnv: Restatement(
        mountain_car.RESTATED_CONTINUOUS,
        lambda env: MountainCarContinuous(_number(env, "goal_velocity")),
        3,
    ),
    AcrobotEnv: Restatement(acrobot.RESTATED, lambda _: Acrobot(3), 4),
    CrawlerContinuous: Restatement({}, lambda _: Crawler(2), 2),
}
"""The classes with a world of their own. An entry here, and a module that calls
``rules.register``, is all that a new one takes."""


@dataclass(frozen=True)
class CompiledWorld:
    """A world with what a vector environment must know of it.

    Attributes:
        parameters: the named tuple that compiled code takes (see ``rules``).
        n_numbers: s, the numbers of one copy's state.
        max_episode_steps: the time limit; 0: none.
        env: the environment that the world restates, for its spaces and attributes.
    """

    parameters: Any
    n_numbers: int
    max_episode_steps: int
    env: gym.Env[Any, Any]

    def is_as(self, other: "CompiledWorld") -> bool:
        """Whether the two move alike: the same world, numbers, time limit and spaces."""
        seen = self.env.observation_space, self.env.action_space
        return (
            type(self.parameters) is type(other.parameters)
            and self.max_episode_steps == other.max_episode_steps
            and seen == (other.env.observation_space, other.env.action_space)
            and all(map(np.array_equal, self.parameters, other.parameters))
        )


def world_of(env: gym.Env[Any, Any], is_new: bool = True) -> CompiledWorld:
    """The world that restates ``env``.

    Args:
        env: as ``gymnasium.make`` makes it. Any other wrapper, a render mode, a class derived from
            a known one, another constant or a replaced method: it might do something else, so it
            has no world.
        is_new: its random generator must not be in use yet.

    Raises:
        NoWorldError: there is none; says why.
    """
    *wrappers, base = layers_of(env)
    if type(base) not in (*RESTATED, *TOY_TEXT) and not isinstance(base, TabularEnv):
        raise NoWorldError(f"no compiled form of {type(base).__name__} exists")
    for layer in wrappers:
        if is_altered_time_limit(layer):
            raise NoWorldError(f"step of {type(layer).__name__} was replaced", altered=True)
        if type(layer) not in PLAIN_WRAPPERS and not is_time_limit(layer):
            raise NoWorldError(f"a {type(layer).__name__} is around it")
    if base.render_mode is not None:
        raise NoWorldError(f"it is made with render_mode={base.render_mode!r}")
    _check_unaltered(env)
    if is_new and has_generator(base):
        raise NoWorldError("its random generator is already in use", altered=True)
    try:
        limit = shortest_time_limit(env)
    except UnknownLimitError as error:
        raise NoWorldError(str(error), altered=True) from error
    restatement = RESTATED.get(type(base), Restatement({}, _tabular, 1))
    return CompiledWorld(restatement.parameters(base), restatement.n_numbers, limit, env)


def _check_unaltered(env: gym.Env[Any, Any]) -> None:
    """Check that nothing of an environment that a world restates was replaced.

    Raises:
        NoWorldError: a constant, a method, a space or a table is not the one of the source.
    """
    base: Any = env.unwrapped
    reason = why_replaced(env)
    if reason is None and type(base) is CostCliffGrid:
        raise NoWorldError("its infos tell costs, which compiled copies do not")
    if reason is None and isinstance(base, TabularEnv):
        reason = why_not_tabular(base)
    if reason is None and type(base) in RESTATED:
        reason = why_constants_differ(base, RESTATED[type(base)].constants) or _why_other_spaces(
            base
        )
    if reason is not None:
        raise NoWorldError(reason, altered=True)


def _reward_form(env: Any) -> bool:
    """CartPole's ``sutton_barto_reward``."""
    flag = pays_as_sutton_and_barto(env)
    if type(flag) not in (bool, int):
        raise NoWorldError(f"sutton_barto_reward is {flag!r}", altered=True)
    return bool(flag)


def _number(env: Any, name: str) -> float:
    """A parameter that the world takes from the environment."""
    value = getattr(env, name)
    if type(value) not in PLAIN_NUMBERS or not np.isfinite(value):
        raise NoWorldError(f"{name} is {value!r}, no plain finite number", altered=True)
    return float(value)


def _why_other_spaces(env: Any) -> str | None:
    """Whether a known environment's spaces are those that its constructor makes."""
    made = type(env)()
    for name in ("observation_space", "action_space"):
        space, expected = getattr(env, name), getattr(made, name)
        same = type(space) is type(expected) and space == expected
        if same and isinstance(space, spaces.Box):
            same = np.array_equal(space.low, expected.low)
            same = same and np.array_equal(space.high, expected.high)
        if not same:
            return f"its {name} is {space}, not {expected}"
    return None


def _tabular(env: Any) -> Tabular:
    if not isinstance(env, TabularEnv):
        if type(env) is TaxiEnv and env.fickle_passenger:
            raise NoWorldError("its fickle passenger's destination is not in its table")
        try:
            mdp = from_toy_text(env)
        except (TypeError, ValueError, LookupError) as error:
            raise NoWorldError(f"its table P is no MDP: {error}", altered=True) from error
        return _shown_by_index(env, mdp)
    mdp, observer = env.mdp, env.observer
    if type(observer) is IndexObserver:
        return _shown_by_index(env, mdp)
    space = env.observation_space
    if type(observer) is TableObserver and space == observer.space:
        if env.action_space != spaces.Discrete(mdp.n_actions):
            raise NoWorldError(f"its action space is {env.action_space}", altered=True)
        return tabular_world(mdp, observer.table.astype(np.float32), _allowed(env))
    # Pictures: a copy of one takes longer than the rest of the step.
    raise NoWorldError(f"no compiled form of its observations, {space}, exists")


def _shown_by_index(env: Any, mdp: TabularMDP) -> Tabular:
    expected = spaces.Discrete(mdp.n_states), spaces.Discrete(mdp.n_actions)
    if (env.observation_space, env.action_space) != expected:
        raise NoWorldError(
            f"its spaces are {env.observation_space} and {env.action_space}, and its table has "
            f"{mdp.n_states} states and {mdp.n_actions} actions",
            altered=True,
        )
    return tabular_world(mdp, np.arange(mdp.n_states)[:, np.newaxis], _allowed(env))


def _allowed(env: Any) -> BoolArray | None:
    """(S, A) the masks of a grid world; None: all actions are allowed, or its masks unknown."""
    return env.allowed if has_own_masks(env) else None
