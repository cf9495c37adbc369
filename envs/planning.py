"""Exact solutions of finite MDPs by dynamic programming (Spec 9): the oracle of optimality.

Every function is pure and takes the MDP first. V is a float64 array (S,), Q is (S, A), a policy is
(S, A) of probabilities; a greedy policy is (S,) int64 of actions and ``one_hot`` turns it into the
former. First the iterations to a fixed point, then the sums of so many rewards, which normalised
scores are measured against: horizons count rewards, so that horizon H sums H of them, fewer where
the episode ends before. What both are made of is ``envs.backups``', and to be had from here.
"""

from collections.abc import Iterable
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from envs.backups import (
    POLICY_TOLERANCE,
    action_values,
    check_gamma,
    check_horizon,
    check_policy,
    greedy_policy,
    one_hot,
    policy_transitions,
    random_policy,
)
from envs.mdp import FloatArray, IntArray, TabularMDP

__all__ = [
    "SoftSolution",
    "Solution",
    "action_values",
    "finite_horizon_policy",
    "finite_horizon_values",
    "greedy_policy",
    "one_hot",
    "optimal_return",
    "policy_evaluation",
    "policy_iteration",
    "policy_outcome",
    "policy_return",
    "policy_transitions",
    "q_iteration",
    "random_policy",
    "random_return",
    "soft_value_iteration",
    "table_outcome",
    "value_iteration",
]


class Solution(NamedTuple):
    """Optimal values (S,) and a greedy policy (S,) int64, the first of equally good actions."""

    values: FloatArray
    policy: IntArray


class SoftSolution(NamedTuple):
    """Entropy-regularised values (S,) and their stochastic policy (S, A)."""

    values: FloatArray
    policy: FloatArray


def value_iteration(
    mdp: TabularMDP, gamma: float, tolerance: float = 1e-10, max_iterations: int = 1_000_000
) -> Solution:
    """Solve V*(s) = max_a Σ_{s'} P (R + γ V*(s')) by iterating it from V_0 = 0 (Spec 9.1).

    Stops when V is within ``tolerance`` of V*: by contraction the error is at most
    γ/(1−γ) times the last change. For γ = 1, where no such bound exists, it stops when the last
    change is at most ``tolerance``.

    Args:
        mdp: The MDP.
        gamma: The discount, in [0, 1].
        tolerance: The error allowed in any state's value, above 0.
        max_iterations: Give up after so many sweeps.

    Returns:
        The values (S,) and the greedy policy (S,).

    Raises:
        ValueError: gamma or tolerance is out of range.
        RuntimeError: not converged after ``max_iterations`` sweeps, as when γ = 1 and rewards
            can be collected for ever.
    """
    gamma = check_gamma(gamma)
    values = np.zeros(mdp.n_states)
    for _ in range(max_iterations):
        updated = action_values(mdp, values, gamma).max(axis=1)
        change = float(np.abs(updated - values).max())
        values = updated
        if change <= stopping_change(tolerance, gamma, values):
            return Solution(values, greedy_policy(action_values(mdp, values, gamma)))
    raise not_converged("Value iteration", max_iterations, change, gamma)


def q_iteration(
    mdp: TabularMDP, gamma: float, tolerance: float = 1e-10, max_iterations: int = 1_000_000
) -> FloatArray:
    """Solve Q*(s,a) = Σ_{s'} P (R + γ max_{a'} Q*(s',a')) by iterating it from Q_0 = 0 (Spec 9.2).

    Args, stopping and errors are those of ``value_iteration``.

    Returns:
        Q* (S, A).
    """
    gamma = check_gamma(gamma)
    q_values = np.zeros((mdp.n_states, mdp.n_actions))
    for _ in range(max_iterations):
        updated = action_values(mdp, q_values.max(axis=1), gamma)
        change = float(np.abs(updated - q_values).max())
        q_values = updated
        if change <= stopping_change(tolerance, gamma, q_values):
            return q_values
    raise not_converged("Q-value iteration", max_iterations, change, gamma)


def policy_evaluation(mdp: TabularMDP, policy: FloatArray, gamma: float) -> FloatArray:
    """V^π, the fixed point of V_k^π = Σ_a π Σ_{s'} P (R + γ V_{k−1}^π) (Spec 9.3).

    The equation is linear, so it is solved at once: (I − γ P_π) V = R_π.

    Args:
        mdp: The MDP.
        policy: (S, A) action probabilities.
        gamma: The discount, in [0, 1].

    Returns:
        (S,) float64.

    Raises:
        ValueError: policy or gamma is not as stated.
        RuntimeError: γ = 1 and from some state the policy never ends the episode.
    """
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import spsolve

    gamma, policy = check_gamma(gamma), check_policy(mdp, policy)
    transitions = policy_transitions(mdp, policy)
    if gamma == 1.0:
        _check_proper(transitions)
    system = eye_array(mdp.n_states, format="csr") - gamma * transitions
    values: FloatArray = spsolve(system.tocsc(), (policy * mdp.R).sum(axis=1))
    return values


