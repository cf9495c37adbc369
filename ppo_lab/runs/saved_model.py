"""A run folder's model and its environments, ours or RL Zoo's, ready to play."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab.environment_classes import environment_file
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.hyperparams.environment_words import take_environment
from ppo_lab.hyperparams.numbers import whole_number
from ppo_lab.hyperparams.reading import keyword_text
from ppo_lab.model_files import kind_of_model, model_entries
from ppo_lab.ppo.space_checks import check_spaces
from ppo_lab.registry import ALGORITHMS, algorithm_class, asks_for_masks, closest
from ppo_lab.runs.config import RunConfig, environment_folder_name
from ppo_lab.runs.game_video import GameRecorder
from ppo_lab.runs.games import is_game
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.resumable import newest_model
from ppo_lab.runs.session import statistics_of
from ppo_lab.vec_env.making import make_checked
from reports.logs.reading import read_yaml
from reports.logs.records import UnusableError

__all__ = [
    "SavedRun",
    "check_kind",
    "check_start",
    "find_saved_run",
    "load_model",
    "lone_model",
    "make_environments",
    "trust",
    "zero_rate",
]


@dataclass(frozen=True)
class SavedRun:
    """What a run folder says of its model.

    Attributes:
        folder: the run folder.
        algo: a name in :data:`ppo_lab.registry.ALGORITHMS`.
        env: Gymnasium's id.
        env_kwargs: for ``gymnasium.make`` in evaluation.
        environment: the zoo's other keywords for environments, by the names of
            :class:`~ppo_lab.runs.recipe.EnvironmentRecipe`'s fields.
        packages: what their names may be imported from.
        model_name: what its files are named after, where ``env`` is not the run's own.
        normalized: whether its observations or rewards were, by ``VecNormalize``.
        policy: SB3's policy name; empty where it is not stated.
        hyperparameters: the algorithm's keyword arguments, plain values.
        env_place: where the file lay that its environment is written in; empty: in none.
        env_sha256: of that file.
    """

    folder: Path
    algo: str
    env: str
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    packages: Sequence[str] = ()
    model_name: str = ""
    normalized: bool = False
    policy: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    env_place: str = ""
    env_sha256: str = ""

    @property
    def recipe(self) -> EnvironmentRecipe:
        """How its environments are made, but for ``VecNormalize`` and its statistics."""
        return EnvironmentRecipe(
            self.env, self.env_kwargs, packages=self.packages, **self.environment
        )

    @property
    def masks(self) -> bool:
        """Whether it acts under the masks of its environments (Spec 13)."""
        return asks_for_masks(self.algo, self.hyperparameters)

    @property
    def name(self) -> str:
        """The environment's name in file names."""
        return self.model_name or environment_folder_name(self.env)

    def model_file(self, checkpoint: str) -> Path:
        """The file of a model.

        Args:
            checkpoint: ``final``, ``best``, ``last``: the checkpoint of the most steps, a
                checkpoint's steps, or a model's file by its name.

        Raises:
            ArgumentError: the run has no such model; names those that it has.
        """
        file = self.folder / self._file_name(checkpoint)
        if not file.is_file():
            others = ", ".join(sorted(each.name for each in self.folder.glob("*.zip")))
            has = f"; it has {others}" if others else ""
            raise ArgumentError(f"{self.folder} holds no {checkpoint} model, {file.name}{has}")
        return file

    def _file_name(self, checkpoint: str) -> str:
        if checkpoint == "last":
            newest = newest_model(self.folder)
            return "rl_model_<steps>_steps.zip" if newest is None else newest.name
        names = {"final": f"{self.name}.zip", "best": "best_model.zip"}
        if checkpoint in names or checkpoint.endswith(".zip"):
            return names.get(checkpoint, checkpoint)
        try:
            return f"rl_model_{whole_number(checkpoint)}_steps.zip"
        except ValueError:
            raise ArgumentError(
                f"--checkpoint {checkpoint}: expected final, best, last, or a checkpoint's steps"
            ) from None

    def statistics(self, checkpoint: str) -> tuple[Path | None, bool]:
        """``VecNormalize``'s statistics for a model.

        Args:
            checkpoint: as of :meth:`model_file`.

        Returns:
            Their file, None where the run is not normalised; and whether they are those that the
            model was saved with. RL Zoo keeps those of the end of training alone, as runs of ours
            once did.

        Raises:
            ArgumentError: the run was normalised and there are none, or no such model.
        """
        model = self.model_file(checkpoint)
        last = statistics_of(self.folder / f"{self.name}.zip")
        statistics = statistics_of(model) or last
        if statistics is None and self.normalized:
            raise ArgumentError(
                f"{self.folder} was trained on normalised observations or rewards, and its "
                f"statistics, {self.name}/vecnormalize.pkl, are missing: without them its policy "
                "is another one"
            )
        is_final = model == self.folder / f"{self.name}.zip"
        return statistics, is_final or statistics is None or statistics != last


