"""A team on a grid map as one finite MDP: joint states, joint actions, one reward (Spec 14.6)."""

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from envs.maps import EXITS, START, GridMap, grid_mdp, read_map
from envs.mdp import FloatArray, IntArray, TabularMDP

__all__ = ["LARGEST", "Team", "read_team", "team_mdp", "team_table"]

LARGEST = 20_000_000
"""Joint outcomes beyond which a team's tables would not fit into a few gigabytes."""


@dataclass(frozen=True, eq=False)
class Team:
    """A map and where each agent of a team begins.

    Attributes:
        grid: the map, its starts those of all agents.
        starts: of each agent the cells it may begin in, each equally likely.
    """

    grid: GridMap
    starts: tuple[IntArray, ...]

    @property
    def n_agents(self) -> int:
        """N ≥ 1."""
        return len(self.starts)

    @property
    def home(self) -> int:
        """The number of the place of an agent that has left by an exit: after the last cell."""
        return int(self.grid.exits.size)

    @property
    def places(self) -> IntArray:
        """(J, N) int64: where each agent is in each joint state; J = (cells + 1)^N."""
        return np.array(list(product(range(self.home + 1), repeat=self.n_agents)), np.int64)


def read_team(text: str, exits: dict[str, float] | None = None) -> Team:
    """Read a team's map: as ``envs.maps.read_map``, with a digit where that agent may begin.

    Args:
        text: ``1`` for a cell in which the first agent may begin, ``2`` the second, …
        exits: the reward of each exit symbol; None: ``+`` 1 and ``-`` −1.

    Raises:
        ValueError: no map, an agent without a start, or digits that leave one out.
    """
    digits = sorted({symbol for symbol in text if symbol.isdecimal()})
    if START in text or not digits or digits != [str(n + 1) for n in range(len(digits))]:
        raise ValueError(
            f"A team's map has the starts {digits or 'S'}; mark the first agent's with 1, the "
            "second's with 2, and so on, leaving out none, and none with S."
        )
    plain = text
    for digit in digits:
        plain = plain.replace(digit, START)
    grid = read_map(plain, EXITS if exits is None else exits)
    marked = "".join("".join(line.split()) for line in text.splitlines())
    cells = np.array([symbol for symbol in marked if symbol != "#"])
    return Team(grid, tuple(np.flatnonzero(cells == digit) for digit in digits))


def team_mdp(team: Team, noise: float = 0.0, living_reward: float = 0.0) -> TabularMDP:
    """The joint MDP of a team (Spec 14.6).

    All agents move at once, each as alone on the map (``envs.maps.grid_mdp``): a move slips with
    ``noise``, agents' slips are independent, walls and edges stop it. Agents are in each other's
    way: who would enter a cell in which another stands, or which another would enter too, stays. An
    agent in an exit leaves by it with its next action, pays the exit's reward to the team and is
    home, where its actions do nothing. The team gets ``living_reward`` a step, and its episode ends
    when all are home.

    Args:
        team: N agents on a map of C cells.
        noise: in [0, 1].
        living_reward: finite.

    Returns:
        An MDP of (C + 1)^N states, in the order of ``team.places``, and 4^N actions, the first
        agent's move counting most.

    Raises:
        ValueError: noise or living_reward is out of range, or the tables would be too large.
    """
    alone = grid_mdp(team.grid, noise, 0.0)
    home, n_agents = team.home, team.n_agents
    moves, n_slips = alone.n_actions, alone.next_states.shape[2]
    size = (home + 1) ** n_agents * moves**n_agents * n_slips**n_agents
    if size > LARGEST:
        raise ValueError(
            f"A team of {n_agents} on {home} cells has {size:,} joint outcomes, more than "
            f"{LARGEST:,}; take fewer agents, a smaller map or noise 0."
        )
    arrivals = np.where(alone.terminations, home, alone.next_states)
    arrivals = np.concatenate([arrivals, np.full((1, moves, n_slips), home)])
    paid = np.concatenate(
        [np.where(alone.terminations, alone.rewards, 0.0), np.zeros((1, moves, n_slips))]
    )
    chances = np.concatenate([alone.probabilities, alone.probabilities[:1]])
    chances[home] = np.arange(n_slips) == 0
    places = team.places
    actions, slips = (np.array(list(product(range(n), repeat=n_agents))) for n in (moves, n_slips))
    # Of each agent: (J, joint actions, joint slips).
    of_each = [
        (places[:, i, None, None], actions[None, :, i, None], slips[None, None, :, i])
        for i in range(n_agents)
    ]
    after = _stopped([arrivals[index] for index in of_each], places, home)
    weights = home + 1
    next_states = sum(place * weights ** (n_agents - 1 - i) for i, place in enumerate(after))
    is_over = np.all([place == home for place in after], axis=0)
    before = np.all(places == home, axis=1)[:, None, None]
    rewards = np.where(before, 0.0, living_reward + sum(paid[index] for index in of_each))
    probabilities = prod(chances[index] for index in of_each)
    return TabularMDP(next_states, probabilities, rewards, is_over, _start(team, places))


def _stopped(wanted: list[IntArray], places: IntArray, home: int) -> list[IntArray]:
    """Where the agents are after all have moved: who is in another's way stays."""
    after = []
    for i, target in enumerate(wanted):
        own = places[:, i, None, None]
        blocked = np.zeros(target.shape, np.bool_)
        for j, other in enumerate(wanted):
            if j != i:
                there = places[:, j, None, None]
                blocked |= (target != home) & ((target == there) | (target == other))
        after.append(np.where(blocked, own, target))
    return after


def _start(team: Team, places: IntArray) -> FloatArray:
    shares = np.zeros((team.n_agents, team.home + 1))
    for agent, cells in enumerate(team.starts):
        shares[agent, cells] = 1.0 / len(cells)
    start: FloatArray = prod(shares[agent][places[:, agent]] for agent in range(team.n_agents))
    return start


def team_table(choices: FloatArray) -> FloatArray:
    """The joint policy of agents that choose by themselves: what ``policy_return`` takes.

    Args:
        choices: (J, N, A) each agent's action probabilities in each joint state.

    Returns:
        (J, A^N), the first agent's action counting most.
    """
    joint = choices[:, 0]
    for agent in range(1, choices.shape[1]):
        joint = (joint[:, :, None] * choices[:, agent, None, :]).reshape(len(joint), -1)
    return joint
