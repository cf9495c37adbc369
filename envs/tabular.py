"""Any finite MDP as a Gymnasium environment: one at a time (Spec 1)."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded

from envs.mdp import TabularMDP


class TabularEnv(gym.Env[Any, Any]):
    """A finite MDP as an environment: it *is* its arrays.

    ## Action Space
    ``Discrete(A)``.

    ## Observation Space
    ``Discrete(S)``: the index of the state.

    ## Rewards, start and end
    Those of ``mdp``: the first state is drawn from ``mdp.start``, an outcome from
    ``mdp.probabilities``; the episode terminates where ``mdp.terminations`` says so and is never
    truncated by the environment itself (``max_episode_steps`` of ``gymnasium.make`` does that).

    ## Randomness
    One uniform number from ``np_random`` a reset and one a step.

    Attributes:
        mdp: The MDP.
        state: The present state's index; −1 before the first reset.

    Raises:
        gymnasium.error.ResetNeeded: ``step`` before ``reset`` or after a termination.
        gymnasium.error.InvalidAction: an action that is not an integer in ``range(A)``.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 4}  # type: ignore[misc]

    def __init__(self, mdp: TabularMDP, render_mode: str | None = None) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode is {render_mode!r}; choose one of {modes} or None.")
        self.mdp = mdp
        self.render_mode = render_mode
        self.observation_space = spaces.Discrete(mdp.n_states)
        self.action_space = spaces.Discrete(mdp.n_actions)
        self.state = -1
        self._ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin an episode in a state drawn from ``mdp.start``; ``options`` are ignored."""
        super().reset(seed=seed, options=options)
        draw = self.np_random.random()
        self.state = int(np.searchsorted(self.mdp.cumulative_start, draw, side="right"))
        self._ended = False
        return self.state, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Draw one outcome of ``action``; see the class for what it returns and raises."""
        if self.state < 0 or self._ended:
            when = "after the end of the episode" if self._ended else "before the first reset"
            raise ResetNeeded(f"step was called {when}; call reset first.")
        if not self.action_space.contains(action):
            raise InvalidAction(
                f"The action is {action!r} of type {type(action).__name__}; pass an integer from "
                f"0 to {self.mdp.n_actions - 1}."
            )
        mdp, draw = self.mdp, self.np_random.random()
        outcome = (self.state, action, int((draw >= mdp.cumulative[self.state, action]).sum()))
        reward, self._ended = float(mdp.rewards[outcome]), bool(mdp.terminations[outcome])
        self.state = int(mdp.next_states[outcome])
        return self.state, reward, self._ended, False, {}

    def render(self) -> Any:
        """The state as text in mode ``ansi``, else nothing."""
        return f"state {self.state} of {self.mdp.n_states}\n" if self.render_mode else None
