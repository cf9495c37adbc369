"""``ppo_lab.train`` as functions of its options: which run it is, how it begins or goes on."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from ppo_lab.commands.environment_flags import (
    check_mask_flag,
    packages_of,
    with_environment_flags,
    with_mask_flag,
)
from ppo_lab.commands.optional_packages import require
from ppo_lab.commands.options import TrainOptions
from ppo_lab.commands.tracking import tracked
from ppo_lab.commands.training_bar import TrainingBar
from ppo_lab.environment_classes import check_unchanged, file_digest, plain_id
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.hyperparams.environment_words import is_atari, is_minigrid
from ppo_lab.hyperparams.presets import preset
from ppo_lab.hyperparams.reading import words_as_hyperparameters
from ppo_lab.hyperparams.sources import (
    OURS,
    TrainingSettings,
    committed_settings,
    default_settings,
    file_settings,
    with_given,
    within_rollout,
)
from ppo_lab.registry import ALGORITHMS, asks_for_masks, known_algorithm
from ppo_lab.runs.config import Evaluation, RunConfig, environment_folder_name
from ppo_lab.runs.device import check_device
from ppo_lab.runs.execution import check_run
from ppo_lab.runs.folder import check_writable
from ppo_lab.runs.folder_lock import FolderInUseError, Holder, folder_lock, holder_of
from ppo_lab.runs.leftovers import sweep
from ppo_lab.runs.made_by import note_command, noted_commands
from ppo_lab.runs.named_code import import_packages
from ppo_lab.runs.off_policy import check_has_buffer
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.references import as_record, known_scale
from ppo_lab.runs.resumable import (
    UNFINISHED,
    checkpoint_steps,
    find_folder,
    newest_model,
    read_run,
    run_once,
    tensorboard_folder,
    unfinished_folder,
)
from ppo_lab.runs.saved_model import check_start
from ppo_lab.runs.sb3_training import evaluation_recipe
from ppo_lab.runs.session import Session
from reports.logs.records import Command

__all__ = [
    "FinishedRun",
    "PlannedRun",
    "configuration",
    "plan_run",
    "train_planned",
    "with_scale",
]

TIMESTEPS = 50_000
"""Where neither a flag nor the settings give a budget."""
PARTS = 10
"""Evaluations and checkpoints over a run, where no flag says how often."""
EVALUATION_SEEDS = 1_000_000
"""The evaluation environments of seed 0 have the seeds from here on."""
EVALUATION_STRIDE = 100
"""From one run's evaluation seed to the next one's: its (at most 50) environments take those that
follow, and no two runs share an episode."""
LARGEST_SEED = 2**32 - EVALUATION_STRIDE
"""Seeds fit 32 bits."""
FIXED = (
    *("env", "algo", "seed", "n_envs", "conf", "preset", "hyperparams", "eval_episodes"),
    *("env_kwargs", "eval_env_kwargs", "wrapper", "frame_stack", "normalize", "mask_actions"),
)
"""Options that a run which goes on has already."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that needs no training: what is said of it."""

    in_words: str


@dataclass(frozen=True)
class PlannedRun:
    """A run that can begin, or go on.

    Attributes:
        config: the run.
        folder: where its run folder goes.
        start: the model that it goes on from; None: from scratch.
        record: ``run.json`` of the stopped run that goes on; empty for another run.
        origin: what ``run.json`` says of where the run goes on from; empty: ``start``.
    """

    config: RunConfig
    folder: Path
    start: Path | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)

    def score_in_words(self, score: float) -> str:
        """A score, and normalised where the run's reference scores are known."""
        reference = self.config.reference or {}
        low, high = reference.get("low"), reference.get("high")
        if low is None or high is None:
            return f"{score:.4g}"
        return f"{score:.4g}, normalised {(score - low) / (high - low):.3f}"


def plan_run(options: TrainOptions) -> PlannedRun | FinishedRun:
    """Find out what the command is to do; nothing is trained, and no model is opened.

    Raises:
        ArgumentError: the options cannot work, alone or together.
        CommandError: the run is under way or was stopped, a package is missing, or a model damaged.
    """
    _check(options)
    if options.resume is not None:
        return _plan_resumed(options, options.resume)
    config = configuration(options)
    begun = find_folder(config, options.log_folder)
    if begun.finished is not None:
        return FinishedRun(
            f"{begun.folder} is this run, finished: mean return {begun.finished.score:.4g}\n"
            f"python -m ppo_lab.evaluate {begun.folder}"
        )
    if begun.holder is not None:
        raise CommandError(_alive(begun.holder, begun.folder))
    if begun.stopped is not None:
        raise CommandError(_stopped(begun.stopped, "was stopped before"))
    return PlannedRun(config, begun.folder)


