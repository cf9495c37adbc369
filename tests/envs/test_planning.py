"""Dynamic programming against hand arithmetic and the tables of Spec 10.2."""

import gymnasium as gym
import numpy as np
import pytest

from envs.gridworld import GridWorld
from envs.mdp import TabularMDP, from_toy_text
from envs.planning import (
    finite_horizon_values,
    one_hot,
    optimal_return,
    policy_return,
    random_policy,
    random_return,
    value_iteration,
)


def cells(values):
    """Values of the reference map's states by the Spec's (column, row)."""
    grid = GridWorld().grid
    return lambda column, row: values[grid.state_at(column, row)]


def two_armed(pay=1.0):
    """One state; action 0 ends and pays ``pay``, action 1 stays and pays nothing."""
    return TabularMDP(
        next_states=np.array([[[0], [0]]]),
        probabilities=np.ones((1, 2, 1)),
        rewards=np.array([[[pay], [0.0]]]),
        terminations=np.array([[[True], [False]]]),
        start=np.array([1.0]),
    )


def test_the_noisy_reference_map_has_the_table_of_the_spec():
    # Spec 10.2, top row first; the values agree to three places.
    expected = [0.645, 0.744, 0.848, 1, 0.566, 0.572, -1, 0.491, 0.431, 0.475, 0.277]
    values = value_iteration(GridWorld(noise=0.2).mdp, gamma=0.9).values
    np.testing.assert_allclose(values, expected, atol=5e-4)


def test_the_noisy_reference_map_satisfies_the_bellman_equation_of_the_spec():
    v = cells(value_iteration(GridWorld(noise=0.2).mdp, gamma=0.9).values)
    assert v(3, 3) == pytest.approx(0.9 * (0.8 * 1 + 0.1 * v(3, 3) + 0.1 * v(3, 2)), abs=1e-9)


def test_the_deterministic_reference_map_discounts_once_a_move():
    v = cells(value_iteration(GridWorld().mdp, gamma=0.9).values)
    found = [v(4, 3), v(3, 3), v(2, 3), v(1, 1), v(4, 2)]
    # (1,1) is five moves from the exit: two up, three right.
    np.testing.assert_allclose(found, [1.0, 0.9, 0.9**2, 0.9**5, -1.0], rtol=1e-12)


@pytest.mark.parametrize(
    "solve",
    [lambda mdp: value_iteration(mdp, 1.0).values, lambda mdp: finite_horizon_values(mdp, 100)],
    ids=["no horizon", "horizon 100"],
)
def test_the_undiscounted_deterministic_reference_map_is_worth_one(solve):
    v = cells(solve(GridWorld().mdp))
    assert [v(4, 3), v(3, 3), v(2, 3), v(1, 1), v(4, 2)] == [1.0, 1.0, 1.0, 1.0, -1.0]


def test_the_greedy_policy_reaches_what_its_values_promise():
    mdp = GridWorld(noise=0.2).mdp
    values, policy = value_iteration(mdp, gamma=0.9)
    reached = policy_return(mdp, one_hot(policy, 4), horizon=500, gamma=0.9)
    assert reached == pytest.approx(mdp.start @ values, abs=1e-9)


@pytest.mark.parametrize(("horizon", "optimum"), [(0, 0.0), (5, 0.0), (6, 1.0), (100, 1.0)])
def test_the_exit_takes_five_moves_and_one_to_leave(horizon, optimum):
    assert optimal_return(GridWorld().mdp, horizon) == optimum


def test_the_living_reward_is_paid_for_moves_and_not_for_leaving_an_exit():
    # Five moves and the exit: 5 · −0.1 + 1.
    assert optimal_return(GridWorld(living_reward=-0.1).mdp, 6) == pytest.approx(0.5)


def test_an_episode_that_ended_earns_nothing_more():
    mdp = two_armed()
    assert optimal_return(mdp, 10) == 1.0
    # Random: ends with probability 1/2 at each of 10 steps: 1 − 2⁻¹⁰.
    assert random_return(mdp, 10) == pytest.approx(1.0 - 2.0**-10, rel=1e-12)


def test_policy_return_discounts_from_the_first_step():
    # Action 0 with probability p at each step: Σ_t p (γ(1−p))^t for t = 0, 1, 2.
    p, gamma = 0.3, 0.9
    expected = sum(p * (gamma * (1 - p)) ** t for t in range(3))
    assert policy_return(two_armed(), np.array([[p, 1 - p]]), 3, gamma) == pytest.approx(expected)


def test_the_random_policy_is_uniform_and_its_return_agrees_with_simulation():
    env = GridWorld(noise=0.2)
    np.testing.assert_array_equal(random_policy(env.mdp), np.full((11, 4), 0.25))
    returns = []
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(2000):
        env.reset()
        total, steps, ended = 0.0, 0, False
        while not ended and steps < 100:
            _, reward, ended, _, _ = env.step(env.action_space.sample())
            total, steps = total + reward, steps + 1
        returns.append(total)
    standard_error = np.std(returns) / np.sqrt(len(returns))
    assert abs(np.mean(returns) - random_return(env.mdp, 100)) < 4 * standard_error


def test_frozen_lake_is_solved_with_its_published_optimum():
    # Slippery 4×4, undiscounted and without a time limit: 14/17 = 0.8235 (the known ceiling).
    mdp = from_toy_text(gym.make("FrozenLake-v1"))
    values = value_iteration(mdp, 1.0, tolerance=1e-12).values
    assert mdp.start @ values == pytest.approx(14 / 17, abs=1e-8)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_gamma_outside_zero_to_one_is_refused(gamma):
    with pytest.raises(ValueError, match=r"gamma is .*discount must lie in"):
        value_iteration(two_armed(), gamma)


def test_endless_reward_without_discount_is_reported():
    mdp = TabularMDP(
        np.zeros((1, 1, 1), int),
        np.ones((1, 1, 1)),
        np.ones((1, 1, 1)),
        np.zeros((1, 1, 1), bool),
        np.ones(1),
    )
    with pytest.raises(RuntimeError, match="still changed by 1 after 50 sweeps"):
        value_iteration(mdp, 1.0, max_iterations=50)
    assert value_iteration(mdp, 0.5).values[0] == pytest.approx(2.0, abs=1e-10)  # 1/(1 − ½)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: optimal_return(m, -1), "horizon is -1"),
        (lambda m: value_iteration(m, 0.9, tolerance=0.0), "tolerance is 0.0"),
        (lambda m: policy_return(m, np.array([0]), 3), r"policy has shape \(1,\).*one_hot"),
        (lambda m: policy_return(m, np.array([[0.5, 0.6]]), 3), r"policy\[0\] is \[0.5, 0.6\]"),
        (lambda m: policy_return(m, np.array([[1.5, -0.5]]), 3), r"policy\[0\] is \[1.5, -0.5\]"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(two_armed())
