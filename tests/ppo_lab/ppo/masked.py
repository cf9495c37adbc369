"""An environment that forbids actions, and a model under its masks."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO

BOX = spaces.Box(-1.0, 1.0, (3,))
DICT = spaces.Dict({"a": BOX, "b": spaces.Discrete(4)})
VECTOR = spaces.MultiDiscrete([3, 2])
BITS = spaces.MultiBinary(2)


class Masked(gym.Env[Any, Any]):
    """7 steps; forbids what a counter says, and raises where it is done all the same."""

    def __init__(self, actions: spaces.Space[Any], observations: spaces.Space[Any] = BOX) -> None:
        self.action_space, self.observation_space = actions, observations
        self.clock = 0

    def action_masks(self) -> list[bool]:
        count = {spaces.Discrete: 5, spaces.MultiDiscrete: 5, spaces.MultiBinary: 4}
        mask = [True] * count[type(self.action_space)]
        mask[self.clock % 2] = False  # of each part at least one is left
        return mask

    def _observation(self) -> Any:
        low = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return {"a": low, "b": self.clock % 4} if self.observation_space is DICT else low

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        first = int(np.ravel(action)[0])
        assert first != self.clock % 2, "a forbidden action"
        self.clock += 1
        reward = float(np.sum(action)) - self.clock % 3
        return self._observation(), reward, self.clock == 7, False, {}


SETTINGS: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 3, "seed": 5}


def masked_model(actions: spaces.Space[Any] = VECTOR, **kwargs: Any) -> SpecPPO:
    """Two such environments, and SpecPPO in them."""
    env = make_vec_env(lambda: Masked(actions), 2, seed=1)
    return SpecPPO("MlpPolicy", env, device="cpu", mask_actions=True, **SETTINGS, **kwargs)
