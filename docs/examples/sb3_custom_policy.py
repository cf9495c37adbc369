"""Networks of one's own: sizes and activation by arguments, and a features extractor."""

import sys

import torch as th
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from ppo_lab import SpecPPO


class SineFeatures(BaseFeaturesExtractor):
    """A learned linear layer, then sine and cosine of it.

    Args:
        observation_space: a vector.
        waves: size of the linear layer; twice as many features come out.
    """

    def __init__(self, observation_space: spaces.Box, waves: int = 16) -> None:
        super().__init__(observation_space, features_dim=2 * waves)
        self.linear = nn.Linear(observation_space.shape[0], waves)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """(B, n) observations to (B, 2 · waves) features."""
        phases = self.linear(observations)
        return th.cat([th.sin(phases), th.cos(phases)], dim=1)


def main(timesteps: int = 20_000) -> None:
    """Train with the extractor, an actor of one layer and a larger critic with its own rate."""
    env = make_vec_env("CartPole-v1", n_envs=4, seed=0)
    model = SpecPPO(
        "MlpPolicy",
        env,
        n_steps=256,
        critic_learning_rate=1e-3,
        policy_kwargs={
            "features_extractor_class": SineFeatures,
            "features_extractor_kwargs": {"waves": 8},
            "activation_fn": nn.ReLU,
            "net_arch": {"pi": [32], "vf": [64, 64]},
        },
        seed=0,
        device="cpu",
    )
    model.learn(timesteps)
    print(model.policy)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
