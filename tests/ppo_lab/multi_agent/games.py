"""Games for tests: Gymnasium environments side by side, and one that follows a script."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class SideBySide:
    """A game of A agents, each in a Gymnasium environment of its own; over when all are over."""

    def __init__(self, makers: Sequence[Callable[[], gym.Env[Any, Any]]]) -> None:
        self.envs = [make() for make in makers]
        self.env = self.envs[0]
        self.possible_agents = [f"agent_{index}" for index in range(len(makers))]
        self.agents: list[str] = []
        self.metadata: dict[str, Any] = {"name": "side_by_side"}
        self.render_mode = self.env.render_mode

    def _of(self, agent: str) -> gym.Env[Any, Any]:
        return self.envs[self.possible_agents.index(agent)]

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self._of(agent).observation_space

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self._of(agent).action_space

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.agents = list(self.possible_agents)
        began = [
            env.reset(seed=None if seed is None else seed + index, options=options)
            for index, env in enumerate(self.envs)
        ]
        pairs = zip(self.agents, began, strict=True)
        self.seen = dict(zip(self.agents, (first for first, _ in began), strict=True))
        return dict(self.seen), {agent: info for agent, (_, info) in pairs}

    def step(self, actions: dict[str, Any]) -> Any:
        assert set(actions) == set(self.agents)
        steps = {agent: self._of(agent).step(action) for agent, action in actions.items()}
        self.agents = [agent for agent, step in steps.items() if not (step[2] or step[3])]
        self.seen.update({agent: step[0] for agent, step in steps.items()})
        return tuple({agent: step[part] for agent, step in steps.items()} for part in range(5))

    def state(self) -> Any:
        return np.concatenate([np.ravel(self.seen[agent]) for agent in self.possible_agents])

    def render(self) -> Any:
        return self.env.render()

    def close(self) -> None:
        for env in self.envs:
            env.close()


class Scripted:
    """A game whose steps are written down: ``[(agents after it, rewards, ended, out of time)]``.

    What an agent sees is the number of the step and its own.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "scripted"}
    render_mode = None

    def __init__(
        self,
        steps: Sequence[tuple[str, dict[str, Any], str, str]],
        possible: str = "ab",
        first: str | None = None,
    ) -> None:
        self.steps, self.first = steps, possible if first is None else first
        self.possible_agents = list(possible)
        self.shapes = dict.fromkeys(possible, 2)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Box(-100.0, 100.0, (self.shapes[agent],))

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Discrete(2)

    def _seen(self, agent: str) -> Any:
        return np.array([self.clock, ord(agent) - ord("a")], np.float32)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.clock, self.agents = 0, list(self.first)
        return {agent: self._seen(agent) for agent in self.agents}, {}

    def step(self, actions: dict[str, Any]) -> Any:
        agents, rewards, ended, late = self.steps[self.clock]
        self.clock += 1
        present = {*actions, *agents}
        self.agents = list(agents)
        flags = [{agent: agent in which for agent in present} for which in (ended, late)]
        return {agent: self._seen(agent) for agent in present}, rewards, *flags, {}

    def state(self) -> Any:
        return np.array([self.clock], np.float32)

    def close(self) -> None:
        pass


class Doors:
    """Two agents before three doors each; which are open changes, and a closed one raises.

    ``a`` is there for 3 steps, ``b`` for 5. The higher an open door's number, the more it pays. An
    agent sees the step and its own number, never the doors.

    Args:
        where: of the masks, ``observation`` or ``info``.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "doors"}
    render_mode = None
    state_space = spaces.Box(0.0, 9.0, (1,))

    def __init__(self, where: str = "observation") -> None:
        self.where = where
        self.possible_agents = ["a", "b"]
        self.said: dict[str, Any] = {}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        seen = spaces.Box(0.0, 9.0, (2,))
        if self.where != "observation":
            return seen
        return spaces.Dict({"observation": seen, "action_mask": spaces.MultiBinary(3)})

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return spaces.Discrete(3)

    def open(self, agent: str) -> Any:
        if agent in self.said:
            return self.said[agent]
        closed = (self.clock + (agent == "b")) % 3
        return np.array([door != closed for door in range(3)], np.int8)

    def _shown(self, agents: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        seen: dict[str, Any] = {a: np.array([self.clock, a == "b"], np.float32) for a in agents}
        masks = {agent: {"action_mask": self.open(agent)} for agent in agents}
        self.told = masks
        if self.where == "observation":
            return {a: {"observation": seen[a], **masks[a]} for a in agents}, {}
        return seen, masks if self.where == "info" else {}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.clock, self.agents = 0, list(self.possible_agents)
        return self._shown(self.agents)

    def step(self, actions: dict[str, Any]) -> Any:
        assert set(actions) == set(self.agents)
        assert all(self.told[a]["action_mask"][action] for a, action in actions.items())
        self.clock += 1
        ended = {agent: self.clock == {"a": 3, "b": 5}[agent] for agent in actions}
        seen, infos = self._shown(list(actions))
        self.agents = [agent for agent in actions if not ended[agent]]
        paid = {agent: float(action) for agent, action in actions.items()}
        return seen, paid, ended, dict.fromkeys(actions, False), infos

    def state(self) -> Any:
        return np.array([self.clock], np.float32)

    def close(self) -> None:
        pass
