"""``python -m ppo_lab.evaluate``: score a run's saved model with an interval, or show it."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppo_lab  # registers the environments
from ppo_lab.command import CommandError, CommandParser, run_command

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv

    from ppo_lab.saved_model import SavedRun

__all__ = ["main", "mean_interval"]

PROGRAM = "ppo_lab.evaluate"
MAX_ENVS = 50
DRAWS = 10_000
"""Bootstrap samples behind an interval."""


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f"python -m {PROGRAM}",
        description="Play a saved model of a run folder, of ppo_lab's or of RL Zoo's, and print "
        "its mean return with a 95 % bootstrap interval over the episodes.",
        epilog="The model's file and its VecNormalize statistics are unpickled, which can run any "
        "code: only evaluate files that you trust.",
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="run folder, such as logs/spec_ppo/CartPole-v1_1")
    add("--episodes", type=int, default=100, metavar="N", help="(default: 100)")
    add("--seed", type=int, default=0, help="of the environments and of sampled actions (0)")
    add("--checkpoint", choices=("final", "best"), default="final", help="which model (final)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--deterministic", action="store_true", help="the likeliest actions (default)")
    how.add_argument("--stochastic", action="store_true", help="actions drawn from the policy")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--render", action="store_true", help="show the episodes in a window")
    shown.add_argument("--video", type=Path, metavar="FILE.mp4|DIR", help="record one episode")
    add("--env", metavar="ID", help="another environment than the run's, of the same spaces")
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
    return run_command(PROGRAM, partial(_evaluate, options))


def _evaluate(options: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch as th

    from ppo_lab.errors import ArgumentError
    from ppo_lab.saved_model import find_saved_run

    if options.episodes < 1:
        raise ArgumentError(f"--episodes {options.episodes}: expected at least 1")
    if options.seed < 0:
        raise ArgumentError(f"--seed {options.seed}: expected at least 0")
    run = find_saved_run(options.run)
    if options.env is not None:
        if run.statistics is not None:
            raise ArgumentError(f"--env {options.env}: {options.run} is normalised for {run.env}")
        run = replace(run, env=options.env, env_kwargs={}, model_name=run.name)
    if options.render:
        _check_screen()
    th.set_num_threads(1)
    with _faults_in_one_line(run.env):
        if options.video is not None:
            print(f"Video: {_record(run, options)}")
        returns, lengths, successes = _play(run, options)
    _print(run, options, returns, lengths, successes)


@contextmanager
def _faults_in_one_line(env: str) -> Iterator[None]:
    """What an environment raises while it is played is the command's one line.

    Raises:
        CommandError: says what was raised; Python's -X dev shows where.
    """
    from ppo_lab.errors import ArgumentError, NonFiniteError
    from ppo_lab.interruption import by_user, one_line

    try:
        yield
    except (ArgumentError, CommandError, NonFiniteError, OSError):
        raise
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        if sys.flags.dev_mode and isinstance(error, Exception):
            raise
        raise CommandError(f"playing {env} failed: {one_line(error)}") from error


def _play(
    run: "SavedRun", options: argparse.Namespace
) -> tuple[list[float], list[int], list[bool]]:
    from ppo_lab.saved_model import load_model, make_environments

    n_envs = 1 if options.render else min(MAX_ENVS, options.episodes)
    env = make_environments(run, n_envs, options.seed, "human" if options.render else None)
    try:
        model = load_model(run, env, options.checkpoint)
        return _episodes(run, model, env, options, options.episodes)
    finally:
        env.close()


def _episodes(
    run: "SavedRun",
    model: "BaseAlgorithm",
    env: "VecEnv",
    options: argparse.Namespace,
    episodes: int,
) -> tuple[list[float], list[int], list[bool]]:
    """Returns, lengths and, where the environment reports them, successes of the episodes."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.utils import set_random_seed

    from ppo_lab.algorithms import ALGORITHMS

    successes: list[bool] = []

    def after_step(local: dict[str, Any], _global: dict[str, Any]) -> None:
        if local["done"] and "is_success" in local["info"]:
            successes.append(bool(local["info"]["is_success"]))

    play: Any = evaluate_policy
    if ALGORITHMS[run.algo].needs_masks:
        from sb3_contrib.common.maskable.evaluation import evaluate_policy as play
    set_random_seed(options.seed)
    env.seed(options.seed)
    returns, lengths = play(
        model,
        env,
        n_eval_episodes=episodes,
        deterministic=not options.stochastic,
        callback=after_step,
        return_episode_rewards=True,
    )
    return returns, lengths, successes


def _record(run: "SavedRun", options: argparse.Namespace) -> Path:
    """Record one episode into a file, or into a folder under the environment's name."""
    from ppo_lab.errors import ArgumentError
    from ppo_lab.extras import require
    from ppo_lab.saved_model import load_model, make_environments

    require("moviepy", "--video")
    target: Path = options.video
    if target.suffix and target.suffix != ".mp4":
        raise ArgumentError(f"--video {target}: expected a file .mp4, or a folder")
    file = target if target.suffix else target / f"{run.name}.mp4"
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".video-") as folder:
        env = make_environments(run, 1, options.seed, "rgb_array", Path(folder) / "episode")
        try:
            model = load_model(run, env, options.checkpoint)
            _episodes(run, model, env, options, 1)
        finally:
            env.close()
        recorded = sorted(Path(folder).glob("episode/*.mp4"))
        if not recorded:
            raise CommandError(f"--video: nothing of {run.env} was recorded")
        recorded[0].replace(file)
    return file


def _check_screen() -> None:
    """Raise where no window can open.

    Raises:
        CommandError: on Linux, without a display.
    """
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in screens):
        raise CommandError(
            "--render: there is no screen here (DISPLAY is not set); --video FILE.mp4 records "
            "an episode instead"
        )


# ------------------------------------------------------------------ what is printed


def mean_interval(values: Sequence[float], seed: int) -> tuple[float, float, float]:
    """Mean and its 95 % percentile-bootstrap interval.

    Args:
        values: independent returns, at least one.
        seed: of the bootstrap's draws.

    Returns:
        (mean, low, high); low = high = mean for one value.
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(sample), size=(DRAWS, len(sample)))
    low, high = np.percentile(sample[drawn].mean(axis=1), [2.5, 97.5])
    return float(sample.mean()), float(low), float(high)


def _print(
    run: "SavedRun",
    options: argparse.Namespace,
    returns: Sequence[float],
    lengths: Sequence[int],
    successes: Sequence[bool],
) -> None:
    from ppo_lab.environments import reference_scores

    mean, low, high = mean_interval(returns, options.seed)
    how = "sampled actions" if options.stochastic else "deterministic actions"
    print(
        f"{run.algo} on {run.env}, {options.checkpoint} model of {run.folder}: {len(returns)} "
        f"episodes from seed {options.seed}, {how}"
    )
    print(f"mean return {mean:.4g}, 95 % bootstrap interval [{low:.4g}, {high:.4g}]")
    if len(returns) < 10:
        print("fewer than 10 episodes: the interval is narrower than it should be")
    reference = reference_scores(run.env, run.env_kwargs)
    if reference.high is not None:
        span = reference.high - reference.low
        scaled = [(value - reference.low) / span for value in (mean, low, high)]
        print("normalised {:.3f} [{:.3f}, {:.3f}]".format(*scaled), f"({reference.source})")
    print(f"mean length {sum(lengths) / len(lengths):.1f} steps")
    if successes:
        print(f"success rate {sum(successes) / len(successes):.3f} of {len(successes)} episodes")


if __name__ == "__main__":
    sys.exit(main())
