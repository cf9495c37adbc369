"""Several inputs at once: an image and a vector, read by ``MultiInputPolicy``."""

import sys

from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import SimpleMultiObsEnv
from stable_baselines3.common.evaluation import evaluate_policy

from ppo_lab import SpecPPO


def main(timesteps: int = 4_000) -> None:
    """SB3's grid of random images and vectors, one pair for each cell."""
    env = make_vec_env(SimpleMultiObsEnv, n_envs=2, env_kwargs={"random_start": False}, seed=0)
    model = SpecPPO("MultiInputPolicy", env, n_steps=128, n_epochs=4, seed=0, device="cpu")
    model.learn(timesteps)
    extractors = ", ".join(model.policy.features_extractor.extractors)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=4)
    print(f"inputs {extractors}; mean return {mean:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
