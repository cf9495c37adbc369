"""CrawlerContinuous: the crawler's body with joints that turn freely (Spec 11.2)."""

from typing import Any, ClassVar, Unpack

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded

from envs.crawler_geometry import (
    ARM_ANGLES,
    ARM_RANGE,
    HAND_ANGLES,
    HAND_RANGE,
    START_BUCKETS,
    drag,
)
from envs.crawler_rendering import describe_crawler, draw_crawler
from envs.mdp import BoolArray, FloatArray
from envs.rendering import Frame, Screen
from envs.vector import BatchEnv, BatchOptions

LOWEST, HIGHEST = np.array([ARM_RANGE, HAND_RANGE]).T
# An action of 1 turns a joint by one bucket of the finite crawler.
LARGEST_TURN = np.array([ARM_ANGLES[1] - ARM_ANGLES[0], HAND_ANGLES[1] - HAND_ANGLES[0]])
START_ANGLES = np.array([ARM_ANGLES[START_BUCKETS[0]], HAND_ANGLES[START_BUCKETS[1]]])


def turn(angles: FloatArray, actions: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Turn the joints: angles (…, 2) and actions (…, 2) to new angles (…, 2) and rewards (…)."""
    turned = np.clip(angles + actions * LARGEST_TURN, LOWEST, HIGHEST)
    return turned, drag(angles[..., 0], angles[..., 1], turned[..., 0], turned[..., 1])


def _spaces() -> tuple[spaces.Box, spaces.Box]:
    observed = spaces.Box(LOWEST.astype(np.float32), HIGHEST.astype(np.float32))
    return observed, spaces.Box(-1.0, 1.0, (2,), np.float32)


def _checked(actions: Any, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(actions)
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise InvalidAction(
            f"The action has shape {array.shape} and dtype {array.dtype}; pass numbers of shape "
            f"{shape}, the turns of arm and hand."
        )
    if not (np.abs(array) <= 1.0).all():
        raise InvalidAction(f"The action {array.tolist()} leaves [-1, 1]; clip it to the space.")
    return array.astype(np.float64)


class CrawlerContinuous(gym.Env[Any, Any]):
    """The crawling robot with continuous joints (Spec 11.2).

    ## Description
    The body, arm and ground of ``Crawler``; both joints turn at once and by any angle up to a
    bucket of the finite form.

    ## Action Space
    ``Box(-1, 1, (2,), float32)``: the turns of arm and hand; 1 is one bucket of the finite crawler
    (arm π/24, hand 5π/72). A joint that reaches the end of its range stops there.

    ## Observation Space
    ``Box((2,), float32)``: the angles in radians, arm in [−π/6, π/6], hand in [−5π/6, 0]. They are
    the whole state: the reward depends on them and the action alone, so the task is Markov.

    ## Rewards
    The distance moved forward in the step, in pixels; backwards is negative. Where both joints turn
    at once over the touching point, the cut is on the straight line between the two tips.

    ## Starting State
    Both joints in the middle of their range: (0, −5π/12).

    ## Episode End
    Never terminates. The registered id truncates after 100 steps.

    ## Arguments
    * ``render_mode``: ``"ansi"``, ``"rgb_array"``, ``"human"`` or None.

    ## Version History
    * v0: first version.

    Attributes:
        angles: (2,) float64, the present angles.
        episode_return: The distance crawled in the present episode.

    Raises:
        gymnasium.error.ResetNeeded: ``step`` before ``reset``.
        gymnasium.error.InvalidAction: an action of wrong shape or type or outside the space.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 15,
    }

    def __init__(self, render_mode: str | None = None) -> None:
        self._screen = Screen(render_mode, self.metadata)
        self.render_mode = render_mode
        self.observation_space, self.action_space = _spaces()
        self.angles: FloatArray = START_ANGLES.copy()
        self.episode_return = 0.0
        self._begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Begin in the middle of both ranges; ``options`` are ignored."""
        super().reset(seed=seed, options=options)
        self.angles, self.episode_return, self._begun = START_ANGLES.copy(), 0.0, True
        if self.render_mode == "human":
            self.render()
        return self.angles.astype(np.float32), {}

    def step(
        self, action: Any
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Turn the joints; see the class for what it returns and raises."""
        if not self._begun:
            raise ResetNeeded("step was called before the first reset; call reset first.")
        self.angles, moved = turn(self.angles, _checked(action, (2,)))
        reward = float(moved)
        self.episode_return += reward
        if self.render_mode == "human":
            self.render()
        return self.angles.astype(np.float32), reward, False, False, {}

    def render(self) -> Any:
        """The crawler as the render mode has it: text, pixels, or a window (then None)."""
        return self._screen.show(self._text, self._frame)

    def close(self) -> None:
        """Close the window if there is one."""
        self._screen.close()

    def _text(self) -> str:
        return describe_crawler(self.angles, self.episode_return)

    def _frame(self) -> Frame:
        return draw_crawler(self.angles, self.episode_return)


class CrawlerContinuousVector(BatchEnv):
    """N continuous crawlers in arrays; arguments as there and as ``envs.vector.BatchEnv``.

    Attributes:
        angles: (N, 2) float64, the present angles.
    """

    def __init__(self, num_envs: int = 1, **options: Unpack[BatchOptions]) -> None:
        super().__init__(num_envs, *_spaces(), metadata=CrawlerContinuous.metadata, **options)
        self.angles: FloatArray = np.tile(START_ANGLES, (num_envs, 1))

    def _begin(self, chosen: BoolArray, draws: FloatArray) -> None:  # noqa: ARG002 - one start
        self.angles[chosen] = START_ANGLES

    def _advance(
        self,
        actions: npt.NDArray[Any],
        draws: FloatArray,  # noqa: ARG002 - nothing is left to chance
    ) -> tuple[FloatArray, BoolArray]:
        self.angles, rewards = turn(self.angles, actions)
        return rewards, np.zeros(self.num_envs, np.bool_)

    def _observe(self) -> npt.NDArray[np.float32]:
        return self.angles.astype(np.float32)

    def _checked(self, actions: Any) -> FloatArray:
        return _checked(actions, (self.num_envs, 2))

    def _text(self, index: int) -> str:
        return describe_crawler(self.angles[index], float(self.returns[index]))

    def _frame(self, index: int) -> Frame:
        return draw_crawler(self.angles[index], float(self.returns[index]))
