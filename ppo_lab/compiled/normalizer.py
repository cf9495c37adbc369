"""A ``VecNormalize`` as one vector of numbers, which a kernel moves on and which is put back.

The object holds the truth wherever anybody can look: its attributes are read before steps and
written after them, of SB3's types and with SB3's numbers, every bit.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab.kernels import normalizing as places
from ppo_lab.kernels.compile_notice import announced
from ppo_lab.kernels.normalizing import MOMENTS, MOST, normalize_step
from ppo_lab.worlds.alterations import PLAIN_NUMBERS
from ppo_lab.worlds.as_written import replaced_on

__all__ = ["Normalizer", "Raw", "Statistics", "step_by_sb3"]

Statistics = tuple[NDArray[np.float64], NDArray[np.float32]]

FLAGS = ("training", "norm_obs", "norm_reward")
NUMBERS = ("gamma", "epsilon", "clip_obs", "clip_reward")
"""Attributes, in the order in which the vector begins."""
TRIAL_STEPS = 4


class Raw(NamedTuple):
    """What the environments under a ``VecNormalize`` returned.

    Attributes:
        observations: (K, …).
        rewards: (K,).
        dones: (K,).
        infos: K.
    """

    observations: NDArray[Any]
    rewards: NDArray[Any]
    dones: NDArray[np.bool_]
    infos: list[dict[str, Any]]


class Normalizer:
    """The statistics of one ``VecNormalize``, for a kernel.

    Args:
        env: exactly a ``VecNormalize``.

    Attributes:
        shown: (K, …) float32, the latest observations as the policy sees them; not written where
            observations are not normalised.
        paid: (K,) float32, the latest rewards.
        unfit: what was the matter with the latest arrays that ``normalize`` did not take, to be
            read after "because"; None: it took all so far.
    """

    unfit: str | None = None

    def __init__(self, env: VecNormalize) -> None:
        self._env, self._n_envs = env, env.num_envs
        self._shape: tuple[int, ...] = ()
        self._statistics = np.zeros(0)
        self._has_run = False
        self.shown = self._table = np.zeros((self._n_envs, 0), np.float32)
        self.paid = np.zeros(self._n_envs, np.float32)
        self._raw: tuple[Any, ...] = (None, None, None)
        self._arguments: tuple[Any, ...] = ()

    def take(self) -> str | None:
        """Take the attributes as they now are, where the kernel's bits are SB3's.

        Returns:
            What stands against it, to be read after "because"; None: all is taken.
        """
        reason = self.read()
        if reason is not None:
            return reason
        seen = self._env.observation_space.dtype if self._env.norm_obs else np.dtype(np.float32)
        assert seen is not None
        if agrees(self._n_envs, self._shape, seen, np.dtype(np.float32)):
            return None
        return f"a trial of the kernel on {seen} observations did not give SB3's numbers"

    def read(self) -> str | None:
        """Take the attributes as they now are.

        Returns:
            What of them does not fit, to be read after "because"; None: all is read.
        """
        env = self._env
        reason = _misfit(env)
        if reason is not None:
            return reason
        self._has_run = False
        self._raw = (None, None, None)
        seen: Any = env.obs_rms if env.norm_obs else None
        shape = seen.mean.shape if env.norm_obs else (0,)
        width = int(np.prod(shape))
        size = MOMENTS + 2 * width + self._n_envs
        if shape != self._shape or self._statistics.size != size:
            self._shape, self._statistics = shape, np.zeros(size)
            self.shown = np.zeros((self._n_envs, *shape), np.float32)
            self._table = self.shown.reshape(self._n_envs, width)
        vector = self._statistics
        vector[: len(FLAGS + NUMBERS)] = [getattr(env, name) for name in FLAGS + NUMBERS]
        returns = env.ret_rms
        vector[places.RET_MEAN : MOMENTS] = returns.mean, returns.var, returns.count
        if env.norm_obs:
            vector[places.OBS_COUNT] = seen.count
            vector[MOMENTS : MOMENTS + width] = seen.mean.ravel()
            vector[MOMENTS + width : MOMENTS + 2 * width] = seen.var.ravel()
        vector[MOMENTS + 2 * width :] = env.returns
        return None

    def normalize(
        self, observations: NDArray[Any], rewards: NDArray[Any], dones: NDArray[np.bool_]
    ) -> bool:
        """Move the statistics on by a step, and fill ``shown`` and ``paid``.

        Returns:
            False, and nothing has moved, where the arrays are not such as the kernel takes.
        """
        seen, earned, ended = self._raw
        # A DummyVecEnv's own arrays are the same ones at every step.
        if observations is not seen or rewards is not earned or dones is not ended:
            arguments = self._checked(observations, rewards, dones)
            if arguments is None:
                shown = ", ".join(_described(array) for array in (observations, rewards, dones))
                self.unfit = f"the environments returned {shown}"
                return False
            self._raw, self._arguments = (observations, rewards, dones), arguments
        normalize_step(*self._arguments)
        self._has_run = True
        return True

    def _checked(
        self, observations: NDArray[Any], rewards: NDArray[Any], dones: NDArray[np.bool_]
    ) -> tuple[Any, ...] | None:
        """The kernel's arguments for these arrays; None where they do not fit."""
        k, width = self._table.shape
        if not self._env.norm_obs:
            observations = self._table
        arrays = observations, rewards, dones
        expected = (k, *self._shape), (k,), (k,)
        if any(
            type(array) is not np.ndarray or array.shape != shape or not array.flags.c_contiguous
            for array, shape in zip(arrays, expected, strict=True)
        ):
            return None
        if dones.dtype != np.bool_ or not agrees(k, self._shape, observations.dtype, rewards.dtype):
            return None
        batch = _scratch(width, observations.dtype)
        table = observations.reshape(k, width)
        return self._statistics, table, rewards, dones, batch, self._table, self.paid

    @property
    def arrays(self) -> Statistics:
        """The vector, and (K, D) float32 what is shown now, for a kernel that moves both on."""
        return self._statistics, self._table

    def begin_with(self, observations: Any) -> bool:
        """Let a kernel that has ``arrays`` go on from these (K, …) normalised observations.

        Returns:
            False, and nothing has changed, where they do not fit, or its bits would not be SB3's.
        """
        single = np.dtype(np.float32)
        if not agrees(self._n_envs, self._shape, single, single):
            return False
        if self._env.norm_obs:
            if {observations.dtype, self._env.observation_space.dtype} != {single}:
                return False
            if observations.shape != self.shown.shape:
                return False
            self.shown[...] = observations
        self._has_run = True
        return True

    def write(self) -> None:
        """Put what steps have moved into the object's attributes, as its own ``step_wait`` does."""
        if not self._has_run:
            return
        env, vector, width = self._env, self._statistics, self._table.shape[1]
        returns = vector[MOMENTS + 2 * width :]
        if env.training:
            env.returns = returns.copy()
            rms: Any = env.ret_rms
            rms.mean, rms.var = (
                np.float64(vector[places.RET_MEAN]),
                np.float64(vector[places.RET_VAR]),
            )
            rms.count = type(rms.count)(vector[places.RET_COUNT])
            if env.norm_obs:
                seen: Any = env.obs_rms
                seen.mean = vector[MOMENTS : MOMENTS + width].reshape(self._shape).copy()
                seen.var = vector[MOMENTS + width : MOMENTS + 2 * width].reshape(self._shape).copy()
                seen.count = type(seen.count)(vector[places.OBS_COUNT])
        else:
            env.returns[:] = returns
        self._has_run = False


