"""Planning by simulation, where sweeping all states is too much: RTDP and MCTS (Spec 9.7, 9.8)."""

import math
from typing import NamedTuple

import numpy as np

from envs.backups import action_values, check_gamma, check_shares, greedy_policy
from envs.mdp import FloatArray, IntArray, TabularMDP
from envs.planning import Solution


def rtdp(
    mdp: TabularMDP,
    gamma: float,
    episodes: int,
    horizon: int,
    epsilon: float = 0.5,
    epsilon_decay: float = 0.99,
    seed: int | None = None,
) -> Solution:
    """Real-time dynamic programming (Spec 9.7).

    Walks ``episodes`` times from the start; in every state it visits it backs up
    V(s) ← max_a Σ_{s'} P (R + γ V(s')), then takes the best action, or with probability ε a random
    one. ε is multiplied by ``epsilon_decay`` after each episode. V begins at 0.

    Args:
        mdp: The MDP.
        gamma: The discount, in [0, 1].
        episodes: Number of walks, at least 1.
        horizon: Longest walk, at least 1.
        epsilon: Share of random actions in the first walk, in [0, 1].
        epsilon_decay: In [0, 1].
        seed: Of the walks.

    Returns:
        Values (S,), exact in the limit for the states visited, and their greedy policy.

    Raises:
        ValueError: an argument is out of range.
    """
    gamma = check_gamma(gamma)
    _check_counts(episodes=episodes, horizon=horizon)
    check_shares(epsilon=epsilon, epsilon_decay=epsilon_decay)
    model, rng = _Model(mdp, gamma), np.random.default_rng(seed)
    values = np.zeros(mdp.n_states)
    for _ in range(episodes):
        state, ended, steps = model.first(rng), False, 0
        while not ended and steps < horizon:
            q_values = model.look_ahead(state, values)
            values[state] = q_values.max()
            explore = rng.random() < epsilon
            action = int(rng.integers(mdp.n_actions)) if explore else int(q_values.argmax())
            state, _, ended = model.sample(state, action, rng)
            steps += 1
        epsilon *= epsilon_decay
    return Solution(values, greedy_policy(action_values(mdp, values, gamma)))


class Search(NamedTuple):
    """What MCTS found at its root: mean return and number of visits of each action, both (A,)."""

    values: FloatArray
    visits: IntArray

    @property
    def action(self) -> int:
        """The action visited most, the first of equals."""
        return int(self.visits.argmax())


class _Node:
    def __init__(self, state: int, n_actions: int) -> None:
        self.state = state
        self.visits: IntArray = np.zeros(n_actions, np.int64)
        self.totals: FloatArray = np.zeros(n_actions)
        self.children: dict[tuple[int, int], _Node] = {}

    def select(self, exploration: float, rng: np.random.Generator) -> int:
        """An unvisited action first, else the highest Q + c √(ln N / n)."""
        unvisited = np.flatnonzero(self.visits == 0)
        if unvisited.size:
            return int(rng.choice(unvisited))
        bonus = exploration * np.sqrt(math.log(self.visits.sum()) / self.visits)
        return int((self.totals / self.visits + bonus).argmax())


def mcts(
    mdp: TabularMDP,
    state: int,
    gamma: float,
    simulations: int,
    horizon: int,
    exploration: float = 1.0,
    seed: int | None = None,
) -> Search:
    """Monte Carlo tree search from one state with a model to sample from (Spec 9.8).

    Each simulation goes down the tree by Q + c √(ln N / n), an unvisited action first; adds one
    node; plays on at random to the end or the horizon; and adds the discounted return to every
    action on its way. A node is a state at a depth, reached by an action from its parent, so that
    a stochastic MDP branches into its outcomes.

    Args:
        mdp: The MDP.
        state: The root, in ``range(S)``.
        gamma: The discount, in [0, 1].
        simulations: At least 1.
        horizon: Steps from the root to where returns are cut, at least 1.
        exploration: c, at least 0; about the size of the returns' differences.
        seed: Of the simulations.

    Raises:
        ValueError: an argument is out of range.
    """
    gamma = check_gamma(gamma)
    _check_counts(simulations=simulations, horizon=horizon)
    if not 0 <= state < mdp.n_states:
        raise ValueError(f"state is {state}; states are numbered 0 to {mdp.n_states - 1}.")
    if not 0.0 <= exploration < math.inf:
        raise ValueError(f"exploration is {exploration}; it must be finite and at least 0.")
    model, rng = _Model(mdp, gamma), np.random.default_rng(seed)
    root = _Node(state, mdp.n_actions)
    for _ in range(simulations):
        _simulate(root, model, horizon, exploration, rng)
    means = root.totals / np.maximum(root.visits, 1)
    return Search(np.where(root.visits > 0, means, np.nan), root.visits)


def _simulate(
    root: _Node, model: "_Model", horizon: int, exploration: float, rng: np.random.Generator
) -> None:
    path: list[tuple[_Node, int, float]] = []
    node, ended = root, False
    while not ended and len(path) < horizon:
        action = node.select(exploration, rng)
        next_state, reward, ended = model.sample(node.state, action, rng)
        path.append((node, action, reward))
        child = node.children.get((action, next_state))
        if child is None:
            child = node.children[action, next_state] = _Node(next_state, root.visits.size)
            node = child
            break
        node = child
    following = 0.0 if ended else model.playout(node.state, horizon - len(path), rng)
    for visited, action, reward in reversed(path):
        following = reward + model.gamma * following
        visited.visits[action] += 1
        visited.totals[action] += following


class _Model:
    """Samples an MDP and looks one step ahead in it."""

    def __init__(self, mdp: TabularMDP, gamma: float) -> None:
        self._mdp, self.gamma = mdp, gamma
        self._weights = gamma * np.where(mdp.terminations, 0.0, mdp.probabilities)

    def first(self, rng: np.random.Generator) -> int:
        return int(np.searchsorted(self._mdp.cumulative_start, rng.random(), side="right"))

    def look_ahead(self, state: int, values: FloatArray) -> FloatArray:
        following = values[self._mdp.next_states[state]]
        backed_up: FloatArray = self._mdp.R[state] + (self._weights[state] * following).sum(axis=1)
        return backed_up

    def sample(self, state: int, action: int, rng: np.random.Generator) -> tuple[int, float, bool]:
        mdp = self._mdp
        outcome = int((rng.random() >= mdp.cumulative[state, action]).sum())
        where = (state, action, outcome)
        return int(mdp.next_states[where]), float(mdp.rewards[where]), bool(mdp.terminations[where])

    def playout(self, state: int, steps: int, rng: np.random.Generator) -> float:
        total, discount, ended = 0.0, 1.0, False
        while not ended and steps > 0:
            action = int(rng.integers(self._mdp.n_actions))
            state, reward, ended = self.sample(state, action, rng)
            total, discount, steps = total + discount * reward, discount * self.gamma, steps - 1
        return total


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; it must be at least 1.")
