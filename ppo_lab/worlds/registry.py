"""Which environments have a compiled world."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from envs.crawler_continuous import CrawlerContinuous
from envs.mdp import TabularMDP, from_toy_text
from envs.observations import IndexObserver, TableObserver
from envs.tabular import TabularEnv
from ppo_lab.worlds.acrobot import Acrobot
from ppo_lab.worlds.cartpole import CartPole
from ppo_lab.worlds.crawler import Crawler
from ppo_lab.worlds.mountain_car import MountainCar, MountainCarContinuous
from ppo_lab.worlds.pendulum import Pendulum
from ppo_lab.worlds.tabular import tabular_world

__all__ = ["CompiledWorld", "world_of"]

PLAIN_WRAPPERS = (TimeLimit, OrderEnforcing, PassiveEnvChecker)
"""What ``gymnasium.make`` puts around an environment, and a world does itself."""


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


def world_of(env: gym.Env[Any, Any]) -> CompiledWorld | None:
    """The world that restates ``env``; None where there is none.

    Args:
        env: as ``gymnasium.make`` makes it. Any other wrapper, a render mode or a class derived
            from a known one means None: it might do something else.
    """
    limit, layer = 0, env
    while isinstance(layer, gym.Wrapper):
        if type(layer) not in PLAIN_WRAPPERS:
            return None
        if isinstance(layer, TimeLimit):
            steps = layer._max_episode_steps
            limit = min(limit, steps) if limit else steps
        layer = layer.env
    if layer.render_mode is not None:
        return None
    found = _tabular(layer) if _is_tabular(layer) else _classic(layer)
    return None if found is None else CompiledWorld(*found, limit, env)


def _classic(env: Any) -> tuple[Any, int] | None:
    worlds: Mapping[type, Callable[[], tuple[Any, int]]] = {
        CartPoleEnv: lambda: (CartPole(bool(env._sutton_barto_reward)), 4),
        PendulumEnv: lambda: (Pendulum(float(env.g)), 2),
        MountainCarEnv: lambda: (MountainCar(float(env.goal_velocity)), 2),
        Continuous_MountainCarEnv: lambda: (MountainCarContinuous(float(env.goal_velocity)), 3),
        AcrobotEnv: lambda: (Acrobot(3), 4),
        CrawlerContinuous: lambda: (Crawler(2), 2),
    }
    make = worlds.get(type(env))
    return None if make is None else make()


def _is_tabular(env: Any) -> bool:
    if type(env) is TaxiEnv:
        return not env.fickle_passenger  # whose destination the tables do not hold
    if type(env) in (FrozenLakeEnv, CliffWalkingEnv):
        return True
    rules = ("step", "reset", "_observation", "_checked")
    return isinstance(env, TabularEnv) and all(
        getattr(type(env), name) is getattr(TabularEnv, name) for name in rules
    )


def _tabular(env: Any) -> tuple[Any, int] | None:
    if not isinstance(env, TabularEnv):
        mdp = from_toy_text(env)
        return tabular_world(mdp, _indices(mdp)), 1
    if isinstance(env.observer, IndexObserver):
        return tabular_world(env.mdp, _indices(env.mdp)), 1
    if isinstance(env.observer, TableObserver) and isinstance(env.observation_space, spaces.Box):
        return tabular_world(env.mdp, env.observer.table.astype(np.float32)), 1
    return None  # pictures: a copy of one takes longer than the rest of the step


def _indices(mdp: TabularMDP) -> Any:
    return np.arange(mdp.n_states)[:, np.newaxis]
