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
from ppo_lab.commands.shared import CommandParser, run_command
from ppo_lab.errors import CommandError

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy
    from stable_baselines3.common.vec_env import VecEnv

    from ppo_lab.runs.saved_model import SavedRun

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
        "code: only evaluate files that you trust, or give --no-pickle.",
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
    add(
        "--no-pickle",
        action="store_true",
        help="unpickle nothing: an MlpPolicy from its parameters and the run's settings; not for "
        "a normalised run, whose statistics are a pickle",
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
    return run_command(PROGRAM, partial(_evaluate, options))


def _evaluate(options: argparse.Namespace) -> None:
    from dataclasses import replace

    import torch as th

    from ppo_lab.errors import ArgumentError
    from ppo_lab.runs.pickle_free import check_plain
    from ppo_lab.runs.saved_model import find_saved_run

    if options.episodes < 1:
        raise ArgumentError(f"--episodes {options.episodes}: expected at least 1")
    if options.seed < 0:
        raise ArgumentError(f"--seed {options.seed}: expected at least 0")
    run = find_saved_run(options.run)
    if options.env is not None:
        if run.normalized or run.statistics(options.checkpoint)[0] is not None:
            raise ArgumentError(f"--env {options.env}: {options.run} is normalised for {run.env}")
        run = replace(run, env=options.env, env_kwargs={}, model_name=run.name)
    if options.render:
        _check_screen()
    if options.no_pickle:
        check_plain(run, env_given=options.env is not None)
    if options.video is not None and options.video.suffix not in ("", ".mp4"):
        raise ArgumentError(f"--video {options.video}: expected a file .mp4, or a folder")
    th.set_num_threads(1)
    with _faults_in_one_line(run.env):
        if options.video is not None:
            print(f"Video: {_record(run, options)}")
        played = _play(run, options)
    _print(run, options, *played)


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
) -> tuple[list[float], list[int], list[bool], float | None]:
    """What ``_episodes`` gives, and the exact expectation where there is one."""
    n_envs = 1 if options.render else min(MAX_ENVS, options.episodes)
    if options.video is None:
        _say(run, options)
    env, model = _load(run, options, n_envs, "human" if options.render else None)
    try:
        played = _episodes(run, model, env, options, options.episodes)
        return *played, _expected(run, model, options)
    finally:
        env.close()


def _expected(
    run: "SavedRun", model: "BaseAlgorithm | BasePolicy", options: argparse.Namespace
) -> float | None:
    """The exact expected return, where the environment is a small finite MDP."""
    from stable_baselines3.common.base_class import BaseAlgorithm

    from envs.finite import finite_task
    from ppo_lab.runs.exact_evaluation import can_solve, expected_outcome
    from ppo_lab.vec_env.making import make_checked

    if not isinstance(model, BaseAlgorithm) or run.frame_stack:
        return None
    deterministic = not options.stochastic
    single = make_checked(run.env, run.env_kwargs)
    try:
        task = finite_task(single)
        normalized = run.statistics(options.checkpoint)[0] is not None
        if task is None or not can_solve(
            run.algo, task, normalized=normalized, deterministic=deterministic
        ):
            return None
        return expected_outcome(model, task, deterministic)[0]
    finally:
        single.close()


def _load(
    run: "SavedRun",
    options: argparse.Namespace,
    n_envs: int,
    render_mode: str | None,
    video_folder: Path | None = None,
) -> "tuple[VecEnv, BaseAlgorithm | BasePolicy]":
    """The run's environments, which the caller closes, and its model or, without a pickle, policy.

    Raises:
        ArgumentError: the run has no such model, or its settings cannot be read.
        CommandError: a file is damaged, or does not match the environments.
    """
    from ppo_lab.runs.pickle_free import load_policy
    from ppo_lab.runs.saved_model import load_model, make_environments

    file = run.model_file(options.checkpoint)
    statistics = None if options.no_pickle else run.statistics(options.checkpoint)[0]
    env = make_environments(run, n_envs, options.seed, statistics, render_mode, video_folder)
    try:
        return env, (load_policy if options.no_pickle else load_model)(run, env, file)
    except BaseException:
        env.close()
        raise


