"""How fast pictures are learned from: the options of ``CnnPolicy`` beside SB3's PPO.

``python -m benchmarks.images`` trains with the sizes of RL Zoo's Atari settings on pictures of
4 × 84 × 84 that cost nothing to make, so that the networks are what is timed. All sides are pinned
to one core and work in turns; what is compared is processor time, and a ratio whose rounds overlap
is not told. The options agree with SB3 to rounding, and no goal is set: on some processors neither
helps.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from benchmarks.clocks import ratio_of
from ppo_lab import SpecPPO

SIZES: dict[str, Any] = {"n_steps": 128, "batch_size": 256, "n_epochs": 4}
N_ENVS = 8
PICTURES = 64
SIDES: dict[str, dict[str, bool] | None] = {
    "SB3's PPO": None,
    "SpecPPO by torch": {},
    "channels_last": {"channels_last": True},
    "compile_extractor": {"compile_extractor": True},
    "both": {"channels_last": True, "compile_extractor": True},
}


class Pictures(gym.Env[Any, int]):
    """Pictures drawn beforehand, one after the other; a reward for the action 0."""

    observation_space = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    action_space = spaces.Discrete(6)

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._pictures = random.integers(0, 256, (PICTURES, 4, 84, 84), np.uint8)
        self._step = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002
        """The first of the coming pictures."""
        super().reset(seed=seed)
        return self._pictures[self._step % PICTURES], {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The next picture; an episode has 100."""
        self._step += 1
        picture = self._pictures[self._step % PICTURES]
        return picture, float(action == 0), self._step % 100 == 0, False, {}


def model_of(options: dict[str, bool] | None) -> Any:
    """A side's model, with its first rollout and update behind it: torch compiles in it."""
    env = DummyVecEnv([Pictures] * N_ENVS)
    settings: dict[str, Any] = {**SIZES, "seed": 0, "device": "cpu"}
    if options is None:
        model: Any = PPO("CnnPolicy", env, **settings)
    else:
        model = SpecPPO("CnnPolicy", env, backend="torch", policy_kwargs=options, **settings)
    return model.learn(N_ENVS * SIZES["n_steps"])


def seconds(model: Any) -> float:
    """Processor time of a rollout and its update."""
    begin = time.process_time()
    model.learn(N_ENVS * SIZES["n_steps"], reset_num_timesteps=False)
    return time.process_time() - begin


def main() -> int:
    """Run the sides in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    options = parser.parse_args()
    from benchmarks.machine import described, last_core
    from benchmarks.page_marks import Printed

    say = Printed()
    for line in described():
        say(line)
    if (core := last_core()) is not None:
        os.sched_setaffinity(0, {core})
    th.set_num_threads(1)
    begin = time.perf_counter()
    models = {name: model_of(chosen) for name, chosen in SIDES.items()}
    rates: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(options.rounds):
        for name, model in models.items():
            rates[name].append(N_ENVS * SIZES["n_steps"] / seconds(model))
    shape = "{n_steps}, minibatch {batch_size}, {n_epochs} epochs".format(**SIZES)
    say(f"\nPictures of 4 × 84 × 84: {N_ENVS} × {shape}; median of {options.rounds} rounds")
    say(f"{'':24} {'steps/s':>9} {'range':>13} {'ratio':>8}")
    base = rates["SB3's PPO"]
    for name, found in rates.items():
        ratio = 1.0 if found is base else ratio_of(found, base)
        told = "overlap" if ratio is None else f"{ratio:.2f}"
        spread = f"{min(found):,.0f}–{max(found):,.0f}"
        say(f"{name:24} {statistics.median(found):9,.0f} {spread:>13} {told:>8}")
    say(f"in all {time.perf_counter() - begin:.0f} s, compiling included")
    say.write(options.write, "images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
