"""How fast the compiled path is: environment steps per second, collecting and updating.

``python benchmarks/compiled.py`` trains SB3's PPO, SpecPPO by torch, and SpecPPO by compiled
kernels on Gymnasium's own environments, on native ones, and with whole rollouts compiled. Each
side lives in a process of its own; all are pinned to one core and work in turns, so that a busy
machine slows all of them. Then peak memory, and what compiling costs with an empty and with a full
cache. Exits with 1 if a goal is missed.
"""

import argparse
import importlib
import multiprocessing as mp
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ENV_IDS = ("CartPole-v1", "Pendulum-v1")
CONFIGURATIONS = {
    "a": {"n_envs": 1, "n_steps": 2048, "batch_size": 64, "n_epochs": 10},
    "b": {"n_envs": 8, "n_steps": 256, "batch_size": 256, "n_epochs": 10},
    "c": {"n_envs": 64, "n_steps": 128, "batch_size": 2048, "n_epochs": 4},
}
SIDES = {
    "sb3": "SB3's PPO",
    "torch": "SpecPPO by torch",
    "compiled": "SpecPPO compiled, Gymnasium's environment",
    "native": "the same, native environment",
    "whole": "the same, whole rollouts",
    "jax": "all in JAX, PureJaxRL's way",
}
GOALS = {
    "compiled": {"a": 20.0, "b": 7.0, "c": 2.7},
    "native": {"a": 32.0, "b": 13.0, "c": 8.0},
    "whole": {"a": 60.0},
}
OF_CARTPOLE = {"CartPole-v1": 1.0, "Pendulum-v1": 0.8}
"""Pendulum's goals are this part of CartPole's."""
AGAINST_JAX = 1.8
COLD_SECONDS, WARM_SECONDS = 25.0, 1.0
ROUND_SECONDS = 1.5
MOST_ROLLOUTS = 60


@dataclass(frozen=True)
class Job:
    """One side in one configuration."""

    side: str
    env_id: str
    name: str
    core: int | None

    @property
    def settings(self) -> dict[str, int]:
        """Numbers of ``CONFIGURATIONS``."""
        return dict(CONFIGURATIONS[self.name])


# ---------------------------------------------------------------------- in a side's process


def trainer(job: Job) -> Any:
    """A function that trains for so many rollouts."""
    if job.side == "jax":
        from compiled_jax import jax_trainer

        return jax_trainer(job.env_id, **job.settings)
    import torch as th
    from stable_baselines3.common.env_util import make_vec_env

    th.set_num_threads(1)
    settings = job.settings
    n_envs = settings.pop("n_envs")
    common = {"seed": 0, "device": "cpu", **settings}
    if job.side == "sb3":  # nothing of ours: it would count as SB3's memory
        from stable_baselines3 import PPO

        model: Any = PPO("MlpPolicy", make_vec_env(job.env_id, n_envs, seed=0), **common)
    else:
        from ppo_lab import SpecPPO

        backend = "torch" if job.side == "torch" else "compiled"
        env = vec_env_maker(job.side)(job.env_id, n_envs, seed=0)
        model = SpecPPO("MlpPolicy", env, backend=backend, **common)
    steps = settings["n_steps"] * n_envs

    def train(rollouts: int) -> None:
        model.learn(rollouts * steps, reset_num_timesteps=model.num_timesteps == 0)

    return train


def vec_env_maker(side: str) -> Any:
    """What makes the environments of a side of ours."""
    from stable_baselines3.common.env_util import make_vec_env

    if side not in ("native", "whole"):
        return make_vec_env
    from ppo_lab.vec_env.compiled import CompiledVecEnv

    class Stepped(CompiledVecEnv):
        """One vector step at a time, as any other native environment: no rollout in one call."""

    return CompiledVecEnv if side == "whole" else Stepped


def serve(job: Job, connection: Connection) -> None:
    """Answer numbers of rollouts with seconds, until the number is 0; then the peak memory."""
    import resource

    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    # Imports first: what is timed is making the model, which loads or compiles the kernels, and
    # its first rollout and update.
    importlib.import_module("stable_baselines3")
    if job.side in GOALS:
        importlib.import_module("ppo_lab.compiled.path")
    begin = time.perf_counter()
    train = trainer(job)
    train(1)
    connection.send(time.perf_counter() - begin)
    while rollouts := connection.recv():
        begin = time.perf_counter()
        train(rollouts)
        connection.send(time.perf_counter() - begin)
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


# ---------------------------------------------------------------------- here


class Side:
    """A side's process, and what it has measured.

    Attributes:
        first: seconds of the first rollout and update, compiling included.
        rates: environment steps per second, one a round.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        context = mp.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(job, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.first = float(self._connection.recv())
        self.rates: list[float] = []
        steady = self._seconds(1)
        self._rollouts = min(MOST_ROLLOUTS, max(2, round(ROUND_SECONDS / steady)))
        self.compiling = self.first - steady

    def _seconds(self, rollouts: int) -> float:
        self._connection.send(rollouts)
        return float(self._connection.recv())

    def measure(self) -> None:
        """One round."""
        settings = self.job.settings
        steps = self._rollouts * settings["n_steps"] * settings["n_envs"]
        self.rates.append(steps / self._seconds(self._rollouts))

    @property
    def rate(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rates)

    def end(self) -> tuple[float, float]:
        """End the process; its peak memory and what of it is not files' pages now, in MiB."""
        self._connection.send(0)
        peak, private = self._connection.recv()
        self._process.join()
        return float(peak), float(private)


