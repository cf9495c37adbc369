"""``ppo_lab.evaluate`` as a function of its options: a saved model, played and valued."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from envs.finite import finite_task
from ppo_lab.commands.chosen_run import is_alone
from ppo_lab.commands.environment_flags import keywords
from ppo_lab.commands.optional_packages import require
from ppo_lab.commands.options import EvaluateOptions
from ppo_lab.environment_classes import check_unchanged, environment_file
from ppo_lab.errors import ArgumentError, CommandError, EndlessEpisodeError, NonFiniteError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.ppo.episode_bound import check_length, longest_episode
from ppo_lab.runs.config import environment_folder_name
from ppo_lab.runs.device import check_device
from ppo_lab.runs.exact_evaluation import can_solve, expected_outcome
from ppo_lab.runs.games import TeamEpisodes, columns_a_game, is_game
from ppo_lab.runs.leftovers import sweep
from ppo_lab.runs.named_code import import_packages
from ppo_lab.runs.pickle_free import check_plain, load_policy
from ppo_lab.runs.references import (
    ReferenceScores,
    listed_reference,
    stated_reference,
    stored_reference,
)
from ppo_lab.runs.saved_model import (
    SavedRun,
    check_kind,
    find_saved_run,
    load_model,
    lone_model,
    make_environments,
    trust,
)
from ppo_lab.vec_env.making import make_checked
from reports.statistics.intervals import Estimate
from reports.statistics.summaries import task_summary

__all__ = ["Evaluated", "evaluate", "mean_interval", "scale_of"]

MAX_ENVS = 50
WITHOUT_SCREEN = (
    "MUJOCO_GL=egl in front of the command, or MUJOCO_GL=osmesa where there is no GPU, lets MuJoCo "
    "draw without a screen"
)
DRAWING = ("OpenGL", "gladLoadGL", "EGL", "OSMesa", "GLFW")
"""Words of what MuJoCo raises where it cannot draw."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluated:
    """What a saved model came to.

    Attributes:
        run: the run that the model is of.
        returns: of the episodes.
        lengths: of the episodes, in steps.
        successes: of the episodes, where the environment reports them; else empty.
        mean: the mean return, with its interval where there are two episodes or more.
        expected: the exact expected return, where the environment is a small finite MDP.
    """

    run: SavedRun
    returns: Sequence[float]
    lengths: Sequence[int]
    successes: Sequence[bool]
    mean: Estimate
    expected: float | None


def evaluate(options: EvaluateOptions, say: Say, warn: Say) -> Evaluated:
    """Play a saved model, and record or show it where that is asked for.

    Args:
        options: the command's, their numbers checked.
        say: told where a video is.
        warn: told what is about to be unpickled, and which statistics stand in.

    Raises:
        ArgumentError: there is no such run, or it cannot be played so.
        CommandError: a file is damaged, or the environment failed.
    """
    check_device(options.device)
    run = _chosen_run(options)
    if options.run is not None and is_alone(options.run):
        warn(
            f"{options.run} lies in no run folder: where its training normalised, stacked or "
            "wrapped its environments, nothing here says so, and its policy is another one"
        )
    if options.env_kwargs:
        given = keywords("env_kwargs", options.env_kwargs)
        run = replace(run, env_kwargs={**run.env_kwargs, **given})
    if options.render:
        _check_screen()
    if options.no_pickle:
        check_plain(run, env_given=options.env is not None)
    if options.video is not None and options.video.suffix not in ("", ".mp4"):
        raise ArgumentError(f"--video {options.video}: expected a file .mp4, or a folder")
    th.set_num_threads(1)
    with _faults_in_one_line(run.env):
        if options.video is not None:
            say(f"Video: {_record(run, options, options.video, warn)}")
        else:
            _warn_of_pickles(run, options, warn)
        n_envs = 1 if options.render else min(MAX_ENVS, options.episodes)
        env, model = _load(run, options, n_envs, "human" if options.render else None)
        try:
            returns, lengths, successes = _episodes(run, model, env, options, options.episodes)
            expected = _expected(run, model, options)
        finally:
            env.close()
    mean = mean_interval(returns, options.seed)
    return Evaluated(run, returns, lengths, successes, mean, expected)


def mean_interval(returns: Sequence[float], seed: int) -> Estimate:
    """The mean of independent returns with the report's interval; one return has none.

    Args:
        returns: finite, at least one.
        seed: of the bootstrap's draws.
    """
    return task_summary(np.asarray(returns), seed=seed, key="evaluation episodes").mean


def scale_of(run: SavedRun, options: EvaluateOptions) -> ReferenceScores | None:
    """What a return is normalised by, as a report does it: nothing is measured here.

    The run's own reference scores, or the table's, as for RL Zoo's runs. Where another environment
    was asked for, of which no report knows: those that are stated for it.
    """
    if options.env is not None or options.env_kwargs:
        return stated_reference(run.env, run.env_kwargs)
    stored = stored_reference(run.folder / "run.json")
    return stored or listed_reference(run.env, run.env_kwargs)


def _chosen_run(options: EvaluateOptions) -> SavedRun:
    assert options.run is not None
    if is_alone(options.run):
        if options.env is None:
            raise ArgumentError(
                f"{options.run} lies in no run folder, with <environment>/args.yml beside it: "
                "--env ID says where it is played"
            )
        import_packages(options.env_packages, options.env)
        run = lone_model(options.run, options.env, options.algo)
        return replace(run, packages=list(options.env_packages))
    run = find_saved_run(options.run)
    # A folder's word is taken where its model is unpickled, which can run any code too.
    named = () if options.no_pickle else run.packages
    run = replace(run, packages=[*options.env_packages, *named])
    import_packages(run.packages, run.env, options.env or "")
    if options.env is None:
        check_unchanged(run.env, run.env_sha256, run.env_place)
        return run
    if environment_file(run.env) and environment_folder_name(options.env) == run.name:
        return replace(run, env=options.env)
    if run.normalized or run.statistics(options.checkpoint)[0] is not None:
        raise ArgumentError(f"--env {options.env}: {options.run} is normalised for {run.env}")
    return replace(run, env=options.env, env_kwargs={}, model_name=run.name)


