"""One Bellman back-up of a finite MDP, and the forms of policies: what planning is made of."""

from typing import Any

import numpy as np

from envs.mdp import FloatArray, IntArray, TabularMDP

# A network's action probabilities are float32.
POLICY_TOLERANCE = 1e-5


def action_values(mdp: TabularMDP, values: FloatArray, gamma: float) -> FloatArray:
    """One Bellman back-up, Q(s, a) = Σ_{s'} P (R + γ V(s')), V after a termination being 0.

    Args:
        mdp: The MDP.
        values: V, (S,).
        gamma: The discount.

    Returns:
        (S, A) float64.
    """
    following: FloatArray = mdp.continuation @ values
    return mdp.R + gamma * following.reshape(mdp.n_states, mdp.n_actions)


def policy_transitions(mdp: TabularMDP, policy: FloatArray) -> Any:
    """P_π without terminating outcomes, (S, S) ``scipy.sparse.csr_array``."""
    from scipy.sparse import csr_array

    n_states, n_actions = policy.shape
    rows = np.repeat(np.arange(n_states), n_actions)
    mix = csr_array((policy.ravel(), (rows, np.arange(policy.size))), shape=(n_states, policy.size))
    return mix @ mdp.continuation


def greedy_policy(q_values: FloatArray) -> IntArray:
    """The best action of each state, (S,) int64; the first of equals."""
    best: IntArray = q_values.argmax(axis=1).astype(np.int64)
    return best


def one_hot(policy: IntArray, n_actions: int) -> FloatArray:
    """A deterministic policy (S,) as action probabilities (S, A)."""
    return np.eye(n_actions)[policy]


def random_policy(mdp: TabularMDP) -> FloatArray:
    """The uniformly random policy, (S, A)."""
    return np.full((mdp.n_states, mdp.n_actions), 1.0 / mdp.n_actions)


def check_gamma(gamma: float) -> float:
    """The discount as given.

    Raises:
        ValueError: it is not in [0, 1].
    """
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma is {gamma}; the discount must lie in [0, 1].")
    return gamma


def check_shares(**shares: float) -> None:
    """Check shares and probabilities, each by its argument's name.

    Raises:
        ValueError: one is not in [0, 1].
    """
    for name, share in shares.items():
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{name} is {share}; it must lie in [0, 1].")


def check_horizon(horizon: int) -> int:
    """The horizon as given.

    Raises:
        ValueError: it is negative.
    """
    if horizon < 0:
        raise ValueError(f"horizon is {horizon}; it counts steps and must be at least 0.")
    return horizon


def check_policy(mdp: TabularMDP, policy: FloatArray) -> FloatArray:
    """The policy as float64.

    Raises:
        ValueError: it is not (S, A) rows of probabilities that sum to 1.
    """
    policy = np.asarray(policy, dtype=np.float64)
    shape = (mdp.n_states, mdp.n_actions)
    if policy.shape != shape:
        raise ValueError(
            f"policy has shape {policy.shape}; it must be {shape}, one row of action probabilities "
            "a state (one_hot makes them from actions)."
        )
    valid = (policy >= 0.0).all(axis=1)
    valid &= np.abs(policy.sum(axis=1) - 1.0) <= POLICY_TOLERANCE
    if not valid.all():
        state = int(np.argmin(valid))
        raise ValueError(
            f"policy[{state}] is {policy[state].tolist()}; probabilities must be at least 0 and "
            "sum to 1."
        )
    return policy
