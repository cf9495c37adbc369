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
        megabytes: that are held.
    """

    def __init__(self, seconds: float = 0.0, witness: str = "", megabytes: int = 0) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._seconds, self._witness = seconds, witness
        self._megabytes, self._held = megabytes, b""
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._steps = 0
        return self._observation(), {}

    def step(self, action: int) -> Any:
        if self._witness:
            (Path(self._witness) / str(os.getpid())).touch()
        if self._megabytes and not self._held:
            self._held = os.urandom(1 << 20) * self._megabytes
        time.sleep(self._seconds)
        self._steps += 1
        return self._observation(), float(action), False, self._steps == 8, {}

    def _observation(self) -> np.ndarray:
        return self.np_random.random(2, dtype=np.float32)