@contextmanager
def _faults_in_one_line(env: str) -> Iterator[None]:
    """What an environment raises while it is played is the command's one line.

    Raises:
        CommandError: says what was raised; Python's -X dev shows where.
    """
    try:
        yield
    except (ArgumentError, CommandError, NonFiniteError, OSError):
        raise
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        if sys.flags.dev_mode and isinstance(error, Exception):
            raise
        said = one_line(error)
        hint = f"; {WITHOUT_SCREEN}" if any(word in said for word in DRAWING) else ""
        raise CommandError(f"playing {env} failed: {said}{hint}") from error


def _expected(
    run: SavedRun, model: BaseAlgorithm | BasePolicy, options: EvaluateOptions
) -> float | None:
    """The exact expected return, where the environment is a small finite MDP."""
    if not isinstance(model, BaseAlgorithm) or run.masks or run.recipe.why_not_plain():
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
    run: SavedRun,
    options: EvaluateOptions,
    n_envs: int,
    render_mode: str | None,
    video_folder: Path | None = None,
) -> tuple[VecEnv, BaseAlgorithm | BasePolicy]:
    """The run's environments, which the caller closes, and its model or, without a pickle, policy.

    Raises:
        ArgumentError: the run has no such model, or its settings cannot be read.
        CommandError: a file is damaged, or does not match the environments.
    """
    file = run.model_file(options.checkpoint)
    statistics = None if options.no_pickle else run.statistics(options.checkpoint)[0]
    env = make_environments(run, n_envs, options.seed, statistics, render_mode, video_folder)
    try:
        load = load_policy if options.no_pickle else load_model
        return env, load(run, env, file, options.device)
    except BaseException:
        env.close()
        raise


def _warn_of_pickles(run: SavedRun, options: EvaluateOptions, warn: Say) -> None:
    """Say what is about to be unpickled, and where other statistics stand in."""
    if options.no_pickle:
        return
    file = run.model_file(options.checkpoint)
    statistics, its_own = run.statistics(options.checkpoint)
    # What cannot be played is not unpickled either.
    check_kind(file, run.algo)
    make_checked(run.env, run.env_kwargs).close()
    warn(f"{trust(file)}, or with --no-pickle")
    if not its_own:
        warn(
            f"{file} was saved without its VecNormalize statistics, as RL Zoo does: those of the "
            f"end of training, {statistics}, stand in, and the return may differ from the one it "
            "was chosen for"
        )


def _episodes(
    run: SavedRun,
    model: BaseAlgorithm | BasePolicy,
    env: VecEnv,
    options: EvaluateOptions,
    episodes: int,
) -> tuple[list[float], list[int], list[bool]]:
    """Returns, lengths and, where the environment reports them, successes of the episodes."""
    successes: list[bool] = []
    games, n_agents = TeamEpisodes(), columns_a_game(env)
    longest = longest_episode(env)

    def after_step(local: dict[str, Any], _global: dict[str, Any]) -> None:
        check_length(local, longest)
        games.note(local)
        if local["done"] and "is_success" in local["info"]:
            successes.append(bool(local["info"]["is_success"]))

    play: Any = evaluate_policy
    if run.masks:
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
            n_eval_episodes=episodes * n_agents,
            deterministic=not options.stochastic,
            callback=after_step,
            return_episode_rewards=True,
        )
    except EndlessEpisodeError as error:
        raise CommandError(f"{run.env}: {error}") from error
    if is_game(run.env):
        return games.returns, games.lengths, successes
    return returns, lengths, successes


def _record(run: SavedRun, options: EvaluateOptions, target: Path, warn: Say) -> Path:
    """Record one episode into a file, or into a folder under the environment's name."""
    require("moviepy", "--video")
    _check_drawing(run)
    _warn_of_pickles(run, options, warn)
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


def _check_drawing(run: SavedRun) -> None:
    """Raise where MuJoCo would look for a screen to draw a picture.

    Raises:
        ArgumentError: there is no such environment.
        CommandError: there is no screen, and nothing says that it is not needed.
    """
    if os.environ.get("MUJOCO_GL") or not _without(("DISPLAY", "WAYLAND_DISPLAY")):
        return
    with closing(make_checked(run.env, run.env_kwargs)) as env:
        kinds = type(env.unwrapped).__mro__
    if any("mujoco" in f"{kind.__module__}.{kind.__name__}".lower() for kind in kinds):
        raise CommandError(
            f"--video: MuJoCo draws {run.env} on a screen, and there is none here (DISPLAY is not "
            f"set); {WITHOUT_SCREEN}"
        )


def _without(screens: Sequence[str]) -> bool:
    """Whether this is Linux with none of the variables that a screen comes with."""
    return sys.platform.startswith("linux") and not any(map(os.environ.get, screens))


def _check_screen() -> None:
    """Raise where no window can open.

    Raises:
        CommandError: on Linux, without a display.
    """
    if _without(("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")):
        raise CommandError(
            "--render: there is no screen here (DISPLAY is not set); --video FILE.mp4 records "
            "an episode instead"
        )
