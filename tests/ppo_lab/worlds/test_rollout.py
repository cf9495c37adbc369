"""A rollout in one call is the same as stepping; an evaluation the same as SB3's."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.evaluation import evaluate_policy

from envs.planning import random_return
from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.acting import act, predict_values
from ppo_lab.kernels.layout import Layout
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.worlds.rollout import RolloutArrays

GAMMA = 0.9

CASES = [
    ("CartPole-v1", {"max_episode_steps": 12}),
    ("Pendulum-v1", {"max_episode_steps": 17}),
    ("FrozenLake-v1", {"max_episode_steps": 6}),
]


def layout_of(env, hidden=(8,)):
    action, observed = env.action_space, env.observation_space
    inputs = observed.n if isinstance(observed, spaces.Discrete) else observed.shape[0]
    discrete = isinstance(action, spaces.Discrete)
    sizes = (int(action.n),) if discrete else action.shape
    head = "categorical" if discrete else "gaussian"
    return Layout(int(inputs), hidden, hidden, "tanh", head, sizes)


def features_of(env, observations):
    if isinstance(env.observation_space, spaces.Discrete):
        return np.eye(env.observation_space.n, dtype=np.float32)[observations]
    return np.ascontiguousarray(observations)


def noise_for(layout, n_steps, n_copies, seed=0):
    rng = np.random.default_rng(seed)
    shape = (n_steps, n_copies, layout.n_actions)
    return rng.standard_normal(shape) if layout.head == "gaussian" else rng.random(shape)


def buffer_for(env, n_steps):
    return RolloutBuffer(
        n_steps, env.observation_space, env.action_space, "cpu", n_envs=env.num_envs
    )


def parameters(layout, scale=0.3):
    rng = np.random.default_rng(5)
    return (scale * rng.standard_normal(layout.n_parameters)).astype(np.float32)


def stepped(env, layout, params, starts, noise, buffer):
    """SB3's collect_rollouts with the kernel's choice of action; the episodes that ended."""
    K = env.num_envs
    work, observations, ended = layout.workspace(K), env.observed, []
    for t, row in enumerate(noise):
        actions = np.zeros((K, layout.n_actions), layout.action_dtype)
        values, log_probs = np.zeros(K, np.float32), np.zeros(K, np.float32)
        act(
            params, layout, features_of(env, observations), row, work,
            actions, values, log_probs,
        )  # fmt: skip
        if layout.head == "gaussian":
            moves = np.clip(actions, env.action_space.low, env.action_space.high)
        else:
            moves = actions[:, 0]
        buffer.observations[t] = observations.reshape(buffer.observations[t].shape)
        buffer.actions[t], buffer.episode_starts[t] = actions, starts
        buffer.values[t], buffer.log_probs[t] = values, log_probs
        observations, buffer.rewards[t], starts, infos = env.step(moves)
        for copy, info in enumerate(infos):
            if "episode" in info:
                ended.append((t, copy, info["episode"]["r"], info["episode"]["l"]))
            if info["TimeLimit.truncated"]:
                value = np.zeros(1, np.float32)
                last = features_of(env, info["terminal_observation"][None])
                predict_values(params, layout, last, work, value)
                buffer.rewards[t, copy] += np.float32(GAMMA) * value[0]
    return observations, starts, ended


@pytest.mark.parametrize("n_copies", [1, 6])
@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_a_rollout_in_one_call_is_stepping_bit_for_bit(env_id, arguments, n_copies):
    n_steps = 60
    ours, theirs = (CompiledVecEnv(env_id, n_copies, seed=3, **arguments) for _ in range(2))
    layout = layout_of(ours)
    params = parameters(layout)
    theirs.observed, starts = theirs.reset(), np.ones(n_copies, np.bool_)
    ours.reset()
    expected_starts, truncated = starts, []
    for half in range(2):  # the second goes on where the first ended
        noise = noise_for(layout, n_steps, n_copies, seed=half)
        buffer, expected = buffer_for(ours, n_steps), buffer_for(theirs, n_steps)
        outcome = ours.rollout(layout, params, RolloutArrays.of(buffer), starts, noise, GAMMA)
        observations, expected_starts, ended = stepped(
            theirs, layout, params, expected_starts, noise, expected
        )
        theirs.observed, starts = observations, outcome.dones
        for name in RolloutArrays._fields:
            np.testing.assert_array_equal(getattr(buffer, name), getattr(expected, name), name)
        np.testing.assert_array_equal(outcome.last_observations, observations)
        np.testing.assert_array_equal(outcome.dones, expected_starts)
        episodes = [
            (*where, episode["r"], episode["l"])
            for where, episode in zip(outcome.ended_at.tolist(), outcome.episodes, strict=True)
        ]
        assert episodes == ended
        assert outcome.failure is None
        truncated += outcome.truncated.tolist()
    assert any(truncated)
    assert all(truncated) == (env_id == "Pendulum-v1")


def test_stepping_goes_on_where_a_rollout_ended():
    whole, half = (CompiledVecEnv("CartPole-v1", 4, seed=1) for _ in range(2))
    layout = layout_of(whole)
    params, noise = parameters(layout), noise_for(layout, 30, 4)
    for env, steps in ((whole, 30), (half, 20)):
        env.reset()
        arrays = RolloutArrays.of(buffer_for(env, steps))
        env.rollout(layout, params, arrays, np.ones(4), noise[:steps], GAMMA)
        last_actions = arrays.actions[20:, :, 0]
        if env is whole:
            actions = last_actions
    for row in actions:
        observations = half.step(row)[0]
    np.testing.assert_array_equal(whole.states, half.states)
    np.testing.assert_array_equal(observations, whole.states.astype(np.float32))


def test_a_seed_repeats_a_rollout_and_another_does_not():
    def rolled(seed):
        env = CompiledVecEnv("CartPole-v1", 2, seed=seed)
        layout = layout_of(env)
        env.reset()
        buffer = buffer_for(env, 50)
        arrays = RolloutArrays.of(buffer)
        noise = noise_for(layout, 50, 2)
        env.rollout(layout, parameters(layout), arrays, np.ones(2), noise, GAMMA)
        return buffer.observations

    np.testing.assert_array_equal(rolled(1), rolled(1))
    assert (rolled(1) != rolled(2)).any()


def test_a_uniform_policys_rollout_earns_what_dynamic_programming_says():
    env = CompiledVecEnv("ppo_lab/NoisyGridWorld-v0", 64, seed=0)
    layout = layout_of(env)
    env.reset()
    noise = noise_for(layout, 4000, 64)
    zeros = np.zeros(layout.n_parameters, np.float32)  # all logits 0: every action alike
    arrays = RolloutArrays.of(buffer_for(env, 4000))
    outcome = env.rollout(layout, zeros, arrays, np.ones(64), noise, 1.0)
    returns = np.array([episode["r"] for episode in outcome.episodes])
    expected = random_return(env.get_attr("mdp", 0)[0], env.max_episode_steps)
    assert returns.size > 4000
    assert abs(returns.mean() - expected) < 4.0 * returns.std() / np.sqrt(returns.size)
    assert (arrays.log_probs == np.float32(-np.log(4.0))).all()


@pytest.mark.parametrize(
    ("broken", "what"),
    [("parameters", "value or log-probability"), ("state", "observation")],
)
def test_what_is_not_finite_stops_the_rollout_and_is_named(broken, what):
    env = CompiledVecEnv("CartPole-v1", 3, seed=0)
    layout = layout_of(env)
    params = parameters(layout)
    env.reset()
    if broken == "parameters":
        params[0] = np.nan
    else:
        env.set_attr("states", [np.inf, 0.0, 0.0, 0.0], indices=1)
    arrays = RolloutArrays.of(buffer_for(env, 5))
    failure = env.rollout(
        layout, params, arrays, np.ones(3), noise_for(layout, 5, 3), GAMMA
    ).failure
    assert (failure.step, failure.copy) == (0, 0 if broken == "parameters" else 1)
    # A cart at infinity has left the track, so what is not finite is the last thing seen.
    assert failure.what == (what if broken == "parameters" else "terminal observation")


def test_a_rollout_needs_a_reset():
    env = CompiledVecEnv("CartPole-v1", 1)
    layout = layout_of(env)
    arrays = RolloutArrays.of(buffer_for(env, 2))
    with pytest.raises(ResetNeeded, match="call reset first"):
        env.rollout(layout, parameters(layout), arrays, np.ones(1), noise_for(layout, 2, 1), GAMMA)


class Best:
    """The likeliest action by plain NumPy, for SB3's evaluate_policy."""

    def __init__(self, env, layout, params):
        self.env, self.layout, self.params = env, layout, params

    def predict(self, observations, state=None, episode_start=None, deterministic=False):
        assert deterministic
        tensors = {
            place.role: self.params[place.start : place.stop].reshape(place.shape)
            for place in self.layout.places()
        }
        hidden = features_of(self.env, observations)
        for index in range(len(self.layout.actor)):
            weight, bias = (tensors["actor", index, kind] for kind in ("weight", "bias"))
            hidden = np.tanh(hidden @ weight.T + bias)
        last = len(self.layout.actor)
        weight, bias = (tensors["actor", last, kind] for kind in ("weight", "bias"))
        outputs = hidden @ weight.T + bias
        if self.layout.head == "gaussian":
            space = self.env.action_space
            return np.clip(outputs, space.low, space.high), state
        return outputs.argmax(axis=1), state


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_an_evaluation_in_one_call_is_sb3s(env_id, arguments):
    ours, theirs = (CompiledVecEnv(env_id, 3, seed=6, **arguments) for _ in range(2))
    layout = layout_of(ours)
    params = parameters(layout)
    returns, lengths = ours.evaluate(layout, params, 10)
    expected, expected_lengths = evaluate_policy(
        Best(theirs, layout, params), theirs, 10, return_episode_rewards=True
    )
    assert lengths.tolist() == expected_lengths
    assert returns == pytest.approx(expected, abs=1e-3)


def test_an_evaluation_without_a_time_limit_is_refused():
    env = CompiledVecEnv("CliffWalking-v1", 1)
    layout = layout_of(env)
    with pytest.raises(ArgumentError, match="pass max_episode_steps"):
        env.evaluate(layout, parameters(layout), 1)
