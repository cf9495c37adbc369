"""``python -m ppo_lab.train``: one run, its folder, and how it goes on."""

import argparse
import ast
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppo_lab  # registers the environments
from ppo_lab.commands.shared import CommandParser, run_command, spent
from ppo_lab.errors import CommandError

if TYPE_CHECKING:
    from ppo_lab.hyperparams.sources import Settings
    from ppo_lab.runs.config import RunConfig
    from ppo_lab.runs.folder_lock import Holder
    from ppo_lab.runs.session import Session

__all__ = ["main"]

PROGRAM = "ppo_lab.train"
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


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f"python -m {PROGRAM}",
        description="Train once, evaluate, and leave a run folder in RL Zoo's layout: "
        "LOGS/ALGO/ENV_1, …. The same command finds its run again: it names a finished one, and "
        "says how to go on with one that was stopped.",
        epilog="--resume unpickles the model's file: only give it one that you trust.",
    )
    add = parser.add_argument
    add("--env", help="Gymnasium's id, or module:id (default: CartPole-v1)")
    add("--algo", help="spec_ppo, or another algorithm of SB3's that compare knows (spec_ppo)")
    add("--timesteps", type=int, metavar="N", help="environment steps (the settings', or 50000)")
    add("--seed", type=int, help="of the algorithm, its environments and its evaluations (0)")
    add("--n-envs", type=int, metavar="N", help="parallel environments (the settings', or 1)")
    add(
        "--conf",
        type=Path,
        metavar="FILE.yml",
        help="settings in RL Zoo's format; its entry "
        "for the environment, or 'default' (those that come with PPO Lab, or SB3's)",
    )
    add("--preset", metavar="NAME", help="named settings of spec_ppo, on top of --conf")
    add(
        "-P",
        "--hyperparams",
        nargs="+",
        metavar="NAME:VALUE",
        help="single ones, on top of all: "
        "numbers, texts, lists, None, and dict(net_arch=[64]) for policy_kwargs; no code is run",
    )
    add("--progress", action="store_true", help="show SB3's progress bar")
    add("--verbose", action="store_true", help="print SB3's table of every rollout")
    add("--tensorboard", metavar="DIR", help="log to TensorBoard in DIR/ALGO/ENV_1, …")
    add("--log-folder", type=Path, default=Path("logs"), metavar="DIR", help="(default: logs)")
    add(
        "--eval-freq",
        type=int,
        metavar="N",
        help="evaluate about every N steps, and at both "
        "ends; 0: at the end only (a tenth of --timesteps)",
    )
    add("--eval-episodes", type=int, metavar="N", help="of each evaluation (20)")
    add(
        "--save-freq",
        type=int,
        metavar="N",
        help="keep a checkpoint every N steps; 0: none "
        "(one every tenth of --timesteps, of which the newest is kept until the run is finished)",
    )
    add(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on from a run folder, or from the "
        "checkpoints of a stopped run; --timesteps is then the total",
    )
    add("--version", action="version", version=ppo_lab.__version__)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line without the program; None: ``sys.argv``.

    Returns:
        The exit code: 0 done, 1 failure, 2 usage, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    return run_command(PROGRAM, partial(_train, options))


def _train(options: argparse.Namespace) -> None:
    _check(options)
    if options.resume is not None:
        _resume(options)
        return
    from ppo_lab.runs.resumable import find_folder

    config = _configuration(options)
    begun = find_folder(config, options.log_folder)
    if begun.finished is not None:
        score = begun.finished.score
        print(f"{begun.folder} is this run, finished: mean return {score:.4g}")
        print(f"python -m ppo_lab.evaluate {begun.folder}")
        return
    if begun.holder is not None:
        raise CommandError(_alive(begun.holder, begun.folder))
    if begun.stopped is not None:
        raise CommandError(_stopped(begun.stopped, "was stopped before"))
    print(f"Training {config.algo} on {config.env}, {config.origin}, into {begun.folder}/")
    _run(_with_scale(config), begun.folder, options, None, {}, {})