def trust(file: Path) -> str:
    """What is said where a file is about to be unpickled."""
    return f"{file} is unpickled, which can run any code: only from a source that you trust"


def find_saved_run(folder: Path) -> SavedRun:
    """Read what a run folder of ours or of the zoo's says of its model; nothing is executed.

    Args:
        folder: ``logs/<algorithm>/<environment>_<number>``.

    Raises:
        ArgumentError: it is no run folder, or needs what only the zoo does.
    """
    if not folder.is_dir():
        raise ArgumentError(f"{folder} is no run: there is no such folder")
    files = sorted(folder.glob("*/args.yml"))
    if len(files) != 1:
        raise ArgumentError(
            f"{folder} is no run: expected one <environment>/args.yml in it, found {len(files)}"
        )
    file = files[0]
    arguments, config = _mapping(file), _mapping(file.with_name("config.yml"))
    algo, env = arguments.get("algo"), arguments.get("env")
    if not isinstance(algo, str) or not isinstance(env, str):
        raise ArgumentError(f"{file} names no algo and env")
    if algo not in ALGORITHMS or ALGORITHMS[algo].tabular:
        able = [name for name, known in ALGORITHMS.items() if not known.tabular]
        raise ArgumentError(
            f"{folder} is a run of {algo!r}, which cannot be played here; closest: "
            f"{closest(algo, able)}"
        )
    return _saved_run(folder, algo, env, arguments, config, file)


def lone_model(file: Path, env: str, algo: str | None) -> SavedRun:
    """A model's file that lies in no run folder, as SB3's ``save`` leaves it.

    Args:
        file: of the model.
        env: the environment to play it in.
        algo: whose model it is; None: as its entries say.

    Raises:
        ArgumentError: they do not say.
        CommandError: it is damaged, or another algorithm's.
    """
    entries = model_entries(file)
    if algo is None:
        kind = kind_of_model(entries)
        named = [name for name, known in ALGORITHMS.items() if known.name == kind]
        if not named:
            raise ArgumentError(f"{file} does not say whose model it is: --algo NAME says so")
        algo = named[0]
    masks = ALGORITHMS[algo].mask_argument
    own = {masks: True} if masks and entries.get(masks) is True else {}
    return SavedRun(file.parent, algo, env, model_name=file.stem, hyperparameters=own)


def _saved_run(
    folder: Path,
    algo: str,
    env: str,
    arguments: Mapping[str, Any],
    config: Mapping[str, Any],
    file: Path,
) -> SavedRun:
    settings = dict(config)
    environment = take_environment(settings, str(file.parent))
    for unused in ("env_kwargs", "eval_env_kwargs", "callback", "vec_env"):
        environment.pop(unused, None)
    given = [arguments.get("eval_env_kwargs"), arguments.get("env_kwargs")]
    given += [config.get("eval_env_kwargs"), config.get("env_kwargs"), {}]
    kwargs = next(each for each in given if each is not None and (each or each == {}))
    if isinstance(kwargs, str):
        kwargs = keyword_text("env_kwargs", kwargs)
    if not isinstance(kwargs, Mapping):
        raise ArgumentError(f"{file}: env_kwargs must be a mapping")
    packages = arguments.get("env_packages") or ()
    place, digest = (str(arguments.get(name) or "") for name in ("env_file", "env_sha256"))
    here, there = environment_file(env), environment_file(f"{place}:")
    name = environment_folder_name(env)
    if here is not None and there is not None and not here.is_file() and there.is_file():
        env = f"{place}:{env.rpartition(':')[2]}"
    return SavedRun(
        folder,
        algo,
        env,
        dict(kwargs),
        environment,
        packages if isinstance(packages, list) else (),
        name,
        normalized=bool(config.get("normalize")),
        policy=str(config.get("policy", "")),
        hyperparameters=config,
        env_place=place,
        env_sha256=digest,
    )


def _mapping(file: Path) -> Mapping[str, Any]:
    try:
        return read_yaml(file)
    except UnusableError as error:
        raise ArgumentError(f"{file} cannot be read: {error}") from error


