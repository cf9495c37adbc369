"""An environment whose steps take their time and leave a trace."""

import os
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class SlowEnv(gym.Env[np.ndarray, int]):
    """Eight steps an episode; the reward is the action.

    Args:
        seconds: that a step takes.
        witness: a folder in which the first step leaves its process's number; empty: none.

    Where the variable ``HELD_MEGABYTES`` is set, each step holds so much more, up to forty times.
    """

    def __init__(self, seconds: float = 0.0, witness: str = "") -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._seconds, self._witness = seconds, witness
        self._held: list[bytes] = []
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._observation(), {}

    def step(self, action: int) -> Any:
        if self._witness:
            (Path(self._witness) / str(os.getpid())).touch()
        if (megabytes := os.environ.get("HELD_MEGABYTES")) and len(self._held) < 40:
            self._held.append(os.urandom(1 << 20) * int(megabytes))
        time.sleep(self._seconds)
        self._steps += 1
        return self._observation(), float(action), False, self._steps == 8, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.random(2, dtype=np.float32)
