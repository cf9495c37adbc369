"""Steps of a ``VecEnv`` for a collector that looks at infos only where an episode ended."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

__all__ = ["DirectSteps", "Step", "VecEnvSteps", "quickest_steps"]


class Step(NamedTuple):
    """What one step of K environments returned.

    Attributes:
        observations: (K, …), the first of the next episode where one ended.
        rewards: (K,) float32.
        dones: (K,) bool.
        infos: K, or None where only those of ``ended`` are at hand.
        ended: (environment, info) of every episode that ended.
    """

    observations: NDArray[Any]
    rewards: NDArray[np.float32]
    dones: NDArray[np.bool_]
    infos: Sequence[dict[str, Any]] | None
    ended: Sequence[tuple[int, dict[str, Any]]]


class VecEnvSteps:
    """Any ``VecEnv``, by its ``step``."""

    def __init__(self, env: VecEnv) -> None:
        self._env = env

    def step(self, actions: NDArray[Any]) -> Step:
        """Step with (K, …) actions within the bounds of the action space."""
        observations, rewards, dones, infos = self._env.step(actions)
        ended: list[tuple[int, dict[str, Any]]] = []
        if np.count_nonzero(dones):  # several times faster than ``any`` on so few
            ended = [(index, infos[index]) for index in np.flatnonzero(dones).tolist()]
        return Step(observations, rewards, dones, infos, ended)  # type: ignore[arg-type]


class DirectSteps:
    """The environments of a ``DummyVecEnv``, stepped one by one as it does, without its copies.

    ``DummyVecEnv.step`` copies observations and infos deeply, which takes longer than a CartPole.
    Here the arrays are the ``DummyVecEnv``'s own buffers: they hold until the next step.
    """

    def __init__(self, env: DummyVecEnv) -> None:
        self._env = env
        self._observations = env.buf_obs[None]  # type: ignore[index]
        self._steps = [copy.step for copy in env.envs]

    def step(self, actions: NDArray[Any]) -> Step:
        """Step with (K, …) actions within the bounds of the action space."""
        env, observations = self._env, self._observations
        rewards, dones = env.buf_rews, env.buf_dones
        dones.fill(False)
        ended: list[tuple[int, dict[str, Any]]] = []
        for index, (step, action) in enumerate(zip(self._steps, actions, strict=True)):
            observation, rewards[index], terminated, truncated, info = step(action)
            if terminated or truncated:
                dones[index] = True
                info["TimeLimit.truncated"] = truncated and not terminated
                info["terminal_observation"] = observation
                env.buf_infos[index] = info
                ended.append((index, info))
                observation, env.reset_infos[index] = env.envs[index].reset()
            observations[index] = observation
        return Step(observations, rewards, dones, None, ended)


def quickest_steps(env: VecEnv, needs_infos: bool) -> DirectSteps | VecEnvSteps:
    """How to step an environment.

    Args:
        env: of arrays.
        needs_infos: whether somebody looks at every step's infos.
    """
    if type(env) is DummyVecEnv and not needs_infos:
        return DirectSteps(env)
    return VecEnvSteps(env)