def _misfit(env: VecNormalize) -> str | None:
    """What in the attributes of a ``VecNormalize`` the kernel could not follow."""
    if env.num_envs > MOST:
        return f"it has {env.num_envs} environments, more than {MOST}"
    reason = _settings_misfit(vars(env))
    if reason is not None:
        return reason
    returns = vars(env).get("returns")
    if type(returns) is not np.ndarray or returns.shape != (env.num_envs,):
        return "its returns are not one number for each environment"
    if returns.dtype != np.float64:
        return f"its returns are {returns.dtype}"
    if env.norm_obs:
        space = env.observation_space
        if not isinstance(space, spaces.Box):
            return f"its observations are a {type(space).__name__}"
        if reason := _moments_misfit(vars(env).get("obs_rms"), space.shape):
            return f"its obs_rms {reason}"
    reason = _moments_misfit(vars(env).get("ret_rms"), ())
    return None if reason is None else f"its ret_rms {reason}"


def _settings_misfit(held: Mapping[str, Any]) -> str | None:
    for name in FLAGS:
        if type(held.get(name)) is not bool:
            return f"its {name} is {held.get(name)!r}"
    for name in NUMBERS:
        number = held.get(name)
        # Whole numbers beyond that, and NaN, compare in ways of their own.
        plain = type(number) in PLAIN_NUMBERS and number == number
        if not plain or (type(number) is int and abs(number) > 2**53):
            return f"its {name} is {number!r}"
    return None


