"""CompiledVecEnv, beyond what ``test_contract`` asks of all vector environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction
from stable_baselines3.common.monitor import Monitor

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv

SMALL = {"n_steps": 64, "device": "cpu", "seed": 0}


def test_make_native_vec_env_makes_it_where_there_is_a_world():
    assert isinstance(make_native_vec_env("CartPole-v1", 2, seed=3), CompiledVecEnv)
    assert isinstance(make_native_vec_env("ppo_lab/Crawler-v0"), CompiledVecEnv)
    pictures = make_native_vec_env("ppo_lab/Crawler-v0", observation="image")
    assert not isinstance(pictures, CompiledVecEnv)


@pytest.mark.parametrize(
    ("env_id", "actions", "message"),
    [
        ("CartPole-v1", np.array([0, 2]), r"Action \[2\] of environment 1 .* Discrete\(2\)"),
        ("CartPole-v1", np.array([0]), r"shape \(1,\).*pass \(2,\)"),
        ("CartPole-v1", np.array([0.0, 1.0]), "dtype float64.*cast to int64"),
        ("FrozenLake-v1", np.array([-1, 0]), r"Action \[-1\] of environment 0"),
        ("Pendulum-v1", np.zeros(2, np.float32), r"shape \(2,\).*pass \(2, 1\)"),
        ("ppo_lab/CrawlerContinuous-v0", np.full((2, 2), 1.5, np.float32), "environment 0"),
    ],
)
def test_actions_that_the_environment_would_refuse_are_refused_and_nothing_moves(
    env_id, actions, message
):
    env = CompiledVecEnv(env_id, 2, seed=0)
    env.reset()
    states = env.states.copy()
    with pytest.raises(InvalidAction, match=message):
        env.step(actions)
    np.testing.assert_array_equal(env.states, states)
    assert env.get_attr("steps") == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("Blackjack-v1", 2),
            "'Blackjack-v1' with {} has no compiled world, because no .* BlackjackEnv exists: use",
        ),
        (("CartPole-v1", 0), "n_envs=0: expected at least 1"),
        (("CartPool-v1", 1), "unknown environment 'CartPool-v1'; closest"),
    ],
)
def test_what_has_no_world_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        CompiledVecEnv(*arguments)


def test_attributes_are_each_copys_own_or_the_environments():
    env = CompiledVecEnv("CartPole-v1", 3, seed=0)
    env.reset()
    env.step(np.array([0, 1, 1]))
    np.testing.assert_array_equal(env.get_attr("states", 1)[0], env.states[1])
    assert env.get_attr("steps") == [1, 1, 1]
    assert env.get_attr("returns", [0, 2]) == [1.0, 1.0]
    assert env.get_attr("gravity") == [9.8] * 3
    assert env.get_attr("render_mode") == [None] * 3
    assert not env.has_attr("nonsense")
    env.set_attr("states", [0.1, 0.0, 0.0, 0.0], indices=[1])
    assert env.states[1, 0] == 0.1
    env.set_attr("max_episode_steps", 2)
    infos = env.step(np.array([0, 1, 1]))[3]
    assert [info["TimeLimit.truncated"] for info in infos] == [True] * 3
    with pytest.raises(ArgumentError, match=r"'gravity' is one for all 3 copies.*DummyVecEnv"):
        env.set_attr("gravity", 1.0)


def test_methods_that_need_no_state_are_called_and_the_others_refused():
    env = CompiledVecEnv("ppo_lab/GridWorld-v0", 2)
    tables = env.env_method("observations")
    assert [table.tolist() for table in tables] == [list(range(env.observation_space.n))] * 2
    with pytest.raises(ArgumentError, match="'step' acts on one environment's state"):
        env.env_method("step", 0)
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_is_wrapped(gym.wrappers.TimeLimit, indices=0) == [True]
    assert env.env_is_wrapped(gym.wrappers.ClipReward) == [False, False]
    assert env.get_images() == [None, None]
    env.close()
