"""One copy of a game of several agents, in PettingZoo's parallel form: what enters is checked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from ppo_lab.errors import ArgumentError
from ppo_lab.multi_agent.masks import ACTION_MASK, as_mask, has_mask, split, without_mask
from ppo_lab.ppo.action_masks import mask_sizes

__all__ = ["Game", "GameStep", "check_parallel"]


class GameStep(NamedTuple):
    """What one step of a game of A agents brought; entries of agents that are gone are empty.

    Attributes:
        observations: (A,) what each agent sees after the step, also where its part ended; None:
            it took no part.
        rewards: (A,) float64, 0 for agents that took no part.
        terminations: (A,) bool.
        truncations: (A,) bool.
        infos: (A,) each agent's own.
        is_over: whether no agent is left.
    """

    observations: list[Any]
    rewards: npt.NDArray[np.float64]
    terminations: npt.NDArray[np.bool_]
    truncations: npt.NDArray[np.bool_]
    infos: list[Mapping[str, Any]]
    is_over: bool


class Game:
    """A ``pettingzoo.ParallelEnv``, or what has its methods, with agents in a fixed order.

    Args:
        env: the environment.

    Attributes:
        agents: ``possible_agents``, in their order.
        observation_spaces: of each agent, without the ``action_mask`` that may be in it.
        action_spaces: of each agent.
        live: (A,) bool, who acts at the next step.

    Raises:
        ArgumentError: no parallel environment, or one without agents; from ``reset`` and ``step``,
            what the environment returned does not fit together, by agent and step.
    """

    def __init__(self, env: Any) -> None:
        check_parallel(env)
        self.env = env
        self.agents: tuple[Any, ...] = tuple(env.possible_agents)
        self._index = {agent: index for index, agent in enumerate(self.agents)}
        self._given_spaces = [env.observation_space(agent) for agent in self.agents]
        self.observation_spaces = [without_mask(space) for space in self._given_spaces]
        self.action_spaces = [env.action_space(agent) for agent in self.agents]
        self.live = np.zeros(len(self.agents), np.bool_)
        self._left = np.zeros(len(self.agents), np.bool_)
        self._masks: list[Any] = [None] * len(self.agents)
        self._gives_masks = any(map(has_mask, self._given_spaces))
        self._steps = 0
        self._has_begun = False

    def reset(
        self, seed: int | None, options: dict[str, Any] | None
    ) -> tuple[list[Any], list[Mapping[str, Any]]]:
        """Begin an episode: each agent's first observation, or None, and infos."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self._steps, self._has_begun = 0, True
        self._left[:], self.live[:] = False, False
        self._check_unchanged()
        for agent in self.env.agents:
            self.live[self._number(agent)] = True
        if not self.live.any() and not self._goes_on:
            raise ArgumentError(f"{self} began an episode without agents: expected at least one")
        seen = [
            self._observation(observations, index) if self.live[index] else None
            for index in range(len(self.agents))
        ]
        self._note_masks(infos)
        return seen, [infos.get(agent) or {} for agent in self.agents]

    def step(self, actions: npt.NDArray[Any] | Mapping[int, Any]) -> GameStep:
        """Step with (A, …) actions, or by agent's number, of which the live agents' are taken."""
        if not self._has_begun:
            raise ResetNeeded(f"{self} was stepped before the first reset")
        acting = np.flatnonzero(self.live).tolist()
        self._steps += 1
        observations, rewards, terminations, truncations, infos = self.env.step(
            {self.agents[index]: actions[index] for index in acting}
        )
        n_agents = len(self.agents)
        step = GameStep(
            [None] * n_agents,
            np.zeros(n_agents),
            np.zeros(n_agents, np.bool_),
            np.zeros(n_agents, np.bool_),
            [infos.get(agent) or {} for agent in self.agents],
            is_over=False,
        )
        for index in acting:
            step.rewards[index] = self._reward(rewards, index)
            step.terminations[index] = self._entry("terminations", terminations, index)
            step.truncations[index] = self._entry("truncations", truncations, index)
            step.observations[index] = self._observation(observations, index)
        self._check_departed(rewards, terminations, truncations)
        ended = step.terminations | step.truncations
        self._left |= ended
        self.live &= ~ended
        self._let_in(observations, step)
        self._note_masks(infos)
        return step._replace(is_over=not (self.live.any() or self._goes_on))

    @property
    def has_masks(self) -> bool:
        """Whether it says which actions are allowed; one that might in infos is begun for that."""
        if not (self._gives_masks or self._has_begun):
            self.reset(None, None)
        return self._gives_masks

    def allowed(self, index: int) -> npt.NDArray[np.bool_]:
        """Which actions an agent may take next, (n,); all of them where it takes none.

        Raises:
            ArgumentError: :func:`~ppo_lab.multi_agent.masks.as_mask` refuses what the game says.
        """
        space = self.action_spaces[index]
        if not self.live[index]:
            return np.ones(sum(mask_sizes(space)), np.bool_)
        whose = f"{self.agents[index]!r} in {self} after step {self._steps}"
        return as_mask(self._masks[index], space, whose)

    def split(self, index: int, given: Any) -> tuple[Any, Any]:
        """What an agent sees of an observation that the game gave it, and its mask, or None."""
        return split(given, self._given_spaces[index])

    def _note_masks(self, infos: Mapping[Any, Any]) -> None:
        """Note the masks that infos bring, of agents whose observations bring none."""
        for index, agent in enumerate(self.agents):
            if not has_mask(self._given_spaces[index]):
                self._masks[index] = (infos.get(agent) or {}).get(ACTION_MASK)
                self._gives_masks |= self._masks[index] is not None

    def state(self) -> Any:
        """The game's state, of which every agent's part is seen.

        Raises:
            ArgumentError: there is none.
        """
        try:
            return self.env.state()
        except (NotImplementedError, AttributeError) as error:
            raise ArgumentError(
                f"critic='central' asks {self} for its state(), which it does not have "
                f"({type(error).__name__}): give it a method state() and an attribute state_space, "
                "or take critic='own'"
            ) from error

    @property
    def _goes_on(self) -> bool:
        """Whether others play on; a ``GroupGame`` says so."""
        return bool(getattr(self.env, "goes_on", False))

    def __str__(self) -> str:
        return f"the game {self.env}"

    def stand_at(self, n_steps: int) -> None:
        """Take note that compiled code took so many steps of the present episode."""
        self._steps = n_steps

    # ------------------------------------------------------------------ checks

    def _let_in(self, observations: Mapping[Any, Any], step: GameStep) -> None:
        """Note who came to the game with this step, and that nobody went without a word."""
        present = np.zeros_like(self.live)
        for agent in self.env.agents:
            present[self._number(agent)] = True
        for index in np.flatnonzero(self.live & ~present).tolist():
            raise ArgumentError(
                f"{self.agents[index]!r} is gone from the agents of {self} after step "
                f"{self._steps}, and neither terminated nor truncated: set one of the two at the "
                "step with which an agent leaves"
            )
        for index in np.flatnonzero(present & ~self.live & ~self._left).tolist():
            step.observations[index] = self._observation(observations, index)
            self.live[index] = True

    def _check_departed(
        self,
        rewards: Mapping[Any, Any],
        terminations: Mapping[Any, Any],
        truncations: Mapping[Any, Any],
    ) -> None:
        """Whoever left an episode stays away from it, and is paid no more."""
        for index in np.flatnonzero(self._left).tolist():
            agent = self.agents[index]
            is_back = agent in self.env.agents and not (
                terminations.get(agent, False) or truncations.get(agent, False)
            )
            if is_back:
                raise ArgumentError(
                    f"{agent!r} had left {self} and came back at step {self._steps}: an agent's "
                    "episode ends once; keep it in the game, or give who comes a name of its own"
                )
            if agent in rewards and rewards[agent] != 0:
                raise ArgumentError(
                    f"{agent!r} had left {self} and was paid {rewards[agent]!r} at step "
                    f"{self._steps}: its episode is over, so pay it with its last step"
                )

    def _check_unchanged(self) -> None:
        if tuple(self.env.possible_agents) != self.agents:
            raise ArgumentError(
                f"{self} has other possible_agents than when it was made, "
                f"{_names(self.env.possible_agents)} in the place of {_names(self.agents)}: "
                "expected the same in every episode; an agent may be absent from one"
            )
        for agent, *known in zip(self.agents, self._given_spaces, self.action_spaces, strict=True):
            now = self.env.observation_space(agent), self.env.action_space(agent)
            for what, space, before in zip(("observation", "action"), now, known, strict=True):
                if space is not before and space != before:
                    raise ArgumentError(
                        f"the {what} space of {agent!r} in {self} changed from {before} to "
                        f"{space}: expected one for all episodes"
                    )

    def _number(self, agent: Any) -> int:
        if agent not in self._index:
            raise ArgumentError(
                f"{agent!r} is an agent of {self} and not among its possible_agents, "
                f"{_names(self.agents)}: name all there"
            )
        return self._index[agent]

    def _entry(self, what: str, given: Mapping[Any, Any], index: int) -> Any:
        agent = self.agents[index]
        if agent not in given:
            raise ArgumentError(
                f"{self} returned no {what} for {agent!r} at step {self._steps}, which took part "
                "in it: expected an entry for each agent that acted"
            )
        return given[agent]

    def _reward(self, rewards: Mapping[Any, Any], index: int) -> float:
        given = self._entry("rewards", rewards, index)
        if np.size(given) != 1 or not np.isfinite(reward := float(np.asarray(given).item())):
            raise ArgumentError(
                f"{self} paid {self.agents[index]!r} {given!r} at step {self._steps}: expected one "
                "finite number"
            )
        return reward

    def _observation(self, observations: Mapping[Any, Any], index: int) -> Any:
        seen, space = (
            self._entry("observations", observations, index),
            self._given_spaces[index],
        )
        parts = {"": (seen, space)}
        if isinstance(space, spaces.Dict):
            parts = {key: (seen[key], part) for key, part in space.spaces.items()}
        for key, (part, its_space) in parts.items():
            if np.shape(part) != its_space.shape:
                what = repr(key) if key else "an observation"
                raise ArgumentError(
                    f"{self} showed {self.agents[index]!r} {what} of shape "
                    f"{np.shape(part)} after step {self._steps}: expected {its_space.shape}, as "
                    "its observation space says"
                )
        rest, mask = self.split(index, seen)
        if mask is not None:
            self._masks[index] = mask
        return rest


def check_parallel(env: Any) -> None:
    """Check that an environment is one in which all agents act at once.

    Raises:
        ArgumentError: it is not; says how to make one of it where that can be done.
    """
    what = f"{type(env).__name__} {env}"
    if hasattr(env, "agent_iter"):
        raise ArgumentError(
            f"{what} is an AEC environment, whose agents act one after the other: pass its "
            "parallel form, parallel_env() of the same module, or "
            "pettingzoo.utils.aec_to_parallel(env) where its metadata has is_parallelizable"
        )
    methods = ("reset", "step", "observation_space", "action_space")
    missing = [name for name in methods if not callable(getattr(env, name, None))]
    if missing or not hasattr(env, "possible_agents"):
        raise ArgumentError(
            f"{what} has no {(missing or ['possible_agents'])[0]}"
            f"{'()' if missing else ''}: expected a pettingzoo.ParallelEnv with possible_agents"
        )
    if not env.possible_agents:
        raise ArgumentError(f"{what} has no possible_agents: expected at least one")


def _names(agents: Any) -> str:
    return ", ".join(map(repr, agents))
