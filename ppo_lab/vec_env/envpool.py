"""EnvPool's environments in C++ (the package ``envpool``), as SB3's ``VecEnv`` needs them.

Checked against EnvPool 1.2.5: a pool calls its mode NEXT_STEP, and ``reset`` of chosen copies
gives them the very episode that their next step would have begun.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import InvalidAction
from gymnasium.vector import VectorEnv

from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.registry import closest
from ppo_lab.vec_env.autoreset import VectorStep, put_rows

__all__ = ["PoolStepping", "check_pool", "is_envpool", "make_pool", "shown_spaces"]

SEEDS = 2**31
"""A pool's seed is an int32; SB3's may be larger."""

BOOKKEEPING = ("env_id", "players")
"""What a pool says in its infos of the rows, not of the environments."""


def is_envpool(env: object) -> bool:
    """Whether an object is a pool, told by its classes: EnvPool need not be imported."""
    return any(base.__module__.partition(".")[0] == "envpool" for base in type(env).__mro__)


def check_pool(env: Any) -> None:
    """Check that a pool steps all its copies, one player each, in Gymnasium's form.

    Raises:
        ArgumentError: another form, asynchronous, or several players.
    """
    name = type(env).__name__
    if not isinstance(env, VectorEnv):
        raise ArgumentError(
            f"{name} is no Gymnasium vector environment: make it with envpool.make_gymnasium, of "
            "EnvPool 1.2 or later"
        )
    _make_spaces(env)
    config: dict[str, Any] = env.config  # type: ignore[attr-defined]
    if env.is_async:  # type: ignore[attr-defined]
        raise ArgumentError(
            f"{name} is asynchronous: its step answers for {config['batch_size']} of "
            f"{config['num_envs']} copies, and SB3 needs all; leave batch_size out"
        )
    if config["max_num_players"] > 1:
        raise ArgumentError(f"{name} has {config['max_num_players']} players, and SB3 trains one")


def make_pool(env_id: str, n_envs: int, seed: int | None, **kwargs: Any) -> Any:
    """``envpool.make_gymnasium`` with errors of one line.

    Args:
        env_id: EnvPool's, which is Gymnasium's where it restates an environment of Gymnasium's.
        n_envs: copies, ≥ 1.
        seed: of the first copy, the others follow; taken modulo 2^31. None: a random one.
        **kwargs: EnvPool's, such as ``max_episode_steps`` and ``num_threads``.

    Raises:
        ArgumentError: the package is missing, it has no such environment, or refuses an argument.
    """
    if find_spec("envpool") is None:
        raise ArgumentError(
            'EnvPool\'s environments need the package envpool: pip install "ppo-lab[envpool]"'
        )
    try:
        with _quiet():
            import envpool
    except Exception as error:
        raise ArgumentError(f"the package envpool cannot be used: {one_line(error)}") from error
    known = envpool.list_all_envs()
    if env_id not in known:
        raise ArgumentError(
            f"EnvPool has no environment {env_id!r}; closest of its {len(known)}: "
            f"{closest(env_id, known)}"
        )
    if seed is None:
        seed = int(np.random.default_rng().integers(SEEDS))
    try:
        with _quiet():
            return envpool.make_gymnasium(env_id, num_envs=n_envs, seed=seed % SEEDS, **kwargs)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(
            f"EnvPool's {env_id!r} cannot be made with {kwargs}: {one_line(error)}"
        ) from error


def _make_spaces(env: Any) -> None:
    """Let a pool make its spaces, which it does when it is asked first and then keeps."""
    with _quiet():
        _ = env.observation_space, env.action_space


@contextmanager
def _quiet() -> Iterator[None]:
    """EnvPool's own spaces are made of doubles, which Gymnasium warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class PoolStepping:
    """Steps a pool, and resets the copies whose episodes ended on the same step.

    Args:
        env: passed :func:`check_pool`.
        shown: the space whose types its observations are given.

    Attributes:
        env: the pool, which a reset with a seed makes anew.
    """

    sampled: npt.NDArray[np.bool_] | None = None

    def __init__(self, env: Any, shown: spaces.Space[Any]) -> None:
        self.env, self._shown = env, shown
        self._actions: spaces.Space[Any] = env.single_action_space
        self._shape = (env.num_envs, *(self._actions.shape or ()))
        self._begun = False

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> tuple[Any, Any]:
        """Begin N episodes; a seed makes the pool anew, whose seeds are fixed when it is made.

        Raises:
            ArgumentError: options, which pools have none of.
        """
        if options:
            raise ArgumentError(
                f"reset options {options} were given, which EnvPool does not take: give it "
                "arguments when it is made, or use SB3's make_vec_env"
            )
        if seed is not None and (self._begun or self.env.config["seed"] != seed % SEEDS):
            self.env = _seeded(self.env, seed % SEEDS)
        self._begun = True
        observations, infos = self.env.reset()
        return _as_in_space(self._shown, observations), _own_words(infos)

    def step(self, actions: npt.NDArray[Any]) -> VectorStep:
        """Step all copies with actions (N, …).

        Raises:
            RuntimeError: before the first reset.
            gymnasium.error.InvalidAction: actions of another shape or out of range, which C++ does
                not look at.
        """
        if not self._begun:
            raise RuntimeError("step was called before the first reset; call reset first")
        self._check(actions)
        seen, rewards, terminations, truncations, infos = self.env.step(actions)
        observations = _as_in_space(self._shown, seen)
        step = VectorStep(observations, rewards, terminations, truncations, {})
        ended = np.flatnonzero(terminations | truncations)
        if not ended.size:
            return step
        first, of_reset = self.env.reset(ended.astype(np.int32))
        rows: npt.NDArray[np.int32] = of_reset["env_id"]
        return step._replace(
            observations=put_rows(observations, rows, _as_in_space(self._shown, first)),
            final_obs=observations,
            final_infos=_own_words(infos),
            reset_infos=_scattered(_own_words(of_reset), rows, len(rewards)),
        )

    def _check(self, actions: npt.NDArray[Any]) -> None:
        if np.shape(actions) != self._shape:
            raise InvalidAction(
                f"The actions have shape {np.shape(actions)}: expected {self._shape}, one row an "
                "environment."
            )
        if not isinstance(self._actions, spaces.Discrete):
            return
        least = int(self._actions.start)
        if actions.min() < least or actions.max() >= least + int(self._actions.n):
            raise InvalidAction(f"Actions {actions} are out of range of {self._actions}.")


