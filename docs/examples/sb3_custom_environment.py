"""An environment of one's own: check it, register it, train on it."""

import sys
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from ppo_lab import SpecPPO


class Corridor(gym.Env[Any, Any]):
    """A corridor of cells; the exit is at its left end, and each step costs.

    - Observation: Box(1,), the position over the length, in 0…1.
    - Actions: Discrete(2), 0 left, 1 right; a step past the right end stays.
    - Reward: −0.1 a step, 1 at the exit. Terminates at the exit, truncates after 50 steps.

    Args:
        length: cells, at least 2; episodes begin at the right end.
        render_mode: ``rgb_array`` draws a strip with the position in white.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, length: int = 8, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.length = length
        self.observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def _observation(self) -> np.ndarray[Any, Any]:
        return np.array([self.position / (self.length - 1)], np.float32)

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - Gymnasium's signature
    ) -> tuple[Any, dict[str, Any]]:
        """To the right end."""
        super().reset(seed=seed)
        self.position = self.length - 1
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One cell to the left or to the right."""
        self.position = min(self.length - 1, self.position + (1 if action == 1 else -1))
        at_exit = self.position == 0
        reward = 1.0 if at_exit else -0.1
        return self._observation(), reward, at_exit, False, {"is_success": at_exit}

    def render(self) -> np.ndarray[Any, Any]:
        """The corridor as an image of 16 × 16 pixels a cell."""
        image = np.zeros((16, 16 * self.length, 3), np.uint8)
        image[:, 16 * self.position : 16 * (self.position + 1)] = 255
        return image


def main(timesteps: int = 10_000) -> None:
    """Check, register, train, evaluate."""
    check_env(Corridor())
    if "Corridor-v0" not in gym.registry:
        gym.register("Corridor-v0", entry_point=Corridor, max_episode_steps=50)
    env = make_vec_env("Corridor-v0", n_envs=4, seed=0)
    model = SpecPPO("MlpPolicy", env, n_steps=64, learning_rate=1e-3, seed=0, device="cpu")
    model.learn(timesteps)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=10)
    # Seven steps from the right end: six that cost and the exit.
    print(f"mean return {mean:.1f}, best possible {1 - 6 * 0.1:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