def _plan_resumed(options: TrainOptions, source: Path) -> PlannedRun | FinishedRun:
    for name in FIXED:
        if getattr(options, name) is not None:
            raise ArgumentError(f"--{name.replace('_', '-')} with --resume: the run has its own")
    if not source.is_dir() and unfinished_folder(source).is_dir():
        source = unfinished_folder(source)
    config, record = read_run(source)
    if options.vec_env not in (None, config.vec_env):
        raise ArgumentError(f"--vec-env {options.vec_env} with --resume: the run has its own")
    if options.save_replay_buffer:
        check_has_buffer(config.algo)
    if options.device != "auto":  # another machine may have no GPU
        config = replace(config, asked_device=options.device)
    check_unchanged(config.env, config.env_sha256, str(record.get("env_file", "")))
    if record.get("status") == "unfinished":
        return _plan_stopped(options, source, config, record)
    start = source / f"{environment_folder_name(config.env)}.zip"
    steps = _steps(source, record)
    config = _going_on(options, config, source, start, steps)
    config = replace(config, origin=f"going on from {source.as_posix()}")
    begun = find_folder(config, options.log_folder)
    if begun.finished is not None:
        return FinishedRun(f"{begun.folder} is this run, finished: {begun.finished.score:.4g}")
    origin = {"resumed_from": start.as_posix(), "resumed_at": steps}
    return PlannedRun(config, begun.folder, start, {}, origin)


def _plan_stopped(
    options: TrainOptions, source: Path, config: RunConfig, record: Mapping[str, Any]
) -> PlannedRun:
    """The same run, from its newest checkpoint."""
    start = newest_model(source)
    folder = source.with_name(source.name.removesuffix(UNFINISHED))
    if (holder := holder_of(source)) is not None:
        raise CommandError(_alive(holder, folder))
    config = _going_on(options, config, source, start, 0)
    # What it went on from itself, so that a chain of runs stays one.
    origin = {key: record[key] for key in ("resumed_from", "resumed_at") if key in record}
    return PlannedRun(config, folder, start, record, origin)


def _going_on(
    options: TrainOptions, config: RunConfig, source: Path, start: Path | None, steps: int
) -> RunConfig:
    """The run with its new budget, checked that it can go on from a model of so many steps."""
    if start is None or not start.is_file():
        raise ArgumentError(f"{source} holds no model to go on from")
    check_start(start, config)
    check_device(config.asked_device)
    timesteps = options.timesteps or config.timesteps
    if timesteps <= steps:
        raise ArgumentError(
            f"{source} has {steps} steps already: --timesteps {timesteps} must be more"
        )
    return replace(config, timesteps=timesteps)


def _steps(source: Path, record: Mapping[str, Any]) -> int:
    steps = record.get("steps", 0)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise ArgumentError(f"{source / 'run.json'}: steps must be a whole number, 0 or above")
    return steps


def with_scale(run: PlannedRun) -> PlannedRun:
    """The run with what its score is normalised by, if that is known or can be measured."""
    config = run.config
    wrapper = evaluation_recipe(config).wrapper()
    scale = known_scale(config.env, config.evaluation_kwargs, print, wrapper)
    return replace(run, config=replace(config, reference=as_record(scale)))


