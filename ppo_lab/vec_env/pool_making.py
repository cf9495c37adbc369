"""SB3's ``make_vec_env`` for a pool of worker processes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.pool import PoolVecEnv

__all__ = ["make_pool_vec_env"]

Make = Callable[..., gym.Env[Any, Any]]


def make_pool_vec_env(
    env_id: str | Make | Sequence[Make],
    n_envs: int | None = None,
    n_workers: int | None = None,
    seed: int | None = None,
    start_index: int = 0,
    monitor_dir: str | None = None,
    wrapper_class: Make | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    vec_env_kwargs: Mapping[str, Any] | None = None,
    monitor_kwargs: Mapping[str, Any] | None = None,
    wrapper_kwargs: Mapping[str, Any] | None = None,
) -> PoolVecEnv:
    """Environments in a ``Monitor`` each, several a worker process.

    Every argument but ``n_workers`` is that of SB3's ``make_vec_env``, with its meaning.

    Args:
        env_id: Gymnasium's id, what makes an environment, or N such, one an environment.
        n_envs: N; None: 1, or as many as ``env_id`` has.
        n_workers: see :class:`~ppo_lab.vec_env.pool.PoolVecEnv`.
        seed: of the first ``reset``; environment i has ``seed + i``.
        start_index: of the first environment, in names of monitor files and seeds of actions.
        monitor_dir: where ``0.monitor.csv``, … go; None: nowhere.
        wrapper_class: put around each, outside of its ``Monitor``.
        env_kwargs: for what makes an environment.
        vec_env_kwargs: more of ``PoolVecEnv``'s arguments: ``start_method``, ``timeout``.
        monitor_kwargs: for ``Monitor``.
        wrapper_kwargs: for ``wrapper_class``.

    Raises:
        ArgumentError: an argument that cannot work.
        WorkerError: an environment could not be made.
    """
    pool = {**({} if n_workers is None else {"n_workers": n_workers}), **(vec_env_kwargs or {})}
    around = dict(monitor_kwargs or {})
    if isinstance(env_id, str) or callable(env_id):
        env = make_vec_env(
            env_id,
            1 if n_envs is None else n_envs,
            seed,
            start_index,
            monitor_dir,
            wrapper_class,
            dict(env_kwargs or {}),
            PoolVecEnv,  # type: ignore[arg-type]  # made as SB3's two are
            pool,
            around,
            dict(wrapper_kwargs or {}),
        )
        assert isinstance(env, PoolVecEnv)
        return env
    if n_envs not in (None, len(env_id)):
        raise ArgumentError(f"n_envs={n_envs}, but {len(env_id)} functions make an environment")
    makers = [
        partial(
            _monitored,
            partial(make, **(env_kwargs or {})),
            None if seed is None else seed + index,
            None if monitor_dir is None else str(Path(monitor_dir) / str(index)),
            around,
            partial(wrapper_class, **(wrapper_kwargs or {})) if wrapper_class else None,
        )
        for index, make in enumerate(env_id, start_index)
    ]
    several = PoolVecEnv(makers, **pool)
    several.seed(seed)
    return several


def _monitored(
    make: Make, seed: int | None, file: str | None, around: dict[str, Any], wrapper: Make | None
) -> gym.Env[Any, Any]:
    env = make()
    if seed is not None:
        env.action_space.seed(seed)
    if file is not None:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    env = Monitor(env, file, **around)
    return env if wrapper is None else wrapper(env)