def _say(run: "SavedRun", options: argparse.Namespace) -> None:
    """Say on stderr what is about to be unpickled, and where other statistics stand in."""
    from ppo_lab.runs.saved_model import check_kind, trust
    from ppo_lab.vec_env.making import make_checked

    if options.no_pickle:
        return
    file = run.model_file(options.checkpoint)
    statistics, its_own = run.statistics(options.checkpoint)
    # What cannot be played is not unpickled either.
    check_kind(file, run.algo)
    make_checked(run.env, run.env_kwargs).close()
    print(f"{PROGRAM}: {trust(file)}, or with --no-pickle", file=sys.stderr)
    if not its_own:
        print(
            f"{PROGRAM}: {file} was saved without its VecNormalize statistics, as RL Zoo does: "
            f"those of the end of training, {statistics}, stand in, and the return may differ "
            "from the one it was chosen for",
            file=sys.stderr,
        )


def _episodes(
    run: "SavedRun",
    model: "BaseAlgorithm | BasePolicy",
    env: "VecEnv",
    options: argparse.Namespace,
    episodes: int,
) -> tuple[list[float], list[int], list[bool]]:
    """Returns, lengths and, where the environment reports them, successes of the episodes."""
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.utils import set_random_seed

    from ppo_lab.errors import EndlessEpisodeError
    from ppo_lab.ppo.episode_bound import check_length, longest_episode
    from ppo_lab.registry import ALGORITHMS

    successes: list[bool] = []
    longest = longest_episode(env)

    def after_step(local: dict[str, Any], _global: dict[str, Any]) -> None:
        check_length(local, longest)
        if local["done"] and "is_success" in local["info"]:
            successes.append(bool(local["info"]["is_success"]))

    play: Any = evaluate_policy
    if ALGORITHMS[run.algo].needs_masks:
        from sb3_contrib.common.maskable.evaluation import evaluate_policy as play
    set_random_seed(options.seed)
    policy: Any = getattr(model, "policy", model)
    if getattr(policy, "use_sde", False):
        policy.reset_noise()  # was drawn before the seed
    env.seed(options.seed)
    try:
        returns, lengths = play(
            model,
            env,
            n_eval_episodes=episodes,
            deterministic=not options.stochastic,
            callback=after_step,
            return_episode_rewards=True,
        )
    except EndlessEpisodeError as error:
        raise CommandError(f"{run.env}: {error}") from error
    return returns, lengths, successes


def _record(run: "SavedRun", options: argparse.Namespace) -> Path:
    """Record one episode into a file, or into a folder under the environment's name."""
    from ppo_lab.commands.optional_packages import require
    from ppo_lab.runs.leftovers import sweep

    require("moviepy", "--video")
    target: Path = options.video
    _say(run, options)
    file = target if target.suffix else target / f"{run.name}.mp4"
    file.parent.mkdir(parents=True, exist_ok=True)
    sweep(file.parent, deep=False)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".video-{os.getpid()}-") as folder:
        env, model = _load(run, options, 1, "rgb_array", Path(folder) / "episode")
        try:
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
    expected: float | None,
) -> None:
    mean, low, high = mean_interval(returns, options.seed)
    how = "sampled actions" if options.stochastic else "deterministic actions"
    print(
        f"{run.algo} on {run.env}, {options.checkpoint} model of {run.folder}: {len(returns)} "
        f"episodes from seed {options.seed}, {how}"
    )
    print(f"mean return {mean:.4g}, 95 % bootstrap interval [{low:.4g}, {high:.4g}]")
    if expected is not None:
        print(f"expected return {expected:.6g}, exact by dynamic programming")
    if len(returns) < 10:
        print("fewer than 10 episodes: the interval is narrower than it should be")
    _print_normalised(run, options, (mean, low, high))
    print(f"mean length {sum(lengths) / len(lengths):.1f} steps")
    if successes:
        print(f"success rate {sum(successes) / len(successes):.3f} of {len(successes)} episodes")


def _print_normalised(
    run: "SavedRun", options: argparse.Namespace, values: tuple[float, float, float]
) -> None:
    """The mean and its interval on the scale of the run's own reference scores, or known ones."""
    from ppo_lab.runs.references import known_scale, stored_reference

    reference = stored_reference(run.folder) if options.env is None else None
    reference = reference or known_scale(run.env, run.env_kwargs)
    if reference is not None and reference.high is not None:
        span = reference.high - reference.low
        scaled = [(value - reference.low) / span for value in values]
        print("normalised {:.3f} [{:.3f}, {:.3f}]".format(*scaled), f"({reference.source})")


if __name__ == "__main__":
    sys.exit(main())
