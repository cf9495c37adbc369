"""What runs of algorithms with a replay buffer need beside PPO's: noise, checks, the buffer."""

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import (
    ActionNoise,
    NormalActionNoise,
    OrnsteinUhlenbeckActionNoise,
)
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize
from stable_baselines3.her import HerReplayBuffer

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import ALGORITHMS, algorithm_class
from ppo_lab.runs.config import RunConfig

__all__ = [
    "check_environment",
    "check_has_buffer",
    "replay_buffer_of",
    "starts_empty",
    "take_buffer",
    "warn_if_nothing_is_learnt",
    "with_action_noise",
]

NOISES: Mapping[str, type[ActionNoise]] = {
    "normal": NormalActionNoise,
    "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise,
}
"""The zoo's ``noise_type``."""
FINAL_BUFFER = "replay_buffer.pkl"
"""The zoo's name of a finished run's buffer, in its run folder."""
GOAL = ("observation", "achieved_goal", "desired_goal")


def with_action_noise(
    algo: str, arguments: Mapping[str, Any], actions: gym.Space[Any]
) -> dict[str, Any]:
    """Arguments with SB3's ``action_noise`` in the place of the zoo's ``noise_type``.

    Args:
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        arguments: of the algorithm, ``noise_type`` and ``noise_std`` perhaps among them.
        actions: the environment's.

    Raises:
        ArgumentError: the noise is unknown or has no size, or the algorithm takes none.
    """
    made = dict(arguments)
    kind, size = made.pop("noise_type", None), made.pop("noise_std", None)
    if kind is None and size is None:
        return made
    name = kind.strip() if isinstance(kind, str) else kind
    if name not in NOISES:
        raise ArgumentError(f"noise_type={kind!r}: expected {' or '.join(NOISES)}")
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 <= size < np.inf:
        raise ArgumentError(f"noise_std={size!r}: expected a finite number, 0 or above")
    takes = inspect.signature(algorithm_class(algo)).parameters
    if "action_noise" not in takes or not isinstance(actions, spaces.Box):
        raise ArgumentError(f"noise_type={kind!r}: {algo} takes no noise on its actions")
    mean = np.zeros(actions.shape)
    made["action_noise"] = NOISES[name](mean=mean, sigma=size * np.ones(actions.shape))  # type: ignore[call-arg]
    return made


def check_environment(algo: str, arguments: Mapping[str, Any], env: VecEnv) -> None:
    """Check what SB3 itself would find out in the middle of training, or never.

    Args:
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        arguments: of the algorithm.
        env: what it is to be trained in.

    Raises:
        ArgumentError: the replay buffer cannot hold what is shown, training that counts episodes
            has several environments, or hindsight replay has no goals.
    """
    if not ALGORITHMS[algo].off_policy:
        return
    _check_stored(algo, env)
    train_freq = arguments.get("train_freq")
    if isinstance(train_freq, list | tuple) and "episode" in train_freq and env.num_envs > 1:
        raise ArgumentError(
            f"train_freq in episodes needs one environment, and n_envs is {env.num_envs}: leave "
            "--n-envs out, or give train_freq in steps"
        )
    buffer = arguments.get("replay_buffer_class")
    if isinstance(buffer, type) and issubclass(buffer, HerReplayBuffer):
        _check_goals(env)


def _check_stored(algo: str, env: VecEnv) -> None:
    """Check that nothing changes what ``VecNormalize`` shows.

    SB3 stores what that saw before it normalised: what is changed later is not in the buffer, or
    lies there in another shape, and one that broadcasts would pass unseen.
    """
    normalized = unwrap_vec_normalize(env)
    if normalized is not None and normalized.observation_space != env.observation_space:
        raise ArgumentError(
            f"normalize with {algo}, whose replay buffer holds what VecNormalize saw, "
            f"{_shape(normalized.observation_space)}, and not the stacked or transposed "
            f"{_shape(env.observation_space)}: leave out normalize or frame_stack"
        )


def _shape(space: gym.Space[Any]) -> str:
    return str(space) if space.shape is None else f"shape {space.shape}"


def _check_goals(env: VecEnv) -> None:
    space = env.observation_space
    known = set(space.spaces) if isinstance(space, spaces.Dict) else set()
    missing = [name for name in GOAL if name not in known]
    if missing or not env.has_attr("compute_reward"):
        lacks = f"no {', '.join(missing)} in {space}" if missing else "no method compute_reward"
        raise ArgumentError(f"HerReplayBuffer needs an environment with goals; this has {lacks}")


def warn_if_nothing_is_learnt(config: RunConfig) -> None:
    """Warn of a budget that ends before the first update."""
    if not ALGORITHMS[config.algo].off_policy:
        return
    starts = _learning_starts(config)
    if starts >= config.timesteps:
        warnings.warn(
            f"learning_starts {starts} is not below the budget of {config.timesteps} steps: "
            "nothing is learnt, and the score is an untrained policy's",
            UserWarning,
            stacklevel=2,
        )


def _learning_starts(config: RunConfig) -> int:
    """The steps that only fill the buffer."""
    default = inspect.signature(algorithm_class(config.algo)).parameters["learning_starts"].default
    return int(config.hyperparameters.get("learning_starts", default))


def replay_buffer_of(model_file: Path) -> Path | None:
    """Where the replay buffer lies that a model was saved with; None if nowhere.

    Args:
        model_file: ``rl_model_<n>_steps.zip``, or a run folder's ``<environment>.zip``.
    """
    name = model_file.name
    if name.startswith("rl_model_"):  # as SB3's CheckpointCallback names both
        name = name.replace("rl_model_", "rl_model_replay_buffer_").replace(".zip", ".pkl")
    else:
        name = FINAL_BUFFER
    buffer = model_file.with_name(name)
    return buffer if buffer.is_file() and model_file.name != "best_model.zip" else None


def check_has_buffer(algo: str) -> None:
    """Check that an algorithm has a replay buffer, which is asked for.

    Raises:
        ArgumentError: it has none.
    """
    if not ALGORITHMS[algo].off_policy:
        able = ", ".join(name for name, each in ALGORITHMS.items() if each.off_policy)
        raise ArgumentError(f"--save-replay-buffer with {algo}: only {able} have one")


def starts_empty(algo: str, model_file: Path) -> bool:
    """Whether a run that goes on from a model has a replay buffer that was not kept with it."""
    return ALGORITHMS[algo].off_policy and replay_buffer_of(model_file) is None


def take_buffer(model: BaseAlgorithm, config: RunConfig, model_file: Path) -> None:
    """Give a model that goes on its replay buffer back (it is unpickled), if it was kept.

    Where it was not, the model fills an empty one for as many steps as at its beginning, or it
    would learn from a handful of transitions again and again.
    """
    if not isinstance(model, OffPolicyAlgorithm):
        return
    stored = replay_buffer_of(model_file)
    if stored is None:
        model.learning_starts = model.num_timesteps + _learning_starts(config)
    else:
        model.load_replay_buffer(stored)
