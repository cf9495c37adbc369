"""One training run: its configuration in, its run folder out (design: evidence on disk)."""

import errno
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
import yaml
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.env_util import make_vec_env

import ppo_lab
from ppo_lab.algorithms import algorithm_class
from ppo_lab.callbacks import AfterUpdateEvalCallback, FiniteGuard
from ppo_lab.errors import ArgumentError, NonFiniteError

__all__ = ["Evaluation", "RunConfig", "RunResult", "execute_run", "finished_run"]

FORMAT = 1
MAX_EVALUATION_ENVS = 50
FULL_DISK_BYTES = 1_000_000
"""With less than this left, a failed run has failed for want of space."""
PACKAGES = ("stable-baselines3", "gymnasium", "torch", "numpy")


@dataclass(frozen=True)
class Evaluation:
    """How a run's policy is scored.

    Attributes:
        episodes: episodes behind each mean return, ≥ 1.
        seed: of the evaluation environments, set anew before each evaluation: every policy of
            every run plays from the same random numbers.
        points: evaluations over the run, ≥ 1; 1 is the final policy alone, more also score the
            untrained policy and the ones between.
        deterministic: the most likely action, as SB3 and the zoo evaluate.
    """

    episodes: int
    seed: int
    points: int = 1
    deterministic: bool = True


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result, and the words that a report files it under.

    Attributes:
        algo: a name in :data:`ppo_lab.algorithms.ALGORITHMS`.
        env: Gymnasium's id.
        seed: of the algorithm and the training environments (seed, seed + 1, … one each).
        timesteps: budget in environment steps; rollouts are whole, so a few more may be taken.
        n_envs: parallel environments.
        policy: SB3's policy name.
        hyperparameters: the algorithm's keyword arguments, plain YAML values.
        evaluation: how it is scored.
        env_kwargs: for ``gymnasium.make``.
        settings: where the hyperparameters come from: ``tuned``, ``default``, ….
        stage: what the run is for: ``screen``, ``replicate``, ``judge``.
        reference: see :class:`ppo_lab.environments.ReferenceScores`; None if not needed.
    """

    algo: str
    env: str
    seed: int
    timesteps: int
    n_envs: int
    policy: str
    hyperparameters: Mapping[str, Any]
    evaluation: Evaluation
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    settings: str = "given"
    stage: str = "run"
    reference: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As ``run.json`` holds it."""
        return asdict(self)


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        score: mean return of the final policy over the evaluation episodes, of a stopped run of
            its last policy; None if it failed.
        reason: why it failed or was stopped, one line; None if neither.
        seconds: wall-clock time of the run.
        reused: True where an earlier call left the run on disk.
        steps: environment steps taken.
        stopped: by whoever watched it.
    """

    score: float | None
    reason: str | None
    seconds: float
    reused: bool = False
    steps: int = 0
    stopped: bool = False


Watcher = Callable[[int, float], str | None]
"""Called after each evaluation with the steps and the score; a reason to stop stops the run."""


class _StoppedError(Exception):
    """A run is stopped by its watcher: (reason, score, steps)."""


class _WatchCallback(BaseCallback):
    """Tells the watcher of every evaluation; for ``EvalCallback``'s ``callback_after_eval``."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def _on_step(self) -> bool:
        assert isinstance(self.parent, EvalCallback)
        steps, score = self.parent.num_timesteps, self.parent.last_mean_reward
        reason = self._watcher(steps, float(score))
        if reason is not None:
            raise _StoppedError(reason, float(score), steps)
        return True


def environment_folder_name(env_id: str) -> str:
    """The zoo's file name for an id: ``ppo_lab/GridWorld-v0`` is ``ppo_lab-GridWorld-v0``."""
    return env_id.split(":")[-1].replace("/", "-")


