"""Gymnasium's vector environments as SB3's ``VecEnv``: arrays in, arrays out (Spec 10, 11)."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.preprocessing import check_for_nested_spaces
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.autoreset import FINAL, VectorStep, stepping_of
from ppo_lab.vec_env.envpool import PoolStepping, check_pool, is_envpool, shown_spaces
from ppo_lab.vec_env.monitor_files import MonitorFiles
from ppo_lab.vec_env.partly_sampled import PartlySampledVecEnv
from ppo_lab.vec_env.shared import GOING_ON, STATISTICS_DIGITS, chosen_copies

__all__ = ["GymnasiumVecEnv", "over_singles"]


class GymnasiumVecEnv(PartlySampledVecEnv):
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

    In mode SAME_STEP the environment resets its copies itself. In mode DISABLED, over a bare
    ``SyncVectorEnv`` and over EnvPool, whose copies can be reset alone, they are reset here on the
    step that ends their episode. Any other environment in mode NEXT_STEP spends a step on the
    reset: that row is no sample, :meth:`sampled_rows` says so, SpecPPO leaves it out of rollouts'
    statistics, targets and losses, and whoever goes on without asking is stopped.

    EnvPool's own words of a step are in the infos of ended episodes only, and ``seed`` makes the
    pool anew.

    Args:
        env: a vector environment, or an EnvPool of ``envpool.make_gymnasium``.
        monitor: False leaves ``episode`` out and answers no to ``env_is_wrapped(Monitor)``, for
            use under a ``VecMonitor`` of one's own.
        monitor_dir: folder for SB3's ``0.monitor.csv``, one file a copy; None: no files.
        like: an environment whose spaces are shown in the place of ``env``'s own, which may
            differ in bounds and precision, as EnvPool's do from Gymnasium's; None: ``env``'s.

    Attributes:
        env: the vector environment.
        reset_infos: the info of each copy's latest reset.

    Raises:
        ArgumentError: ``AsyncVectorEnv``, EnvPool's asynchronous mode, observations that are
            overwritten in place, nested observation spaces, ``like`` of other
            spaces; from ``step``, when the one before was no sample for some copies and nobody
            called :meth:`sampled_rows`.
    """

    why_unsampled = "resets by steps that are no samples (AutoresetMode.NEXT_STEP)"

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        monitor: bool = True,
        monitor_dir: str | None = None,
        like: gym.Env[Any, Any] | None = None,
    ) -> None:
        _check(env)
        self.env = env
        self.monitor = monitor
        seen, moves = shown_spaces(env, like)
        self._stepping = PoolStepping(env, seen) if is_envpool(env) else stepping_of(env)
        self.spec = env.spec if isinstance(env.spec, EnvSpec) else like and like.spec
        self._copies: Sequence[gym.Env[Any, Any]] | None = getattr(env.unwrapped, "envs", None)
        super().__init__(env.num_envs, seen, moves)
        env_id = self.spec.id if self.spec else type(env).__name__
        self._files = MonitorFiles(Path(monitor_dir), env.num_envs, env_id) if monitor_dir else None
        self.metadata = {**env.metadata, **self.metadata}
        self._actions: npt.NDArray[Any] | None = None
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._ended = np.zeros(self.num_envs, np.bool_)
        self._began = time.time()
        self._was_asked = True

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
        observations, infos = self._stepping.reset(self._seeds[0], options or None)
        self.env, self._was_asked = self._stepping.env, True
        self.reset_infos = [info_of(infos, index) for index in range(self.num_envs)]
        self._returns[:], self._lengths[:] = 0.0, 0
        self._ended = np.zeros_like(self._ended)
        self._reset_seeds()
        self._reset_options()
        batch: VecEnvObs = observations
        return batch

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions, (N, …), for ``step_wait``."""
        if not self._was_asked:
            raise ArgumentError(
                f"{self.env} resets by a step of its own (AutoresetMode.NEXT_STEP), which is no "
                "sample, and whoever steps it here would take it for one: train in it with "
                "SpecPPO; for all else make it with autoreset_mode=AutoresetMode.SAME_STEP "
                "(gymnasium.make_vec takes it in vector_kwargs for mode 'sync')"
            )
        self._actions = actions

    @property
    def resets_by_steps(self) -> bool:
        """Whether there are rows without a sample, which :meth:`sampled_rows` tells."""
        return self._stepping.sampled is not None

    @property
    def may_be_unsampled(self) -> bool:
        """Whether there are rows without a sample."""
        return self.resets_by_steps

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """Which rows of the latest observations somebody acts on, (N,) bool."""
        return ~self._ended if self.resets_by_steps else np.ones(self.num_envs, np.bool_)

    @property
    def sampled(self) -> npt.NDArray[np.bool_]:
        """Which rows of the latest step are samples, (N,) bool: False where it only reset a copy.

        Such a row has reward 0, goes on, and shows the first observation of the next episode.
        """
        sampled = self._stepping.sampled
        return np.ones(self.num_envs, np.bool_) if sampled is None else sampled

    def sampled_rows(self) -> npt.NDArray[np.bool_]:
        """The same for who leaves the other rows out of all that is learned, and may so go on."""
        self._was_asked = True
        return self.sampled

    def step_wait(self) -> VecEnvStepReturn:
        """Step all copies with the actions kept.

        Returns:
            Observations (N, …), rewards (N,) float32, dones (N,) bool, N infos.
        """
        assert self._actions is not None
        step = self._stepping.step(self._actions)
        _check_one_each(self, step)
        dones = self._ended = step.terminations | step.truncations
        self._returns += step.rewards
        self._lengths += 1
        out: list[dict[str, Any]] = [GOING_ON] * self.num_envs
        if step.infos:
            for index in np.flatnonzero(~dones).tolist():
                out[index] = {**info_of(step.infos, index), **GOING_ON}
        if self.resets_by_steps:
            self._pass_over_resets(step)
        ended = np.flatnonzero(dones)
        if ended.size:
            self._describe_ends(out, ended, step)
            self._returns[ended], self._lengths[ended] = 0.0, 0
        return step.observations, step.rewards.astype(np.float32), dones, out

    def _pass_over_resets(self, step: VectorStep) -> None:
        """Count no step of the copies that were only reset, and note what their resets said."""
        for index in np.flatnonzero(~self.sampled).tolist():
            self._lengths[index] = 0
            self.reset_infos[index] = info_of(step.infos, index)
            self._was_asked = False

    def _describe_ends(
        self, out: list[dict[str, Any]], ended: npt.NDArray[np.intp], step: VectorStep
    ) -> None:
        """Put the infos of the episodes that ended in their places, and note the resets'."""
        out_of_time = step.truncations & ~step.terminations
        seconds = round(time.time() - self._began, STATISTICS_DIGITS)
        statistics = (self._returns[ended].tolist(), self._lengths[ended].tolist())
        for index, total, length in zip(ended.tolist(), *statistics, strict=True):
            info = info_of(step.final_infos, index)
            info["TimeLimit.truncated"] = bool(out_of_time[index])
            info["terminal_observation"] = entry_of(step.final_obs, index)
            # A Monitor about the copy itself saw its rewards before any wrapper changed them.
            if self.monitor and "episode" not in info:
                total = round(total, STATISTICS_DIGITS)
                info["episode"] = {"r": total, "l": length, "t": seconds}
                if self._files:
                    self._files.write(index, info["episode"])
            out[index] = info
            if not self.resets_by_steps:
                self.reset_infos[index] = info_of(step.reset_infos, index)

    def close(self) -> None:
        """Close the vector environment, and the monitor files."""
        self.env.close()
        if self._files:
            self._files.close()

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


def over_singles(makers: Sequence[Callable[[], gym.Env[Any, Any]]]) -> GymnasiumVecEnv:
    """Gymnasium's ``SyncVectorEnv`` of environments that have a ``Monitor`` of their own."""
    singles = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    return GymnasiumVecEnv(singles, monitor=False)


def _check(env: VectorEnv[Any, Any, Any]) -> None:
    if is_envpool(env):
        check_pool(env)
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


def _check_one_each(env: GymnasiumVecEnv, step: VectorStep) -> None:
    for what in ("rewards", "terminations", "truncations"):
        shape = np.shape(getattr(step, what))
        if shape != (env.num_envs,):
            raise ValueError(
                f"{env.env} returned {what} of shape {shape}: expected ({env.num_envs},), one an "
                "environment"
            )


def info_of(infos: Mapping[str, Any], index: int) -> dict[str, Any]:
    """One copy's info: of a key's values those that its mask ``_key`` says are this copy's."""
    info = {}
    for key, values in infos.items():
        mask = infos.get(f"_{key}")
        if key in FINAL or key.startswith("_") or not (mask is None or mask[index]):
            continue
        info[key] = info_of(values, index) if isinstance(values, dict) else values[index]
    return info
