"""How fast vector environments train: EnvPool's and Gymnasium's own CartPole beside SB3.

``python -m benchmarks.vector`` trains on CartPole-v1 in the shapes of ``compiled.py``:
SB3's PPO with ``DummyVecEnv``, and SpecPPO's kernels with EnvPool (the extra ``envpool``), with
``DummyVecEnv``, with Gymnasium's ``CartPoleVectorEnv``, whose resets are left out as no samples,
and with its ``SyncVectorEnv``. Each side lives in a process of its own; all are pinned to one core
and work in turns. What is compared is the processor time of all threads, which other processes on
the core do not lengthen; a ratio whose rounds overlap is not told. Exits with 1 if the goal is
missed or not shown.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import argparse
import importlib
import multiprocessing as mp
import os
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.cases import SHAPES
from benchmarks.clocks import ranges, ratio_of
from benchmarks.comparison import met, verdict

SIDES = {
    "sb3": "SB3's PPO, DummyVecEnv",
    "envpool": "SpecPPO compiled, EnvPool",
    "dummy": "SpecPPO compiled, DummyVecEnv",
    "arrays": "SpecPPO compiled, CartPoleVectorEnv",
    "sync": "SpecPPO compiled, SyncVectorEnv",
    "sb3-envpool": "SB3's PPO, EnvPool",
}
GOALS = {"envpool": {"c": 4.7}}
ROUND_SECONDS = 0.8
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


def compare(name: str, sides: list[str], rounds: int, core: int | None) -> list[str]:
    """All sides of one configuration, in lines; a goal's verdict ends its own."""
    settings = SHAPES[name]
    measured = {side: Side(side, settings, core) for side in sides}
    for _ in range(rounds):
        for each in measured.values():
            each.measure()
    for each in measured.values():
        each.end()
    shape = "{n_envs} × {n_steps}, minibatch {batch_size}, {n_epochs} epochs"
    lines = [
        f"\n{ENV_ID}, {name}: {shape.format(**settings)}; median of {rounds} rounds",
        f"{'':38} {'steps/s':>9} {'range':>17} {'ratio':>8}",
    ]
    base = measured["sb3"].rates
    goals = []
    for side, each in measured.items():
        found = 1.0 if side == "sb3" else ratio_of(each.rates, base)
        told = "overlap" if found is None else f"{found:.2f}"
        spread = f"{min(each.rates):,.0f}–{max(each.rates):,.0f}"
        lines.append(
            f"{SIDES[side]:38} {statistics.median(each.rates):9,.0f} {spread:>17} {told:>8}"
        )
        if goal := GOALS.get(side, {}).get(name):
            shown = ranges(each.rates, base) if found is None else told
            goals.append(f"{SIDES[side]}: {shown}, goal ≥ {goal:g}: {verdict(found, goal)}")
    return lines + goals


def main() -> int:
    """Run what the arguments choose; 0 if the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", nargs="+", choices=SHAPES, default=["b", "c"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    options = parser.parse_args()
    from benchmarks.machine import described, last_core
    from benchmarks.page_marks import Printed

    say = Printed()
    for line in described(("envpool",)):
        say(line)
    sides = ["sb3", *(side for side in options.sides if side != "sb3")]
    try:
        importlib.import_module("envpool")
    except ImportError as error:
        say(f'EnvPool is left out: {error} (pip install "ppo-lab[envpool]")')
        sides = [side for side in sides if not side.endswith("envpool")]
    told: list[str] = []
    for name in options.configurations:
        lines = compare(name, sides, options.rounds, last_core())
        for line in lines:
            say(line)
        told += lines
    say.write(options.write, "vector environments")
    return 0 if met(told) else 1


if __name__ == "__main__":
    sys.exit(main())
