"""Whole rollouts and evaluations, beyond what ``test_contract`` asks of every world."""

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from envs.planning import random_return
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.worlds.rollout import RolloutArrays
from tests.ppo_lab.worlds.rolling import GAMMA, buffer_for, layout_of, noise_for, parameters


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


def test_an_evaluation_without_a_time_limit_is_refused():
    env = CompiledVecEnv("CliffWalking-v1", 1)
    layout = layout_of(env)
    with pytest.raises(ArgumentError, match="pass max_episode_steps"):
        env.evaluate(layout, parameters(layout), 1)
