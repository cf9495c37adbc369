"""Compiling ahead what the commands will run: training and scoring itself, for a few steps."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppo_lab.errors import CommandError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import execute_run

__all__ = ["ALL", "KINDS", "warmed"]

KINDS: Mapping[str, str] = {"discrete": "CartPole-v1", "continuous": "Pendulum-v1"}
"""Kind of actions → an environment that has them, stepped by compiled code."""
OTHERS = ("Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "ppo_lab/GridWorld-v0",
          "ppo_lab/CrawlerContinuous-v0")  # fmt: skip
"""The other environments that are written in compiled code; one finite MDP stands for all."""
PYTHON = ("gymnasium.wrappers.TimeAwareObservation",)
"""A wrapper that no compiled code knows: the environment is stepped in Python."""
ALL = "all"
STEPS = 16


def warmed(words: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Compile, or find on disk, what runs need.

    Args:
        words: of :data:`KINDS`, or :data:`ALL` for those and every compiled environment.

    Yields:
        What is ready, in words, and the seconds that it took.

    Raises:
        CommandError: a run failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, (what, run) in enumerate(_runs(words)):
            started = time.perf_counter()
            result = execute_run(run, Path(folder) / str(number))
            if result.reason is not None:
                raise CommandError(f"warm-up: {what} failed: {result.reason}")
            yield what, time.perf_counter() - started


def _runs(words: Sequence[str]) -> Iterator[tuple[str, RunConfig]]:
    kinds = [kind for kind in KINDS if kind in words or ALL in words]
    for kind in kinds:
        env = KINDS[kind]
        yield f"{kind} actions, environments in Python", _run(env, env_wrapper=PYTHON)
        yield (
            f"{kind} actions, environments in Python, normalised",
            _run(env, env_wrapper=PYTHON, normalize=True),
        )
        yield f"{kind} actions, {env} compiled", _run(env)
        yield f"{kind} actions, {env} compiled and normalised", _run(env, normalize=True)
    for env in OTHERS if ALL in words else ():
        yield f"{env} compiled", _run(env)


def _run(env: str, **environment: Any) -> RunConfig:
    return RunConfig(
        algo="spec_ppo",
        env=env,
        seed=0,
        timesteps=STEPS,
        n_envs=1,
        policy="MlpPolicy",
        hyperparameters={"n_steps": STEPS, "batch_size": STEPS, "n_epochs": 1},
        evaluation=Evaluation(episodes=1, seed=0, points=1),
        **environment,
    )
