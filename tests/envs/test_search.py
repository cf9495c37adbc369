"""RTDP and MCTS against exact values (Spec 9.7, 9.8)."""

import numpy as np
import pytest

from envs.gridworld import GridWorld
from envs.mdp import TabularMDP
from envs.planning import action_values, one_hot, policy_return, value_iteration
from envs.search import mcts, rtdp


def bandit():
    """One state, three actions that pay 0, 1 and 0.5 and end."""
    shape = (1, 3, 1)
    return TabularMDP(
        np.zeros(shape, int),
        np.ones(shape),
        np.array([[[0.0], [1.0], [0.5]]]),
        np.ones(shape, bool),
        np.ones(1),
    )


def test_rtdp_finds_the_values_of_the_states_it_visits():
    mdp = GridWorld(noise=0.2).mdp
    values, policy = rtdp(mdp, 0.9, episodes=400, horizon=100, seed=0)
    exact = value_iteration(mdp, 0.9).values
    np.testing.assert_allclose(values, exact, atol=1e-3)
    reached = policy_return(mdp, one_hot(policy, 4), 500, gamma=0.9)
    assert reached == pytest.approx(mdp.start @ exact, abs=1e-6)


def test_rtdp_leaves_states_it_cannot_reach_alone():
    # The two cells right of the exit belong to another part of the map.
    mdp = GridWorld("S+.-").mdp
    values, _ = rtdp(mdp, 0.9, episodes=50, horizon=20, seed=0)
    np.testing.assert_allclose(values, [0.9, 1.0, 0.0, 0.0], atol=1e-12)


def test_rtdp_explores_less_after_each_episode():
    # The optimum goes right; only exploration sees the left end, six cells away.
    mdp = GridWorld("......S+").mdp
    for decay, left_end in ((0.0, 0.0), (1.0, 0.9**7)):
        values, _ = rtdp(mdp, 0.9, 500, 40, epsilon=1.0, epsilon_decay=decay, seed=1)
        np.testing.assert_allclose(values[[0, 6]], [left_end, 0.9], atol=1e-12)


def test_rtdp_backs_up_at_least_once_a_visit():
    # One episode of one step from a start next to the exit: V(start) = max(0 + 0.9 · 0) = 0.
    mdp = GridWorld("S+", living_reward=-2.0).mdp
    values, _ = rtdp(mdp, 0.9, episodes=1, horizon=1, seed=0)
    np.testing.assert_array_equal(values, [-2.0, 0.0])


def test_the_same_seed_repeats_both_searches():
    mdp = GridWorld(noise=0.2).mdp
    first, second = (rtdp(mdp, 0.9, 5, 20, seed=3).values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    tree, again = (mcts(mdp, 7, 0.9, 50, 20, seed=3) for _ in range(2))
    np.testing.assert_array_equal(tree.visits, again.visits)
    assert (mcts(mdp, 7, 0.9, 50, 20, seed=4).visits != tree.visits).any()


def test_mcts_tries_every_action_before_any_twice():
    search = mcts(bandit(), 0, 0.9, simulations=3, horizon=1, seed=0)
    np.testing.assert_array_equal(search.visits, [1, 1, 1])
    np.testing.assert_array_equal(search.values, [0.0, 1.0, 0.5])
    untried = mcts(bandit(), 0, 0.9, simulations=1, horizon=1, seed=0)
    assert np.isnan(untried.values).sum() == 2


def test_mcts_selects_by_mean_and_exploration_bonus():
    # After 3 visits: Q + c√(ln 3 / 1) is largest for action 1. Its score at n visits of it is
    # 1 + c√(ln N / n); the others keep n = 1 until c√(ln N) + Q exceeds it.
    c, visits = 1.0, np.array([1, 1, 1])
    pay = np.array([0.0, 1.0, 0.5])
    for _ in range(97):
        visits[np.argmax(pay + c * np.sqrt(np.log(visits.sum()) / visits))] += 1
    search = mcts(bandit(), 0, 1.0, simulations=100, horizon=1, exploration=c, seed=0)
    np.testing.assert_array_equal(search.visits, visits)
    assert search.action == 1


def test_mcts_without_exploration_stays_with_the_best():
    search = mcts(bandit(), 0, 1.0, simulations=50, horizon=1, exploration=0.0, seed=0)
    np.testing.assert_array_equal(search.visits, [1, 48, 1])


@pytest.mark.parametrize(("state", "best"), [(2, 1), (1, 1), (5, 0)])
def test_mcts_finds_the_best_action_in_a_noisy_grid(state, best):
    mdp = GridWorld(noise=0.2).mdp
    exact = action_values(mdp, value_iteration(mdp, 0.9).values, 0.9)[state]
    assert exact.argmax() == best
    search = mcts(mdp, state, 0.9, simulations=3000, horizon=50, seed=0)
    assert search.action == best
    # Exploration takes something off the mean return; it cannot add to the optimum.
    assert exact[best] - 0.2 < search.values[best] < exact[best] + 0.03


def test_mcts_counts_nothing_after_the_end_or_the_horizon():
    # From the exit: one step, pays 1, ends, however long the horizon.
    mdp = GridWorld(living_reward=-5.0).mdp
    np.testing.assert_array_equal(mcts(mdp, 3, 0.9, 8, 50, seed=0).values, [1.0] * 4)
    # From the start with a horizon of 2: −5 − 0.9·5, whatever it does.
    np.testing.assert_allclose(mcts(mdp, 7, 0.9, 40, 2, seed=0).values, [-9.5] * 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: rtdp(m, 0.9, 0, 5), "episodes is 0"),
        (lambda m: rtdp(m, 0.9, 5, 0), "horizon is 0"),
        (lambda m: rtdp(m, 1.5, 5, 5), "gamma is 1.5"),
        (lambda m: rtdp(m, 0.9, 5, 5, epsilon=2.0), "epsilon is 2.0"),
        (lambda m: mcts(m, 1, 0.9, 5, 5), "state is 1; states are numbered 0 to 0"),
        (lambda m: mcts(m, 0, 0.9, 0, 5), "simulations is 0"),
        (lambda m: mcts(m, 0, 0.9, 5, 5, exploration=-1.0), "exploration is -1.0"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(bandit())
