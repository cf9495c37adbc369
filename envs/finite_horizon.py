"""Exact solutions over so many steps: what normalised scores are measured against (Spec 9.1, 9.3).

Horizons count rewards: horizon H sums H of them, fewer where the episode ends before.
"""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np

from envs.backups import (
    action_values,
    check_gamma,
    check_horizon,
    check_policy,
    greedy_policy,
    policy_transitions,
    random_policy,
)
from envs.mdp import FloatArray, IntArray, TabularMDP


def finite_horizon_values(mdp: TabularMDP, horizon: int, gamma: float = 1.0) -> FloatArray:
    """V_H (S,) of :func:`finite_horizon_policy`, without the actions behind it."""
    return finite_horizon_policy(mdp, horizon, gamma)[0]


def finite_horizon_policy(
    mdp: TabularMDP, horizon: int, gamma: float = 1.0
) -> tuple[FloatArray, IntArray]:
    """The best expected return of ``horizon`` steps, and what to do at each of them (Spec 9.1).

    V_H(s) = max_a Σ_{s'} P (R + γ V_{H−1}(s')), V_0 = 0; the action at step t is the greedy one
    for H − t steps to go.

    Args:
        mdp: The MDP.
        horizon: H, the number of rewards summed, at least 0.
        gamma: The discount, in [0, 1].

    Returns:
        V_H (S,) and the actions (H, S).

    Raises:
        ValueError: horizon or gamma is out of range.
    """
    gamma, values = check_gamma(gamma), np.zeros(mdp.n_states)
    actions = np.zeros((check_horizon(horizon), mdp.n_states), np.int64)
    for step in reversed(range(horizon)):
        q_values = action_values(mdp, values, gamma)
        actions[step], values = greedy_policy(q_values), q_values.max(axis=1)
    return values, actions


def optimal_return(mdp: TabularMDP, horizon: int) -> float:
    """The optimum: highest expected undiscounted return of ``horizon`` steps from the start.

    The episode ends on termination. This is 1 on the scale of normalised scores.

    Raises:
        ValueError: horizon is negative.
    """
    return float(mdp.start @ finite_horizon_values(mdp, horizon))


def random_return(mdp: TabularMDP, horizon: int) -> float:
    """Expected undiscounted return of the uniformly random policy: 0 of normalised scores.

    Raises:
        ValueError: horizon is negative.
    """
    return policy_return(mdp, random_policy(mdp), horizon)


def policy_return(mdp: TabularMDP, policy: FloatArray, horizon: int, gamma: float = 1.0) -> float:
    """The exact expected return of ``horizon`` steps from the start under any policy (Spec 9.3).

    Args:
        mdp: The MDP.
        policy: (S, A) action probabilities, each row summing to 1.
        horizon: Number of rewards summed, at least 0.
        gamma: The discount, in [0, 1].

    Raises:
        ValueError: policy, horizon or gamma is not as stated.
    """
    gamma, policy = check_gamma(gamma), check_policy(mdp, policy)
    values = np.zeros(mdp.n_states)
    for _ in range(check_horizon(horizon)):
        values = (policy * action_values(mdp, values, gamma)).sum(axis=1)
    return float(mdp.start @ values)


def policy_outcome(mdp: TabularMDP, policy: FloatArray, horizon: int) -> tuple[float, float]:
    """What ``horizon`` steps from the start come to on average under a policy (Spec 9.3).

    Args:
        mdp: The MDP.
        policy: (S, A) action probabilities, each row summing to 1.
        horizon: Number of rewards summed, at least 0.

    Returns:
        The expected undiscounted return, as ``policy_return`` has it to rounding, and the expected
        number of steps, which a termination cuts short.

    Raises:
        ValueError: policy or horizon is not as stated.
    """
    policy = check_policy(mdp, policy)
    # Each step pays its reward in the first column and one step in the second.
    paid = np.stack([(policy * mdp.R).sum(axis=1), policy.sum(axis=1)], axis=1)
    step = paid, policy_transitions(mdp, policy)
    return _outcome(mdp, repeat(step, check_horizon(horizon)))


def table_outcome(mdp: TabularMDP, actions: IntArray, horizon: int) -> tuple[float, float]:
    """:func:`policy_outcome` of actions that may depend on the steps taken.

    Args:
        mdp: The MDP.
        actions: (S,), or (H, S) with a row a step, the last of which is kept to after H.
        horizon: Number of rewards summed, at least 0.

    Raises:
        ValueError: horizon is negative.
    """
    rows, first = np.atleast_2d(actions), np.arange(mdp.n_states) * mdp.n_actions
    rewards, once = mdp.R.ravel(), np.ones(mdp.n_states)

    def step(t: int) -> tuple[FloatArray, Any]:
        chosen = first + rows[min(t, len(rows) - 1)]
        return np.stack([rewards[chosen], once], axis=1), mdp.continuation[chosen]

    return _outcome(mdp, map(step, reversed(range(check_horizon(horizon)))))


def _outcome(mdp: TabularMDP, steps: Iterable[tuple[FloatArray, Any]]) -> tuple[float, float]:
    """Expected return and length of steps, the last first: what each pays (S, 2), and P (S, S)."""
    values = np.zeros((mdp.n_states, 2))
    for paid, transitions in steps:
        values = paid + transitions @ values
    total, length = (mdp.start @ values).tolist()
    return total, length
