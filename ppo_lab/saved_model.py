"""A run folder's model and its environments, ours or RL Zoo's, ready to play."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from ppo_lab.algorithms import ALGORITHMS, algorithm_class, closest
from ppo_lab.command import CommandError
from ppo_lab.environments import make_checked, make_copies
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparameters import keyword_text
from ppo_lab.run_config import environment_folder_name
from ppo_lab.space_checks import check_spaces

__all__ = ["CHECKPOINTS", "SavedRun", "find_saved_run", "load_model", "make_environments"]

CHECKPOINTS = ("final", "best")
WRAPPERS = ("env_wrapper", "vec_env_wrapper")


@dataclass(frozen=True)
class SavedRun:
    """What a run folder says of its model.

    Attributes:
        folder: the run folder.
        algo: a name in :data:`ppo_lab.algorithms.ALGORITHMS`.
        env: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.
        frame_stack: frames stacked by ``VecFrameStack``; 0: none.
        model_name: what its files are named after, where ``env`` is not the run's own.
    """

    folder: Path
    algo: str
    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    frame_stack: int = 0
    model_name: str = ""

    @property
    def name(self) -> str:
        """The environment's name in file names."""
        return self.model_name or environment_folder_name(self.env)

    @property
    def statistics(self) -> Path | None:
        """``VecNormalize``'s statistics, if the run had them."""
        file = self.folder / self.name / "vecnormalize.pkl"
        return file if file.is_file() else None


class _ZooLoader(yaml.SafeLoader):
    """YAML's safe types; of Python's own tags, which the zoo writes, only what is plain data."""


