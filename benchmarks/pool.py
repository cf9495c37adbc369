"""How fast a pool of worker processes steps environments: ratios measured in one run.

``python benchmarks/pool.py`` steps 16 copies of CartPole-v1, of environments whose step takes 50,
200 and 1,000 µs of a core, and of one that waits for 1 ms, by SB3's DummyVecEnv and SubprocVecEnv,
Gymnasium's AsyncVectorEnv and the pool, in turns so that a busy machine slows all of them. A ratio
whose rounds overlap is marked: it says little. Exits with 1 if a goal is missed.
"""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from ppo_lab.cores import usable_cores
from ppo_lab.vec_env import make_pool_vec_env

N_ENVS = 16
ROUNDS = 7
ROUND_SECONDS = 0.4
GOAL_CARTPOLE, GOAL_SLOW, SLOW_MICROSECONDS = 0.5, 1.7, 200


class Busy(gym.Env[Any, Any]):
    """An environment whose step counts to ``work``, then sleeps."""

    def __init__(self, work: int = 0, sleep: float = 0.0) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (8,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.work, self.sleep, self.taken = work, sleep, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:  # noqa: ARG002 - Gymnasium's signature
        """Begin an episode of 500 steps."""
        super().reset(seed=seed)
        self.taken = 0
        return np.zeros(8, np.float32), {}

    def step(self, action: Any) -> Any:  # noqa: ARG002 - Gymnasium's signature
        """Take the time."""
        count(self.work)
        if self.sleep:
            time.sleep(self.sleep)
        self.taken += 1
        return np.zeros(8, np.float32), 1.0, False, self.taken == 500, {}


def count(number: int) -> None:
    """Work for as long as it takes to count so far."""
    for _ in range(number):
        pass


def work_of(microseconds: float) -> int:
    """How far a core counts in so many microseconds."""
    many = 200_000
    times = []
    for _ in range(9):
        began = time.process_time()
        count(many)
        times.append(time.process_time() - began)
    return round(many * microseconds * 1e-6 / min(times))


def stepper(env: VecEnv | AsyncVectorEnv) -> Callable[[int], None]:
    """A function that takes so many steps of all environments."""
    if isinstance(env, VecEnv):
        env.seed(0)
        env.reset()
    else:
        env.reset(seed=0)
    actions = np.random.default_rng(0).integers(2, size=(64, N_ENVS))

    def run(steps: int) -> None:
        for step in range(steps):
            env.step(actions[step % 64])

    return run


def monitored(make: Callable[[], gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """As ``make_vec_env`` makes it."""
    return Monitor(make())


def rates(make: Callable[[], gym.Env[Any, Any]], n_workers: int) -> Mapping[str, list[float]]:
    """Environment steps a second of each way, in turns; the rounds of each."""
    ways: dict[str, Any] = {
        "SB3 DummyVecEnv": make_vec_env(make, N_ENVS, vec_env_cls=DummyVecEnv),
        "SB3 SubprocVecEnv": make_vec_env(make, N_ENVS, vec_env_cls=SubprocVecEnv),
        "Gymnasium AsyncVectorEnv": AsyncVectorEnv([partial(monitored, make)] * N_ENVS),
        f"pool of {n_workers} processes": make_pool_vec_env(make, N_ENVS, n_workers),
    }
    try:
        steps = {}
        runs = {name: stepper(env) for name, env in ways.items()}
        for name, run in runs.items():
            run(20)
            began = time.perf_counter()
            run(20)
            steps[name] = max(10, round(20 * ROUND_SECONDS / (time.perf_counter() - began)))
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                began = time.perf_counter()
                run(steps[name])
                taken[name].append(steps[name] * N_ENVS / (time.perf_counter() - began))
        return taken
    finally:
        for env in ways.values():
            env.close()


def shown(title: str, taken: Mapping[str, list[float]], goal: float | None) -> bool:
    """Print one table; whether the pool meets its goal."""
    (_, dummy), *_, (_, pool) = taken.items()
    ratio = statistics.median(pool) / statistics.median(dummy)
    print(f"\n{N_ENVS} × {title}, median of {ROUNDS} rounds (lowest … highest)")
    for name, rounds in taken.items():
        median = statistics.median(rounds)
        print(
            f"{name:28} {median:10,.0f} steps/s ({min(rounds):,.0f} … {max(rounds):,.0f})"
            f" {median / statistics.median(dummy):7.2f} of DummyVecEnv"
        )
    overlap = min(pool) <= max(dummy) and min(dummy) <= max(pool)
    if overlap:
        print("The rounds of DummyVecEnv and the pool overlap: their ratio says little.")
    if goal is None:
        return True
    print(f"goal: ≥ {goal} of DummyVecEnv, {'met' if ratio >= goal else 'missed'}")
    return ratio >= goal


def main() -> int:
    """Measure all environments; 0 if every goal is met."""
    cores = usable_cores()
    print(f"Python {platform.python_version()}, {platform.platform()}, {cores} cores usable")
    packages = ("gymnasium", "numpy", "stable-baselines3", "torch")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    print("load of the machine before:", *(f"{load:.2f}" for load in os.getloadavg()))
    makes: list[tuple[str, Callable[[], gym.Env[Any, Any]], int, float | None]] = [
        ("CartPole-v1", partial(gym.make, "CartPole-v1"), cores, GOAL_CARTPOLE)
    ]
    for micro in (50, 200, 1000):
        goal = GOAL_SLOW if micro >= SLOW_MICROSECONDS and cores >= 2 else None
        makes.append((f"{micro} µs of a core", partial(Busy, work_of(micro)), cores, goal))
    makes.append(("1 ms of waiting", partial(Busy, 0, 0.001), N_ENVS, None))
    met = [shown(title, rates(make, workers), goal) for title, make, workers, goal in makes]
    print("load of the machine after:", *(f"{load:.2f}" for load in os.getloadavg()))
    print("\nEvery goal is met." if all(met) else "\nA goal is missed.")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
