"""One copy of a game that several groups of agents play, each as if it were a game of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.turns import Turns

__all__ = ["GroupGame", "SharedGame"]


class _Moment(NamedTuple):
    """What the game was after a reset or step, kept until every group has taken note of it."""

    parts: tuple[Mapping[Any, Any], ...]
    agents: list[Any]
    goes_on: bool
    state: Any


class SharedGame:
    """A ``pettingzoo.ParallelEnv`` that steps once all groups have said what they do.

    Args:
        env: the environment.
        groups: the agents of each group.
        turns: in which the groups' learners run.
        with_state: whether the state is asked for.
    """

    def __init__(
        self, env: Any, groups: Sequence[Sequence[Any]], turns: Turns, with_state: bool
    ) -> None:
        self.env, self.turns, self._with_state = env, turns, with_state
        self.games = [GroupGame(self, number, group) for number, group in enumerate(groups)]
        self.forget()

    def forget(self) -> None:
        """Drop what a learner that ended early left half done."""
        self._actions: dict[int, Mapping[Any, Any]] = {}
        self._moments: dict[int, _Moment] = {}
        self._began: dict[int, _Moment] = {}

    def begin(self, group: int, seed: int | None, options: dict[str, Any] | None) -> _Moment:
        """Begin an episode, once for all groups."""
        if group not in self._began:
            parts = self.env.reset(seed=seed, options=options)
            moment = self._moment(parts, list(self.env.agents))
            self._began = dict.fromkeys(range(len(self.games)), moment)
        return self._began.pop(group)

    def step(self, group: int, actions: Mapping[Any, Any]) -> _Moment:
        """Step once the actions of all groups are there."""
        if not self.turns.is_running:
            raise ArgumentError(
                "the environment of one group was stepped by itself, and its game needs the "
                "actions of all: use learn, predict and evaluate of GroupsPPO"
            )
        self._actions[group] = actions
        if len(self._actions) == len(self.games):
            every = {agent: action for of in self._actions.values() for agent, action in of.items()}
            parts = self.env.step(every)
            left = [a for a in self.env.agents if not (parts[2].get(a) or parts[3].get(a))]
            self._moments = dict.fromkeys(range(len(self.games)), self._moment(parts, left))
            self._actions = {}
        self.turns.wait_for_others(group, lambda: group in self._moments)
        return self._moments.pop(group)

    def _moment(self, parts: tuple[Mapping[Any, Any], ...], left: list[Any]) -> _Moment:
        state = self.env.state() if self._with_state else None
        return _Moment(parts, list(self.env.agents), bool(left), state)


class GroupGame:
    """The game as one group plays it: a ``pettingzoo.ParallelEnv`` of its agents alone.

    Attributes:
        possible_agents: the group's.
        agents: those of them that are in the game.
        goes_on: whether anybody of any group is.
    """

    def __init__(self, shared: SharedGame, number: int, group: Sequence[Any]) -> None:
        self._shared, self._number = shared, number
        self.possible_agents = list(group)
        self.agents: list[Any] = []
        self.goes_on, self._state = False, None
        self.env = shared.env
        self.metadata = getattr(shared.env, "metadata", {})
        self.render_mode = getattr(shared.env, "render_mode", None)

    @property
    def state_space(self) -> spaces.Space[Any] | None:
        """The whole game's."""
        return getattr(self.env, "state_space", None)

    def observation_space(self, agent: Any) -> spaces.Space[Any]:
        """Of one agent."""
        space: spaces.Space[Any] = self.env.observation_space(agent)
        return space

    def action_space(self, agent: Any) -> spaces.Space[Any]:
        """Of one agent."""
        space: spaces.Space[Any] = self.env.action_space(agent)
        return space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin an episode of the whole game: what the group's agents see, and infos."""
        return self._note(self._shared.begin(self._number, seed, options))

    def step(self, actions: Mapping[Any, Any]) -> Any:
        """Step the whole game: the five parts of the group's agents."""
        return self._note(self._shared.step(self._number, actions))

    def state(self) -> Any:
        """The whole game's, as it was when the group was last told of it."""
        return self.env.state() if self._state is None else self._state

    def render(self) -> Any:
        """A picture of the whole game."""
        return self.env.render()

    def close(self) -> None:
        """Close the whole game."""
        self.env.close()

    def _note(self, moment: _Moment) -> Any:
        ours = self.possible_agents
        self.agents = [agent for agent in moment.agents if agent in ours]
        self.goes_on, self._state = moment.goes_on, moment.state
        return tuple({a: part[a] for a in ours if a in part} for part in moment.parts)

    def __str__(self) -> str:
        return str(self.env)
