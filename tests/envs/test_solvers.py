"""Value, Q and policy iteration, policy evaluation and the soft form against other methods."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import eye_array, vstack

from envs.cliffgrid import CliffGrid
from envs.crawler_geometry import crawler_mdp
from envs.fourrooms import FourRooms
from envs.gridworld import GridWorld
from envs.mdp import TabularMDP, from_toy_text
from envs.planning import (
    action_values,
    finite_horizon_values,
    one_hot,
    optimal_return,
    policy_evaluation,
    policy_iteration,
    policy_return,
    q_iteration,
    random_policy,
    soft_value_iteration,
    value_iteration,
)


def newest(name):
    """The newest registered version; it differs between releases of Gymnasium."""
    return max(env_id for env_id in gym.registry if env_id.startswith(f"{name}-v"))


def random_mdp(seed, n_states=6, n_actions=3, n_outcomes=3, ending=0.2):
    rng = np.random.default_rng(seed)
    shape = (n_states, n_actions, n_outcomes)
    return TabularMDP(
        rng.integers(n_states, size=shape),
        rng.dirichlet(np.ones(n_outcomes), size=shape[:2]),
        rng.normal(size=shape),
        rng.random(shape) < ending,
        rng.dirichlet(np.ones(n_states)),
    )


def linear_programme(mdp, gamma):
    """The least V with V(s) ≥ Σ P (R + γ V) for every s and a: V* by scipy's HiGHS."""
    own = vstack([eye_array(mdp.n_states)] * mdp.n_actions)
    row_of = np.arange(mdp.n_states * mdp.n_actions).reshape(mdp.n_states, -1).T.ravel()
    result = linprog(
        np.ones(mdp.n_states),
        A_ub=gamma * mdp.continuation[row_of] - own,
        b_ub=-mdp.R.ravel()[row_of],
        bounds=(None, None),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert result.success
    return result.x


def best_by_enumeration(mdp, state, horizon, gamma):
    """V_H by walking every branch, from the arrays and without planning's back-up."""
    if horizon == 0:
        return 0.0
    returns = []
    for a in range(mdp.n_actions):
        total = 0.0
        for k, p in enumerate(mdp.probabilities[state, a]):
            total += p * mdp.rewards[state, a, k]
            if not mdp.terminations[state, a, k]:
                following = mdp.next_states[state, a, k]
                total += p * gamma * best_by_enumeration(mdp, following, horizon - 1, gamma)
        returns.append(total)
    return max(returns)


SOLVED = {
    "GridWorld": lambda: GridWorld(living_reward=-0.05).mdp,
    "NoisyGridWorld": lambda: GridWorld(noise=0.2).mdp,
    "CliffGrid": lambda: CliffGrid(noise=0.5).mdp,
    "FourRooms": lambda: FourRooms(size=11, noise=0.1).mdp,
    "Crawler": crawler_mdp,
    "FrozenLake": lambda: from_toy_text(gym.make(newest("FrozenLake"), map_name="8x8")),
    "Taxi": lambda: from_toy_text(gym.make(newest("Taxi"))),
    "CliffWalking": lambda: from_toy_text(gym.make(newest("CliffWalking"))),
    "random": lambda: random_mdp(0),
}


@pytest.mark.parametrize("gamma", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", SOLVED)
def test_value_iteration_policy_iteration_and_linear_programming_agree(name, gamma):
    mdp = SOLVED[name]()
    by_values, by_policies = value_iteration(mdp, gamma), policy_iteration(mdp, gamma)
    np.testing.assert_allclose(by_values.values, by_policies.values, atol=1e-8)
    np.testing.assert_allclose(by_values.values, linear_programme(mdp, gamma), atol=1e-8)
    np.testing.assert_allclose(q_iteration(mdp, gamma).max(axis=1), by_values.values, atol=1e-8)
    # Both greedy policies are worth V*, even where they break ties differently.
    for policy in (by_values.policy, by_policies.policy):
        reached = policy_evaluation(mdp, one_hot(policy, mdp.n_actions), gamma)
        np.testing.assert_allclose(reached, by_values.values, atol=1e-8)


@pytest.mark.parametrize(("gamma", "tolerance"), [(0.5, 1e-3), (0.9, 1e-2), (0.999, 0.5)])
@pytest.mark.parametrize(
    "solve",
    [
        lambda mdp, gamma, tolerance: value_iteration(mdp, gamma, tolerance).values[0],
        lambda mdp, gamma, tolerance: q_iteration(mdp, gamma, tolerance)[0, 0],
        lambda mdp, gamma, tolerance: soft_value_iteration(mdp, gamma, 1.0, tolerance).values[0],
    ],
    ids=["V", "Q", "soft V"],
)
def test_sweeps_stop_at_the_first_that_is_within_the_tolerance(solve, gamma, tolerance):
    # One state, one action that pays 1 for ever: V_k = (1 − γ^k)/(1 − γ), so that the error is
    # γ^k/(1 − γ) and the bound γ/(1 − γ) · change is met with equality: one sweep less is too few.
    one, state = np.ones((1, 1, 1)), np.zeros((1, 1, 1), int)
    mdp = TabularMDP(state, one, one, state.astype(bool), np.ones(1))
    error = 1.0 / (1.0 - gamma) - solve(mdp, gamma, tolerance)
    assert gamma * tolerance < error <= tolerance * (1.0 + 1e-9)


def test_sweeps_stop_where_changes_are_rounding_whatever_the_tolerance():
    # As above: the k-th change is 2^−(k−1), and 4 ε |V|, just below 2^−49, is reached by the 51st.
    one, state = np.ones((1, 1, 1)), np.zeros((1, 1, 1), int)
    mdp = TabularMDP(state, one, one, state.astype(bool), np.ones(1))
    assert value_iteration(mdp, 0.5, 1e-300, max_iterations=51).values[0] == pytest.approx(2.0)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.1, 0.95), st.integers(0, 60))
