"""The exact optimum under a limit on expected cost: a linear programme (Spec 15.2; Altman 1999)."""

from typing import Any, NamedTuple

import numpy as np

from envs.backups import check_gamma, check_horizon, policy_transitions
from envs.mdp import FloatArray, TabularMDP

__all__ = ["ConstrainedSolution", "constrained_optimum", "policy_cost"]


class ConstrainedSolution(NamedTuple):
    """What is best under a limit on cost.

    Attributes:
        value: expected return from the start.
        cost: expected cost from the start, at most the limit.
        multiplier: the optimal λ ≥ 0 of the limit: what one unit more of it would be worth.
        policy: action probabilities (H, S, A) at each step; (S, A) of the discounted programme.
            Uniform in states that are never reached.
    """

    value: float
    cost: float
    multiplier: float
    policy: FloatArray


def constrained_optimum(
    mdp: TabularMDP,
    costs: FloatArray,
    limit: float,
    horizon: int | None = None,
    gamma: float = 1.0,
) -> ConstrainedSolution:
    """Maximise E Σ γ^t r_t subject to E Σ γ^t c_t ≤ d, over all policies (Spec 15.2).

    The variables are occupancies x ≥ 0, the discounted probability of being in s and doing a (at
    step t, with a horizon): what flows out of a state is what flows into it. Return and cost are
    linear in x, so that this is a linear programme, and π(a|s) ∝ x(s, a) (Altman 1999, chapters
    3 and 4). Solved by HiGHS.

    Args:
        mdp: The MDP.
        costs: (S, A, K), the cost of each outcome, as ``mdp.rewards`` pays; finite.
        limit: d.
        horizon: H steps, the policy depending on the step; None: for ever, with γ below 1.
        gamma: The discount of rewards and costs, in [0, 1].

    Raises:
        ValueError: an argument is not as stated, or no policy costs so little; says the least.
    """
    gamma = check_gamma(gamma)
    if horizon is None and gamma == 1.0:
        raise ValueError("gamma is 1 without a horizon; give a horizon, or gamma below 1.")
    paid = _expected(mdp, costs)
    if not np.isfinite(limit):
        raise ValueError(f"limit is {limit}; it must be a finite number.")
    steps = 1 if horizon is None else check_horizon(horizon)
    if steps == 0:
        raise ValueError("horizon is 0; the programme needs at least one step.")
    flow, start = _flow(mdp, horizon, gamma)
    discounts = np.repeat(gamma ** np.arange(steps), mdp.n_states * mdp.n_actions)
    rewards = discounts * np.tile(mdp.R.ravel(), steps)
    prices = discounts * np.tile(paid.ravel(), steps)
    found = _solve(rewards, prices, limit, flow, start)
    occupancy = found.x.reshape(steps, mdp.n_states, mdp.n_actions)
    policy = _policy(occupancy if horizon is not None else occupancy[0])
    multiplier = max(0.0, -float(found.ineqlin.marginals[0]))
    return ConstrainedSolution(
        float(rewards @ found.x), float(prices @ found.x), multiplier, policy
    )


def policy_cost(
    mdp: TabularMDP, costs: FloatArray, policy: FloatArray, horizon: int, gamma: float = 1.0
) -> float:
    """The exact expected cost of ``horizon`` steps from the start under a policy (S, A).

    Raises:
        ValueError: costs, policy or horizon is not as stated.
    """
    paid = (policy * _expected(mdp, costs)).sum(axis=1)
    transitions = check_gamma(gamma) * policy_transitions(mdp, policy)
    values = np.zeros(mdp.n_states)
    for _ in range(check_horizon(horizon)):
        values = paid + transitions @ values
    return float(mdp.start @ values)


def _expected(mdp: TabularMDP, costs: FloatArray) -> FloatArray:
    """(S, A): the expected cost of each action."""
    costs = np.asarray(costs, np.float64)
    if costs.shape != mdp.rewards.shape or not np.isfinite(costs).all():
        raise ValueError(
            f"costs has shape {costs.shape}; it must be {mdp.rewards.shape}, one finite number an "
            "outcome, as rewards has."
        )
    expected: FloatArray = (mdp.probabilities * costs).sum(axis=2)
    return expected


def _flow(mdp: TabularMDP, horizon: int | None, gamma: float) -> tuple[Any, FloatArray]:
    """Σ_a x(s, a) less what arrives in s, for every state (and step): what the start puts there.

    With a horizon x is undiscounted, and the discount is in what it pays.
    """
    from scipy.sparse import block_diag, csr_array, eye_array, kron

    ones = np.ones((1, mdp.n_actions))
    leaving = csr_array(kron(eye_array(mdp.n_states), ones))
    arriving = mdp.continuation.T.tocsr()
    if horizon is None:
        return leaving - gamma * arriving, mdp.start
    out = block_diag([leaving] * horizon, format="csr")
    later = kron(eye_array(horizon, k=-1), arriving, format="csr")
    start = np.zeros(horizon * mdp.n_states)
    start[: mdp.n_states] = mdp.start
    return out - later, start


def _solve(
    rewards: FloatArray, prices: FloatArray, limit: float, flow: Any, start: FloatArray
) -> Any:
    from scipy.optimize import linprog

    equal = {"A_eq": flow, "b_eq": start, "method": "highs"}
    found = linprog(-rewards, A_ub=prices[np.newaxis], b_ub=[limit], **equal)
    if found.status == 2:
        least = linprog(prices, **equal)
        raise ValueError(f"limit is {limit}; the least that any policy costs is {least.fun:.6g}.")
    if found.status != 0:
        raise RuntimeError(f"The linear programme was not solved: {found.message}")
    return found


def _policy(occupancy: FloatArray) -> FloatArray:
    """π ∝ x along the last axis."""
    occupancy = np.maximum(occupancy, 0.0)
    total = occupancy.sum(axis=-1, keepdims=True)
    policy = np.full_like(occupancy, 1.0 / occupancy.shape[-1])
    np.divide(occupancy, total, out=policy, where=total > 1e-12)
    return policy
