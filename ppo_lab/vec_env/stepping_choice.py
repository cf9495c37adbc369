"""``auto``: whether environments are stepped in this process or in a pool, by what a step takes."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from ppo_lab.interruption import by_user, one_line
from ppo_lab.vec_env.random_actions import forbids_actions, random_action

__all__ = ["Choice", "StepTime", "choose", "measured_step"]

STEPS, SECONDS = 300, 1.0
"""A measurement ends with the first of them that is reached."""
CALL_SECONDS, WORKER_SECONDS = 60e-6, 40e-6
"""What a step of the pool costs beside its environments': once, and for each worker."""
WORTH = 1.2
"""How many times faster the pool must promise to be: a measurement is a guess."""


@dataclass(frozen=True)
class StepTime:
    """What a step of one environment takes, resets shared among them.

    Attributes:
        cpu: seconds of a core.
        waiting: seconds in which it left the core to others, for something outside.
        draws_globally: whether it draws random numbers from a generator of the whole process,
            which is another one in each process.
    """

    cpu: float
    waiting: float
    draws_globally: bool = False


@dataclass(frozen=True)
class Choice:
    """How environments are stepped.

    Attributes:
        n_workers: of the pool; 0: in this process.
        reason: to be read after "because".
    """

    n_workers: int
    reason: str


def choose(make: Callable[[], gym.Env[Any, Any]], n_envs: int, cores: int) -> Choice:
    """Measure an environment and choose; no number of a run depends on it.

    Args:
        make: makes the environment to be measured, which is closed again.
        n_envs: how many there will be.
        cores: that they may use.
    """
    if n_envs == 1:
        return Choice(0, "there is one environment")
    try:
        step = measured_step(make)
    except BaseException as error:
        if by_user(error):
            raise
        return Choice(0, f"its steps cannot be measured ({one_line(error):.100})")
    return chosen_for(step, n_envs, cores)


def chosen_for(step: StepTime, n_envs: int, cores: int) -> Choice:
    """The choice for a step that takes so long."""
    took = f"a step takes {1e6 * step.cpu:.0f} µs"
    if step.waiting > step.cpu:
        took += f" and waits {1e6 * step.waiting:.0f} µs"
    if step.draws_globally:
        return Choice(0, "it draws from a random generator of the whole process")
    best, gain = 0, WORTH
    here = n_envs * (step.cpu + step.waiting)
    for n_workers in range(1, n_envs + 1) if step.waiting > step.cpu else (min(n_envs, cores),):
        longest = -(-n_envs // n_workers)
        busy = max(longest, n_envs / cores) * step.cpu
        there = CALL_SECONDS + WORKER_SECONDS * n_workers + busy + longest * step.waiting
        if here / there >= gain:
            best, gain = n_workers, here / there
    return Choice(best, f"{took}, with {n_envs} environments on {cores} core{'s'[: cores - 1]}")


def measured_step(make: Callable[[], gym.Env[Any, Any]]) -> StepTime:
    """Time a few hundred random steps, within about a second; global generators stay as they are.

    Raises:
        Exception: what the environment raises.
    """
    numpys, pythons = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    env = make()
    try:
        env.action_space.seed(0)
        env.reset(seed=0)
        masked = forbids_actions(env)
        # Loading what the first step needs is not the steps' time.
        _step(env, masked)
        steps, began, cpu, left = 0, time.perf_counter(), time.process_time(), _times_left()
        while steps < STEPS and time.perf_counter() - began < SECONDS:
            _step(env, masked)
            steps += 1
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        # A core that other processes took is no waiting: then it was not left.
        waits = _times_left() - left >= steps / 2
    finally:
        env.close()
        drew = pythons != random.getstate() or repr(numpys) != repr(
            np.random.get_state(legacy=False)  # noqa: NPY002
        )
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)
    return StepTime(cpu / steps, max(0.0, wall - cpu) / steps if waits else 0.0, drew)


def _step(env: gym.Env[Any, Any], masked: bool) -> None:
    *_, terminated, truncated, _ = env.step(random_action(env, masked))
    if terminated or truncated:
        env.reset()


def _times_left() -> int:
    import resource  # not on Windows, where there is no pool either

    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
