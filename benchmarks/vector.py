"""How fast vector environments train: EnvPool's and Gymnasium's own CartPole beside SB3.

``python benchmarks/vector.py`` trains on CartPole-v1 in the configurations of ``compiled.py``:
SB3's PPO with ``DummyVecEnv``, and SpecPPO's kernels with EnvPool (the extra ``envpool``), with
``DummyVecEnv``, with Gymnasium's ``CartPoleVectorEnv``, whose resets are left out as no samples,
and with its ``SyncVectorEnv``. Each side lives in a process of its own; all are pinned to one core
and work in turns. What is compared is the processor time of all threads, which other processes on
the core do not lengthen. Exits with 1 if the goal is missed.
"""

import argparse
import multiprocessing as mp
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

# Some machines set these for old builds of NumPy, and then SB3 is slower than it need be.
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

CONFIGURATIONS = {
    "a": {"n_envs": 1, "n_steps": 2048, "batch_size": 64, "n_epochs": 10},
    "b": {"n_envs": 8, "n_steps": 256, "batch_size": 256, "n_epochs": 10},
    "c": {"n_envs": 64, "n_steps": 128, "batch_size": 2048, "n_epochs": 4},
}
SIDES = {
    "sb3": "SB3's PPO, DummyVecEnv",
    "envpool": "SpecPPO compiled, EnvPool",
    "dummy": "SpecPPO compiled, DummyVecEnv",
    "arrays": "SpecPPO compiled, CartPoleVectorEnv",
    "sync": "SpecPPO compiled, SyncVectorEnv",
    "sb3-envpool": "SB3's PPO, EnvPool",
}
GOALS = {"envpool": {"c": 4.7}}
ROUND_SECONDS = 1.5
ENV_ID = "CartPole-v1"


def vec_env(side: str, n_envs: int) -> Any:
    """The environments of a side."""
    import gymnasium as gym
    from stable_baselines3.common.env_util import make_vec_env

    if side in ("sb3", "dummy"):
        return make_vec_env(ENV_ID, n_envs, seed=0)
    from ppo_lab.vec_env import GymnasiumVecEnv, make_envpool_vec_env

    if side.endswith("envpool"):
        return make_envpool_vec_env(ENV_ID, n_envs, seed=0, num_threads=1)
    how = "vector_entry_point" if side == "arrays" else "sync"
    return GymnasiumVecEnv(gym.make_vec(ENV_ID, n_envs, how))


def serve(side: str, settings: dict[str, int], core: int | None, connection: Connection) -> None:
    """Answer numbers of rollouts with seconds of processor time, until the number is 0."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    import torch as th
    from stable_baselines3 import PPO

    from ppo_lab import SpecPPO

    th.set_num_threads(1)
    learning = dict(settings)
    n_envs = learning.pop("n_envs")
    common: dict[str, Any] = {"seed": 0, "device": "cpu", **learning}
    env = vec_env(side, n_envs)
    if side.startswith("sb3"):
        model: Any = PPO("MlpPolicy", env, **common)
    else:
        model = SpecPPO("MlpPolicy", env, backend="compiled", **common)
    steps = n_envs * learning["n_steps"]
    connection.send(None)
    while rollouts := connection.recv():
        begin = time.process_time()
        model.learn(rollouts * steps, reset_num_timesteps=model.num_timesteps == 0)
        connection.send(time.process_time() - begin)


class Side:
    """A side's process.

    Attributes:
        rates: environment steps per second of processor time, one a round.
    """

    def __init__(self, side: str, settings: dict[str, int], core: int | None) -> None:
        context = mp.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(side, settings, core, theirs))
        self._process.start()
        theirs.close()
        self._connection.recv()
        self._steps = settings["n_envs"] * settings["n_steps"]
        self.rates: list[float] = []
        self._seconds(1)  # loads or compiles the kernels
        self._rollouts = max(2, round(ROUND_SECONDS / self._seconds(1)))

    def _seconds(self, rollouts: int) -> float:
        self._connection.send(rollouts)
        return float(self._connection.recv())

    def measure(self) -> None:
        """One round."""
        self.rates.append(self._rollouts * self._steps / self._seconds(self._rollouts))

    def end(self) -> None:
        """End the process."""
        self._connection.send(0)
        self._process.join()


def compare(name: str, sides: list[str], rounds: int, core: int | None) -> bool:
    """Print all sides of one configuration; whether its goal is met."""
    settings = CONFIGURATIONS[name]
    measured = {side: Side(side, settings, core) for side in sides}
    for _ in range(rounds):
        for each in measured.values():
            each.measure()
    for each in measured.values():
        each.end()
    shape = "{n_envs} × {n_steps}, minibatch {batch_size}, {n_epochs} epochs"
    print(f"\n{ENV_ID}, {name}: {shape.format(**settings)}; median of {rounds} rounds")
    print(f"{'':38} {'steps/s':>9} {'range':>17} {'ratio':>7} {'goal':>7}")
    met, base = True, statistics.median(measured["sb3"].rates)
    for side, each in measured.items():
        rate, goal = statistics.median(each.rates), GOALS.get(side, {}).get(name)
        spread = f"{min(each.rates):,.0f}–{max(each.rates):,.0f}"
        line = f"{SIDES[side]:38} {rate:9,.0f} {spread:>17} {rate / base:7.2f}"
        if goal is not None:
            met = met and rate / base >= goal
            line += f" {'≥ ' + format(goal, '.1f'):>7} {'met' if rate / base >= goal else 'MISSED'}"
        print(line, flush=True)
    return met


def main() -> int:
    """Run what the arguments choose; 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", nargs="+", choices=CONFIGURATIONS, default=["b", "c"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sides = ["sb3", *(side for side in options.sides if side != "sb3")]
    if find_spec("envpool") is None:
        print('Without EnvPool: pip install "ppo-lab[envpool]"')
        sides = [side for side in sides if not side.endswith("envpool")]
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    packages = ["stable-baselines3", "gymnasium", "torch", "numba", "numpy"]
    packages += ["envpool"] if any(side.endswith("envpool") for side in sides) else []
    print(f"Python {platform.python_version()}, {platform.platform()}, one core")
    print(", ".join(f"{name} {version(name)}" for name in packages))
    met = [compare(name, sides, options.rounds, core) for name in options.configurations]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
