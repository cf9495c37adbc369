"""A game's agents as columns: who has samples, whose episode ends, what the team is paid."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent import make_parallel_vec_env
from ppo_lab.vec_env import SampledVecNormalize
from tests.ppo_lab.multi_agent.games import Scripted, SideBySide
from tests.ppo_lab.vec_env.steps_alike import assert_same_step, random_actions

LEAVING = [
    ("ab", {"a": 1.0, "b": 2.0}, "", ""),
    ("b", {"a": 4.0, "b": 8.0}, "a", ""),
    ("b", {"b": 16.0}, "", ""),
    ("", {"b": 32.0}, "", "b"),
]
"""a is done after two steps, b out of time after four."""


def poles(n_agents: int) -> SideBySide:
    return SideBySide([partial(gym.make, "CartPole-v1")] * n_agents)


def walk(env: Any, n_steps: int) -> list[Any]:
    env.reset()
    return [env.step(np.zeros(env.num_envs, int)) for _ in range(n_steps)]


def test_agents_that_end_together_are_dummy_vec_envs_environments() -> None:
    pendulums = partial(SideBySide, [partial(gym.make, "Pendulum-v1", max_episode_steps=6)] * 3)
    ours = make_parallel_vec_env(pendulums, 2, seed=5)
    theirs = make_vec_env("Pendulum-v1", 6, 5, env_kwargs={"max_episode_steps": 6})
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng, ended = np.random.default_rng(0), 0
    for _ in range(20):
        ended += len(assert_same_step(ours, theirs, random_actions(ours.action_space, 6, rng)))
    assert ended == 6 * 3


def test_an_agent_that_left_has_no_samples_until_the_next_game() -> None:
    env = make_parallel_vec_env(Scripted(LEAVING), training=False)
    seen = env.reset()
    assert seen.tolist() == [[0, 0], [0, 1]]
    told = []
    for step in range(1, 6):
        seen, rewards, dones, infos = env.step(np.zeros(2, int))
        told.append(
            (env.sampled.tolist(), env.shown.tolist(), rewards.tolist(), dones.tolist(), seen[:, 0])
        )
        if step == 2:
            assert infos[0]["terminal_observation"].tolist() == [2, 0]
            assert infos[0]["TimeLimit.truncated"] is False
            assert infos[0]["episode"]["r"], infos[0]["episode"]["l"] == (5.0, 2)
        if step == 4:
            assert infos[1]["TimeLimit.truncated"] is True
            assert (infos[1]["episode"]["r"], infos[1]["episode"]["l"]) == (58.0, 4)
            # Of each step the mean over both agents: (1 + 2 + 4 + 8 + 16 + 32) / 2.
            assert [(i["team"]["r"], i["team"]["l"]) for i in infos] == [(31.5, 4)] * 2
            assert "episode" not in infos[0]
    expected = [
        ([True, True], [True, True], [1, 2], [False, False], [1, 1]),
        ([True, True], [False, True], [4, 8], [True, False], [2, 2]),
        ([False, True], [False, True], [0, 16], [False, False], [2, 3]),
        ([False, True], [True, True], [0, 32], [False, True], [0, 0]),
        ([True, True], [True, True], [1, 2], [False, False], [1, 1]),
    ]
    for got, due in zip(told, expected, strict=True):
        assert [*got[:4], got[4].tolist()] == [*due]


def test_an_agent_that_comes_later_has_no_samples_before() -> None:
    steps = [("ab", {"a": 1.0}, "", ""), ("", {"a": 1.0, "b": 1.0}, "ab", "")]
    env = make_parallel_vec_env(Scripted(steps, first="a"), training=False)
    env.reset()
    assert env.shown.tolist() == [True, False]
    seen, *_ = env.step(np.zeros(2, int))
    assert env.sampled.tolist() == [True, False]
    assert seen.tolist() == [[1, 0], [1, 1]]
    *_, infos = env.step(np.zeros(2, int))
    assert env.sampled.tolist() == [True, True]
    assert [info["episode"]["l"] for info in infos] == [2, 1]


@pytest.mark.parametrize("estimator", ["gae", "mc"])
def test_advantages_are_those_of_each_agents_own_episodes(estimator: Any) -> None:
    """Against sums over single episodes, written out here from the rewards and values alone."""
    model = SpecPPO(
        "MlpPolicy",
        make_parallel_vec_env(partial(poles, 3), 2),
        n_steps=64,
        batch_size=64,
        n_epochs=1,
        gamma=0.9,
        gae_lambda=0.8,
        seed=1,
        backend="torch",
        advantage_estimator=estimator,
    )
    buffer, kept = model.rollout_buffer, {}
    compute = buffer.compute_returns_and_advantage

    def note(last_values: Any, dones: Any) -> None:
        compute(last_values, dones)
        names = ("rewards", "values", "advantages", "episode_starts", "sampled")
        kept.update({name: getattr(buffer, name).copy() for name in names})
        kept.update(last=last_values.numpy().ravel().copy(), dones=dones.copy())

    buffer.compute_returns_and_advantage = note  # type: ignore[method-assign]
    model.learn(64 * 6)
    sampled = kept["sampled"]
    assert 0.3 < sampled.mean() < 0.95
    ends = np.concatenate([kept["episode_starts"][1:], kept["dones"][None]])
    horizon = 1.0 if estimator == "mc" else 0.8
    for column in range(6):
        advantage = 0.0
        for t in reversed(range(64)):
            if not sampled[t, column]:
                continue
            is_last, done = t == 63, bool(ends[t, column])
            following = kept["last"][column] if is_last else kept["values"][min(t + 1, 63), column]
            assert done or is_last or sampled[t + 1, column]
            delta = kept["rewards"][t, column] - kept["values"][t, column]
            delta += 0.0 if done else 0.9 * following
            advantage = delta + (0.0 if done else 0.9 * horizon * advantage)
            assert kept["advantages"][t, column] == pytest.approx(advantage, abs=2e-4)
    assert len(model.rollout_buffer.returns) == sampled.sum()


@pytest.mark.parametrize("backend", ["torch", "compiled"])
def test_it_trains_where_agents_leave(backend: Any) -> None:
    env = make_parallel_vec_env(partial(poles, 2), 2)
    model = SpecPPO(
        "MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=2, seed=1, backend=backend
    )
    model.learn(3 * 256)
    sampled = model.rollout_buffer.sampled
    assert sampled is not None
    assert not sampled.all()
    assert len(model.rollout_buffer.advantages) == sampled.sum()
    lengths = [episode["l"] for episode in model.ep_info_buffer or ()]
    assert np.mean(lengths) > 8


def test_who_takes_all_rows_for_samples_is_stopped() -> None:
    model = PPO("MlpPolicy", make_parallel_vec_env(Scripted(LEAVING)), n_steps=8, batch_size=16)
    with pytest.raises(
        ArgumentError, match=r"'a' takes no part.*train with SpecPPO.*training=False"
    ):
        model.learn(16)
    env = VecNormalize(make_parallel_vec_env(Scripted(LEAVING)))
    with pytest.raises(ArgumentError, match="SampledVecNormalize"):
        SpecPPO("MlpPolicy", env, n_steps=8, batch_size=16).learn(16)


def test_evaluation_counts_each_agents_episodes() -> None:
    env = make_parallel_vec_env(Scripted(LEAVING), training=False)
    model = SpecPPO("MlpPolicy", env, n_steps=8, batch_size=16)
    returns, lengths = evaluate_policy(model, env, 6, return_episode_rewards=True)
    assert sorted(returns) == [5.0] * 3 + [58.0] * 3
    assert sorted(lengths) == [2] * 3 + [4] * 3


def test_normalisation_is_vec_normalizes_where_all_stay() -> None:
    def game() -> SideBySide:
        return SideBySide([partial(gym.make, "Pendulum-v1", max_episode_steps=6)] * 2)

    ours = SampledVecNormalize(make_parallel_vec_env(game, 2, seed=3))
    theirs = VecNormalize(make_vec_env("Pendulum-v1", 4, 3, env_kwargs={"max_episode_steps": 6}))
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert_same_step(ours, theirs, random_actions(ours.action_space, 4, rng))
    assert ours.ret_rms.var == theirs.ret_rms.var
    np.testing.assert_array_equal(ours.obs_rms.var, theirs.obs_rms.var)


def test_normalisation_passes_over_those_who_left() -> None:
    env = SampledVecNormalize(make_parallel_vec_env(Scripted(LEAVING), training=False), gamma=0.5)
    walk(env, 4)
    seen, returns = RunningMeanStd(shape=(2,)), RunningMeanStd(shape=())
    for rows in ([[0, 0], [0, 1]], [[1, 0], [1, 1]], [[2, 1]], [[3, 1]], [[0, 0], [0, 1]]):
        seen.update(np.array(rows, float))
    # Discounted returns of those who acted: b's are 2, 0.5·2 + 8, 0.5·9 + 16, 0.5·20.5 + 32.
    for rows in ([1.0, 2.0], [4.5, 9.0], [20.5], [42.25]):
        returns.update(np.array(rows))
    np.testing.assert_allclose(env.obs_rms.mean, seen.mean)
    np.testing.assert_allclose(env.obs_rms.var, seen.var)
    assert env.ret_rms.var == pytest.approx(returns.var)


def test_the_critic_sees_the_state_and_the_actor_does_not() -> None:
    env = make_parallel_vec_env(partial(poles, 2), 2, seed=0, critic="central")
    assert isinstance(env.observation_space, spaces.Dict)
    seen = env.reset()
    assert isinstance(seen, dict)
    for columns in (slice(0, 2), slice(2, 4)):
        np.testing.assert_array_equal(
            seen["state"][columns], [seen["observation"][columns].ravel()] * 2
        )
    model = SpecPPO(
        "MultiInputPolicy",
        env,
        n_steps=64,
        batch_size=64,
        policy_kwargs={"critic_only": ["state"]},
        seed=0,
    ).learn(256)
    other = {**seen, "state": seen["state"] + 1}
    values = [model.policy.predict_values(model.policy.obs_to_tensor(o)[0]) for o in (seen, other)]
    assert not values[0].equal(values[1])
    one = {"observation": seen["observation"]}
    np.testing.assert_array_equal(
        model.predict(one, deterministic=True)[0], model.predict(other, deterministic=True)[0]
    )


@pytest.mark.parametrize("env_id", ["CartPole-v1", "ppo_lab/GridWorld-v0"])
def test_an_indicator_tells_agents_apart(env_id: str) -> None:
    game = SideBySide([partial(gym.make, env_id)] * 2)
    env = make_parallel_vec_env(game, 2, seed=0, agent_indicator=True)
    seen = env.reset()
    if isinstance(seen, dict):
        assert seen["agent"].tolist() == [0, 1, 0, 1]
        assert env.observation_space["agent"] == spaces.Discrete(2)
    else:
        assert seen[:, 4:].tolist() == [[1, 0], [0, 1]] * 2
        assert env.observation_space.shape == (6,)
    policy = "MultiInputPolicy" if isinstance(seen, dict) else "MlpPolicy"
    SpecPPO(policy, env, n_steps=16, batch_size=16, n_epochs=1).learn(64)


def test_copies_of_one_game_play_different_ones() -> None:
    seen = make_parallel_vec_env(poles(1), 3).reset()
    assert len(np.unique(seen, axis=0)) == 3
    seeded = [make_parallel_vec_env(poles(1), 3, seed=4).reset() for _ in range(2)]
    np.testing.assert_array_equal(*seeded)


def test_monitor_files_are_one_a_column(tmp_path: Any) -> None:
    env = make_parallel_vec_env(Scripted(LEAVING), training=False, monitor_dir=str(tmp_path))
    walk(env, 8)
    env.close()
    rows = [(tmp_path / f"{i}.monitor.csv").read_text().splitlines()[2:] for i in range(2)]
    assert [[row.rsplit(",", 1)[0] for row in of] for of in rows] == [["5.0,2"] * 2, ["58.0,4"] * 2]