def finished_run(config: RunConfig, folder: Path) -> RunResult | None:
    """The result of this very run, if ``folder`` holds it finished.

    Args:
        config: the run.
        folder: its run folder.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if record["status"] != "completed":
            return None
        differing = [
            key
            for key, value in json.loads(_to_json(config.as_dict())).items()
            if record[key] != value
        ]
        result = RunResult(
            float(record["score"]),
            None,
            float(record["seconds"]),
            reused=True,
            steps=int(record["steps"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing there, or nothing whole: the run is made anew
    if differing:
        raise ArgumentError(
            f"{folder} holds another run (it differs in {', '.join(differing)}); "
            "choose another --log-folder"
        )
    return result


def execute_run(config: RunConfig, folder: Path, watcher: Watcher | None = None) -> RunResult:
    """Train, evaluate and leave the run folder; a finished one is not run again.

    The folder appears under its name when all of it is written, with ``run.json`` in it. A run
    that fails leaves a folder too, whose ``run.json`` gives the reason.

    Args:
        config: the run.
        folder: where its run folder goes; parents are made.
        watcher: may stop the run at one of its evaluations.

    Returns:
        The result; a failure of the training is a result with a reason, not an exception.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
        OSError: the folder cannot be written, or the disk is full.
    """
    known = finished_run(config, folder)
    if known is not None:
        return known
    folder.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.parent.glob(f".{folder.name}.part-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    partial = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    partial.mkdir()
    started = time.perf_counter()
    score, steps, reason, stopped = None, 0, None, False
    try:
        score, steps = _train(config, partial, watcher)
    except _StoppedError as stop:
        (reason, score, steps), stopped = stop.args, True
    except Exception as error:
        # Whatever says so, and in whatever words: torch has its own.
        if shutil.disk_usage(partial).free < FULL_DISK_BYTES:
            shutil.rmtree(partial, ignore_errors=True)
            message = os.strerror(errno.ENOSPC)
            raise OSError(errno.ENOSPC, message, str(folder.parent)) from error
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    seconds = time.perf_counter() - started
    record = {
        "format": FORMAT,
        **config.as_dict(),
        "steps": steps,
        "score": score,
        "status": "stopped" if stopped else "failed" if reason else "completed",
        "reason": reason,
        "seconds": round(seconds, 3),
        **_circumstances(),
    }
    (partial / "run.json").write_text(_to_json(record) + "\n", encoding="utf-8")
    _move_into_place(partial, folder)
    return RunResult(score, reason, seconds, steps=steps, stopped=stopped)


def _train(config: RunConfig, folder: Path, watcher: Watcher | None) -> tuple[float, int]:
    """Train into ``folder``; returns the final policy's score and the steps taken."""
    th.set_num_threads(1)  # these networks are too small to share
    name = environment_folder_name(config.env)
    _write_configuration(config, folder / name)
    # As a callable: by its id, make_vec_env would make it with rendering. Gymnasium's checker
    # costs time at every step and repeats in warnings what FiniteGuard stops at.
    make_env = partial(gym.make, config.env, disable_env_checker=True, **config.env_kwargs)
    env = make_vec_env(make_env, config.n_envs, config.seed, monitor_dir=str(folder))
    evaluation = config.evaluation
    eval_env = make_vec_env(make_env, min(MAX_EVALUATION_ENVS, evaluation.episodes))
    try:
        model = algorithm_class(config.algo)(
            config.policy, env, seed=config.seed, device="cpu", **config.hyperparameters
        )
        evaluator = AfterUpdateEvalCallback(
            eval_env,
            eval_seed=evaluation.seed,
            at_start=evaluation.points > 1,
            n_eval_episodes=evaluation.episodes,
            eval_freq=-(-config.timesteps // max(1, evaluation.points - 1)),
            log_path=str(folder),
            best_model_save_path=str(folder),
            deterministic=evaluation.deterministic,
            callback_after_eval=_WatchCallback(watcher) if watcher else None,
            verbose=0,
        )
        model.learn(config.timesteps, CallbackList([FiniteGuard(), evaluator]))
        model.save(folder / f"{name}.zip")
    finally:
        env.close()
        eval_env.close()
    score = evaluator.last_mean_reward
    if not np.isfinite(score):
        raise NonFiniteError(f"the final policy's mean return is {score}")
    return score, model.num_timesteps


def _write_configuration(config: RunConfig, folder: Path) -> None:
    """The zoo's ``config.yml`` and ``args.yml``, in plain YAML, which its loader reads too."""
    folder.mkdir()
    hyperparameters = {
        "n_envs": config.n_envs,
        "n_timesteps": config.timesteps,
        "policy": config.policy,
        **config.hyperparameters,
    }
    arguments = {
        "algo": config.algo,
        "env": config.env,
        "env_kwargs": dict(config.env_kwargs),
        "eval_episodes": config.evaluation.episodes,
        "n_timesteps": config.timesteps,
        "seed": config.seed,
    }
    for file, content in (("config.yml", hyperparameters), ("args.yml", arguments)):
        (folder / file).write_text(yaml.safe_dump(content), encoding="utf-8")


def _circumstances() -> dict[str, Any]:
    return {
        "versions": {"python": platform.python_version(), **_package_versions()},
        "git_commit": _git_commit(),
        "device": "cpu",
        "machine": platform.machine(),
        "command": _command(),
    }


def _command() -> str:
    """The command line without the password of a storage's URL."""
    words = [Path(word).name if i == 0 else word for i, word in enumerate(sys.argv)]
    return re.sub(r"(://[^\s:/@]*:)\S*@", r"\1***@", " ".join(words))


@cache
def _package_versions() -> dict[str, str]:
    return {"ppo-lab": ppo_lab.__version__, **{package: version(package) for package in PACKAGES}}


@cache
def _git_commit() -> str | None:
    """The commit of the checkout that this file is part of; None for an installed package."""
    home = Path(__file__).resolve().parent.parent
    if not (home / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ("git", "-C", str(home), "rev-parse", "HEAD"),
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _to_json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, sort_keys=True, allow_nan=False)


def _move_into_place(partial: Path, folder: Path) -> None:
    """Rename, over a failed run of the same name; a finished one that is there already stays."""
    if folder.exists():
        outdated = folder.with_name(f".{folder.name}.old-{os.getpid()}")
        folder.rename(outdated)
        partial.rename(folder)
        shutil.rmtree(outdated, ignore_errors=True)
    else:
        partial.rename(folder)
