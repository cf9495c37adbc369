"""TeamGrid: agents that cross a grid map together, as PettingZoo's parallel form (Spec 14.6)."""

from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils.seeding import np_random

from envs.grid_rendering import draw_grid
from envs.mdp import FloatArray
from envs.rendering import Screen
from envs.team_mdp import Team, read_team, team_mdp

if TYPE_CHECKING:
    ParallelEnv = Any
else:
    try:
        from pettingzoo import ParallelEnv
    except ImportError:  # it is the same game without PettingZoo, whose base class has no rules
        ParallelEnv = object

__all__ = ["MAPS", "TeamGrid", "parallel_env"]

MAPS: Mapping[str, tuple[str, Mapping[str, float], float]] = {
    "reference": ("...+\n.#.-\n1.2.", {"+": 1.0, "-": -1.0}, -0.04),
    "luck": (
        "-..1.+\n######\n2a####\n######\n2b####",
        {"+": 1.0, "-": -1.0, "a": 20.0, "b": 1.0},
        0.0,
    ),
}
"""Maps by name: the map, its exits' rewards, the living reward.

``luck``: the first agent chooses between two exits; the second is in one of two chambers, whose
only exit pays the team 20 or 1, whatever anybody does. What the first agent sees of itself does
not say which: a critic of its own view takes luck for merit, one that sees the state does not.
"""
COLOURS = ((50, 100, 220), (230, 140, 40), (130, 70, 180), (40, 160, 160))


