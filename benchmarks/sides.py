"""One side of ``compiled.py`` in a process of its own: what it trains, and the rounds it tells.

Nothing here imports NumPy, torch or this project before a side asks for it: it would count as
SB3's memory.
"""

import importlib
import multiprocessing as mp
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import before_numpy  # noqa: F401 - first, in the side's process too
from benchmarks.cases import OURS, SIDES, Case
from benchmarks.comparison import Rounds

__all__ = ["Job", "Side", "first_update"]

MOST_ROLLOUTS = 60
COMPILED_SECONDS = 2.0
"""A first update that takes so much longer has compiled, which takes memory too."""


@dataclass(frozen=True)
class Job:
    """One side in one case, on one core; None: any."""

    side: str
    case: Case
    core: int | None


# ---------------------------------------------------------------------- in the side's process


def trainer(job: Job) -> Callable[[int], float]:
    """A function that trains for so many rollouts, and returns the CPU seconds of collecting."""
    case = job.case
    if job.side == "jax" or job.side.startswith("rltools"):
        return _peers_trainer(job)
    import torch as th

    th.set_num_threads(1)
    common = {"seed": 0, "device": "cpu", **case.arguments}
    env = environments(job)
    if job.side == "sb3":
        from stable_baselines3 import PPO

        model: Any = PPO("MlpPolicy", env, **common)
    else:
        from ppo_lab import SpecPPO

        backend = "torch" if job.side == "torch" else "compiled"
        model = SpecPPO("MlpPolicy", env, backend=backend, **common)

    def train(rollouts: int) -> float:
        clock = collecting_clock()
        first = model.num_timesteps == 0
        model.learn(rollouts * case.steps, clock, reset_num_timesteps=first)
        return float(clock.collecting)

    return train


def _peers_trainer(job: Job) -> Callable[[int], float]:
    case, shape = job.case, {"batch_size": 64, "n_epochs": 10, **job.case.arguments}
    if job.side == "jax":
        from benchmarks.compiled_jax import jax_trainer

        run = jax_trainer(case.env_id, case.n_envs, **shape)
    else:
        from benchmarks.rltools_side import rltools_trainer

        fast = job.side == "rltools-fast"
        run = rltools_trainer(case.env_id, case.n_envs, fast_tanh=fast, **shape)

    def train(rollouts: int) -> float:
        run(rollouts)
        return float("nan")

    return train


def environments(job: Job) -> Any:
    """The vector environment of a side."""
    from stable_baselines3.common.env_util import make_vec_env

    case = job.case
    make: Any = make_vec_env
    if job.side in ("native", "whole"):
        from ppo_lab.vec_env.compiled import CompiledVecEnv

        class Stepped(CompiledVecEnv):
            """One vector step at a time, as any other native environment."""

        make = CompiledVecEnv if job.side == "whole" else Stepped
    env = make(case.env_id, case.n_envs, seed=0)
    if case.normalize is None:
        return env
    from stable_baselines3.common.vec_env import VecNormalize

    return VecNormalize(env, **case.normalize)


def collecting_clock() -> Any:
    """A callback that sums the CPU seconds of rollouts; all else is the update's."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Clock(BaseCallback):
        every_step = False
        collecting = 0.0

        def _on_rollout_start(self) -> None:
            self._began = time.process_time()

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            self.collecting += time.process_time() - self._began

    return Clock()


def serve(job: Job, connection: Connection) -> None:
    """Answer numbers of rollouts with seconds, until the number is 0; then the memory."""
    import resource

    # Imports first, on any core: what the first rollout's seconds hold is making the model, which
    # loads or compiles the kernels, one rollout and one update.
    if not job.side.startswith("rltools"):  # its interface refuses a process that has torch
        importlib.import_module("jax" if job.side == "jax" else "stable_baselines3")
    if job.side in OURS:
        importlib.import_module("ppo_lab.compiled.path")
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    train: Callable[[int], float] | None = None
    while rollouts := connection.recv():
        began, cpu = time.perf_counter(), time.process_time()
        train = train or trainer(job)
        collecting = train(rollouts)
        cpu = time.process_time() - cpu
        connection.send((time.perf_counter() - began, cpu, 1.0 - collecting / cpu))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mib = peak / 1024 if sys.platform.startswith("linux") else peak / 1024**2
    connection.send((peak_mib, private_mib()))


def private_mib() -> float:
    """What of this process's memory is not pages of files, which the system shares and drops."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    found = {line.split(":")[0]: line.split(":")[1] for line in lines[1:]}
    return int(found["Anonymous"].split()[0]) / 1024


# ---------------------------------------------------------------------- in the benchmark's


class Side:
    """A side's process, and what it has measured; starts importing at once.

    Attributes:
        compiling: wall seconds by which the first rollout and update exceed the second.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.compiling = 0.0
        self._rates: list[float] = []
        self._updating: list[float] = []
        self._rollouts = 1
        self._start()

    def _start(self) -> None:
        context = mp.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(self.job, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def warm_up(self, round_seconds: float) -> None:
        """Two rollouts; afterwards a round is as many as fill the seconds. Compiled code is kept.

        A process that had to compile is replaced, since a user compiles once.
        """
        self.first_rollouts()
        if self.compiling > COMPILED_SECONDS and self.job.side in OURS:
            self.end()
            self._start()
            self.first_rollouts()
        fitting = round(round_seconds / self._steady)
        self._rollouts = min(MOST_ROLLOUTS, max(1, fitting))

    def first_rollouts(self) -> None:
        """One rollout that makes everything, and one more."""
        first, _, _ = self._ask(1)
        second, self._steady, _ = self._ask(1)
        self.compiling = first - second

    def _ask(self, rollouts: int) -> tuple[float, float, float]:
        self._connection.send(rollouts)
        wall, cpu, updating = self._connection.recv()
        return wall, cpu, updating

    def measure(self) -> None:
        """One round."""
        _, cpu, updating = self._ask(self._rollouts)
        self._rates.append(self._rollouts * self.job.case.steps / cpu)
        self._updating.append(updating)

    def end(self) -> tuple[float, float]:
        """End the process; its peak memory and what of it is not files' pages now, in MiB."""
        self._connection.send(0)
        peak, private = self._connection.recv()
        self._process.join()
        return float(peak), float(private)

    def finish(self) -> Rounds:
        """End the process; everything it has measured."""
        peak, private = self.end()
        middle = sorted(self._updating)[len(self._updating) // 2]
        return Rounds(SIDES[self.job.side], self._rates, middle, peak, private)


def first_update(job: Job) -> float:
    """Wall seconds by which a new process's first rollout and update exceed its second."""
    side = Side(job)
    side.first_rollouts()
    side.end()
    return side.compiling
