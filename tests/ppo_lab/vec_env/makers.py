"""The ways to a vector environment, each called as ``make_native_vec_env`` is."""

import multiprocessing
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ppo_lab.multi_agent import make_parallel_vec_env
from ppo_lab.vec_env import GymnasiumVecEnv, make_envpool_vec_env, make_pool_vec_env
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.multi_agent.games import SideBySide

# Processes that start have imported it already: torch alone takes seconds.
multiprocessing.set_forkserver_preload(["__main__", "ppo_lab.vec_env.pool_worker"])


def dummy(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """SB3's own."""
    if monitor:
        return make_vec_env(env_id, n_envs, seed, env_kwargs={"render_mode": None, **kwargs})
    env = DummyVecEnv([lambda: gym.make(env_id, **kwargs)] * n_envs)
    env.seed(seed)
    return env


def over_sync(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Over Gymnasium's loop over single environments."""
    how = {"autoreset_mode": AutoresetMode.SAME_STEP}
    single = gym.make_vec(env_id, n_envs, "sync", vector_kwargs=how, **kwargs)
    env = GymnasiumVecEnv(single, monitor)
    env.seed(seed)
    return env


def over_arrays(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Over the arrays of ``envs.vector``."""
    kwargs["autoreset_mode"] = AutoresetMode.SAME_STEP
    env = GymnasiumVecEnv(gym.make_vec(env_id, n_envs, "vector_entry_point", **kwargs), monitor)
    env.seed(seed)
    return env


def pooled(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """In two worker processes."""
    if monitor:
        arguments = {"render_mode": None, **kwargs}
        return make_pool_vec_env(env_id, n_envs, 2, seed, env_kwargs=arguments)
    env = PoolVecEnv([lambda: gym.make(env_id, **kwargs)] * n_envs, 2)
    env.seed(seed)
    return env


def over_next_step(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Over Gymnasium's loop in the mode that it takes where it is told none."""
    return _over_mode(AutoresetMode.NEXT_STEP, env_id, n_envs, seed, monitor, kwargs)


def over_disabled(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Over Gymnasium's loop that leaves resets to others."""
    return _over_mode(AutoresetMode.DISABLED, env_id, n_envs, seed, monitor, kwargs)


def _over_mode(
    mode: AutoresetMode,
    env_id: str,
    n_envs: int,
    seed: int | None,
    monitor: bool,
    kwargs: dict[str, Any],
) -> VecEnv:
    single = gym.make_vec(env_id, n_envs, "sync", vector_kwargs={"autoreset_mode": mode}, **kwargs)
    env = GymnasiumVecEnv(single, monitor)
    env.seed(seed)
    return env


def over_pool(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Over EnvPool, in Gymnasium's spaces."""
    like = gym.make(env_id)
    try:
        return make_envpool_vec_env(env_id, n_envs, seed, monitor, like=like, **kwargs)
    finally:
        like.close()


def over_games(
    env_id: str, n_envs: int, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Games of one agent each."""
    return make_parallel_vec_env(
        lambda: SideBySide([lambda: gym.make(env_id, **kwargs)]), n_envs, seed, monitor=monitor
    )