def _resume(options: argparse.Namespace) -> None:
    from ppo_lab.errors import ArgumentError
    from ppo_lab.runs.config import environment_folder_name
    from ppo_lab.runs.folder_lock import holder_of
    from ppo_lab.runs.resumable import UNFINISHED, find_folder, newest_model, read_run
    from ppo_lab.runs.saved_model import check_start, trust

    source: Path = options.resume
    fixed = ("env", "algo", "seed", "n_envs", "conf", "preset", "hyperparams", "eval_episodes")
    for name in fixed:
        if getattr(options, name) is not None:
            raise ArgumentError(f"--{name.replace('_', '-')} with --resume: the run has its own")
    if not source.is_dir() and (source.with_name(source.name + UNFINISHED)).is_dir():
        source = source.with_name(source.name + UNFINISHED)
    config, record = read_run(source)
    if record.get("status") == "unfinished":
        start = newest_model(source)
        folder = source.with_name(source.name.removesuffix(UNFINISHED))
        if (holder := holder_of(source)) is not None:
            raise CommandError(_alive(holder, folder))
        steps = 0
        # What it went on from itself, so that a chain of runs stays one.
        origin = {key: record[key] for key in ("resumed_from", "resumed_at") if key in record}
    else:
        start = source / f"{environment_folder_name(config.env)}.zip"
        folder, steps = None, _steps(source, record)
        origin = {"resumed_from": start.as_posix(), "resumed_at": steps}
    if start is None or not start.is_file():
        raise ArgumentError(f"{source} holds no model to go on from")
    check_start(start, config)
    timesteps = options.timesteps or config.timesteps
    if timesteps <= steps:
        raise ArgumentError(
            f"{source} has {steps} steps already: --timesteps {timesteps} must be more"
        )
    config = replace(config, timesteps=timesteps)
    if folder is None:
        config = replace(config, origin=f"going on from {source.as_posix()}")
        begun = find_folder(config, options.log_folder)
        if begun.finished is not None:
            print(f"{begun.folder} is this run, finished: {begun.finished.score:.4g}")
            return
        folder = begun.folder
        record = {}
    print(f"Going on from {start}, into {folder}/")
    print(f"{PROGRAM}: {trust(start)}", file=sys.stderr)
    _run(config, folder, options, start, record, origin)


def _steps(source: Path, record: Mapping[str, Any]) -> int:
    from ppo_lab.errors import ArgumentError

    steps = record.get("steps", 0)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise ArgumentError(f"{source / 'run.json'}: steps must be a whole number, 0 or above")
    return steps