def test_the_error_of_k_sweeps_is_bounded_by_the_discount(seed, gamma, sweeps):
    # Spec 9.1: after H steps (t = 0 … H, that is H + 1 rewards) the error is ≤ γ^{H+1}/(1−γ)·R_max.
    mdp = random_mdp(seed)
    error = np.abs(finite_horizon_values(mdp, sweeps, gamma) - policy_iteration(mdp, gamma).values)
    bound = gamma**sweeps / (1.0 - gamma) * np.abs(mdp.rewards).max()
    assert error.max() <= bound + 1e-9


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 4), st.floats(0.0, 1.0))
def test_the_finite_horizon_optimum_is_that_of_walking_every_branch(seed, horizon, gamma):
    mdp = random_mdp(seed, n_states=3, n_actions=2, n_outcomes=2)
    expected = [best_by_enumeration(mdp, s, horizon, gamma) for s in range(3)]
    np.testing.assert_allclose(finite_horizon_values(mdp, horizon, gamma), expected, atol=1e-12)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.0, 0.95))
def test_evaluation_is_the_limit_of_finite_horizons(seed, gamma):
    mdp = random_mdp(seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(3), size=6)
    expected = policy_return(mdp, policy, horizon=800, gamma=gamma)
    assert mdp.start @ policy_evaluation(mdp, policy, gamma) == pytest.approx(expected, abs=1e-8)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.0, 0.95))
def test_no_policy_beats_the_optimum(seed, gamma):
    mdp = random_mdp(seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(3), size=6)
    best = value_iteration(mdp, gamma).values
    assert (policy_evaluation(mdp, policy, gamma) <= best + 1e-9).all()


def test_evaluation_without_discount_needs_a_policy_that_ends():
    mdp = GridWorld().mdp
    with pytest.raises(RuntimeError, match="From state 0 this policy never ends the episode"):
        policy_evaluation(mdp, one_hot(np.zeros(11, int), 4), 1.0)  # up for ever, from (1, 3)
    # Random moves reach an exit with certainty; their value is the limit of long episodes.
    values = policy_evaluation(mdp, random_policy(mdp), 1.0)
    expected = policy_return(mdp, random_policy(mdp), 5000)
    assert values[7] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("beta", [0.1, 1.0, 5.0])