def _seeded(env: Any, seed: int) -> Any:
    """A new pool like another, with another seed."""
    specification = type(env.spec)
    with _quiet():
        config = specification.gen_config(**{**env.config, "seed": seed, "env_seed": []})
        new = type(env)(specification(config))
    _make_spaces(new)
    for name, value in vars(env).items():
        if name.startswith("_render"):
            setattr(new, name, value)
    return new


def _own_words(infos: dict[str, Any]) -> dict[str, Any]:
    return {key: values for key, values in infos.items() if key not in BOOKKEEPING}


def _scattered(infos: dict[str, Any], rows: npt.NDArray[np.int32], count: int) -> dict[str, Any]:
    """Infos of some rows at these rows' places of all."""
    scattered: dict[str, Any] = {}
    for key, values in infos.items():
        if isinstance(values, dict):
            scattered[key] = _scattered(values, rows, count)
        else:
            scattered[key] = np.zeros((count, *np.shape(values)[1:]), np.asarray(values).dtype)
            scattered[key][rows] = values
    return scattered


def _as_in_space(space: spaces.Space[Any], batch: Any) -> Any:
    """A batch of observations (N, …) with the types that its space has; EnvPool's are others."""
    if isinstance(space, spaces.Dict):
        return {key: _as_in_space(part, batch[key]) for key, part in space.spaces.items()}
    return batch.astype(space.dtype, copy=False)


def shown_spaces(
    env: VectorEnv[Any, Any, Any], like: gym.Env[Any, Any] | None
) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """The spaces of one copy's observations and actions that a ``VecEnv`` over ``env`` shows.

    Raises:
        ArgumentError: those of ``like`` are of another kind or shape than ``env``'s.
    """
    own = env.single_observation_space, env.single_action_space
    if like is None:
        return _repaired(own[0]), own[1]
    shown = like.observation_space, like.action_space
    for what, pools, other in zip(("observations", "actions"), own, shown, strict=True):
        if _differ(pools, other):
            raise ArgumentError(
                f"{type(env).__name__} has {what} {pools} where {like} has {other}: a policy of "
                "the one cannot act in the other"
            )
    return shown


def _repaired(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """A pool's Box from the smallest to the largest float, which it takes for unbounded."""
    if not isinstance(space, spaces.Box) or space.dtype.kind != "f":
        return space
    limits = np.finfo(space.dtype)
    if not ((space.low == limits.tiny).all() and (space.high == limits.max).all()):
        return space
    return spaces.Box(-np.inf, np.inf, space.shape, space.dtype)


def _differ(pools: spaces.Space[Any], other: spaces.Space[Any]) -> bool:
    """Whether two spaces are of another kind or shape; bounds and precision are left aside."""
    if isinstance(pools, spaces.Dict) and isinstance(other, spaces.Dict):
        return pools.spaces.keys() != other.spaces.keys() or any(
            _differ(part, other[key]) for key, part in pools.spaces.items()
        )
    if isinstance(pools, spaces.Box) and isinstance(other, spaces.Box):
        return pools.shape != other.shape
    return pools != other
