"""SpecPPO by torch with SB3's settings is SB3's PPO, bit for bit: SB3 itself is the oracle."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from ppo_lab import SpecPPO

ROLLOUTS = 3


def _trained(
    algorithm: type[PPO] | type[SpecPPO],
    make_env: Callable[[], VecEnv],
    policy: str = "MlpPolicy",
    **kwargs: Any,
) -> PPO | SpecPPO:
    env = make_env()
    settings: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 4} | kwargs
    if algorithm is SpecPPO:
        settings["backend"] = "torch"
    model = algorithm(policy, env, seed=5, device="cpu", **settings)
    return model.learn(ROLLOUTS * settings["n_steps"] * env.num_envs)


def assert_bit_for_bit(
    make_env: Callable[[], VecEnv], policy: str = "MlpPolicy", **kwargs: Any
) -> None:
    reference = _trained(PPO, make_env, policy, **kwargs)
    ours = _trained(SpecPPO, make_env, policy, **kwargs)
    expected, actual = reference.policy.state_dict(), ours.policy.state_dict()
    assert list(expected) == list(actual)
    for name, tensor in expected.items():
        assert th.equal(tensor, actual[name]), name
    assert ours._n_updates == reference._n_updates


ENVIRONMENTS = [("CartPole-v1", 1), ("CartPole-v1", 4), ("Pendulum-v1", 1), ("Pendulum-v1", 4)]

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "target_kl": {"target_kl": 0.003},
    "clip_range_vf": {"clip_range_vf": 0.2},
    "schedules": {
        "learning_rate": lambda progress: 1e-3 * progress,
        "clip_range": lambda progress: 0.1 + 0.2 * progress,
        "clip_range_vf": lambda progress: 0.1 + 0.3 * progress,
    },
    "everything": {
        "learning_rate": 1e-3,
        "gamma": 0.9,
        "gae_lambda": 0.8,
        "ent_coef": 0.01,
        "vf_coef": 0.7,
        "max_grad_norm": 0.1,
        "target_kl": 0.02,
        "clip_range_vf": 0.5,
    },
    "normalize_advantage": {"normalize_advantage": False},
    "networks": {
        "policy_kwargs": {
            "net_arch": {"pi": [16], "vf": [32, 8]},
            "activation_fn": th.nn.ReLU,
            "ortho_init": False,
            "optimizer_class": th.optim.RMSprop,
            "optimizer_kwargs": {"alpha": 0.9},
        }
    },
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize(("env_id", "n_envs"), ENVIRONMENTS)
def test_parameters_equal_those_of_ppo_bit_for_bit(
    env_id: str, n_envs: int, options: dict[str, Any]
) -> None:
    assert_bit_for_bit(lambda: make_vec_env(env_id, n_envs, seed=2), **options)


@pytest.mark.slow
def test_ppo_defaults_give_the_same_parameters_at_their_full_size() -> None:
    assert_bit_for_bit(
        lambda: make_vec_env("CartPole-v1", 1, seed=2), n_steps=2048, batch_size=64, n_epochs=10
    )


@pytest.mark.parametrize("options", [{}, {"sde_sample_freq": 4}])
@pytest.mark.parametrize("squash", [False, True])
def test_state_dependent_exploration_is_that_of_ppo(squash: bool, options: dict[str, Any]) -> None:
    assert_bit_for_bit(
        lambda: make_vec_env("Pendulum-v1", 2, seed=2),
        use_sde=True,
        policy_kwargs={"squash_output": squash},
        **options,
    )


def test_normalized_observations_and_rewards_are_those_of_ppo() -> None:
    assert_bit_for_bit(
        lambda: VecNormalize(make_vec_env("Pendulum-v1", 2, seed=2), gamma=0.9), gamma=0.9
    )


class _Bandit(gym.Env[Any, Any]):
    """Pays the sum of the action's parts; 5 steps; any space."""

    def __init__(self, action_space: spaces.Space[Any], observation_space: spaces.Space[Any]):
        self.action_space, self.observation_space = action_space, observation_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        reward = float(np.sum(action))
        return self.observation_space.sample(), reward, self._steps == 5, False, {}


@pytest.mark.parametrize(
    ("action_space", "observation_space"),
    [
        (spaces.MultiDiscrete([3, 2]), spaces.Box(-1, 1, (3,), np.float32)),
        (spaces.MultiBinary(4), spaces.Box(-1, 1, (3,), np.float32)),
        (spaces.Discrete(3), spaces.Discrete(6)),
        (spaces.Discrete(3), spaces.MultiDiscrete([3, 4])),
        (spaces.Box(-2, 2, (2, 2), np.float32), spaces.MultiBinary(3)),
    ],
    ids=str,
)
def test_every_space_that_ppo_takes_gives_the_parameters_of_ppo(
    action_space: spaces.Space[Any], observation_space: spaces.Space[Any]
) -> None:
    def make_env() -> VecEnv:
        kwargs = {"action_space": action_space, "observation_space": observation_space}
        return make_vec_env(_Bandit, 2, seed=2, env_kwargs=kwargs)

    assert_bit_for_bit(make_env)


IMAGE = spaces.Box(0, 255, (36, 36, 1), np.uint8)


@pytest.mark.parametrize("shared", [True, False])
def test_dictionary_observations_are_those_of_ppo(shared: bool) -> None:
    space = spaces.Dict({"image": IMAGE, "vector": spaces.Box(-1, 1, (3,), np.float32)})
    kwargs = {"action_space": spaces.Discrete(3), "observation_space": space}
    assert_bit_for_bit(
        lambda: make_vec_env(_Bandit, 2, seed=2, env_kwargs=kwargs),
        "MultiInputPolicy",
        n_epochs=1,
        policy_kwargs={"share_features_extractor": shared},
    )


@pytest.mark.parametrize("shared", [True, False])
def test_stacked_images_are_those_of_ppo(shared: bool) -> None:
    kwargs = {"action_space": spaces.Discrete(3), "observation_space": IMAGE}
    assert_bit_for_bit(
        lambda: VecFrameStack(make_vec_env(_Bandit, 2, seed=2, env_kwargs=kwargs), 2),
        "CnnPolicy",
        n_epochs=1,
        policy_kwargs={
            "share_features_extractor": shared,
            "features_extractor_kwargs": {"features_dim": 16},
        },
    )