def test_without_a_future_the_soft_policy_weighs_actions_by_their_reward(beta):
    rewards = np.array([[[1.0], [2.0], [-0.5]]])
    mdp = TabularMDP(
        np.zeros((1, 3, 1), int), np.ones((1, 3, 1)), rewards, np.ones((1, 3, 1), bool), np.ones(1)
    )
    values, policy = soft_value_iteration(mdp, 0.9, beta)
    weights = np.exp(rewards[0, :, 0] / beta)  # Spec 9.4: π(a) ∝ exp(r(a)/β)
    np.testing.assert_allclose(policy[0], weights / weights.sum(), rtol=1e-12)
    assert values[0] == pytest.approx(beta * np.log(weights.sum()), rel=1e-12)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.0, 0.95), st.floats(1e-3, 10.0))
def test_the_soft_value_is_the_reward_and_entropy_of_its_policy(seed, gamma, beta):
    mdp = random_mdp(seed)
    values, policy = soft_value_iteration(mdp, gamma, beta)
    # Independently: V = Σ_a π (Q − β log π), the definition of the objective.
    q_values = action_values(mdp, values, gamma)
    logs = np.log(np.maximum(policy, 1e-300))
    np.testing.assert_allclose((policy * (q_values - beta * logs)).sum(axis=1), values, atol=1e-7)
    # max ≤ soft max ≤ max + β log A, once a step.
    hard = value_iteration(mdp, gamma).values
    assert (values >= hard - 1e-8).all()
    assert (values <= hard + beta * np.log(3) / (1 - gamma) + 1e-8).all()


def test_a_vanishing_temperature_gives_value_iteration():
    mdp = GridWorld(noise=0.2).mdp
    soft, hard = soft_value_iteration(mdp, 0.9, beta=1e-7), value_iteration(mdp, 0.9)
    np.testing.assert_allclose(soft.values, hard.values, atol=1e-5)
    inside = np.isfinite(GridWorld().grid.exit_rewards) == 0
    np.testing.assert_array_equal(soft.policy.argmax(axis=1)[inside], hard.policy[inside])


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_of_zero_or_less_is_refused(beta):
    with pytest.raises(ValueError, match="beta is"):
        soft_value_iteration(crawler_mdp(), 0.9, beta)


def test_frozen_lake_at_99_percent_has_its_published_value():
    # V*(0) = 0.5420 for the slippery 4×4 map and γ = 0.99, 0.4146 for 8×8.
    for map_name, published in (("4x4", 0.5420), ("8x8", 0.4146)):
        mdp = from_toy_text(gym.make(newest("FrozenLake"), map_name=map_name))
        assert value_iteration(mdp, 0.99).values[0] == pytest.approx(published, abs=5e-5)


def test_cliff_walking_takes_thirteen_steps():
    mdp = from_toy_text(gym.make(newest("CliffWalking")))
    assert optimal_return(mdp, 200) == -13.0
    assert mdp.start @ policy_iteration(mdp, 0.99).values == pytest.approx(
        -sum(0.99**t for t in range(13)), abs=1e-10
    )


def test_taxi_is_as_good_as_the_shortest_path():
    env = gym.make(newest("Taxi"))
    table = env.unwrapped.P
    # Breadth-first search backwards from the paying drop-off: −1 a step, +20 for the last.
    steps = dict.fromkeys((s for s in table for a in range(6) if table[s][a][0][3]), 1)
    while True:
        found = {
            s: min(steps[table[s][a][0][1]] for a in range(6) if table[s][a][0][1] in steps) + 1
            for s in table
            if s not in steps and any(table[s][a][0][1] in steps for a in range(6))
        }
        if not found:
            break
        steps.update(found)
    starts = env.unwrapped.initial_state_distrib
    expected = sum(p * (20 - (steps[s] - 1)) for s, p in enumerate(starts) if p > 0)
    assert optimal_return(from_toy_text(env), 200) == pytest.approx(expected, abs=1e-9)


def test_four_rooms_of_a_hundred_cells_a_side_are_solved():
    env = FourRooms(size=100)
    assert env.mdp.n_states == 100 * 100 - (2 * 100 - 1) + 4  # a cross of walls, four doors
    values = value_iteration(env.mdp, 0.99).values
    # The exit is 99 moves up and 99 right, no detour: the doors lie between.
    assert env.mdp.start @ values == pytest.approx(0.99**198, rel=1e-9)