def _moments_misfit(moments: Any, shape: tuple[int, ...]) -> str | None:
    if type(moments) is not RunningMeanStd:
        return f"is a {type(moments).__name__}"
    if (method := replaced_on(moments)) is not None:
        return f"has a {method} of its own"
    if type(moments.count) not in (float, np.float64):
        return f"has the count {moments.count!r}"
    for name in ("mean", "var"):
        value = getattr(moments, name)
        if type(value) not in (np.ndarray, np.float64) or value.shape != shape:
            return f"has a {name} of another shape"
        if value.dtype != np.float64:
            return f"has a {name} in {value.dtype}"
    return None


def _described(array: Any) -> str:
    if type(array) is not np.ndarray:
        return f"a {type(array).__name__}"
    order = "" if array.flags.c_contiguous else " not in C order"
    return f"{array.dtype} {array.shape}{order}"


def _scratch(width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.zeros((2, width), np.float32 if dtype == np.float32 else np.float64)


# ---------------------------------------------------------------- SB3's own code


class _Stepped:
    """Environments that were stepped already."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    def step_wait(self) -> Raw:
        return self._raw


def step_by_sb3(env: VecNormalize, raw: Raw) -> Raw:
    """``env.step_wait`` where its environments have been stepped: by SB3's own code."""
    venv = env.venv
    env.venv = _Stepped(raw)  # type: ignore[assignment]
    try:
        return Raw(*env.step_wait())  # type: ignore[arg-type]
    finally:
        env.venv = venv


@cache
def agrees(n_envs: int, shape: tuple[int, ...], seen: np.dtype[Any], earned: np.dtype[Any]) -> bool:
    """Whether the kernel gives SB3's bits with this NumPy, tried on random numbers.

    Args:
        n_envs: K.
        shape: of an observation.
        seen: the observations' dtype.
        earned: the rewards'.
    """
    if earned not in (np.float32, np.float64) or not (
        seen in (np.float32, np.float64) or seen.kind in "iu"
    ):
        return False
    theirs, ours = _untrained(n_envs, shape), _untrained(n_envs, shape)
    normalizer = Normalizer(ours)
    if normalizer.read() is not None:
        return False
    generator = np.random.default_rng(0)
    with announced("the arithmetic of VecNormalize", 2), np.errstate(all="ignore"):
        for _ in range(TRIAL_STEPS):
            size = (n_envs, *shape)
            raw = Raw(
                (generator.normal(size=size) * 10 ** generator.uniform(0, 4, size)).astype(seen),
                generator.normal(size=n_envs).astype(earned),
                generator.random(n_envs) < 0.3,
                [{}] * n_envs,
            )
            expected = step_by_sb3(theirs, raw)
            table = raw.observations.reshape(n_envs, -1)
            batch = _scratch(table.shape[1], seen)
            normalize_step(
                normalizer._statistics, table, raw.rewards, raw.dones, batch,
                normalizer._table, normalizer.paid,
            )  # fmt: skip
            normalizer._has_run = True
            normalizer.write()
            if not (
                np.array_equal(normalizer.shown, expected.observations)
                and np.array_equal(normalizer.paid, expected.rewards)
                and _numbers(theirs) == _numbers(ours)
            ):
                return False
    return True


def _untrained(n_envs: int, shape: tuple[int, ...]) -> VecNormalize:
    """A ``VecNormalize`` around nothing."""
    env = VecNormalize.__new__(VecNormalize)
    vars(env).update(
        dict.fromkeys(FLAGS, True),
        gamma=0.98, epsilon=1e-8, clip_obs=1.5, clip_reward=1.5, num_envs=n_envs,
        norm_obs_keys=None, venv=None, returns=np.zeros(n_envs), old_reward=np.zeros(0),
        observation_space=spaces.Box(-1.0, 1.0, shape),
        obs_rms=RunningMeanStd(shape=shape), ret_rms=RunningMeanStd(),
    )  # fmt: skip
    return env


def _numbers(env: VecNormalize) -> list[bytes]:
    moments: list[Any] = [env.obs_rms, env.ret_rms]
    held = [getattr(each, name) for each in moments for name in ("mean", "var", "count")]
    return [np.asarray(value, np.float64).tobytes() for value in (*held, env.returns)]
