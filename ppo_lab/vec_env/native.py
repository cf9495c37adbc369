"""The quickest vector environment that an environment has."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv

__all__ = ["make_native_vec_env", "own_vector_form"]


def make_native_vec_env(
    env_id: str, n_envs: int = 1, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """SB3's ``make_vec_env`` for an environment that steps its copies without a Python loop.

    Args:
        env_id: Gymnasium's id: one that has a compiled world, or one with a
            ``vector_entry_point`` that takes ``autoreset_mode``; all of PPO Lab's have.
        n_envs: copies, ≥ 1.
        seed: of the first ``reset``.
        monitor: see :class:`GymnasiumVecEnv`.
        **kwargs: for the environment.

    Returns:
        :class:`~ppo_lab.vec_env.compiled.CompiledVecEnv` where the environment with
        these arguments has a world (none has one with a ``render_mode`` or with pictures as
        observations); otherwise :class:`GymnasiumVecEnv`.

    Raises:
        ArgumentError: unknown id, no such form, or an argument that it refuses.
    """
    from ppo_lab.vec_env.compiled import CompiledVecEnv

    if n_envs >= 1:
        try:
            return CompiledVecEnv(env_id, n_envs, seed, monitor, **kwargs)
        except NoWorldError as error:
            # Its vector form would not have what was replaced in the single one.
            if error.altered:
                raise ArgumentError(
                    f"{env_id!r} cannot be made as {n_envs} native copies, because "
                    f"{error.reason}: SB3's make_vec_env makes it as it is"
                ) from error
    native = own_vector_form(env_id, n_envs, **kwargs)
    try:
        env = GymnasiumVecEnv(native, monitor)
        env.seed(seed)
    except BaseException:
        native.close()
        raise
    return env


def own_vector_form(env_id: str, n_envs: int, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    """The vector environment of an environment's own that resets on the step that ends an episode.

    Raises:
        ArgumentError: it has none, or an argument that it refuses.
    """
    try:
        return gym.make_vec(
            gymnasium_id(env_id),
            n_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode=AutoresetMode.SAME_STEP,
            **kwargs,
        )
    except (gym.error.Error, TypeError, ValueError) as error:
        raise ArgumentError(
            f"{env_id!r} cannot be made as {n_envs} native copies: "
            f"{' '.join(str(error).split())} (SB3's make_vec_env makes any registered environment)"
        ) from error
