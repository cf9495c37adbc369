"""The exact optimum under a limit on cost, against brute force, duality and closed forms."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

from envs.constrained import constrained_optimum, policy_cost
from envs.costcliff import CostCliffGrid
from envs.mdp import TabularMDP
from envs.planning import finite_horizon_values, one_hot, optimal_return, policy_return
from envs.registration import register_environments

register_environments()
GRID = CostCliffGrid()


def fork(price: float) -> TabularMDP:
    """One state, two actions that end: the first pays 1 (and is to cost), the second ``price``."""
    shape = (1, 2, 1)
    rewards = np.array([[[1.0], [price]]])
    return TabularMDP(np.zeros(shape, int), np.ones(shape), rewards, np.ones(shape, bool), [1.0])


def small_mdp(seed: int, n_states: int = 3, n_actions: int = 2) -> tuple[TabularMDP, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (n_states, n_actions, 2)
    mdp = TabularMDP(
        rng.integers(0, n_states, shape),
        np.full(shape, 0.5),
        rng.normal(size=shape),
        rng.random(shape) < 0.2,
        np.full(n_states, 1.0 / n_states),
    )
    return mdp, rng.random(shape)


def envelope(points: list[tuple[float, float]], limit: float) -> float:
    """The best return that a mixture of two of these (cost, return) has within the limit."""
    best = -np.inf
    for (c, r), (other_c, other_r) in itertools.product(points, repeat=2):
        if c <= limit:
            share = 1.0 if other_c <= limit else (limit - c) / (other_c - c)
            best = max(best, r, r + share * (other_r - r))
    return best


@pytest.mark.parametrize(("limit", "value"), [(0.0, 0.25), (0.4, 0.55), (1.0, 1.0), (9.0, 1.0)])
def test_at_a_fork_the_costly_way_is_taken_as_often_as_the_limit_allows(
    limit: float, value: float
) -> None:
    # With probability p ≤ d the first: p · 1 + (1 − p) · 0.25.
    found = constrained_optimum(fork(0.25), np.array([[[1.0], [0.0]]]), limit, horizon=1)
    assert found.value == pytest.approx(value)
    assert found.policy[0, 0, 0] == pytest.approx(min(limit, 1.0))
    if limit == 0.4:
        assert found.multiplier == pytest.approx(0.75)  # one unit of cost buys 1 − 0.25


@pytest.mark.parametrize("seed", range(4))
def test_for_ever_it_is_the_best_mixture_of_two_stationary_policies(seed: int) -> None:
    mdp, costs = small_mdp(seed)
    points = []
    for actions in itertools.product(range(2), repeat=3):
        policy = one_hot(np.array(actions), 2)
        ever = 400  # 0.9^400 < 1e-18
        points.append(
            (policy_cost(mdp, costs, policy, ever, 0.9), policy_return(mdp, policy, ever, 0.9))
        )
    low, high = min(points)[0], max(points)[0]
    for limit in (low, 0.7 * low + 0.3 * high, high):
        found = constrained_optimum(mdp, costs, limit + 1e-9, gamma=0.9)
        assert found.value == pytest.approx(envelope(points, limit + 1e-9), abs=1e-6)
        assert found.cost <= limit + 1e-6


@pytest.mark.parametrize("limit", [0.0, 0.1, 0.3, 0.5])
def test_with_a_horizon_it_is_the_least_lagrangian_bound_of_dynamic_programming(
    limit: float,
) -> None:
    found = constrained_optimum(GRID.mdp, GRID.costs, limit, horizon=20)

    def bound(multiplier: float) -> float:
        """max_π E Σ (r − λ c) + λ d ≥ the optimum, with equality at the best λ."""
        rewards = GRID.mdp.rewards - multiplier * GRID.costs
        priced = TabularMDP(
            GRID.mdp.next_states,
            GRID.mdp.probabilities,
            rewards,
            GRID.mdp.terminations,
            GRID.mdp.start,
        )
        return float(priced.start @ finite_horizon_values(priced, 20)) + multiplier * limit

    assert bound(found.multiplier) == pytest.approx(found.value, abs=1e-6)
    assert all(bound(m) >= found.value - 1e-6 for m in (0.0, 0.1, 0.5, 2.0, 30.0))


def test_its_policy_earns_and_costs_what_it_says() -> None:
    found = constrained_optimum(GRID.mdp, GRID.costs, 0.2, horizon=30)
    value = cost = 0.0
    states = GRID.mdp.start
    paid = (GRID.mdp.probabilities * GRID.costs).sum(axis=2)
    transitions = GRID.mdp.continuation.toarray().reshape(GRID.mdp.n_states, 4, -1)
    for policy in found.policy:
        doing = states[:, None] * policy
        value, cost = value + (doing * GRID.mdp.R).sum(), cost + (doing * paid).sum()
        states = np.einsum("sa,san->n", doing, transitions)
    assert (value, cost) == pytest.approx((found.value, found.cost), abs=1e-6)
    assert cost <= 0.2 + 1e-6


def test_a_loose_limit_leaves_the_optimum_and_costs_nothing() -> None:
    found = constrained_optimum(GRID.mdp, GRID.costs, 100.0, horizon=30)
    assert found.value == pytest.approx(optimal_return(GRID.mdp, 30))
    assert found.multiplier == 0.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"limit": -0.5, "horizon": 5}, "limit is -0.5; the least that any policy costs is 0"),
        ({"limit": np.nan, "horizon": 5}, "limit is nan"),
        ({"limit": 1.0}, "gamma is 1 without a horizon"),
        ({"limit": 1.0, "horizon": 0}, "horizon is 0"),
        ({"limit": 1.0, "horizon": 5, "gamma": 2.0}, "gamma is 2.0"),
        ({"limit": 1.0, "horizon": 5, "costs": np.zeros(3)}, r"costs has shape \(3,\)"),
    ],
)
def test_what_cannot_be_solved_is_said(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        constrained_optimum(GRID.mdp, **{"costs": GRID.costs, **arguments})


def test_the_cliff_costs_where_its_picture_says_and_its_infos_and_arrays_agree() -> None:
    drawn = [line.split() for line in CostCliffGrid.__doc__.splitlines() if " x x" in line]
    assert drawn[0][:5] == ["x"] * 5
    env = gym.make("ppo_lab/CostCliffGrid-v0")
    grid = env.unwrapped
    assert grid.grid.cells[grid.hazards].tolist() == [[4, column] for column in range(5)]
    env.reset(seed=0)
    env.action_space.seed(0)
    costs = 0
    for _ in range(600):
        before, action = grid.state, env.action_space.sample()
        *_, terminated, truncated, info = env.step(action)
        outcomes = grid.mdp.next_states[before, action] == grid.state
        assert {*grid.costs[before, action][outcomes]} == {info["cost"]}
        costs += info["cost"]
        if terminated or truncated:
            env.reset()
    assert costs > 20


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_copies_in_arrays_tell_the_costs_of_the_single_one(mode: str) -> None:
    single = gym.make("ppo_lab/CostCliffGrid-v0", max_episode_steps=7)
    vector = gym.make_vec(
        "ppo_lab/CostCliffGrid-v0",
        1,
        vectorization_mode="vector_entry_point",
        autoreset_mode=mode,
        max_episode_steps=7,
    )
    single.reset(seed=3), vector.reset(seed=3)
    single.action_space.seed(1)
    ended, total = False, 0.0
    for _ in range(300):
        action = single.action_space.sample()
        infos = vector.step(np.array([action]))[-1]
        if ended and mode == "NextStep":
            single.reset()
            assert (infos["cost"].tolist(), infos["_cost"].tolist()) == ([0.0], [False])
            ended = False
            continue
        *_, terminated, truncated, info = single.step(action)
        ended, total = terminated or truncated, total + info["cost"]
        if ended and mode == "SameStep":
            assert infos["final_info"]["cost"].tolist() == [info["cost"]]
            assert not infos["_cost"][0]
            single.reset()
            ended = False
        else:
            assert infos["cost"].tolist() == [info["cost"]]
    assert total > 10