def policy_iteration(mdp: TabularMDP, gamma: float, max_iterations: int = 1000) -> Solution:
    """Evaluate, improve greedily, repeat until nothing improves: π* and V* (Spec 9.3).

    Begins with the policy that is greedy for the next reward alone. An action is changed only for
    a gain above rounding, so equal actions cannot make it cycle.

    Args:
        mdp: The MDP.
        gamma: The discount, in [0, 1]; at 1 every policy on the way must end its episodes.
        max_iterations: Give up after so many improvements.

    Raises:
        ValueError: gamma is out of range.
        RuntimeError: a policy on the way never ends and γ = 1, or the improvements ran out.
    """
    policy, states = greedy_policy(mdp.R), np.arange(mdp.n_states)
    for _ in range(max_iterations):
        values = policy_evaluation(mdp, one_hot(policy, mdp.n_actions), gamma)
        q_values = action_values(mdp, values, gamma)
        gain = q_values.max(axis=1) - q_values[states, policy]
        better = gain > 1e-12 * max(1.0, float(np.abs(values).max()))
        if not better.any():
            return Solution(values, policy)
        policy = np.where(better, greedy_policy(q_values), policy)
    raise not_converged("Policy iteration", max_iterations, float(gain.max()), gamma)


def soft_value_iteration(
    mdp: TabularMDP,
    gamma: float,
    beta: float,
    tolerance: float = 1e-10,
    max_iterations: int = 1_000_000,
) -> SoftSolution:
    """Maximise E[Σ γ^t (r_t + β H(π(·|s_t)))] (Spec 9.4).

    V_k(s) = β log Σ_a exp(Q_k(s,a)/β) with Q_k the back-up of V_{k−1}, and π(a|s) ∝ exp(Q(s,a)/β).
    As β → 0 this becomes value iteration; without a future, π(a) ∝ exp(r(a)/β).

    Args:
        mdp: The MDP.
        gamma: The discount, in [0, 1]; at 1 a task that can go on for ever has no finite value.
        beta: The temperature, above 0.
        tolerance: The error allowed in any state's value.
        max_iterations: Give up after so many sweeps.

    Raises:
        ValueError: an argument is out of range.
        RuntimeError: not converged.
    """
    if not 0.0 < beta < np.inf:
        raise ValueError(f"beta is {beta}; the temperature must be above 0 (value_iteration is 0).")
    gamma = check_gamma(gamma)
    values = np.zeros(mdp.n_states)
    for _ in range(max_iterations):
        q_values = action_values(mdp, values, gamma)
        best = q_values.max(axis=1, keepdims=True)
        weights = np.exp((q_values - best) / beta)  # subtracting the best avoids overflow
        total = weights.sum(axis=1, keepdims=True)
        updated = (best + beta * np.log(total))[:, 0]
        change = float(np.abs(updated - values).max())
        values = updated
        if change <= stopping_change(tolerance, gamma, values):
            return SoftSolution(values, weights / total)
    raise not_converged("Soft value iteration", max_iterations, change, gamma)


def _check_proper(transitions: Any) -> None:
    """With γ = 1 a value is finite only where the episode ends with certainty."""
    ends = transitions.sum(axis=1) < 1.0 - POLICY_TOLERANCE
    while True:
        grown = ends | ((transitions @ ends.astype(np.float64)) > 0.0)
        if (grown == ends).all():
            break
        ends = grown
    if not ends.all():
        raise RuntimeError(
            f"From state {int(np.argmin(ends))} this policy never ends the episode, so its "
            "undiscounted value is not defined; use gamma below 1 or policy_return with a horizon."
        )


def stopping_change(tolerance: float, gamma: float, values: FloatArray) -> float:
    """The change of a sweep at which V is within ``tolerance`` of the fixed point.

    Never below the rounding of the values themselves, where changes stop shrinking.

    Raises:
        ValueError: tolerance is not above 0.
    """
    if not tolerance > 0.0:
        raise ValueError(f"tolerance is {tolerance}; it must be above 0.")
    wanted = tolerance * (1.0 - gamma) / gamma if 0.0 < gamma < 1.0 else tolerance
    rounding = 4.0 * np.finfo(np.float64).eps * float(np.abs(values).max())
    return max(wanted, rounding)


def not_converged(method: str, sweeps: int, change: float, gamma: float) -> RuntimeError:
    """The error of an iteration that ran out of sweeps."""
    return RuntimeError(
        f"{method} with gamma={gamma} still changed by {change:.3g} after {sweeps} sweeps; lower "
        "gamma, allow more iterations, or give a horizon (finite_horizon_values)."
    )


# ---------------------------------------------------------------------- sums of so many rewards


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
