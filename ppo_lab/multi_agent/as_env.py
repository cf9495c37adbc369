"""A game as one Gymnasium environment, for who looks at it, draws it or plays it at random."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.game import Game
from ppo_lab.multi_agent.making import game_maker
from ppo_lab.multi_agent.views import Critic, View, common_spaces
from ppo_lab.vec_env.random_actions import sample_of

__all__ = ["GameEnv"]

COUNTED = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class GameEnv(gym.Env[Any, Any]):
    """A game of several agents behind Gymnasium's interface.

    Its spaces are those of one agent, as ``make_parallel_vec_env`` shows them. ``step`` takes the
    first agent's action and draws the others' uniformly; the reward is the mean over all agents, so
    that a random policy's return is the random team's; of a game with masks each action that it
    allows. Nobody trains in it.

    Args:
        game_id: as for ``make_parallel_vec_env``.
        critic: likewise.
        agent_indicator: likewise.
        render_mode: the game's own; None: not passed on.
        **env_kwargs: for what makes the game.

    Attributes:
        game: the game.
        action_masks: which actions the first agent may take next, (n,); of games with masks alone.

    Raises:
        ArgumentError: no such game, or its agents differ.
    """

    action_masks: Callable[[], npt.NDArray[np.bool_]]

    def __init__(
        self,
        game_id: str,
        critic: Critic = "own",
        agent_indicator: bool = False,
        render_mode: str | None = None,
        **env_kwargs: Any,
    ) -> None:
        shown = {} if render_mode is None else {"render_mode": render_mode}
        self.game = Game(game_maker(game_id)(**env_kwargs, **shown))
        try:
            observation, action = common_spaces(self.game)
            self._view = View(self.game, observation, critic, agent_indicator)
        except ArgumentError:
            self.game.env.close()
            raise
        self.observation_space, self.action_space = self._view.space, action
        if isinstance(action, COUNTED) and self.game.has_masks:
            self.action_masks = partial(self.game.allowed, 0)
        self.render_mode = render_mode
        self.metadata = dict(getattr(self.game.env, "metadata", {}))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a game: what its first agent sees."""
        super().reset(seed=seed, options=options)
        self.action_space.seed(seed)
        self._rows = self._view.blank(len(self.game.agents))
        seen, _ = self.game.reset(seed, options)
        return self._first(seen), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the game; it ends, terminated, when nobody is left."""
        n_agents = len(self.game.agents)
        actions = {0: action} | {i: self._drawn(i) for i in range(1, n_agents)}
        step = self.game.step(actions)
        reward = float(step.rewards.mean())
        return self._first(step.observations), reward, step.is_over, False, {}

    def _drawn(self, agent: int) -> Any:
        if not hasattr(self, "action_masks"):
            return self.action_space.sample()
        return sample_of(self.action_space, self.game.allowed(agent))

    def render(self) -> Any:
        """The game's picture."""
        return self.game.env.render()

    def close(self) -> None:
        """Close the game."""
        self.game.env.close()

    def _first(self, seen: list[Any]) -> Any:
        for agent, of_agent in enumerate(seen):
            if of_agent is not None:
                self._view.put(self._rows, agent, agent, of_agent)
        if not isinstance(self._rows, dict):
            return self._rows[0].copy()
        if self._view.has_state:
            self._view.put_state(self._rows, slice(None), self.game, self.game.live | True)
        return {key: part[0].copy() for key, part in self._rows.items()}
