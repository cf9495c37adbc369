"""CompiledVecEnv as SB3's algorithms, wrappers and users meet it."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import make_native_vec_env
from ppo_lab.vec_env.compiled import CompiledVecEnv

SMALL = {"n_steps": 64, "device": "cpu", "seed": 0}


@pytest.mark.parametrize("algorithm", [PPO, A2C])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_training_on_it_repeats_training_on_dummy_vec_env(algorithm, env_id):
    def trained(env):
        # PPO seeds the environments itself, with its own seed.
        model = algorithm("MlpPolicy", env, **SMALL).learn(512)
        return model.policy.state_dict(), [episode["r"] for episode in model.ep_info_buffer]

    arguments = {"max_episode_steps": 30}
    expected, returns = trained(make_vec_env(env_id, 4, env_kwargs=arguments))
    actual, our_returns = trained(CompiledVecEnv(env_id, 4, **arguments))
    for name, tensor in expected.items():
        assert tensor.equal(actual[name]), name
    assert our_returns == pytest.approx(returns, abs=2e-6)
    assert len(returns) >= 8


def test_normalisation_sees_the_same_numbers():
    ours = VecNormalize(CompiledVecEnv("Pendulum-v1", 3, seed=1))
    theirs = VecNormalize(make_vec_env("Pendulum-v1", 3, seed=1))
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    for step in range(50):
        actions = np.full((3, 1), np.sin(step), np.float32)
        for array, other in zip(ours.step(actions)[:3], theirs.step(actions)[:3], strict=True):
            np.testing.assert_array_equal(array, other)


def test_make_native_vec_env_makes_it_where_there_is_a_world():
    assert isinstance(make_native_vec_env("CartPole-v1", 2, seed=3), CompiledVecEnv)
    assert isinstance(make_native_vec_env("ppo_lab/Crawler-v0"), CompiledVecEnv)
    pictures = make_native_vec_env("ppo_lab/Crawler-v0", observation="image")
    assert not isinstance(pictures, CompiledVecEnv)


def test_the_arrays_of_a_step_are_the_callers_to_keep():
    env = CompiledVecEnv("CartPole-v1", 2, seed=0, max_episode_steps=3)
    first = env.reset()
    kept = [env.step(np.array([1, 0])) for _ in range(3)]
    copies = [[part.copy() for part in step[:3]] for step in kept]
    ending = kept[2][3][0]["terminal_observation"].copy()
    for _ in range(6):
        env.step(np.array([0, 1]))
    for step, copied in zip(kept, copies, strict=True):
        for part, other in zip(step[:3], copied, strict=True):
            np.testing.assert_array_equal(part, other)
    np.testing.assert_array_equal(kept[2][3][0]["terminal_observation"], ending)
    assert not np.shares_memory(first, env.states)


def test_seeds_are_one_a_copy_and_used_once():
    env = CompiledVecEnv("CartPole-v1", 3, seed=4)
    first, second = env.reset(), env.reset()
    assert (first != second).all()
    assert env.seed(4) == [4, 5, 6]
    np.testing.assert_array_equal(env.reset(), first)
    for copy in range(3):
        alone = gym.make("CartPole-v1").reset(seed=4 + copy)[0]
        np.testing.assert_array_equal(first[copy], alone)
    unseeded = [CompiledVecEnv("CartPole-v1", 2).reset() for _ in range(2)]
    assert (unseeded[0] != unseeded[1]).any()


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


def test_step_before_reset_is_refused():
    with pytest.raises(ResetNeeded, match="call reset first"):
        CompiledVecEnv("CartPole-v1", 1).step(np.array([0]))


def test_reset_options_are_refused():
    env = CompiledVecEnv("CartPole-v1", 2)
    env.set_options({"low": -0.1, "high": 0.1})
    with pytest.raises(ArgumentError, match="use SB3's make_vec_env"):
        env.reset()


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


def test_without_a_monitor_infos_hold_no_statistics():
    env = CompiledVecEnv("CartPole-v1", 1, monitor=False, max_episode_steps=1)
    env.reset()
    info = env.step(np.array([0]))[3][0]
    assert set(info) == {"TimeLimit.truncated", "terminal_observation"}
    assert env.env_is_wrapped(Monitor) == [False]


def test_a_termination_on_the_last_step_is_no_truncation():
    env = CompiledVecEnv("CartPole-v1", 2, max_episode_steps=1)
    env.reset()
    # 2.4 is the end of the track: at 1 m/s a step of 0.02 s goes beyond, from 2.39 on.
    env.set_attr("states", [[2.39, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    _, _, dones, infos = env.step(np.array([0, 0]))
    assert dones.tolist() == [True, True]
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True]
