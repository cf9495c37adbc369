"""EnvPool's form of an environment of Gymnasium's, as SB3's ``VecEnv``."""

from typing import Any

import gymnasium as gym

from ppo_lab.vec_env.envpool import make_pool
from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv

__all__ = ["make_envpool_vec_env"]


def make_envpool_vec_env(
    env_id: str,
    n_envs: int = 1,
    seed: int | None = None,
    monitor: bool = True,
    monitor_dir: str | None = None,
    like: gym.Env[Any, Any] | None = None,
    **kwargs: Any,
) -> GymnasiumVecEnv:
    """SB3's ``make_vec_env`` for the environments in C++ of the package ``envpool``.

    EnvPool draws other random numbers than Gymnasium: the same seed repeats itself, but begins
    other episodes than ``DummyVecEnv``. Where an episode terminates on the very step of its time
    limit, EnvPool says that it was truncated.

    Args:
        env_id: EnvPool's.
        n_envs: copies, ≥ 1.
        seed: of the first copy; the others follow. None: a random one.
        monitor: see :class:`GymnasiumVecEnv`.
        monitor_dir: likewise.
        like: likewise; a model that is to play in an environment of Gymnasium's is trained in
            spaces like its, and with its time limit, unless ``kwargs`` has another.
        **kwargs: for ``envpool.make_gymnasium``.

    Raises:
        ArgumentError: EnvPool is missing, has no such environment or refuses an argument, or the
            environment has other spaces than ``like``.
    """
    if like is not None and like.spec is not None and like.spec.max_episode_steps is not None:
        kwargs.setdefault("max_episode_steps", like.spec.max_episode_steps)
    pool = make_pool(env_id, n_envs, seed, **kwargs)
    try:
        return GymnasiumVecEnv(pool, monitor, monitor_dir, like)
    except BaseException:
        pool.close()
        raise
