"""What agent and critic see: an observation, who it is, the game's state (Spec 14.2, 14.3)."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.game import Game

__all__ = ["AGENT", "OBSERVATION", "STATE", "Critic", "View", "common_spaces"]

Critic = Literal["own", "central"]

OBSERVATION, AGENT, STATE = "observation", "agent", "state"
"""Keys of a view that is a Dict: what the agent sees, which one it is, what the critic sees too."""


class View:
    """How what a game shows becomes rows of one space.

    Args:
        game: begun already where ``critic`` is ``central`` and it has no ``state_space``.
        observation: the space of what every agent sees.
        critic: ``central`` adds the game's ``state()``, under the key ``state``.
        agent_indicator: adds which agent it is: a one-hot vector behind a flat observation, the
            key ``agent`` beside any other.

    Attributes:
        space: of a row.
        has_state: whether rows have the game's state.
        has_one_hot: whether they have a one-hot vector of which agent it is.

    Raises:
        ArgumentError: another critic; a key that is there already; no state.
    """

    def __init__(
        self, game: Game, observation: spaces.Space[Any], critic: Critic, agent_indicator: bool
    ) -> None:
        if critic not in get_args(Critic):
            raise ArgumentError(f"critic={critic!r}: expected one of 'own', 'central'")
        self._n_agents = len(game.agents)
        self.has_state, self._indicated = critic == "central", agent_indicator
        self.has_one_hot = agent_indicator and _is_flat(observation)
        shown = _with_one_hot(observation, self._n_agents) if self.has_one_hot else observation
        added: dict[str, spaces.Space[Any]] = {}
        if agent_indicator and not self.has_one_hot:
            added[AGENT] = spaces.Discrete(self._n_agents)
        if self.has_state:
            added[STATE] = _state_space(game)
        self.space = shown
        self._is_dict = isinstance(observation, spaces.Dict)
        if added:
            own = shown.spaces if isinstance(shown, spaces.Dict) else {OBSERVATION: shown}
            for key in added.keys() & own.keys():
                raise ArgumentError(
                    f"the observations of {game} have a key {key!r}, which is wanted for what "
                    "critic='central' or agent_indicator=True adds: rename it"
                )
            self.space = spaces.Dict({**own, **added})

    def blank(self, n_rows: int) -> Any:
        """Rows (n_rows, …) of the space, for agents that have seen nothing yet."""
        if isinstance(self.space, spaces.Dict):
            return {key: _blank(part, n_rows) for key, part in self.space.spaces.items()}
        return _blank(self.space, n_rows)

    def put(self, rows: Any, row: int, agent: int, seen: Any) -> None:
        """Write what an agent sees into its row; not the state."""
        if not isinstance(rows, dict):
            rows[row] = self._flat(agent, seen)
            return
        for key, part in seen.items() if self._is_dict else ((OBSERVATION, seen),):
            if key in rows:
                rows[key][row] = part if self._is_dict else self._flat(agent, part)
        if AGENT in rows and self._indicated:
            rows[AGENT][row] = agent

    def of_actor(self, agent: int, seen: Any) -> Any:
        """What a policy is given for one observation of an agent, without the critic's state."""
        if not isinstance(self.space, spaces.Dict):
            return np.asarray(self._flat(agent, seen), self.space.dtype)
        own = dict(seen) if self._is_dict else {OBSERVATION: self._flat(agent, seen)}
        if AGENT in self.space.spaces and not self.has_one_hot:
            own[AGENT] = agent
        return {key: np.asarray(part, self.space[key].dtype) for key, part in own.items()}

    def put_state(self, rows: Any, row: slice, game: Game, live: npt.NDArray[np.bool_]) -> None:
        """Write the game's state into the rows of those who act."""
        state = np.asarray(game.state())
        assert isinstance(self.space, spaces.Dict)
        expected = self.space[STATE].shape
        if state.shape != expected:
            raise ArgumentError(
                f"{game} has a state of shape {state.shape}: expected {expected}, as its "
                "state_space says or its first state had"
            )
        rows[STATE][row][live] = state

    def _flat(self, agent: int, seen: Any) -> Any:
        if not self.has_one_hot:
            return seen
        return np.concatenate([seen, np.arange(self._n_agents) == agent])


def common_spaces(game: Game) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """The observation and action space that all agents share.

    Raises:
        ArgumentError: they differ.
    """
    for what, each in (
        ("observation", game.observation_spaces),
        ("action", game.action_spaces),
    ):
        for agent, space in zip(game.agents, each, strict=True):
            if space != each[0]:
                raise ArgumentError(
                    f"{game.agents[0]!r} and {agent!r} of {game} have different {what} spaces, "
                    f"{each[0]} and {space}, and one policy serves all: give each group a policy "
                    "of its own by ppo_lab.multi_agent.GroupsPPO, or make the spaces alike "
                    "(SuperSuit's pad_observations_v0 and pad_action_space_v0)"
                )
    return game.observation_spaces[0], game.action_spaces[0]


def _is_flat(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and len(space.shape) == 1


def _with_one_hot(space: spaces.Space[Any], n_agents: int) -> spaces.Box:
    assert isinstance(space, spaces.Box)
    low = np.concatenate([space.low, np.zeros(n_agents, space.dtype)])
    high = np.concatenate([space.high, np.ones(n_agents, space.dtype)])
    return spaces.Box(low, high, dtype=space.dtype)


def _state_space(game: Game) -> spaces.Space[Any]:
    given = getattr(game.env, "state_space", None)
    if isinstance(given, spaces.Space):
        return given
    if not game.live.any():
        game.reset(None, None)
    state = np.asarray(game.state())
    return spaces.Box(-np.inf, np.inf, state.shape, np.float32)


def _blank(space: spaces.Space[Any], n_rows: int) -> npt.NDArray[Any]:
    """Zeros, or what of the space is next to them."""
    rows = np.zeros((n_rows, *(space.shape or ())), space.dtype)
    if isinstance(space, spaces.Box):
        return np.clip(rows, space.low, space.high).astype(space.dtype)
    if isinstance(space, spaces.Discrete):
        rows += space.start
    if isinstance(space, spaces.MultiDiscrete):
        rows += space.start
    return rows
