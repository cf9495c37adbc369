"""How fast PPO trains on MuJoCo's environments, with and without ``VecNormalize``.

``python benchmarks/normalized.py`` trains SB3's PPO and SpecPPO by compiled kernels with SB3's
defaults, the same under ``VecNormalize``, and RL Zoo's settings (256 × 256 ReLU). Each side has
a process of its own; all are pinned to one core and work in turns, each is measured by its own CPU
time, and collecting and updating apart. Exits with 1 if a goal is missed.
"""

import argparse
import multiprocessing as mp
import os
import statistics
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

ROUND_STEPS, SLOW_STEPS = 8192, 2048
SIDES = ("SB3", "ours")
GOALS = {
    ("HalfCheetah-v5", "defaults"): 11.0,
    ("HalfCheetah-v5", "VecNormalize"): 9.0,
    ("HalfCheetah-v5", "zoo"): 4.5,
    ("Hopper-v5", "defaults"): 5.5,
    ("Hopper-v5", "VecNormalize"): 4.5,
    ("Hopper-v5", "zoo"): 3.5,
}
ZOO: dict[str, dict[str, Any]] = {
    "HalfCheetah-v5": {
        "batch_size": 64, "gamma": 0.98, "n_epochs": 20, "ent_coef": 0.000401762, "clip_range": 0.1,
        "gae_lambda": 0.92, "max_grad_norm": 0.8, "vf_coef": 0.58096, "learning_rate": 2.0633e-05,
    },
    "Hopper-v5": {
        "batch_size": 32, "gamma": 0.999, "n_epochs": 5, "ent_coef": 0.00229519, "clip_range": 0.2,
        "gae_lambda": 0.99, "max_grad_norm": 0.7, "vf_coef": 0.835671, "learning_rate": 9.80828e-05,
    },
}  # fmt: skip
"""RL Zoo's ``ppo.yml`` for the v4 of each; both with n_steps 512."""


@dataclass(frozen=True)
class Job:
    """One side in one configuration."""

    side: str
    env_id: str
    name: str
    core: int | None


def model_of(job: Job) -> Any:
    """The model of a side."""
    import torch as th
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    th.set_num_threads(1)
    env: Any = make_vec_env(job.env_id, 1, seed=0)
    settings: dict[str, Any] = {"seed": 0, "device": "cpu"}
    if job.name == "zoo":
        networks = {"net_arch": {"pi": [256, 256], "vf": [256, 256]}, "ortho_init": False}
        policy = {**networks, "activation_fn": th.nn.ReLU, "log_std_init": -2}
        settings |= {"n_steps": 512, "policy_kwargs": policy, **ZOO[job.env_id]}
    if job.name != "defaults":
        env = VecNormalize(env, gamma=settings.get("gamma", 0.99))
    if job.side == "SB3":
        from stable_baselines3 import PPO

        return PPO("MlpPolicy", env, **settings)
    from ppo_lab import SpecPPO

    return SpecPPO("MlpPolicy", env, backend="compiled", **settings)


def serve(job: Job, connection: Connection) -> None:
    """Answer numbers of steps with seconds of collecting and of updating, until it is 0."""
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})
    from stable_baselines3.common.callbacks import BaseCallback

    class Clock(BaseCallback):
        """CPU time spent in rollouts; all else is the update's."""

        every_step = False
        collecting = 0.0

        def _on_rollout_start(self) -> None:
            self._began = time.process_time()

        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            self.collecting += time.process_time() - self._began

    model = model_of(job)
    while steps := connection.recv():
        clock, began = Clock(), time.process_time()
        model.learn(steps, clock, reset_num_timesteps=False)
        spent = time.process_time() - began
        connection.send((clock.collecting, spent - clock.collecting))


class Side:
    """A side's process, and what it has measured: microseconds a step, one pair a round."""

    def __init__(self, job: Job) -> None:
        context = mp.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(job, theirs), daemon=True)
        self._process.start()
        self._steps = SLOW_STEPS if job.side == "SB3" else ROUND_STEPS
        self.rounds: list[tuple[float, float]] = []
        self.measure()  # loads or compiles the kernels
        self.rounds.clear()

    def measure(self) -> None:
        """One round."""
        self._connection.send(self._steps)
        seconds = self._connection.recv()
        collecting, updating = (1e6 * part / self._steps for part in seconds)
        self.rounds.append((collecting, updating))

    def end(self) -> None:
        """End the process."""
        self._connection.send(0)
        self._process.join()

    @property
    def totals(self) -> list[float]:
        """Microseconds a step of every round."""
        return [sum(each) for each in self.rounds]


def compare(env_id: str, name: str, rounds: int, core: int | None) -> bool:
    """Print one configuration; whether its goal is met."""
    sides = {side: Side(Job(side, env_id, name, core)) for side in SIDES}
    for _ in range(rounds):
        for side in sides.values():
            side.measure()
    print(f"\n{env_id}, {name}: µs of CPU time a step, median of {rounds} rounds")
    for label, side in sides.items():
        side.end()
        collecting, updating = (statistics.median(part) for part in zip(*side.rounds, strict=True))
        low, high = min(side.totals), max(side.totals)
        total = statistics.median(side.totals)
        print(
            f"  {label:5} {total:7.1f} ({low:.1f}–{high:.1f}), {1e6 / total:8,.0f} steps/s; "
            f"collecting {collecting:6.1f}, updating {updating:6.1f}"
        )
    if min(sides["SB3"].totals) <= max(sides["ours"].totals):
        print("  no ratio: the rounds of the two overlap")
        return False
    ratio = statistics.median(sides["SB3"].totals) / statistics.median(sides["ours"].totals)
    goal = GOALS[env_id, name]
    print(f"  ratio {ratio:.2f}, goal ≥ {goal}: {'met' if ratio >= goal else 'MISSED'}", flush=True)
    return ratio >= goal


def main() -> int:
    """Run what the arguments choose; 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", nargs="+", choices=[*ZOO], default=[*ZOO])
    names = ["defaults", "VecNormalize", "zoo"]
    parser.add_argument("--configurations", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    met = [
        compare(env_id, name, options.rounds, core)
        for env_id in options.envs
        for name in options.configurations
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
