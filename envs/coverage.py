"""How much of a finite MDP can be seen at all, and how much was (Spec 15.1)."""

import numpy as np

from envs.backups import policy_transitions, random_policy
from envs.mdp import BoolArray, TabularMDP

__all__ = ["reachable_states"]


def reachable_states(mdp: TabularMDP, horizon: int | None = None) -> BoolArray:
    """(S,) bool: the states that some policy comes to with a chance above 0.

    Args:
        mdp: The MDP.
        horizon: Within so many steps of one episode; None: however many it takes.

    Raises:
        ValueError: horizon is negative.
    """
    if horizon is not None and horizon < 0:
        raise ValueError(f"horizon is {horizon}; it counts steps and must be at least 0.")
    transitions = policy_transitions(mdp, random_policy(mdp))
    reached = mdp.start > 0.0
    for _ in range(mdp.n_states if horizon is None else horizon):
        grown = reached | ((reached.astype(np.float64) @ transitions) > 0.0)
        if (grown == reached).all():
            break
        reached = grown
    return reached