def compare(env_id: str, name: str, sides: list[str], rounds: int, core: int | None) -> list[bool]:
    """Print all sides of one configuration; whether each goal is met."""
    jobs = [Job(side, env_id, name, core) for side in sides]
    for job in jobs:
        if job.side in GOALS:
            Side(job).end()  # compiles, which takes memory that a run with a full cache does not
    measured = [Side(job) for job in jobs]
    for _ in range(rounds):
        for side in measured:
            side.measure()
    rates = {side.job.side: side.rate for side in measured}
    memory = {side.job.side: side.end() for side in measured}
    shape = "{n_envs} × {n_steps}, minibatch {batch_size}, {n_epochs} epochs"
    print(f"\n{env_id}, {name}: {shape.format(**CONFIGURATIONS[name])}; median of {rounds} rounds")
    heads = (
        f"{'steps/s':>9} {'range':>17} {'ratio':>7} {'goal':>7} {'':6} {'MiB':>6} {'private':>7}"
    )
    print(f"{'':42} {heads}")
    met = []
    for side in measured:
        key = side.job.side
        ratio = rates[key] / rates["sb3"]
        goal = GOALS.get(key, {}).get(name)
        spread = f"{min(side.rates):,.0f}–{max(side.rates):,.0f}"
        line = f"{SIDES[key]:42} {rates[key]:9,.0f} {spread:>17} {ratio:7.2f}"
        if goal is not None:
            goal *= OF_CARTPOLE[env_id]
            met.append(ratio >= goal)
            line += f" {'≥ ' + format(goal, '.1f'):>7} {verdict(met[-1]):6}"
        else:
            line += " " * 15
        print(f"{line} {memory[key][0]:6.0f} {memory[key][1]:7.0f}", flush=True)
    return met + against_others(name, rates, {key: peak for key, (peak, _) in memory.items()})


def against_others(name: str, rates: dict[str, float], memory: dict[str, float]) -> list[bool]:
    """Print the goals of memory and against JAX; whether they are met."""
    met = []
    ours = {key: memory[key] for key in memory if key in GOALS}
    if ours:
        met.append(max(ours.values()) <= memory["sb3"])
        most = max(ours.values())
        print(f"peak memory {most:.0f} MiB, SB3's {memory['sb3']:.0f}: {verdict(met[-1])}")
    if name == "a" and {"jax", "whole"} <= rates.keys():
        ratio = rates["whole"] / rates["jax"]
        met.append(ratio >= AGAINST_JAX)
        print(f"whole rollouts against JAX {ratio:.2f}, goal ≥ {AGAINST_JAX}: {verdict(met[-1])}")
    return met


def compile_times(env_ids: list[str], sides: list[str], core: int | None) -> list[bool]:
    """Print what a first update costs with an empty and with a full cache; whether it is met."""
    goals = f"< {COLD_SECONDS:.0f}, < {WARM_SECONDS:.0f}"
    print(f"\n{'how much longer a first update takes':56} {'cold s':>7} {'warm s':>7} {goals:>10}")
    met = []
    for side in sides:
        for env_id in env_ids:
            with tempfile.TemporaryDirectory() as cache:
                os.environ["NUMBA_CACHE_DIR"] = cache
                cold, warm = (first_update(Job(side, env_id, "a", core)) for _ in range(2))
                del os.environ["NUMBA_CACHE_DIR"]
            met.append(cold < COLD_SECONDS and warm < WARM_SECONDS)
            print(
                f"{env_id + ', ' + SIDES[side]:56} {cold:7.2f} {warm:7.2f} {verdict(met[-1]):>10}"
            )
    return met


def first_update(job: Job) -> float:
    """Seconds by which a new process's first rollout and update exceed its second."""
    side = Side(job)
    side.end()
    return side.compiling


def verdict(met: bool) -> str:
    """One word."""
    return "met" if met else "MISSED"


def machine() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def main() -> int:
    """Run what the arguments choose; 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--configurations", nargs="+", choices=CONFIGURATIONS, default=["a", "b", "c"]
    )
    parser.add_argument("--envs", nargs="+", choices=ENV_IDS, default=list(ENV_IDS))
    parser.add_argument(
        "--sides", nargs="+", choices=SIDES, default=[s for s in SIDES if s != "jax"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sides = ["sb3", *(side for side in options.sides if side != "sb3")]
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    packages = ["stable-baselines3", "gymnasium", "torch", "numba", "numpy"]
    packages += ["jax"] if "jax" in sides else []
    print(f"{machine()}, one core; Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    met = []
    for env_id in options.envs:
        for name in options.configurations:
            met += compare(env_id, name, sides, options.rounds, core)
    met += compile_times(options.envs, [s for s in ("compiled", "whole") if s in sides], core)
    print("\nEvery goal is met." if all(met) else "\nA goal is missed.")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
