"""What SB3 asks of copies that one environment stands for: attributes, methods, wrappers."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.shared import chosen_copies

__all__ = ["CopiesOfOne"]

STATE_METHODS = frozenset({"reset", "step", "render", "close", "action_masks", "set_wrapper_attr"})


class CopiesOfOne(VecEnv):
    """K copies of which each has a row of numbers, and all share one environment's attributes.

    Attributes:
        env: the environment; it plays no part in stepping.
        monitor: whether infos have an episode's statistics.
        max_episode_steps: the time limit of all copies; 0: none.
        states: (K, s) float64.
    """

    env: gym.Env[Any, Any]
    monitor: bool
    max_episode_steps: int
    states: npt.NDArray[np.float64]
    _episodes: npt.NDArray[np.float64]

    @property
    @abstractmethod
    def has_masks(self) -> bool:
        """Whether ``action_masks`` of each copy is known."""

    @abstractmethod
    def _masks(self) -> npt.NDArray[np.bool_]:
        """(K, A): which actions are allowed in each copy."""

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """(K,) steps taken in the present episodes."""
        return self._episodes[:, 0].astype(np.int64)

    @property
    def returns(self) -> npt.NDArray[np.float64]:
        """(K,) rewards collected in the present episodes."""
        return self._episodes[:, 1].copy()

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """Nothing: a compiled environment cannot be rendered."""
        return [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each chosen copy.

        ``states``, ``steps`` and ``returns`` are each copy's own; every other is ``env``'s.

        Raises:
            AttributeError: there is none of that name.
        """
        chosen = chosen_copies(self, indices)
        if attr_name in ("states", "steps", "returns"):
            return [getattr(self, attr_name)[copy] for copy in chosen]
        if attr_name == "max_episode_steps":
            return [self.max_episode_steps or None] * len(chosen)
        return [self.env.get_wrapper_attr(attr_name)] * len(chosen)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set ``states`` of the chosen copies, or ``max_episode_steps`` of all.

        Raises:
            ArgumentError: another attribute, or the limit of some copies only.
        """
        chosen = chosen_copies(self, indices)
        if attr_name == "states":
            self.states[chosen] = np.reshape(value, (-1, self.states.shape[1]))
            return
        if attr_name != "max_episode_steps" or set(chosen) != set(range(self.num_envs)):
            raise ArgumentError(
                f"the attribute {attr_name!r} is one for all {self.num_envs} copies of "
                f"{self.env}; of compiled ones only states, and max_episode_steps of all, can be "
                "set: use SB3's DummyVecEnv, whose environments are apart"
            )
        self.max_episode_steps = int(value or 0)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of ``env`` that does not depend on a copy's state, once for all chosen.

        ``action_masks`` of a world that has them is each copy's own.

        Raises:
            ArgumentError: ``reset``, ``step``, ``render``, ``close``, ``set_wrapper_attr`` or
                unknown ``action_masks``.
        """
        if method_name == "action_masks" and self.has_masks:
            return [*self._masks()[chosen_copies(self, indices)]]
        if method_name in STATE_METHODS:
            raise ArgumentError(
                f"{method_name!r} acts on one environment's state, which compiled copies do not "
                "have apart: use SB3's DummyVecEnv"
            )
        result = self.env.get_wrapper_attr(method_name)(*method_args, **kwargs)
        return [result for _ in chosen_copies(self, indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Whether ``env`` is in such a wrapper; ``Monitor``: whether infos say as much."""
        monitored = self.monitor and issubclass(Monitor, wrapper_class)
        wrapped = monitored or is_wrapped(self.env, wrapper_class)
        return [wrapped for _ in chosen_copies(self, indices)]
