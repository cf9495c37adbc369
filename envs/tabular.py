"""Any finite MDP as a Gymnasium environment: one at a time, or N at once (Spec 1)."""

import operator
from bisect import bisect_right
from typing import Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded

from envs.mdp import BoolArray, FloatArray, IntArray, TabularMDP
from envs.observations import IndexObserver, Observer
from envs.rendering import Frame, Screen
from envs.vector import BatchEnv, BatchOptions, checked_discrete


class TabularEnv(gym.Env[Any, Any]):
    """A finite MDP as an environment: it *is* its arrays.

    ## Action Space
    ``Discrete(A)``.

    ## Observation Space
    The observer's; by default ``Discrete(S)``, the index of the state.

    ## Rewards, start and end
    Those of ``mdp``: the first state is drawn from ``mdp.start``, an outcome from
    ``mdp.probabilities``; the episode terminates where ``mdp.terminations`` says so and is never
    truncated by the environment itself (``max_episode_steps`` of ``gymnasium.make`` does that).

    ## Randomness
    One uniform number from ``np_random`` a reset and one a step.

    Attributes:
        mdp: The MDP.
        observer: What makes observations of states.
        state: The present state's index; −1 before the first reset.
        episode_return: Rewards collected in the present episode.

    Raises:
        gymnasium.error.ResetNeeded: ``step`` before ``reset`` or after a termination.
        gymnasium.error.InvalidAction: an action that is not an integer in ``range(A)``.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 4}  # type: ignore[misc]

    def __init__(
        self, mdp: TabularMDP, observer: Observer | None = None, render_mode: str | None = None
    ) -> None:
        self._screen = Screen(render_mode, self.metadata)
        self.render_mode = render_mode
        self.mdp = mdp
        self.observer: Observer = observer or IndexObserver(mdp.n_states)
        self.observation_space = self.observer.space
        self.action_space = spaces.Discrete(mdp.n_actions)
        self._n_actions = mdp.n_actions
        self.state = -1
        self.episode_return = 0.0
        self._ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in a state drawn from ``mdp.start``; ``options`` are ignored."""
        super().reset(seed=seed, options=options)
        draw = self.np_random.random()
        self.state = int(np.searchsorted(self.mdp.cumulative_start, draw, side="right"))
        self.episode_return, self._ended = 0.0, False
        if self.render_mode == "human":
            self.render()
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Draw one outcome of ``action``; see the class for what it returns and raises."""
        if self.state < 0 or self._ended:
            when = "after the end of the episode" if self._ended else "before the first reset"
            raise ResetNeeded(f"step was called {when}; call reset first.")
        mdp, action, draw = self.mdp, self._checked(action), self.np_random.random()
        # A few outcomes are found faster in a list than by searchsorted.
        chosen = bisect_right(mdp.cumulative[self.state, action].tolist(), draw)
        outcome = (self.state, action, chosen)
        reward, self._ended = mdp.rewards.item(outcome), mdp.terminations.item(outcome)
        self.state = mdp.next_states.item(outcome)
        self.episode_return += reward
        if self.render_mode == "human":
            self.render()
        return self._observation(), reward, self._ended, False, {}

    def observations(self) -> npt.NDArray[Any]:
        """The observation of every state, (S, …): what to ask a policy to get its (S, A) table."""
        return self.observer.encode(np.arange(self.mdp.n_states))

    def render(self) -> Any:
        """The state as the render mode has it: text, pixels, or a window (then None)."""
        return self._screen.show(self._text, self._frame)

    def close(self) -> None:
        """Close the window if there is one."""
        self._screen.close()

    def _checked(self, action: Any) -> int:
        # Discrete.contains would take as long as the rest of the step.
        try:
            index = operator.index(action)
        except TypeError:
            index = -1
        if not 0 <= index < self._n_actions:
            raise InvalidAction(
                f"The action is {action!r} of type {type(action).__name__}; pass an integer from "
                f"0 to {self._n_actions - 1}."
            )
        return index

    def _observation(self) -> Any:
        if isinstance(self.observation_space, spaces.Discrete):
            return self.state
        return self.observer.encode(np.array([self.state]))[0]

    def _text(self) -> str:
        return f"state {self.state} of {self.mdp.n_states}\n"

    def _frame(self) -> Frame:
        raise NotImplementedError(f"{type(self).__name__} has no picture.")


class TabularVectorEnv(BatchEnv):
    """N copies of a finite MDP, stepped as arrays.

    Observations, actions and rewards are those of ``TabularEnv``, batched; autoreset, time limit
    and seeding are described in ``envs.vector.BatchEnv``.

    Args:
        num_envs: N.
        mdp: The MDP.
        observer: What makes observations of states; the index by default.
        max_episode_steps: Truncate after so many steps; None for never.
        autoreset_mode: ``NEXT_STEP`` or ``SAME_STEP`` (or their values ``NextStep``, ``SameStep``).
        render_mode: One of ``render_modes``; a vector environment has no ``human``.

    Attributes:
        mdp: The MDP.
        states: (N,) int64, the present states.
    """

    single_metadata: ClassVar[dict[str, Any]] = TabularEnv.metadata

    def __init__(
        self,
        num_envs: int,
        mdp: TabularMDP,
        observer: Observer | None = None,
        **options: Unpack[BatchOptions],
    ) -> None:
        self.mdp = mdp
        self.observer: Observer = observer or IndexObserver(mdp.n_states)
        super().__init__(
            num_envs,
            self.observer.space,
            spaces.Discrete(mdp.n_actions),
            metadata=self.single_metadata,
            **options,
        )
        self.states: IntArray = np.zeros(num_envs, np.int64)
        # Flat views: one gather from (S·A·K,) is much faster than one with three index arrays.
        self._cumulative = mdp.cumulative.reshape(-1, mdp.next_states.shape[2])
        self._next_states = mdp.next_states.ravel()
        self._rewards = mdp.rewards.ravel()
        self._terminations = mdp.terminations.ravel()

    def _begin(self, chosen: BoolArray, draws: FloatArray) -> None:
        self.states[chosen] = np.searchsorted(self.mdp.cumulative_start, draws, side="right")

    def _advance(
        self, actions: npt.NDArray[Any], draws: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        row = self.states * self.mdp.n_actions + actions
        n_outcomes = self._cumulative.shape[1]
        outcome = row * n_outcomes
        # The last column is 1 and never passed.
        for k in range(n_outcomes - 1):
            outcome += draws >= self._cumulative[:, k].take(row)
        self.states = self._next_states.take(outcome)
        return self._rewards.take(outcome), self._terminations.take(outcome)

    def _observe(self) -> npt.NDArray[Any]:
        return self.observer.encode(self.states)

    def _checked(self, actions: Any) -> IntArray:
        return checked_discrete(actions, self.num_envs, self.mdp.n_actions)

    def _text(self, index: int) -> str:
        return f"state {self.states[index]} of {self.mdp.n_states}\n"
