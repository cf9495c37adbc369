"""A model's table of action probabilities, and the exact return that it gives."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import VecNormalize

import ppo_lab
from envs.planning import one_hot, policy_return, random_policy, random_return, value_iteration
from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.exact import model_policy
from ppo_lab.vec_env import make_native_vec_env

assert ppo_lab.__version__  # importing it registers the environments

HORIZON = 100
EPISODES = 4096


def untrained(env_id, policy="MlpPolicy", **kwargs):
    env = make_native_vec_env(env_id, 2, **kwargs)
    return PPO(policy, env, n_steps=4, batch_size=8, seed=0, device="cpu")


def set_logits(model, logits):
    """One linear layer from the state's one-hot to the logits: the policy is ``logits`` (S, A)."""
    with th.no_grad():
        model.policy.action_net.weight.copy_(th.as_tensor(logits.T))
        model.policy.action_net.bias.zero_()


def linear_model(env_id, **kwargs):
    env = make_native_vec_env(env_id, 2, **kwargs)
    policy_kwargs = {"net_arch": []}
    return SpecPPO(
        "MlpPolicy", env, n_steps=4, batch_size=8, device="cpu", policy_kwargs=policy_kwargs
    )


def test_a_hand_set_policy_is_read_back_and_has_the_planners_return():
    env = gym.make("ppo_lab/NoisyGridWorld-v0")
    mdp = env.unwrapped.mdp
    model = linear_model("ppo_lab/NoisyGridWorld-v0")
    best = one_hot(value_iteration(mdp, 0.9).policy, 4)
    set_logits(model, best * np.log(9.0))
    # logits ln 9 and three times 0: 9/12 and three times 1/12.
    np.testing.assert_allclose(
        model_policy(model, env, deterministic=False), (8.0 * best + 1.0) / 12.0, rtol=1e-6
    )
    np.testing.assert_array_equal(model_policy(model, env), best)
    optimal = policy_return(mdp, best, HORIZON)
    assert policy_return(mdp, model_policy(model, env), HORIZON) == optimal


def test_equal_logits_are_the_random_policy():
    env = gym.make("ppo_lab/Crawler-v0")
    mdp = env.unwrapped.mdp
    model = linear_model("ppo_lab/Crawler-v0")
    set_logits(model, np.zeros((mdp.n_states, mdp.n_actions)))
    table = model_policy(model, env, deterministic=False)
    np.testing.assert_array_equal(table, random_policy(mdp))
    # 6.055 is the random policy's expectation of Spec 11.4.
    assert policy_return(mdp, table, HORIZON) == pytest.approx(6.055, abs=5e-4)
    assert policy_return(mdp, table, HORIZON) == random_return(mdp, HORIZON)


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(
    ("env_id", "observation", "policy"),
    [
        ("ppo_lab/NoisyGridWorld-v0", "index", "MlpPolicy"),
        ("ppo_lab/NoisyGridWorld-v0", "coordinates", "MlpPolicy"),
        ("ppo_lab/NoisyGridWorld-v0", "image", "CnnPolicy"),
        ("ppo_lab/Crawler-v0", "coordinates", "MlpPolicy"),
    ],
)
def test_played_episodes_average_to_the_exact_return(env_id, observation, policy, deterministic):
    kwargs = {"observation": observation, "max_episode_steps": 20, "living_reward": -0.1}
    if "Crawler" in env_id:
        del kwargs["living_reward"]
    model = untrained(env_id, policy, **kwargs)
    table = model_policy(model, single := gym.make(env_id, **kwargs), deterministic)
    exact = policy_return(single.unwrapped.mdp, table, 20)
    # The number of episodes that a picture's network can play in a second is smaller.
    copies = 512 if observation == "image" else EPISODES
    env = make_native_vec_env(env_id, copies, seed=1, **kwargs)
    observations, returns = env.reset(), np.full(copies, np.nan)
    for _ in range(20):
        actions = model.predict(observations, deterministic=deterministic)[0]
        observations, _, dones, infos = env.step(actions)
        for index in np.flatnonzero(dones & np.isnan(returns)):
            returns[index] = infos[index]["episode"]["r"]
    error = returns.std(ddof=1) / np.sqrt(copies)
    # Four standard errors: all eight cases hold by chance with probability 0.9995.
    assert abs(returns.mean() - exact) <= 4.0 * error + 1e-5
    if not deterministic:
        assert error > 0.0


def test_observations_are_normalised_as_the_model_saw_them():
    env = VecNormalize(make_native_vec_env("ppo_lab/Crawler-v0", 8, observation="coordinates"))
    model = SpecPPO("MlpPolicy", env, n_steps=64, batch_size=64, seed=0, device="cpu").learn(1024)
    single = gym.make("ppo_lab/Crawler-v0", observation="coordinates")
    table = model_policy(model, single)
    normalised = env.normalize_obs(single.unwrapped.observations())
    np.testing.assert_array_equal(
        table.argmax(axis=1), model.predict(normalised, deterministic=True)[0]
    )
    raw = model.predict(single.unwrapped.observations(), deterministic=True)[0]
    assert (table.argmax(axis=1) != raw).any()


def test_a_toy_text_environment_is_asked_by_its_index():
    model = untrained("ppo_lab/GridWorld-v0")
    lake = gym.make("FrozenLake-v1")
    lake_model = PPO("MlpPolicy", lake, n_steps=8, batch_size=8, seed=0, device="cpu")
    table = model_policy(lake_model, lake, deterministic=False)
    assert table.shape == (16, 4)
    obs = th.arange(16)
    with th.no_grad():
        expected = lake_model.policy.get_distribution(obs).distribution.probs.numpy()
    np.testing.assert_allclose(table, expected, rtol=1e-6)
    with pytest.raises(ArgumentError, match=r"trained on Discrete\(11\).*Discrete\(16\)"):
        model_policy(model, lake)


def test_a_model_without_probabilities_has_its_greedy_policy_only():
    env = gym.make("ppo_lab/GridWorld-v0")
    model = DQN("MlpPolicy", env, buffer_size=10, device="cpu", seed=0)
    assert model_policy(model, env).sum(axis=1).tolist() == [1.0] * 11
    with pytest.raises(ArgumentError, match="DQN has no action probabilities"):
        model_policy(model, env, deterministic=False)


def test_what_has_no_table_is_refused():
    model = untrained("ppo_lab/GridWorld-v0")
    with pytest.raises(ArgumentError, match="needs one Discrete action space"):
        model_policy(model, gym.make("ppo_lab/CrawlerContinuous-v0"))
    with pytest.raises(ArgumentError, match=r"trained on Discrete\(11\).*same observation"):
        model_policy(model, gym.make("ppo_lab/GridWorld-v0", observation="coordinates"))
    cart = gym.make("CartPole-v1")
    cart_model = PPO("MlpPolicy", cart, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(ArgumentError, match="does not tell the observations of its states"):
        model_policy(cart_model, cart)
