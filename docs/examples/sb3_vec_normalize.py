"""VecNormalize: train on normalised observations and rewards, save both files, load and score."""

import sys
from pathlib import Path

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab import SpecPPO


def main(timesteps: int = 20_000) -> None:
    """The statistics are part of the agent: without them the loaded model reads other numbers."""
    model_file, statistics = Path("pendulum.zip"), Path("vec_normalize.pkl")
    env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=4, seed=0), gamma=0.9)
    model = SpecPPO("MlpPolicy", env, n_steps=250, batch_size=100, gamma=0.9, seed=0, device="cpu")
    model.learn(timesteps)
    model.save(model_file)
    env.save(str(statistics))

    test_env = VecNormalize.load(str(statistics), make_vec_env("Pendulum-v1", n_envs=1, seed=100))
    test_env.training = False
    test_env.norm_reward = False
    loaded = SpecPPO.load(model_file, env=test_env, device="cpu")
    mean, spread = evaluate_policy(loaded, test_env, n_eval_episodes=5)
    print(f"return over 5 episodes: {mean:.0f} ± {spread:.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