def train_planned(
    run: PlannedRun, options: TrainOptions, console: Console, command: Command
) -> float:
    """Train, and leave the run folder.

    Args:
        run: what to train.
        options: the command's.
        console: where its progress is shown.
        command: as given, noted beside the run; beside a stopped run's, which came first.

    Returns:
        The score of the final policy.

    Raises:
        CommandError: the run failed, or another process has begun it meanwhile.
        KeyboardInterrupt: the user has stopped it; says how it goes on.
    """
    shown = console.is_terminal if options.progress is None else options.progress
    bar = TrainingBar(console, run.config.timesteps) if shown else None
    save_freq = options.save_freq
    every = max(1, run.config.timesteps // PARTS) if save_freq is None else save_freq
    aside = unfinished_folder(run.folder)
    try:
        with folder_lock(aside), tracked(options, run.config, run.folder.name) as writers:
            sweep(run.folder.parent, deep=False)
            earlier = noted_commands(aside) if run.record else ()
            note_command(aside, command, earlier)
            session = _session(run, options, [] if bar is None else [bar], writers)
            result = run_once(
                run.config, run.folder, session, every, keep_checkpoints=bool(save_freq)
            )
            if result.reason is not None:
                raise CommandError(f"the run failed ({run.folder / 'run.json'}): {result.reason}")
            note_command(run.folder, command, earlier)
    except FolderInUseError as error:
        raise CommandError(_alive(error.holder, run.folder)) from None
    except KeyboardInterrupt:
        again = newest_model(aside) is not None
        message = _stopped(aside, "is stopped") if again else "stopped before its first checkpoint"
        raise KeyboardInterrupt(message) from None
    finally:
        if bar is not None:
            bar.close()
    return result.score or 0.0


def _stopped(aside: Path, how: str) -> str:
    steps = checkpoint_steps(newest_model(aside) or aside)
    return (
        f"this run {how}; 'python -m ppo_lab.train --resume {aside}' goes on from its checkpoint "
        f"at step {steps}; to start anew, remove that folder"
    )


def _alive(holder: Holder, folder: Path) -> str:
    return (
        f"this run is being trained by {holder}, into {folder}/: wait for it, or stop that process "
        "to go on from its newest checkpoint"
    )


def _session(
    run: PlannedRun,
    options: TrainOptions,
    callbacks: Sequence[BaseCallback],
    writers: Sequence[KVWriter],
) -> Session:
    log = None
    if options.tensorboard is not None:
        log = str(tensorboard_folder(options.tensorboard, run.config, run.folder, run.record))
    return Session(
        callbacks=callbacks,
        tensorboard_log=log,
        writers=writers,
        verbose=options.verbose,
        start=run.start,
        origin=run.origin,
        keep_replay_buffer=options.save_replay_buffer,
    )


# ------------------------------------------------------------------ the configuration


def _check(options: TrainOptions) -> None:
    """Check that what the options need is there.

    Raises:
        ArgumentError: nothing can be written to the log folder.
        CommandError: an optional package is missing.
    """
    if options.track:
        require("wandb", "--track")
    if options.tensorboard is not None:
        require("tensorboard", "--tensorboard")
    if options.save_replay_buffer and options.resume is None:
        check_has_buffer(known_algorithm(options.algo or "spec_ppo"))
    try:
        check_device(options.device)
        check_writable(options.log_folder)
        sweep(options.log_folder, deep=False)
    except OSError as error:
        raise ArgumentError(f"--log-folder {options.log_folder}: {error}") from error


def configuration(options: TrainOptions) -> RunConfig:
    """The run that the options describe, checked that it can be built.

    Raises:
        ArgumentError: the algorithm does not fit the environment, or the settings are wrong.
    """
    algo = known_algorithm(options.algo or "spec_ppo")
    if ALGORITHMS[algo].tabular:
        raise ArgumentError(f"--algo {algo} has no network: python -m ppo_lab.compare runs it")
    env_id = plain_id(options.env or "CartPole-v1")
    import_packages(options.env_packages, env_id)
    check_mask_flag(options, [algo])
    settings = with_environment_flags(_settings(options, algo, env_id), options)
    settings = with_mask_flag(settings, algo, options)
    packages = packages_of(options)
    recipe = EnvironmentRecipe.of_settings(env_id, settings, packages)
    masked = asks_for_masks(algo, settings.hyperparameters)
    policy = recipe.fitting_policy(algo, settings.policy, masked)
    timesteps = options.timesteps or settings.n_timesteps or TIMESTEPS
    seed = options.seed or 0
    config = RunConfig(
        algo=algo,
        env=env_id,
        seed=seed,
        timesteps=timesteps,
        n_envs=settings.n_envs,
        policy=policy,
        hyperparameters=settings.hyperparameters,
        evaluation=Evaluation(
            options.eval_episodes or 20,
            (EVALUATION_SEEDS + EVALUATION_STRIDE * seed) % LARGEST_SEED,
            _points(timesteps, options.eval_freq),
            deterministic=not (is_atari(env_id) or is_minigrid(env_id)),
        ),
        settings=settings.word,
        normalize=settings.normalize,
        origin=settings.origin,
        env_packages=packages,
        asked_device=options.device,
        env_sha256=file_digest(env_id),
        **settings.environment,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_run(config)
    for said in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        print(f"! {said}")
    return config


def _points(timesteps: int, eval_freq: int | None) -> int:
    if eval_freq == 0:
        return 1
    return 1 + (PARTS if eval_freq is None else max(1, round(timesteps / eval_freq)))


def _settings(options: TrainOptions, algo: str, env_id: str) -> TrainingSettings:
    if options.conf is not None:
        settings = file_settings(options.conf, env_id)
    else:
        try:
            settings = committed_settings(algo, env_id)
        except ArgumentError:
            settings = default_settings(algo)
    if options.n_envs is not None:
        settings = replace(settings, n_envs=options.n_envs)
    if algo == OURS:
        settings = within_rollout(settings)
    if (name := options.preset) is not None:
        if algo != OURS:
            raise ArgumentError(f"--preset {name}: presets are spec_ppo's, not {algo}'s")
        settings = settings.overlaid(preset(name), "given", f"on top: preset {name!r}")
    if options.hyperparams:
        given = words_as_hyperparameters(options.hyperparams)
        settings = with_given(settings, algo, given)
    return settings
