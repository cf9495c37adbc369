"""EnvPool's environments through the adapter; skipped where the package is missing."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env import GymnasiumVecEnv, make_envpool_vec_env
from tests.ppo_lab.vec_env.makers import over_pool

envpool = pytest.importorskip("envpool", reason="the package envpool is missing")


def single(env_id, observation):
    """Gymnasium's environment in the state that an observation of a reset shows."""
    env = gym.make(env_id, max_episode_steps=30)
    env.reset(seed=0)
    x = observation.astype(np.float64)
    env.unwrapped.state = x if env_id == "CartPole-v1" else [np.arctan2(x[1], x[0]), x[2]]
    return env


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_episodes_are_those_of_gymnasiums_environment_from_the_same_starts(env_id):
    ours = over_pool(env_id, 3, seed=4, max_episode_steps=30)
    singles = [single(env_id, row) for row in ours.reset()]
    rng, ended, returns = np.random.default_rng(0), 0, np.zeros(3)
    for _ in range(100):
        if env_id == "CartPole-v1":
            actions = rng.integers(2, size=3)
        else:
            actions = rng.uniform(-2, 2, (3, 1)).astype(np.float32)
        observations, rewards, dones, infos = ours.step(actions)
        for copy, env in enumerate(singles):
            seen, paid, terminated, truncated, _ = env.step(actions[copy])
            returns[copy] += paid
            assert dones[copy] == (terminated or truncated)
            assert rewards[copy] == pytest.approx(paid, abs=1e-5)
            if not dones[copy]:
                np.testing.assert_allclose(observations[copy], seen, atol=1e-5)
                continue
            info, ended = infos[copy], ended + 1
            np.testing.assert_allclose(info["terminal_observation"], seen, atol=1e-5)
            assert info["TimeLimit.truncated"] is (truncated and not terminated)
            assert info["episode"]["r"] == pytest.approx(returns[copy], abs=1e-3)
            assert info["episode"]["l"] == info["elapsed_step"] <= 30
            singles[copy], returns[copy] = single(env_id, observations[copy]), 0.0
    assert ended >= 9


@pytest.mark.filterwarnings("ignore:.*precision lowered")  # of the pool's own spaces
def test_a_reset_on_the_same_step_begins_the_episode_that_the_pools_next_step_would():
    ours = GymnasiumVecEnv(envpool.make_gymnasium("CartPole-v1", num_envs=3, seed=5))
    pool = envpool.make_gymnasium("CartPole-v1", num_envs=3, seed=5)
    np.testing.assert_array_equal(ours.reset(), pool.reset()[0])
    begun: tuple[list[list[float]], ...] = ([], [], [])
    theirs: tuple[list[list[float]], ...] = ([], [], [])
    ended = np.zeros(3, bool)
    for _ in range(60):
        observations, _, dones, _ = ours.step(np.ones(3, int))
        seen, _, terminations, truncations, _ = pool.step(np.ones(3, int))
        for copy in range(3):
            if dones[copy]:
                begun[copy].append(observations[copy].tolist())
            if ended[copy]:
                theirs[copy].append(seen[copy].tolist())
        ended = terminations | truncations
    for mine, other in zip(begun, theirs, strict=True):
        count = min(len(mine), len(other))
        assert count >= 4
        assert mine[:count] == other[:count]


@pytest.mark.parametrize("env_id", ["FrozenLake-v1", "HalfCheetah-v5", "LunarLander-v3"])
def test_observations_are_of_the_space_that_is_shown(env_id):
    env = GymnasiumVecEnv(envpool.make_gymnasium(env_id, num_envs=2, seed=1, max_episode_steps=4))
    space = env.observation_space
    batches = [env.reset()]
    for _ in range(6):
        actions = np.stack([env.action_space.sample() for _ in range(2)])
        observations, rewards, dones, infos = env.step(actions)
        batches += [observations, *(i["terminal_observation"][None] for i in infos if len(i) > 1)]
        assert (rewards.dtype, dones.dtype) == (np.float32, np.bool_)
    assert all(batch.dtype == space.dtype for batch in batches)
    assert all(space.contains(row) for batch in batches for row in batch)


def test_the_time_limit_is_that_of_the_environment_whose_spaces_are_shown():
    env = make_envpool_vec_env("Pendulum-v1", 2, like=gym.make("Pendulum-v1", max_episode_steps=3))
    env.reset()
    dones = [env.step(np.zeros((2, 1), np.float32))[2].all() for _ in range(6)]
    assert dones == [False, False, True] * 2


def test_dictionaries_of_observations_begin_anew_in_every_part():
    env = GymnasiumVecEnv(
        envpool.make_gymnasium("MiniGrid-Empty-5x5-v0", num_envs=2, seed=1, max_episode_steps=3)
    )
    first = env.reset()
    for _ in range(3):
        observations, _, dones, infos = env.step(np.zeros(2, int))  # turns to the left
    assert dones.all()
    for key, part in first.items():
        np.testing.assert_array_equal(observations[key], part)
        assert infos[0]["terminal_observation"][key].dtype == part.dtype
    assert infos[0]["terminal_observation"]["direction"] != first["direction"][0]


