"""Q-learning, TD(0) and Monte Carlo against hand updates and exact values (Spec 9.5, 9.6)."""

import gymnasium as gym
import numpy as np
import pytest

from envs.gridworld import GridWorld
from envs.learning import monte_carlo_prediction, q_learning, td_prediction
from envs.planning import (
    greedy_policy,
    one_hot,
    policy_evaluation,
    policy_return,
    random_policy,
    value_iteration,
)
from envs.registration import register_environments

register_environments()

RIGHT_ONLY = one_hot(np.array([1, 1, 1]), 4)


def corridor(**kwargs):
    """S . + with right moves: two moves and the exit."""
    return GridWorld("S.+", **kwargs)


def test_one_episode_of_td_moves_each_value_by_one_step():
    values = td_prediction(
        corridor(living_reward=-1.0), RIGHT_ONLY, gamma=0.9, episodes=1, step_size=0.5
    )
    # Each V(s') is still 0: ½·(−1), ½·(−1), ½·(+1).
    np.testing.assert_array_equal(values, [-0.5, -0.5, 0.5])


def test_one_episode_of_monte_carlo_moves_each_value_to_its_return():
    values = monte_carlo_prediction(
        corridor(living_reward=-1.0), RIGHT_ONLY, gamma=0.9, episodes=1, step_size=0.5
    )
    # G = 1; −1 + 0.9·1; −1 + 0.9·(−0.1).
    np.testing.assert_allclose(values, [0.5 * -1.09, 0.5 * -0.1, 0.5 * 1.0], rtol=1e-12)


def test_a_truncated_return_ends_in_the_value_of_the_last_state():
    # Pushing left against the edge, an episode cut after one step ends in the start itself.
    left_only = one_hot(np.array([3, 3, 3]), 4)
    env = gym.wrappers.TimeLimit(corridor(living_reward=-1.0), max_episode_steps=1)
    for predict in (monte_carlo_prediction, td_prediction):
        values = predict(env, left_only, gamma=0.9, episodes=3, step_size=1.0)
        # V ← −1 + 0.9 V, three times: −1, −1.9, −2.71. Taking the cut for the end would leave −1.
        assert values[0] == pytest.approx(-2.71, rel=1e-12)


@pytest.mark.parametrize("predict", [td_prediction, monte_carlo_prediction])
def test_prediction_approaches_the_policys_exact_values(predict):
    env = gym.make("ppo_lab/NoisyGridWorld-v0")
    mdp = env.unwrapped.mdp
    policy = random_policy(mdp)
    exact = policy_evaluation(mdp, policy, 0.9)
    found = predict(env, policy, 0.9, episodes=1500, step_size=lambda n: n**-0.7, seed=0)
    # 1,500 episodes; the standard error of the rarest state is about 0.03.
    np.testing.assert_allclose(found, exact, atol=0.1)


def test_q_learning_updates_towards_the_best_next_action():
    env = GridWorld("S+", living_reward=-1.0)
    q_values = q_learning(env, 0.9, episodes=200, step_size=1.0, epsilon_decay=1.0, seed=0)
    # The exit is worth 1, entering it −1 + 0.9·1, staying −1 + 0.9·max Q = −1 + 0.9·(−0.1).
    np.testing.assert_allclose(q_values[1], 1.0, rtol=1e-12)
    np.testing.assert_allclose(q_values[0], [-1.09, -0.1, -1.09, -1.09], rtol=1e-12)


def test_q_learning_learns_the_optimum_from_random_behaviour():
    # ε stays 1: behaviour is uniformly random, what is learnt is V* all the same (off-policy).
    env = gym.make("ppo_lab/Crawler-v0")
    mdp = env.unwrapped.mdp
    q_values = q_learning(env, 0.9, 1000, step_size=1.0, epsilon=1.0, epsilon_decay=1.0, seed=0)
    exact = value_iteration(mdp, 0.9).values
    np.testing.assert_allclose(q_values.max(axis=1), exact, atol=1e-6)
    gait = policy_return(mdp, one_hot(greedy_policy(q_values), 4), 100)
    assert gait == pytest.approx(320.078, abs=5e-4)


def test_q_learning_in_noise_approaches_q_star():
    env = gym.make("ppo_lab/NoisyGridWorld-v0")
    q_values = q_learning(env, 0.9, 4000, step_size=lambda n: n**-0.7, epsilon_decay=1.0, seed=0)
    exact = value_iteration(env.unwrapped.mdp, 0.9).values
    np.testing.assert_allclose(q_values.max(axis=1), exact, atol=0.1)


def test_exploration_decays_to_its_floor():
    # With ε falling to 0 after the first episode, later episodes repeat the greedy path.
    env = gym.wrappers.RecordEpisodeStatistics(GridWorld("S.+", living_reward=-1.0))
    q_learning(env, 0.9, 60, step_size=1.0, epsilon=1.0, epsilon_decay=0.5, seed=0)
    assert list(env.length_queue)[-20:] == [3] * 20


def test_the_same_seed_learns_the_same_table():
    def learn(seed):
        return q_learning(gym.make("ppo_lab/NoisyGridWorld-v0"), 0.9, 20, seed=seed)

    np.testing.assert_array_equal(learn(1), learn(1))
    assert (learn(1) != learn(2)).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: q_learning(e, 1.1, 5), "gamma is 1.1"),
        (lambda e: q_learning(e, 0.9, 0), "episodes is 0"),
        (lambda e: q_learning(e, 0.9, 5, step_size=0.0), "step_size is 0.0"),
        (lambda e: q_learning(e, 0.9, 5, epsilon=-0.1), "epsilon is -0.1"),
        (lambda e: q_learning(e, 0.9, 5, epsilon_decay=1.1), "epsilon_decay is 1.1"),
        (lambda e: q_learning(e, 0.9, 5, epsilon_min=2.0), "epsilon_min is 2.0"),
        (lambda e: td_prediction(e, np.ones((3, 4)), 0.9, 5), r"pass \(3, 4\) probabilities"),
        (lambda e: td_prediction(e, np.ones((3, 2)) / 2, 0.9, 5), r"policy has shape \(3, 2\)"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(corridor())


def test_continuous_actions_are_refused():
    with pytest.raises(TypeError, match="needs Discrete observations and actions"):
        q_learning(gym.make("ppo_lab/CrawlerContinuous-v0"), 0.9, 5)
