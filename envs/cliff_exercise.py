"""The exercise of Spec 10.3: which discount and noise prefer which exit, and by which way."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from envs.cliffgrid import CLIFF_EXITS, CliffGrid
from envs.maps import grid_mdp
from envs.mdp import BoolArray, IntArray, TabularMDP
from envs.planning import one_hot, policy_return, policy_transitions, value_iteration

# Steps after which no episode of the cliff grid goes on, to far below three places.
ENDLESS = 5000


class Preference(NamedTuple):
    """What the optimal policy of one setting does, from the start (Spec 10.3).

    With γ = 0.1 and noise 0.5 it avoids the cliff and still waits beside it: it pushes against the
    wall above, from where it can only slip along the cliff, never over it.

    Attributes:
        exit: ``"close"`` or ``"distant"``, the exit it leaves by more often.
        risks_cliff: Whether it ever chooses a move that, slipping, would fall off the cliff.
        chances: Probability to leave by the close exit, the distant exit and the cliff.
    """

    exit: str
    risks_cliff: bool
    chances: tuple[float, float, float]


def cliff_preference(gamma: float, noise: float) -> Preference:
    """Solve the cliff grid exactly and say which exit it prefers, and whether by the cliff.

    Args:
        gamma: The discount, in [0, 1].
        noise: In [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """
    env = CliffGrid(noise)
    mdp, rewards = env.mdp, env.grid.exit_rewards
    policy = value_iteration(mdp, gamma).policy
    # The chance to leave by an exit is the undiscounted value where that exit alone pays, 1.
    chances = tuple(
        policy_return(
            replace(mdp, rewards=np.ones_like(mdp.rewards) * (rewards == reward)[:, None, None]),
            one_hot(policy, mdp.n_actions),
            ENDLESS,
        )
        for reward in CLIFF_EXITS.values()
    )
    close, distant, cliff = chances
    fragile = _slips_off(env, policy)
    visited = _visited(mdp, policy)
    return Preference(
        "close" if close > distant else "distant",
        bool((fragile & visited).any()),
        (close, distant, cliff),
    )


def _slips_off(env: CliffGrid, policy: IntArray) -> BoolArray:
    """(S,): whether a slip of the policy's move enters the cliff, were moves to slip at all."""
    moves = grid_mdp(env.grid, noise=0.0, living_reward=0.0).next_states[:, :, 0]
    is_cliff = env.grid.exit_rewards == CLIFF_EXITS["x"]
    states = np.arange(len(policy))
    left, right = moves[states, (policy - 1) % 4], moves[states, (policy + 1) % 4]
    fragile: BoolArray = (is_cliff[left] | is_cliff[right]) & ~env.grid.exits
    return fragile


def _visited(mdp: TabularMDP, policy: IntArray) -> BoolArray:
    """(S,): the states that the policy can come through."""
    transitions = policy_transitions(mdp, one_hot(policy, mdp.n_actions))
    visited = mdp.start > 0.0
    for _ in range(mdp.n_states):
        visited = visited | ((visited.astype(np.float64) @ transitions) > 0.0)
    return visited
