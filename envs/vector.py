"""Many copies of an environment as arrays: autoreset, time limit and seeding in one place."""

from abc import abstractmethod
from typing import Any, TypedDict

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.mdp import BoolArray, FloatArray, IntArray
from envs.rendering import Frame

Step = tuple[npt.NDArray[Any], FloatArray, BoolArray, BoolArray, dict[str, Any]]


class BatchOptions(TypedDict, total=False):
    """What every :class:`BatchEnv` takes beside what its environment does."""

    max_episode_steps: int | None
    autoreset_mode: AutoresetMode | str
    render_mode: str | None


class BatchEnv(VectorEnv[npt.NDArray[Any], Any, Any]):
    """N environments that step together in arrays, without a loop over them.

    Autoreset follows Gymnasium 1.x, ``metadata["autoreset_mode"]`` says which:

    * ``NEXT_STEP`` (default): the step after an episode's end ignores that environment's action,
      pays 0, ends nothing and returns the first observation of the next episode.
    * ``SAME_STEP``: the step that ends an episode already returns the next one's first
      observation. When any ended, ``infos["final_obs"]`` (N, …) holds the observations before the
      reset, valid where ``infos["_final_obs"]`` is True, and ``infos["final_info"]`` is empty.

    ``make_vec`` adds no TimeLimit to a native vector environment, so this class truncates itself
    after ``max_episode_steps``, on the same step as TimeLimit does.

    One generator serves all copies (``reset(seed=…)`` takes one integer). Each copy uses one
    uniform number a step, whether it moves or resets, so one copy in mode ``NEXT_STEP`` repeats the
    single environment with the same seed exactly.

    Attributes:
        num_envs: N.
        steps: (N,) int64, steps taken in the present episodes.
        returns: (N,) float64, rewards collected in the present episodes.

    Raises:
        ValueError: ``num_envs`` or ``max_episode_steps`` is below 1, or the mode is not offered.
        gymnasium.error.ResetNeeded: ``step`` before the first ``reset``.
        gymnasium.error.InvalidAction: actions of wrong shape, type or range.
    """

    def __init__(
        self,
        num_envs: int,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        metadata: dict[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; it must be at least 1.")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(
                f"max_episode_steps is {max_episode_steps}; it must be at least 1, or None for no "
                "limit."
            )
        self._same_step = _mode(autoreset_mode) is AutoresetMode.SAME_STEP
        described = dict(metadata or {})
        described["render_modes"] = [m for m in described.get("render_modes", []) if m != "human"]
        described["autoreset_mode"] = _mode(autoreset_mode)
        self.metadata = described
        if render_mode is not None and render_mode not in described["render_modes"]:
            raise ValueError(
                f"render_mode is {render_mode!r}; a vector environment offers "
                f"{described['render_modes']} or None."
            )
        self.render_mode = render_mode
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.max_episode_steps = max_episode_steps
        self.steps: IntArray = np.zeros(num_envs, np.int64)
        self.returns: FloatArray = np.zeros(num_envs)
        self._ended: BoolArray | None = None

    @abstractmethod
    def _begin(self, chosen: BoolArray, draws: FloatArray) -> None:
        """Put the chosen copies in start states; ``draws`` holds one uniform number for each."""

    @abstractmethod
    def _advance(
        self, actions: npt.NDArray[Any], draws: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        """Move every copy; return new arrays of rewards and terminations.

        Also called for copies whose episode has ended; what it does to those is overwritten.
        """

    @abstractmethod
    def _observe(self) -> npt.NDArray[Any]:
        """A new array of the present observations."""

    @abstractmethod
    def _checked(self, actions: Any) -> npt.NDArray[Any]:
        """The actions as an array, or InvalidAction."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Begin N episodes; ``options`` are ignored.

        Args:
            seed: One integer for all copies, or None to go on with the present generator.
            options: Ignored.

        Raises:
            TypeError: ``seed`` is a list; the copies share one generator.
        """
        if not (seed is None or isinstance(seed, int | np.integer)):
            raise TypeError(
                f"seed is {seed!r}; pass one integer, the environments share one generator."
            )
        super().reset(seed=None if seed is None else int(seed), options=options)
        everyone = np.ones(self.num_envs, np.bool_)
        self._restart(everyone, self.np_random.random(self.num_envs))
        self._ended = ~everyone
        return self._observe(), {}

    def step(self, actions: Any) -> Step:
        """Step all copies; see the class for autoreset.

        Returns:
            Observations (N, …), rewards (N,) float64, terminations (N,) bool, truncations (N,)
            bool and infos. All arrays are new.
        """
        if self._ended is None:
            raise ResetNeeded("step was called before the first reset; call reset first.")
        actions = self._checked(actions)
        draws = self.np_random.random(self.num_envs)
        rewards, terminations = self._advance(actions, draws)
        self.steps += 1
        begun = self._ended
        if not self._same_step and begun.any():
            self._restart(begun, draws[begun])
            rewards[begun], terminations[begun] = 0.0, False
        self.returns += rewards
        if self.max_episode_steps is None:
            truncations = np.zeros(self.num_envs, np.bool_)
        else:
            truncations = self.steps >= self.max_episode_steps
        self._ended = terminations | truncations
        infos = self._restart_ended() if self._same_step else {}
        return self._observe(), rewards, terminations, truncations, infos

    def render(self) -> tuple[Any, ...] | None:
        """One text or picture for each copy, or None without a render mode."""
        if self.render_mode is None:
            return None
        show = self._text if self.render_mode == "ansi" else self._frame
        return tuple(show(index) for index in range(self.num_envs))

    def _text(self, index: int) -> str:
        raise NotImplementedError(f"{type(self).__name__} has no text for copy {index}.")

    def _frame(self, index: int) -> Frame:
        raise NotImplementedError(f"{type(self).__name__} has no picture of copy {index}.")

    def _restart_ended(self) -> dict[str, Any]:
        ended = self._ended
        if ended is None or not ended.any():
            return {}
        infos = {
            "final_obs": self._observe(),
            "_final_obs": ended.copy(),
            "final_info": {},
            "_final_info": ended.copy(),
        }
        self._restart(ended, self.np_random.random(int(ended.sum())))
        return infos

    def _restart(self, chosen: BoolArray, draws: FloatArray) -> None:
        self._begin(chosen, draws)
        self.steps[chosen] = 0
        self.returns[chosen] = 0.0


def checked_discrete(actions: Any, num_envs: int, n_actions: int) -> IntArray:
    """The actions as (N,) int64.

    Raises:
        gymnasium.error.InvalidAction: they are not N integers in ``range(n_actions)``.
    """
    array = np.asarray(actions)
    if array.shape != (num_envs,) or array.dtype.kind not in "iu":
        raise InvalidAction(
            f"The actions have shape {array.shape} and dtype {array.dtype}; pass {num_envs} "
            "integers, one an environment."
        )
    if array.min() < 0 or array.max() >= n_actions:
        worst = int(np.argmax((array < 0) | (array >= n_actions)))
        raise InvalidAction(
            f"Action {array[worst]} of environment {worst} is out of range; actions run from 0 to "
            f"{n_actions - 1}."
        )
    return array.astype(np.int64, copy=False)


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    offered = {m.value: m for m in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)}
    chosen = offered.get(mode.value if isinstance(mode, AutoresetMode) else mode)
    if chosen is None:
        raise ValueError(f"autoreset_mode is {mode!r}; choose one of {', '.join(offered)}.")
    return chosen
