"""Gymnasium's vector environments as SB3's ``VecEnv``: arrays in, arrays out (Spec 10, 11)."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import check_for_nested_spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.shared import GOING_ON, STATISTICS_DIGITS, chosen_copies

__all__ = ["GymnasiumVecEnv"]

FINAL = frozenset({"final_obs", "_final_obs", "final_info", "_final_info"})
"""What the infos of a step say of the episodes that it ended."""


class GymnasiumVecEnv(VecEnv):
    """A Gymnasium vector environment for SB3, without a Python loop over the copies (Spec 10, 11).

    What ``DummyVecEnv`` of environments in a ``Monitor`` returns, this returns too: where an
    episode ends, the next one's first observation, and in that environment's info
    ``terminal_observation``, ``TimeLimit.truncated``, ``episode`` (``r`` return, ``l`` length,
    ``t`` seconds since this object was made) and what the environment itself says. Infos are
    touched only there; the others are one read-only dict, ``{"TimeLimit.truncated": False}``,
    unless the environment itself sends infos at every step.

    A *native* environment is one object for all copies: ``get_attr`` gives the copy's own entry
    of an array (N, …) and otherwise the one shared value; ``set_attr`` and ``env_method`` on
    some copies only are refused where they would change all. ``SyncVectorEnv`` holds an
    environment for each copy, and those three behave as with ``DummyVecEnv``.

    Args:
        env: in ``AutoresetMode.SAME_STEP``, the only mode in which SB3's semantics hold.
        monitor: False leaves ``episode`` out and answers no to ``env_is_wrapped(Monitor)``, for
            use under a ``VecMonitor`` of one's own.

    Attributes:
        env: the vector environment.
        reset_infos: the info of each copy's latest reset.

    Raises:
        ArgumentError: another autoreset mode, ``AsyncVectorEnv``, observations that are
            overwritten in place, or nested observation spaces.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], monitor: bool = True) -> None:
        _check(env)
        self.env = env
        self.monitor = monitor
        self.spec = env.spec
        self._copies: Sequence[gym.Env[Any, Any]] | None = getattr(env.unwrapped, "envs", None)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = {**env.metadata, **self.metadata}
        self._actions: npt.NDArray[Any] | None = None
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._began = time.time()

    # ------------------------------------------------------------------ stepping

    def reset(self) -> VecEnvObs:
        """Begin N episodes with the seed and options of ``seed`` and ``set_options``, used once.

        Raises:
            ArgumentError: ``set_options`` gave the copies different options.
        """
        options = self._options[0]
        if any(other != options for other in self._options):
            raise ArgumentError(
                "the environments were given different options, and a Gymnasium vector "
                "environment takes one for all: pass set_options one dict"
            )
        observations, infos = self.env.reset(seed=self._seeds[0], options=options or None)
        self.reset_infos = [info_of(infos, index) for index in range(self.num_envs)]
        self._returns[:], self._lengths[:] = 0.0, 0
        self._reset_seeds()
        self._reset_options()
        batch: VecEnvObs = observations
        return batch

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions, (N, …), for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step all copies with the actions kept.

        Returns:
            Observations (N, …), rewards (N,) float32, dones (N,) bool, N infos.
        """
        observations, rewards, terminations, truncations, infos = self.env.step(self._actions)
        for what, each in (
            ("rewards", rewards),
            ("terminations", terminations),
            ("truncations", truncations),
        ):
            if np.shape(each) != (self.num_envs,):
                raise ValueError(
                    f"{self.env} returned {what} of shape {np.shape(each)}: expected "
                    f"({self.num_envs},), one an environment"
                )
        dones = terminations | truncations
        self._returns += rewards
        self._lengths += 1
        out: list[dict[str, Any]] = [GOING_ON] * self.num_envs
        if infos.keys() - FINAL:
            for index in np.flatnonzero(~dones).tolist():
                out[index] = {**info_of(infos, index), **GOING_ON}
        ended = np.flatnonzero(dones)
        if ended.size:
            self._describe_ends(out, ended, infos, truncations & ~terminations)
            self._returns[ended], self._lengths[ended] = 0.0, 0
        return observations, rewards.astype(np.float32), dones, out

    def _describe_ends(
        self,
        out: list[dict[str, Any]],
        ended: npt.NDArray[np.intp],
        infos: dict[str, Any],
        out_of_time: npt.NDArray[np.bool_],
    ) -> None:
        """Put the infos of the episodes that ended in their places, and note the resets'."""
        final_info, final_obs = infos.get("final_info"), infos["final_obs"]
        others = {key: values for key, values in infos.items() if key not in FINAL}
        seconds = round(time.time() - self._began, STATISTICS_DIGITS)
        statistics = (self._returns[ended].tolist(), self._lengths[ended].tolist())
        for index, total, length in zip(ended.tolist(), *statistics, strict=True):
            info = info_of(final_info, index) if final_info else {}
            info["TimeLimit.truncated"] = bool(out_of_time[index])
            info["terminal_observation"] = entry_of(final_obs, index)
            # A Monitor about the copy itself saw its rewards before any wrapper changed them.
            if self.monitor and "episode" not in info:
                total = round(total, STATISTICS_DIGITS)
                info["episode"] = {"r": total, "l": length, "t": seconds}
            out[index] = info
            self.reset_infos[index] = info_of(others, index) if others else {}

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    # ------------------------------------------------------------------ the copies

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """One picture (height, width, 3) uint8 a copy; Nones unless made with ``rgb_array``."""
        if self.render_mode != "rgb_array":
            return [None] * self.num_envs
        pictures: Any = self.env.render()
        return list(pictures)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The attribute of each chosen copy; see the class.

        Raises:
            AttributeError: there is none of that name.
        """
        chosen = chosen_copies(self, indices)
        if self._copies is not None:
            return [self._copies[index].get_wrapper_attr(attr_name) for index in chosen]
        if attr_name in ("observation_space", "action_space"):
            attr_name = f"single_{attr_name}"
        value = getattr(self.env, attr_name)
        own = self._is_one_each(value)
        return [value[index] if own else value for index in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set the attribute of each chosen copy; see the class.

        Raises:
            ArgumentError: some copies only, and the attribute is one for all.
        """
        chosen = chosen_copies(self, indices)
        if self._copies is not None:
            for index in chosen:
                setattr(self._copies[index], attr_name, value)
            return
        native = self.env.unwrapped
        present: Any = getattr(native, attr_name, None)
        if self._is_one_each(present):
            present[chosen] = value
        else:
            self._check_all(chosen, f"the attribute {attr_name!r}")
            setattr(native, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each chosen copy; a native environment's is called once, for all.

        Returns:
            A result a copy: of a native environment the entries of a result of N, or the one
            result N times.

        Raises:
            ArgumentError: some copies only, of a native environment.
        """
        chosen = chosen_copies(self, indices)
        if self._copies is not None:
            return [
                self._copies[index].get_wrapper_attr(method_name)(*method_args, **kwargs)
                for index in chosen
            ]
        self._check_all(chosen, f"the method {method_name!r}")
        result = getattr(self.env, method_name)(*method_args, **kwargs)
        own = self._is_one_each(result) or (
            isinstance(result, list | tuple) and len(result) == self.num_envs
        )
        return [result[index] if own else result for index in range(self.num_envs)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Whether each chosen copy is in such a wrapper; ``Monitor``: whether infos say as much."""
        monitored = self.monitor and issubclass(Monitor, wrapper_class)
        return [
            monitored or (self._copies is not None and is_wrapped(self._copies[i], wrapper_class))
            for i in chosen_copies(self, indices)
        ]

    def _is_one_each(self, value: object) -> bool:
        return isinstance(value, np.ndarray) and value.shape[:1] == (self.num_envs,)

    def _check_all(self, chosen: Iterable[int], what: str) -> None:
        if set(chosen) != set(range(self.num_envs)):
            raise ArgumentError(
                f"{what} is one for all {self.num_envs} copies of {self.env}: leave indices out, "
                "or use SB3's DummyVecEnv, whose environments are apart"
            )


def _check(env: VectorEnv[Any, Any, Any]) -> None:
    if not isinstance(env, VectorEnv):
        raise ArgumentError(
            f"env is a {type(env).__name__}; pass a gymnasium.vector.VectorEnv, as "
            "gymnasium.make_vec makes"
        )
    if isinstance(env.unwrapped, AsyncVectorEnv):
        raise ArgumentError(
            "AsyncVectorEnv's environments live in other processes and answer only all together; "
            "use SB3's SubprocVecEnv"
        )
    mode = env.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ArgumentError(
            f"{env} resets in mode {mode}, which spends a step on every reset and would teach "
            "transitions that never happened; make it with "
            "autoreset_mode=AutoresetMode.SAME_STEP (gymnasium.make_vec takes it in vector_kwargs "
            "for mode 'sync'), or use SB3's make_vec_env"
        )
    if getattr(env.unwrapped, "copy", True) is False:
        raise ArgumentError(
            f"{env} was made with copy=False and overwrites observations that SB3 still needs; "
            "make it with copy=True"
        )
    try:
        check_for_nested_spaces(env.single_observation_space)
    except NotImplementedError as error:
        raise ArgumentError(f"{env}: {error}") from error


def entry_of(batch: Any, index: int) -> Any:
    """One copy's part of a batch: of an array, or of a dict or tuple of arrays."""
    if isinstance(batch, dict):
        return {key: entry_of(part, index) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(entry_of(part, index) for part in batch)
    return batch[index]


def info_of(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """One copy's info: of a key's values those that its mask ``_key`` says are this copy's."""
    info = {}
    for key, values in infos.items():
        mask = infos.get(f"_{key}")
        if key in FINAL or key.startswith("_") or not (mask is None or mask[index]):
            continue
        info[key] = info_of(values, index) if isinstance(values, dict) else values[index]
    return info
