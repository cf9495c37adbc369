"""Steps of a ``VecEnv`` for a collector that looks at infos only where an episode ended."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ppo_lab.kernels.layout import Layout
from ppo_lab.vec_env.games import GamesVecEnv, rolled_out
from ppo_lab.vec_env.pool import PoolVecEnv
from ppo_lab.vec_env.shared import GOING_ON
from ppo_lab.worlds.as_written import Snapshot, changed_module, replaced_on

__all__ = [
    "DirectSteps",
    "PoolSteps",
    "Step",
    "VecEnvSteps",
    "is_untouched",
    "quickest_steps",
    "rolls_out_games",
]


class Step(NamedTuple):
    """What one step of K environments returned.

    Attributes:
        observations: (K, …), the first of the next episode where one ended; of a Dict an array
            a key.
        rewards: (K,) float32.
        dones: (K,) bool.
        noted: (environment, info) of every episode that ended, and of every info that brings the
            statistics of an episode in the midst of another.
    """

    observations: Any
    rewards: NDArray[np.float32]
    dones: NDArray[np.bool_]
    noted: Sequence[tuple[int, dict[str, Any]]]


class VecEnvSteps:
    """Any ``VecEnv``, by its ``step``; a wrapped one by the two halves of it, as wrappers do."""

    def __init__(self, env: VecEnv, is_wrapped: bool = False) -> None:
        self._env, self._is_wrapped = env, is_wrapped

    def step(self, actions: NDArray[Any]) -> Step:
        """Step with (K, …) actions within the bounds of the action space."""
        if self._is_wrapped:
            self._env.step_async(actions)
            observations, rewards, dones, infos = self._env.step_wait()
        else:
            observations, rewards, dones, infos = self._env.step(actions)
        noted = [
            (index, info)
            for index, info in enumerate(infos)
            if info is not GOING_ON and (dones[index] or "episode" in info)
        ]
        return Step(observations, rewards, dones, noted)


class DirectSteps:
    """The environments of a ``DummyVecEnv``, stepped one by one as it does, without its copies.

    ``DummyVecEnv.step`` copies observations and infos deeply, which takes longer than a CartPole.
    Here the arrays are the ``DummyVecEnv``'s own buffers: they hold until the next step.

    Attributes:
        observations: (K, …), or such an array a key of a Dict.
        rewards: (K,) float32.
        dones: (K,) bool.
    """

    def __init__(self, env: DummyVecEnv) -> None:
        self._env, self._envs = env, env.envs
        is_dict = env.keys != [None]
        # The index type of SB3's is a string, and None where there is one array.
        self.observations: Any = dict(env.buf_obs) if is_dict else env.buf_obs[None]  # type: ignore[index]
        self.rewards, self.dones = env.buf_rews, env.buf_dones
        self._keys = env.keys if is_dict else ()
        self._some_ended = True

    def step(self, actions: NDArray[Any]) -> Step:
        """Step with (K, …) actions within the bounds of the action space."""
        noted = self.take(actions)
        return Step(self.observations, self.rewards, self.dones, noted)

    def take(self, actions: NDArray[Any]) -> list[tuple[int, dict[str, Any]]]:
        """As ``step``, for who reads the arrays here; what is noted of it."""
        envs, observations, rewards, dones = self._envs, self.observations, self.rewards, self.dones
        if self._some_ended:
            dones.fill(False)
            self._some_ended = False
        noted: list[tuple[int, dict[str, Any]]] = []
        for index, action in enumerate(actions):
            observation, rewards[index], terminated, truncated, info = envs[index].step(action)
            if terminated or truncated:
                dones[index] = self._some_ended = True
                info["TimeLimit.truncated"] = truncated and not terminated
                info["terminal_observation"] = observation
                self._env.buf_infos[index] = info
                noted.append((index, _kept(info)))
                observation, self._env.reset_infos[index] = envs[index].reset()
            elif "episode" in info:
                noted.append((index, _kept(info)))
            if self._keys:
                for key in self._keys:
                    observations[key][index] = observation[key]
            else:
                observations[index] = observation
        return noted


class PoolSteps:
    """A pool of worker processes, from which no infos are sent but those that are noted.

    The arrays are those that the processes share: they hold until the next step.
    """

    def __init__(self, env: PoolVecEnv) -> None:
        self._env = env

    def step(self, actions: NDArray[Any]) -> Step:
        """Step with (K, …) actions within the bounds of the action space."""
        return Step(*self._env.step_noted(actions))


def _kept(info: dict[str, Any]) -> dict[str, Any]:
    """A copy whose statistics stay as they are, whatever the environment does to its own."""
    episode = info.get("episode")
    return {**info, "episode": dict(episode)} if episode is not None else {**info}


def is_untouched(env: VecEnv, kind: type[VecEnv]) -> bool:
    """Whether an environment is of a class itself, and nobody replaced a method on either."""
    return type(env) is kind and replaced_on(env) is None and _is_as_written(kind)


def rolls_out_games(env: VecEnv, layout: Layout, critic_only: Sequence[str]) -> bool:
    """Whether an environment of games can be rolled out in one call by a policy.

    Args:
        env: of any class.
        layout: of the policy.
        critic_only: the keys of observations that its critic alone sees.
    """
    if not rolled_out(type(env)) or not is_untouched(env, type(env)):
        return False
    assert isinstance(env, GamesVecEnv)
    return env.rolls_out(layout, critic_only)


_as_written: dict[type[VecEnv], Snapshot] = {}
"""Classes that were found to be what their source says, as they were then."""


def _is_as_written(kind: type[VecEnv]) -> bool:
    snapshot = _as_written.get(kind)
    if snapshot is not None and snapshot.holds:
        return True
    kinds = [each for each in kind.__mro__ if issubclass(each, VecEnv)]
    modules = [each.__module__ for each in kinds]
    if any(changed_module(name) is not None for name in modules):
        return False
    _as_written[kind] = Snapshot([*kinds, *(sys.modules[name] for name in modules)])
    return True


def quickest_steps(env: VecEnv, is_wrapped: bool = False) -> DirectSteps | PoolSteps | VecEnvSteps:
    """How to step an environment, of arrays, at whose infos nobody looks at every step."""
    if is_untouched(env, PoolVecEnv):
        return PoolSteps(env)  # type: ignore[arg-type]
    if is_untouched(env, DummyVecEnv):
        return DirectSteps(env)  # type: ignore[arg-type]
    return VecEnvSteps(env, is_wrapped)