@pytest.mark.parametrize("algorithm", [SpecPPO, PPO])
def test_a_seed_repeats_a_training_and_statistics_go_on_after_a_save(algorithm, tmp_path):
    def trained(seed):
        env = VecNormalize(over_pool("CartPole-v1", 4, seed=0))
        settings = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "device": "cpu"}
        return algorithm("MlpPolicy", env, seed=seed, **settings).learn(512)

    model = trained(7)
    twin, other = trained(7).policy.state_dict(), trained(8).policy.state_dict()
    own = model.policy.state_dict()
    assert all(own[name].equal(tensor) for name, tensor in twin.items())
    assert not all(own[name].equal(tensor) for name, tensor in other.items())
    model.save(tmp_path / "model.zip")
    model.env.save(str(tmp_path / "statistics.pkl"))
    env = VecNormalize.load(str(tmp_path / "statistics.pkl"), over_pool("CartPole-v1", 4))
    loaded = algorithm.load(tmp_path / "model.zip", env=env, device="cpu")
    assert loaded.learn(128, reset_num_timesteps=False).num_timesteps == 640
    # In Gymnasium's own environment too: the spaces are its.
    algorithm.load(tmp_path / "model.zip", env=gym.make("CartPole-v1"), device="cpu")


def test_both_backends_train_in_a_pool():
    settings = {"n_steps": 64, "batch_size": 64, "n_epochs": 1, "seed": 3}
    returns = {
        backend: SpecPPO("MlpPolicy", over_pool("CartPole-v1", 4), backend=backend, **settings)
        .learn(512)
        .ep_info_buffer
        for backend in ("torch", "compiled")
    }
    assert all(len(episodes) >= 10 for episodes in returns.values())
    assert all(e["r"] == e["l"] for episodes in returns.values() for e in episodes)


def test_vec_monitor_counts_every_episode_once():
    env = VecMonitor(over_pool("CartPole-v1", 2, seed=1, monitor=False, max_episode_steps=4))
    env.reset()
    lengths = [
        i["episode"]["l"]
        for _ in range(12)
        for i in env.step(np.array([0, 1]))[3]
        if "episode" in i
    ]
    assert lengths == [4] * 6


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 4, "batch_size": 2}, "asynchronous: its step answers for 2 of 4 copies"),
    ],
)
def test_pools_that_answer_for_some_copies_are_refused(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        GymnasiumVecEnv(envpool.make_gymnasium("CartPole-v1", **kwargs))


def test_pools_in_another_form_are_refused():
    with pytest.raises(ArgumentError, match=r"make it with envpool\.make_gymnasium"):
        GymnasiumVecEnv(envpool.make_dm("CartPole-v1", num_envs=2))


def test_a_pool_given_to_spec_ppo_points_to_the_adapter():
    with pytest.raises(ArgumentError, match=r"pass ppo_lab\.vec_env\.GymnasiumVecEnv\(env\)"):
        SpecPPO("MlpPolicy", envpool.make_gymnasium("CartPole-v1", num_envs=2))


@pytest.mark.parametrize("actions", [[0, 2], [-1, 0], [0], [[0], [1]]])
def test_actions_that_cpp_would_not_look_at_are_refused(actions):
    env = over_pool("CartPole-v1", 2)
    env.reset()
    with pytest.raises(InvalidAction):
        env.step(np.array(actions))


@pytest.mark.parametrize(
    ("env_id", "kwargs", "message"),
    [
        ("CartPole-v9", {}, "EnvPool has no environment 'CartPole-v9'; closest of its"),
        ("CartPole-v1", {"gravity": 1}, "'CartPole-v1' cannot be made with .*gravity"),
        ("CartPole-v1", {"like": "Acrobot-v1"}, "has observations Box.*cannot act in the other"),
    ],
)
def test_what_envpool_cannot_make_is_refused(env_id, kwargs, message):
    if "like" in kwargs:
        kwargs = {"like": gym.make(kwargs["like"])}
    with pytest.raises(ArgumentError, match=message):
        make_envpool_vec_env(env_id, 2, **kwargs)


def test_options_of_a_reset_are_refused():
    env = over_pool("CartPole-v1", 2)
    env.set_options({"low": 0.0})
    with pytest.raises(ArgumentError, match="which EnvPool does not take"):
        env.reset()


def test_where_the_package_is_missing_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    monkeypatch.setattr("ppo_lab.vec_env.envpool.find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r'pip install "ppo-lab\[envpool\]"'):
        make_envpool_vec_env("CartPole-v1", 2)
