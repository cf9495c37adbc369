"""Worlds beyond what ``test_contract`` asks of all: their corners, chances and streams."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.env_util import make_vec_env

from envs.planning import random_return
from ppo_lab.vec_env.compiled import CompiledVecEnv, has_world
from ppo_lab.worlds import randomness
from ppo_lab.worlds.randomness import new_stream
from tests.ppo_lab.kernels.calling import from_python
from tests.ppo_lab.vec_env.steps_alike import assert_same_step

uniform, uniform_between = map(from_python, (randomness.uniform, randomness.uniform_between))

K = 3


def test_pushing_with_the_motion_brings_both_mountain_cars_to_the_goal_and_the_wall():
    for env_id, scale in (("MountainCar-v0", 1), ("MountainCarContinuous-v0", 1.0)):
        ours = CompiledVecEnv(env_id, K, seed=1)
        theirs = make_vec_env(env_id, K, seed=1)
        observations, ended = ours.reset(), []
        theirs.reset()
        leftmost = 0.0
        for _ in range(400):
            ahead = np.where(observations[:, 1] >= 0.0, scale, -scale)
            discrete = env_id == "MountainCar-v0"
            actions = (ahead + 1).astype(int) if discrete else ahead[:, None].astype(np.float32)
            ended += assert_same_step(ours, theirs, actions)
            observations = theirs.buf_obs[None]
            leftmost = min(leftmost, observations[:, 0].min())
        assert sum(not info["TimeLimit.truncated"] for info in ended) >= K
        assert leftmost < -0.9


def test_a_force_beyond_the_bounds_moves_the_car_as_in_gymnasium():
    ours = CompiledVecEnv("MountainCarContinuous-v0", 1, seed=2)
    theirs = make_vec_env("MountainCarContinuous-v0", 1, seed=2)
    ours.reset()
    theirs.reset()
    for step in range(300):
        actions = np.array([[3.0 if (step // 25) % 2 else -2.5]], np.float32)
        np.testing.assert_array_equal(ours.step(actions)[0], theirs.step(actions)[0])


def test_acrobot_from_the_same_state_moves_to_the_same_state_up_to_the_last_bit():
    ours = CompiledVecEnv("Acrobot-v1", 1)
    ours.reset()
    env = gym.make("Acrobot-v1").unwrapped
    env.reset()
    rng, terminations = np.random.default_rng(0), 0
    for _ in range(2000):
        env.state = rng.uniform(-1.0, 1.0, 4) * (np.pi, np.pi, 12.0, 28.0)
        ours.set_attr("states", env.state)
        action = rng.integers(3)
        observation, reward, terminated, _, _ = env.step(action)
        observed, rewards, dones, infos = ours.step(np.array([action]))
        if terminated:
            observed = [infos[0]["terminal_observation"]]
            assert not infos[0]["TimeLimit.truncated"]
        np.testing.assert_array_max_ulp(observed[0], observation, maxulp=8)
        assert (rewards[0], dones[0]) == (reward, terminated)
        terminations += terminated
    assert 100 < terminations < 1900


@given(seed=st.integers(0, 2**63), n=st.integers(1, 50))
def test_a_stream_gives_the_numbers_of_numpys_generator(seed, n):
    stream, rng = new_stream(seed), np.random.Generator(np.random.PCG64(seed))
    assert [uniform(stream) for _ in range(n)] == rng.random(n).tolist()
    ours = [uniform_between(stream, -0.3, 5.0) for _ in range(n)]
    assert ours == [rng.uniform(-0.3, 5.0) for _ in range(n)]
    whole = rng.bit_generator.state["state"]["state"]
    assert (int(stream[0]) << 64) + int(stream[1]) == whole


def test_transitions_come_as_often_as_the_tables_say():
    # Slippery ice, right from the start: down, right or up (stays), 1/3 each; n = 30,000:
    # standard error √(1/3 · 2/3 / n) = 0.0027, five of them 0.0136.
    n = 30_000
    env = CompiledVecEnv("FrozenLake-v1", n, seed=0)
    env.reset()
    observed = env.step(np.full(n, 2))[0]
    shares = np.bincount(observed, minlength=16) / n
    np.testing.assert_allclose(shares[[4, 1, 0]], 1 / 3, atol=0.0136)
    assert shares[[4, 1, 0]].sum() == pytest.approx(1.0)


@pytest.mark.parametrize("env_id", ["ppo_lab/NoisyGridWorld-v0", "ppo_lab/Crawler-v0"])
def test_a_random_policy_earns_what_dynamic_programming_says(env_id):
    env = CompiledVecEnv(env_id, 4000, seed=0)
    mdp, limit = env.get_attr("mdp", 0)[0], env.max_episode_steps
    env.reset()
    rng, returns = np.random.default_rng(1), np.full(4000, np.nan)
    for _ in range(limit):
        infos = env.step(rng.integers(mdp.n_actions, size=4000))[3]
        for copy, info in enumerate(infos):
            if "episode" in info and np.isnan(returns[copy]):
                returns[copy] = info["episode"]["r"]
    assert not np.isnan(returns).any()
    error = returns.std() / np.sqrt(returns.size)
    assert abs(returns.mean() - random_return(mdp, limit)) < 4.0 * error


class Shifted(gym.ObservationWrapper):
    def observation(self, observation):
        return observation + 1.0


@pytest.mark.parametrize(
    ("env_id", "arguments", "expected"),
    [
        ("CartPole-v1", {}, True),
        ("CartPole-v1", {"max_episode_steps": 9}, True),
        ("CartPole-v1", {"render_mode": "rgb_array"}, False),
        ("ppo_lab/GridWorld-v0", {"observation": "image"}, False),
        ("Taxi-v4", {"fickle_passenger": True}, False),
        ("Blackjack-v1", {}, False),
        ("no/such-v0", {}, False),
        ("CartPole-v1", {"nonsense": 1}, False),
    ],
)
def test_only_what_is_restated_has_a_world(env_id, arguments, expected):
    assert has_world(env_id, arguments) is expected


def test_an_environment_in_another_wrapper_has_no_world():
    gym.register("worlds-test/Shifted-v0", lambda: Shifted(gym.make("CartPole-v1")))
    try:
        assert not has_world("worlds-test/Shifted-v0")
    finally:
        del gym.registry["worlds-test/Shifted-v0"]