class TeamGrid(ParallelEnv):  # type: ignore[misc]
    """Two or more agents on a grid map who are paid as one team (Spec 14.1, 14.6).

    ## Description
    Agents move at once, each as in ``ppo_lab/GridWorld-v0``, and are in each other's way; see
    ``envs.team_mdp.team_mdp`` for the rules. It is its arrays: ``mdp`` is the joint MDP, of which
    ``envs.planning`` gives the team's optimum and the random team's return.

    ## Agents
    ``agent_0``, ``agent_1``, … as many as the map has starts. All stay in the game until it ends.

    ## Action Space
    ``Discrete(4)`` each: 0 up, 1 right, 2 down, 3 left.

    ## Observation Space
    ``Box(-1, 1, (3,), float32)`` a place: its column and row from −1 (left, bottom) to 1, and 0; at
    home 0, 0 and 1. ``own``: the agent's own place. ``all``: its own, then the others' in order,
    (3·N,). ``state()``: the places of all in order, (3·N,).

    ## Rewards
    The same for every agent, the team's: ``living_reward`` a step, and an exit's reward when an
    agent leaves by it.

    ## Starting State
    Each agent in one of its starts, equally likely.

    ## Episode End
    Terminates when all are home; truncates after ``max_steps`` steps.

    ## Arguments
    * ``map``: a name in ``envs.team_grid.MAPS``, or a map as ``envs.team_mdp.read_team`` reads it.
    * ``noise``: probability that a move slips, in [0, 1]; 0.
    * ``living_reward``: finite; None: the map's, 0 for one of your own.
    * ``exits``: reward of each exit symbol; None: the map's.
    * ``observation``: ``"all"`` (default) or ``"own"``.
    * ``max_steps``: at least 1; 50.
    * ``render_mode``: ``"ansi"``, ``"rgb_array"`` or None.

    ## Version History
    * v0: first version.

    Attributes:
        team: the map and the agents' starts.
        mdp: the rules as arrays.

    Raises:
        ValueError: an argument is not as stated.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "name": "team_grid_v0",
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        map: str = "reference",  # noqa: A002 - as GridWorld's
        noise: float = 0.0,
        living_reward: float | None = None,
        exits: Mapping[str, float] | None = None,
        observation: str = "all",
        max_steps: int = 50,
        render_mode: str | None = None,
    ) -> None:
        if observation not in ("own", "all"):
            raise ValueError(f"observation is {observation!r}; use 'own' or 'all'.")
        if not isinstance(max_steps, int) or max_steps < 1:
            raise ValueError(f"max_steps is {max_steps!r}; use an integer of at least 1.")
        text, its_exits, its_living = MAPS.get(map, (map, {"+": 1.0, "-": -1.0}, 0.0))
        self._screen = Screen(render_mode, self.metadata)
        self.render_mode, self.max_steps, self._observation = render_mode, max_steps, observation
        self.team: Team = read_team(text, dict(its_exits if exits is None else exits))
        self.mdp = team_mdp(
            self.team, noise, its_living if living_reward is None else living_reward
        )
        self.possible_agents = [f"agent_{index}" for index in range(self.team.n_agents)]
        self.agents: list[str] = []
        self._features = _features(self.team)
        self._places = self.team.places
        width = 3 * (self.team.n_agents if observation == "all" else 1)
        self._seen = spaces.Box(-1.0, 1.0, (width,), np.float32)
        self._moves = spaces.Discrete(4)
        self.state_space = spaces.Box(-1.0, 1.0, (3 * self.team.n_agents,), np.float32)
        self.joint_state, self._clock = -1, 0
        self.np_random, _ = np_random(None)

    def observation_space(self, agent: str) -> spaces.Box:  # noqa: ARG002 - all see alike
        """Of any agent."""
        return self._seen

    def action_space(self, agent: str) -> spaces.Discrete:  # noqa: ARG002 - all move alike
        """Of any agent."""
        return self._moves

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - PettingZoo's
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Begin an episode; ``options`` are ignored."""
        if seed is not None:
            self.np_random, _ = np_random(seed)
        draw = self.np_random.random()
        self.joint_state = int(np.searchsorted(self.mdp.cumulative_start, draw, side="right"))
        self._clock, self.agents = 0, list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions: Mapping[str, Any]) -> Any:
        """Move all agents: observations, rewards, terminations, truncations and infos by agent."""
        if not self.agents:
            raise ResetNeeded(
                "step was called before the first reset or after the end; call reset."
            )
        joint = 0
        for agent in self.agents:
            if not self._moves.contains(move := actions[agent]):
                raise ValueError(f"The action of {agent} is {move!r}; pass an integer from 0 to 3.")
            joint = 4 * joint + int(move)
        chosen = bisect_right(
            self.mdp.cumulative[self.joint_state, joint].tolist(), self.np_random.random()
        )
        outcome = (self.joint_state, joint, chosen)
        reward, is_over = self.mdp.rewards.item(outcome), self.mdp.terminations.item(outcome)
        self.joint_state = self.mdp.next_states.item(outcome)
        self._clock += 1
        is_late = not is_over and self._clock >= self.max_steps
        acted = self.agents
        parts = (dict.fromkeys(acted, value) for value in (reward, is_over, is_late))
        if is_over or is_late:
            self.agents = []
        return self._observations(), *parts, {agent: {} for agent in acted}

    def state(self) -> npt.NDArray[np.float32]:
        """The places of all agents, (3·N,)."""
        places: npt.NDArray[np.float32] = self._features[self._places[self.joint_state]]
        return places.ravel()

    @cached_property
    def state_table(self) -> npt.NDArray[np.float32]:
        """(J, 3·N): ``state()`` in each joint state."""
        states: npt.NDArray[np.float32] = self._features[self._places]
        return states.reshape(len(states), -1)

    @cached_property
    def observations(self) -> npt.NDArray[np.float32]:
        """(J, N, D): what each agent sees in each joint state."""
        seen: npt.NDArray[np.float32] = self._features[self._places]
        if self._observation == "own":
            return seen
        n_agents = self.team.n_agents
        orders = [[i, *(j for j in range(n_agents) if j != i)] for i in range(n_agents)]
        return np.stack([seen[:, order].reshape(len(seen), -1) for order in orders], axis=1)

    def go_to(self, joint_state: int, n_steps: int) -> None:
        """Stand in a joint state after so many steps of a game that goes on."""
        self.joint_state, self._clock = joint_state, n_steps
        self.agents = list(self.possible_agents)

    def render(self) -> Any:
        """The map with the agents on it, as text or pixels."""
        return self._screen.show(self._text, self._frame)

    def close(self) -> None:
        """Nothing is open."""
        self._screen.close()

    def _observations(self) -> dict[str, npt.NDArray[np.float32]]:
        seen = self.observations[self.joint_state]
        return {agent: seen[index].copy() for index, agent in enumerate(self.possible_agents)}

    def _on_map(self) -> list[tuple[int, int, int]]:
        """Agent, row and column of everybody that is on the map."""
        places, cells = self._places[self.joint_state], self.team.grid.cells
        return [(i, *cells[p].tolist()) for i, p in enumerate(places) if p < self.team.home]

    def _text(self) -> str:
        rows = [list(row.replace("S", ".")) for row in self.team.grid.rows]
        for agent, row, column in self._on_map():
            rows[row][column] = str(agent)
        return "\n".join("".join(row) for row in rows) + "\n"

    def _frame(self) -> Any:
        frame = draw_grid(self.team.grid)
        size = frame.shape[0] // len(self.team.grid.rows)
        margin = max(1, size // 5)
        for agent, row, column in self._on_map():
            inside = [slice(n * size + margin, (n + 1) * size - margin) for n in (row, column)]
            frame[inside[0], inside[1]] = COLOURS[agent % len(COLOURS)]
        return frame


def parallel_env(**arguments: Any) -> TeamGrid:
    """Make a :class:`TeamGrid`, by the name that PettingZoo's modules have for it."""
    return TeamGrid(**arguments)


def _features(team: Team) -> Any:
    """(cells + 1, 3): what is seen of a place."""
    rows, columns = team.grid.shape
    cells: FloatArray = team.grid.cells.astype(float)
    across = 2 * cells[:, 1] / max(1, columns - 1) - 1
    upwards = 1 - 2 * cells[:, 0] / max(1, rows - 1)
    places = np.stack([across, upwards, np.zeros(len(cells))], axis=1)
    return np.concatenate([places, [[0.0, 0.0, 1.0]]]).astype(np.float32)