def _plain(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        parts = loader.construct_sequence(node, deep=True)
        if suffix == "object/apply:collections.OrderedDict":
            return dict(parts[0])
        return parts if suffix == "tuple" else None
    return None


_ZooLoader.add_multi_constructor("tag:yaml.org,2002:python/", _plain)


def find_saved_run(folder: Path) -> SavedRun:
    """Read what a run folder of ours or of the zoo's says of its model; nothing is executed.

    Args:
        folder: ``logs/<algorithm>/<environment>_<number>``.

    Raises:
        ArgumentError: it is no run folder, or needs what only the zoo does.
    """
    if not folder.is_dir():
        raise ArgumentError(f"{folder} is no run: there is no such folder")
    found = sorted(folder.glob("*/args.yml"))
    if len(found) != 1:
        raise ArgumentError(
            f"{folder} is no run: expected one <environment>/args.yml in it, found {len(found)}"
        )
    arguments = _mapping(found[0])
    config = _mapping(found[0].with_name("config.yml"))
    algo, env = arguments.get("algo"), arguments.get("env")
    if not isinstance(algo, str) or not isinstance(env, str):
        raise ArgumentError(f"{found[0]} names no algo and env")
    if algo not in ALGORITHMS or ALGORITHMS[algo].tabular:
        able = [name for name, known in ALGORITHMS.items() if not known.tabular]
        raise ArgumentError(
            f"{folder} is a run of {algo!r}, which cannot be played here; closest: "
            f"{closest(algo, able)}"
        )
    wrapped = [name for name in WRAPPERS if config.get(name) is not None]
    if wrapped:
        raise ArgumentError(
            f"{folder} has {', '.join(wrapped)}: python -m ppo_lab.zoo enjoy plays it"
        )
    kwargs = arguments.get("env_kwargs") or config.get("env_kwargs") or {}
    if isinstance(kwargs, str):
        kwargs = keyword_text("env_kwargs", kwargs)
    return SavedRun(folder, algo, env, kwargs, int(config.get("frame_stack") or 0))


def _mapping(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_ZooLoader)  # a safe loader
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ArgumentError(f"{file} cannot be read: {type(error).__name__}: {reason}") from error
    if not isinstance(content, dict):
        raise ArgumentError(f"{file} holds no mapping")
    return content


def make_environments(
    run: SavedRun,
    n_envs: int,
    seed: int,
    render_mode: str | None = None,
    video_folder: Path | None = None,
) -> VecEnv:
    """The run's environments, normalised and stacked as in its training, with true rewards.

    Args:
        run: the run.
        n_envs: how many.
        seed: of the first one; the others follow.
        render_mode: Gymnasium's.
        video_folder: record the first episode of each there.

    Raises:
        ArgumentError: no such environment, or it cannot be made so.
        CommandError: the stored statistics cannot be read or do not fit.
    """
    kwargs = dict(run.env_kwargs) | ({"render_mode": render_mode} if render_mode else {})

    def make() -> gym.Env[Any, Any]:
        env = make_checked(run.env, kwargs)
        if video_folder is None:
            return env
        try:
            return gym.wrappers.RecordVideo(
                env,
                str(video_folder),
                episode_trigger=lambda episode: episode == 0,
                disable_logger=True,
            )
        except BaseException:
            env.close()
            raise

    env = make_copies(make, n_envs, seed)
    try:
        check_spaces(env.observation_space, env.action_space)
        return _as_in_training(run, env)
    except BaseException:
        env.close()
        raise


def _as_in_training(run: SavedRun, env: VecEnv) -> VecEnv:
    if run.statistics is not None:
        try:
            normalized = VecNormalize.load(str(run.statistics), env)
        except Exception as error:
            raise CommandError(_unusable(run.statistics, "VecNormalize", error)) from error
        normalized.training = normalized.norm_reward = False
        env = normalized
    return VecFrameStack(env, run.frame_stack) if run.frame_stack else env


def load_model(run: SavedRun, env: VecEnv, checkpoint: str) -> BaseAlgorithm:
    """Load a run's model to play, which unpickles its file: only do it to one that you trust.

    Args:
        run: the run.
        env: its environments.
        checkpoint: ``final`` or ``best``.

    Raises:
        ArgumentError: the run has no such model.
        CommandError: the file is damaged, another algorithm's, or does not match ``env``.
    """
    file = run.folder / ("best_model.zip" if checkpoint == "best" else f"{run.name}.zip")
    if not file.is_file():
        raise ArgumentError(f"{run.folder} holds no {checkpoint} model, {file.name}")
    _check_kind(file, run.algo)
    # Not needed to play, and the zoo's schedules cannot be unpickled where the zoo is missing.
    unused: dict[str, Any] = {"learning_rate": 0.0, "lr_schedule": _zero, "clip_range": _zero}
    try:
        model = algorithm_class(run.algo).load(
            file, env=env, device="cpu", custom_objects=unused, tensorboard_log=None
        )
    except Exception as error:
        if "spaces do not match" in str(error):
            raise CommandError(
                f"{file} was trained on other spaces than {run.env!r} has: "
                f"{' '.join(str(error).split())}"
            ) from error
        raise CommandError(_unusable(file, repr(run.algo), error)) from error
    return model


TELLING = {
    "n_epochs": ("spec_ppo", "ppo", "ppo_lstm", "ppo_mask"),
    "cg_max_steps": ("trpo",),
    "exploration_fraction": ("dqn",),
}
"""What only these algorithms' models hold; SB3 loads another's without a word, as A2C's for PPO."""


def _check_kind(file: Path, algo: str) -> None:
    """Check whose model a file holds by the names in it, before anything is unpickled.

    Raises:
        CommandError: it is damaged or another algorithm's.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = json.loads(archive.read("data")).keys()
    except Exception as error:
        raise CommandError(_unusable(file, repr(algo), error)) from error
    for name, owners in TELLING.items():
        if (name in names) != (algo in owners):
            has = "has" if name in names else "lacks"
            raise CommandError(f"{file} is damaged or no model of {algo!r}: it {has} {name!r}")


def _zero(_progress_remaining: float) -> float:
    return 0.0


def _unusable(file: Path, what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"{file} is damaged or no model of {what}: {type(error).__name__}: {reason}"