def _run(
    config: "RunConfig",
    folder: Path,
    options: argparse.Namespace,
    start: Path | None,
    record: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> None:
    from ppo_lab.runs.folder_lock import FolderInUseError, folder_lock
    from ppo_lab.runs.leftovers import sweep
    from ppo_lab.runs.resumable import UNFINISHED, newest_model, run_once

    session = replace(_session(options, config, folder, record), start=start, origin=origin)
    save_freq = options.save_freq
    every = max(1, config.timesteps // PARTS) if save_freq is None else save_freq
    began = time.perf_counter()
    aside = folder.with_name(folder.name + UNFINISHED)
    try:
        with folder_lock(aside):
            sweep(folder.parent, deep=False)
            result = run_once(config, folder, session, every, keep_checkpoints=bool(save_freq))
    except FolderInUseError as error:
        raise CommandError(_alive(error.holder, folder)) from None
    except KeyboardInterrupt:
        again = newest_model(aside) is not None
        message = _stopped(aside, "is stopped") if again else "stopped before its first checkpoint"
        raise KeyboardInterrupt(message) from None
    if result.reason is not None:
        raise CommandError(f"the run failed ({folder / 'run.json'}): {result.reason}")
    print(f"Mean return of the final policy: {_with_reference(config, result.score or 0.0)}")
    print(f"Run: {folder} ({spent(began)})")
    print(f"python -m ppo_lab.evaluate {folder}")


def _with_scale(config: "RunConfig") -> "RunConfig":
    """The run with what its score is normalised by, if that is known or can be."""
    from ppo_lab.runs.references import as_record, known_scale

    return replace(config, reference=as_record(known_scale(config.env, config.env_kwargs)))


def _with_reference(config: "RunConfig", score: float) -> str:
    reference = config.reference or {}
    low, high = reference.get("low"), reference.get("high")
    if low is None or high is None:
        return f"{score:.4g}"
    return f"{score:.4g}, normalised {(score - low) / (high - low):.3f}"


def _stopped(aside: Path, how: str) -> str:
    from ppo_lab.runs.resumable import checkpoint_steps, newest_model

    steps = checkpoint_steps(newest_model(aside) or aside)
    return (
        f"this run {how}; 'python -m ppo_lab.train --resume {aside}' goes on from its checkpoint "
        f"at step {steps}; to start anew, remove that folder"
    )


def _alive(holder: "Holder", folder: Path) -> str:
    return (
        f"this run is being trained by {holder}, into {folder}/: wait for it, or stop that process "
        "to go on from its newest checkpoint"
    )


def _session(
    options: argparse.Namespace, config: "RunConfig", folder: Path, record: Mapping[str, Any]
) -> "Session":
    from stable_baselines3.common.callbacks import BaseCallback, ProgressBarCallback

    from ppo_lab.runs.resumable import tensorboard_folder
    from ppo_lab.runs.session import Session

    callbacks: list[BaseCallback] = [ProgressBarCallback()] if options.progress else []
    log = None
    if options.tensorboard is not None:
        log = str(tensorboard_folder(Path(options.tensorboard), config, folder, record))
    return Session(callbacks, log, int(options.verbose))


# ------------------------------------------------------------------ the configuration


def _check(options: argparse.Namespace) -> None:
    """Check what argparse cannot.

    Raises:
        ArgumentError: a number is too small, or nothing can be written to the log folder.
        CommandError: an optional package is missing.
    """
    from ppo_lab.commands.optional_packages import require
    from ppo_lab.errors import ArgumentError
    from ppo_lab.runs.folder import check_writable
    from ppo_lab.runs.leftovers import sweep

    for name, least in (("timesteps", 1), ("n_envs", 1), ("eval_episodes", 1), ("eval_freq", 0),
                        ("save_freq", 0), ("seed", 0)):  # fmt: skip
        value = getattr(options, name)
        if value is not None and value < least:
            raise ArgumentError(f"--{name.replace('_', '-')} {value}: expected at least {least}")
    if options.progress:
        require("tqdm", "--progress")
    if options.tensorboard is not None:
        require("tensorboard", "--tensorboard")
    try:
        check_writable(options.log_folder)
        sweep(options.log_folder, deep=False)
    except OSError as error:
        raise ArgumentError(f"--log-folder {options.log_folder}: {error}") from error


def _configuration(options: argparse.Namespace) -> "RunConfig":
    from ppo_lab.errors import ArgumentError
    from ppo_lab.registry import ALGORITHMS, known_algorithm
    from ppo_lab.runs.config import Evaluation, RunConfig
    from ppo_lab.runs.environments import inspect_environment
    from ppo_lab.runs.execution import check_run

    algo = known_algorithm(options.algo or "spec_ppo")
    if ALGORITHMS[algo].tabular:
        raise ArgumentError(f"--algo {algo} has no network: python -m ppo_lab.compare runs it")
    env_id = options.env or "CartPole-v1"
    policy = inspect_environment(env_id, {}, algo)
    settings = _settings(options, algo, env_id)
    timesteps = options.timesteps or settings.n_timesteps or TIMESTEPS
    seed = options.seed or 0
    config = RunConfig(
        algo=algo,
        env=env_id,
        seed=seed,
        timesteps=timesteps,
        n_envs=options.n_envs or settings.n_envs,
        policy=settings.policy or policy,
        hyperparameters=settings.hyperparameters,
        evaluation=Evaluation(
            options.eval_episodes or 20,
            (EVALUATION_SEEDS + EVALUATION_STRIDE * seed) % LARGEST_SEED,
            _points(timesteps, options.eval_freq),
        ),
        settings=settings.word,
        normalize=settings.normalize,
        origin=settings.origin,
    )
    check_run(config)
    return config


def _points(timesteps: int, eval_freq: int | None) -> int:
    if eval_freq == 0:
        return 1
    return 1 + (PARTS if eval_freq is None else max(1, round(timesteps / eval_freq)))


def _settings(options: argparse.Namespace, algo: str, env_id: str) -> "Settings":
    from ppo_lab.errors import ArgumentError
    from ppo_lab.hyperparams.presets import preset
    from ppo_lab.hyperparams.sources import committed_settings, default_settings, file_settings

    if options.conf is not None:
        found = file_settings(options.conf, env_id)
    else:
        try:
            found = committed_settings(algo, env_id)
        except ArgumentError:
            found = default_settings(algo)
    on_top: list[tuple[str, dict[str, Any]]] = []
    if options.preset is not None:
        if algo != "spec_ppo":
            raise ArgumentError(f"--preset {options.preset}: presets are spec_ppo's, not {algo}'s")
        on_top.append((f"preset {options.preset!r}", preset(options.preset)))
    if options.hyperparams:
        on_top.append(("-P", _hyperparameters(options.hyperparams)))
    for name, given in on_top:
        hyperparameters = {**found.hyperparameters, **given}
        normalize = hyperparameters.pop("normalize", found.normalize)
        found = replace(
            found,
            hyperparameters=hyperparameters,
            normalize=normalize,
            word="given",
            origin=f"{found.origin}; on top: {name}",
        )
    return found


def _hyperparameters(words: Sequence[str]) -> dict[str, Any]:
    """``name:value`` words: Python literals, ``dict(…)`` as RL Zoo writes it, or text.

    Raises:
        ArgumentError: a word has no colon, or no name before it.
    """
    from ppo_lab.errors import ArgumentError

    given: dict[str, Any] = {}
    for word in words:
        name, colon, text = word.partition(":")
        if not colon or not name.isidentifier() or not text:
            raise ArgumentError(f"-P {word!r}: expected name:value, such as learning_rate:0.001")
        try:
            given[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            given[name] = (
                text  # "lin_0.001", "dict(…)": the run's own reader takes them or says why
            )
    return given


if __name__ == "__main__":
    sys.exit(main())
