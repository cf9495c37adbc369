"""What a run needs to know of a Gymnasium environment before it starts."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.mdp import TabularMDP, from_toy_text
from ppo_lab.environment_classes import is_game
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.space_checks import check_spaces
from ppo_lab.registry import ALGORITHMS, Algorithm, ObservationKind, known_algorithm
from ppo_lab.vec_env.making import faults_in_one_line, make_checked
from ppo_lab.vec_env.random_actions import has_masks

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

__all__ = ["exported_mdp", "inspect_environment", "make_copies"]


READ = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
"""The observations that SB3's policies read, also as the parts of a Dict."""


def make_copies(
    make: Callable[[], gym.Env[Any, Any]],
    count: int,
    seed: int | None = None,
    *,
    monitor_dir: str | None = None,
    wrapper: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None,
    monitor_kwargs: Mapping[str, Any] | None = None,
    kind: "Callable[..., VecEnv] | None" = None,
    apart: bool = False,
) -> "VecEnv":
    """SB3's ``make_vec_env``; where one copy cannot be made, those before it are closed.

    Args:
        make: makes one environment.
        count: copies, ≥ 1.
        seed: of the first one; the others follow.
        monitor_dir: where SB3's monitor files go; None: nowhere.
        wrapper: put around each, outside of its monitor.
        monitor_kwargs: for SB3's ``Monitor``.
        kind: makes a vector environment of them: ``SubprocVecEnv`` for a process each, …; None:
            ``DummyVecEnv``.
        apart: whether that makes them in other processes.

    Raises:
        BaseException: whatever making one raises.
    """
    from stable_baselines3.common.env_util import make_vec_env

    from ppo_lab.vec_env.pool_processes import startable_processes

    made: list[gym.Env[Any, Any]] = []

    def kept() -> gym.Env[Any, Any]:
        made.append(make())
        return made[-1]

    def monitored(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
        made[-1] = env  # it closes its file too
        return env if wrapper is None else wrapper(env)

    try:
        with startable_processes():
            return make_vec_env(
                make if apart else kept,
                count,
                seed,
                monitor_dir=monitor_dir,
                wrapper_class=wrapper if apart else monitored,
                vec_env_cls=kind,  # type: ignore[arg-type]  # called with the makers
                monitor_kwargs=dict(monitor_kwargs or {}),
            )
    except BaseException:
        for env in made:
            env.close()
        raise


def inspect_environment(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    algo: str = "ppo",
    wrapper: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None,
    masked: bool = False,
) -> str:
    """Check that an algorithm can train on an environment and name its policy there.

    Args:
        env_id: Gymnasium's id, ``module:id`` for one that a module registers.
        env_kwargs: for ``gymnasium.make``.
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        wrapper: put around it; None: nothing.
        masked: whether the algorithm is told to ask which actions are possible.

    Returns:
        SB3's name of the policy: ``MlpPolicy``, ``CnnPolicy``, ``MultiInputPolicy``, or the
        algorithm's own form of it.

    Raises:
        ArgumentError: unknown, cannot be made, or the algorithm cannot use it; says why.
    """
    algorithm = ALGORITHMS[known_algorithm(algo)]
    env = make_checked(env_id, env_kwargs)
    with faults_in_one_line(env_id):
        try:
            env = env if wrapper is None else wrapper(env)
            _check_starts(env, env_id)
            _check_actions(env, env_id, algorithm)
            if (masked or algorithm.needs_masks) and not has_masks(env):
                raise ArgumentError(_without_masks(env_id, algorithm, algo))
            if algorithm.tabular:
                _check_states(env, env_id, algorithm)
            observation = env.observation_space
        finally:
            env.close()
    kind = _observation_kind(observation, env_id)
    if kind not in algorithm.reads:
        what = "images" if kind == "Cnn" else "dictionaries"
        raise ArgumentError(
            f"environment {env_id!r} shows {what}, {observation}, for which {algorithm.name} has "
            "no policy; gymnasium.wrappers.FlattenObservation makes one vector of them"
        )
    return algorithm.policy_for(kind)


def _without_masks(env_id: str, algorithm: Algorithm, algo: str) -> str:
    how = " with mask_actions" if algorithm.mask_argument else ""
    wanted = f", which {algorithm.name} ({algo}){how} needs: "
    if is_game(env_id):
        return (
            f"game {env_id!r} gives its agents no action_masks{wanted}put an action_mask into "
            "their observations or infos, as PettingZoo's games do"
        )
    return (
        f"environment {env_id!r} has no method action_masks(){wanted}give it one, or wrap it in "
        "sb3-contrib's ActionMasker"
    )


def _check_starts(env: gym.Env[Any, Any], env_id: str) -> None:
    try:
        check_spaces(env.observation_space, env.action_space)
    except ArgumentError as error:
        raise ArgumentError(f"environment {env_id!r} cannot be used: {error}") from None


def _check_actions(env: gym.Env[Any, Any], env_id: str, algorithm: Algorithm) -> None:
    action = env.action_space
    if not isinstance(action, algorithm.actions):
        expected = ", ".join(space.__name__ for space in algorithm.actions)
        raise ArgumentError(
            f"environment {env_id!r} has action space {action}, which {algorithm.name} cannot "
            f"use; expected {'one of ' if len(algorithm.actions) > 1 else ''}{expected}"
        )
    if isinstance(action, spaces.Box) and not action.is_bounded():
        raise ArgumentError(
            f"environment {env_id!r} has an unbounded action space {action}; "
            "wrap it in gymnasium.wrappers.RescaleAction or give it finite bounds"
        )


def _check_states(env: gym.Env[Any, Any], env_id: str, algorithm: Algorithm) -> None:
    mdp = exported_mdp(env)
    if mdp is None:
        raise ArgumentError(
            f"environment {env_id!r} exports no finite MDP, which {algorithm.name} needs: an "
            "attribute mdp (PPO Lab's grids and crawler) or a table P (Gymnasium's toy text)"
        )
    observation = env.observation_space
    if not isinstance(observation, spaces.Discrete) or int(observation.n) != mdp.n_states:
        raise ArgumentError(
            f"environment {env_id!r} shows {observation}, but {algorithm.name} needs the index "
            f"of its {mdp.n_states} states"
        )


def _observation_kind(observation: spaces.Space[Any], env_id: str) -> ObservationKind:
    if isinstance(observation, spaces.Dict):
        for key, part in observation.spaces.items():
            if not isinstance(part, READ):
                raise ArgumentError(
                    f"environment {env_id!r} shows {key!r} as a {type(part).__name__}, which SB3's "
                    "policies cannot read; leave it out with gymnasium.wrappers.FilterObservation, "
                    "or wrap it in what its package offers for that (--wrapper)"
                )
        return "MultiInput"
    if not isinstance(observation, READ):
        raise ArgumentError(
            f"environment {env_id!r} has observation space {observation}, which SB3's policies "
            "cannot read; wrap it in gymnasium.wrappers.FlattenObservation"
        )
    is_image = isinstance(observation, spaces.Box) and len(observation.shape) == 3
    return "Cnn" if is_image and observation.dtype == np.uint8 else "Mlp"


def exported_mdp(env: gym.Env[Any, Any]) -> TabularMDP | None:
    """The MDP that an environment is, where it says so: ``mdp``, or toy text's ``P``."""
    mdp = getattr(env.unwrapped, "mdp", None)
    if isinstance(mdp, TabularMDP):
        return mdp
    try:
        return from_toy_text(env)
    except TypeError:
        return None
