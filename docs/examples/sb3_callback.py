"""A callback of one's own: keep the model with the best mean training return so far."""

import sys
from pathlib import Path

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO


class SaveBestTraining(BaseCallback):
    """After each rollout, save the model if its last episodes were the best ones yet.

    Args:
        file: where the model goes.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.best = -np.inf

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer or ()
        if not episodes:
            return
        mean = float(np.mean([episode["r"] for episode in episodes]))
        if mean > self.best:
            self.best = mean
            self.model.save(self.file)
            print(f"{self.num_timesteps} steps: mean return {mean:.1f}, saved")


def main(timesteps: int = 20_000) -> None:
    """Train with the callback, and load what it kept."""
    file = Path("best_training_model.zip")
    env = make_vec_env("CartPole-v1", n_envs=4, seed=0)
    callback = SaveBestTraining(file)
    SpecPPO("MlpPolicy", env, n_steps=256, seed=0, device="cpu").learn(timesteps, callback)
    kept = SpecPPO.load(file, env=env, device="cpu")
    print(f"best mean return {callback.best:.1f} at {kept.num_timesteps} steps")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