def make_environments(
    run: SavedRun,
    n_envs: int,
    seed: int,
    statistics: Path | None,
    render_mode: str | None = None,
    video_folder: Path | None = None,
) -> VecEnv:
    """The run's environments, normalised and stacked as in its training, with true rewards.

    Args:
        run: the run.
        n_envs: how many.
        seed: of the first one; the others follow.
        statistics: of ``VecNormalize``, which are unpickled; None for a run without.
        render_mode: Gymnasium's.
        video_folder: record the first episode of each there.

    Raises:
        ArgumentError: no such environment, or it cannot be made so.
        CommandError: the stored statistics cannot be read or do not fit.
    """
    kwargs = dict(run.env_kwargs) | ({"render_mode": render_mode} if render_mode else {})
    normalized = None if statistics is None else partial(_normalized, statistics)
    if is_game(run.env):
        recipe = replace(run.recipe, env_kwargs=kwargs)
        env = recipe.make(n_envs, seed, training=False, normalized=normalized)
        return env if video_folder is None else GameRecorder(env, video_folder)

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

    env = run.recipe.make(n_envs, seed, make_one=make, normalized=normalized)
    try:
        check_spaces(env.observation_space, env.action_space)
    except BaseException:
        env.close()
        raise
    return env


def _normalized(statistics: Path, env: VecEnv) -> VecEnv:
    try:
        normalized = VecNormalize.load(str(statistics), env)
    except Exception as error:
        raise CommandError(_unusable(statistics, "VecNormalize", error)) from error
    normalized.training = normalized.norm_reward = False
    return normalized


def load_model(run: SavedRun, env: VecEnv, file: Path, device: str = "cpu") -> BaseAlgorithm:
    """Load a run's model to play, which unpickles its file: only do it to one that you trust.

    Args:
        run: the run.
        env: its environments.
        file: of the model.
        device: SB3's.

    Raises:
        CommandError: the file is damaged, another algorithm's, or does not match ``env``.
    """
    check_kind(file, run.algo)
    # Not needed to play, and the zoo's schedules cannot be unpickled where the zoo is missing.
    unused: dict[str, Any] = {
        "learning_rate": 0.0,
        "lr_schedule": zero_rate,
        "clip_range": zero_rate,
    }
    if ALGORITHMS[run.algo].off_policy:  # nothing is stored in it
        unused |= {"buffer_size": 1, "optimize_memory_usage": False}
    try:
        model = algorithm_class(run.algo).load(
            file, env=env, device=device, custom_objects=unused, tensorboard_log=None
        )
    except Exception as error:
        if "spaces do not match" in str(error):
            raise CommandError(
                f"{file} was trained on other spaces than {run.env!r} has: "
                f"{' '.join(str(error).split())}"
            ) from error
        raise CommandError(_unusable(file, repr(run.algo), error)) from error
    return model


def check_kind(file: Path, algo: str) -> Mapping[str, Any]:
    """Check whose model a file holds by the names in it, before anything is unpickled.

    Returns:
        Its entries, as :func:`ppo_lab.model_files.model_entries` gives them.

    Raises:
        CommandError: it is damaged or another algorithm's.
    """
    try:
        entries = model_entries(file)
    except (ArgumentError, OSError) as error:
        raise CommandError(_unusable(file, repr(algo), error)) from error
    kind, wanted = kind_of_model(entries), ALGORITHMS[algo].name
    # A model of its kin with a policy of a user's own says no more of itself.
    if entries and kind != wanted and algo not in KIN.get(kind, ()):
        other = f"of {kind}" if kind else "of no algorithm that is known here"
        raise CommandError(f"{file} is damaged or no model of {algo!r}: it is {other}")
    return entries


KIN = {
    "PPO": ("spec_ppo", "ppo_lstm", "ppo_mask"),
    "DQN": ("qrdqn",),
    "SAC": ("crossq",),
    "TD3 or DDPG": ("td3", "ddpg"),
}
"""What a model's file may say that it is → whose it may be all the same."""


def check_start(file: Path, config: RunConfig) -> None:
    """Check what a run is to go on from, before anything is unpickled or written.

    Args:
        file: the model's.
        config: the run.

    Raises:
        ArgumentError: the algorithm is unknown or has no model, or the statistics are missing.
        CommandError: the file is damaged or another algorithm's.
    """
    algorithm_class(config.algo)
    check_kind(file, config.algo)
    if config.normalize and statistics_of(file) is None:
        raise ArgumentError(
            f"{file}: its VecNormalize statistics are missing, and without them its policy is "
            "another one"
        )


def zero_rate(_progress_remaining: float) -> float:
    """A learning rate of 0, for a model that is only played."""
    return 0.0


def _unusable(file: Path, what: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"{file} is damaged or no model of {what}: {type(error).__name__}: {reason}"
