"""Crawler: a body drags itself along with an arm of two joints, as a finite MDP (Spec 11)."""

from typing import Any, ClassVar, Unpack

import numpy as np

from envs.crawler_geometry import ARM_RANGE, HAND_RANGE, bucket_angles, crawler_mdp
from envs.crawler_rendering import crawler_images, describe_crawler, draw_crawler
from envs.observations import IndexObserver, Observer, PictureObserver, TableObserver
from envs.rendering import Frame
from envs.tabular import TabularEnv, TabularVectorEnv
from envs.vector import BatchOptions

CRAWLER_OBSERVATIONS = ("index", "coordinates", "image")


def crawler_observer(kind: str) -> Observer:
    """The crawler's observer for ``index``, ``coordinates`` (angles) or ``image``.

    Raises:
        ValueError: ``kind`` is none of the three.
    """
    angles = bucket_angles()
    if kind == "index":
        return IndexObserver(len(angles))
    if kind == "coordinates":
        low, high = np.array([ARM_RANGE, HAND_RANGE]).T
        return TableObserver(angles, low, high)
    if kind == "image":
        return PictureObserver(crawler_images())
    raise ValueError(f"observation is {kind!r}; choose one of {', '.join(CRAWLER_OBSERVATIONS)}.")


class Crawler(TabularEnv):
    """A crawling robot with 117 states (Spec 11).

    ## Description
    A box, 80 wide and 40 high, has an arm at its upper front corner: an upper arm of 60 and a hand
    of 40. Each joint stands in one of several angles. While the tip of the hand is on the ground,
    moving a joint drags the box forward or pushes it back about its rear bottom corner; in the air
    the box stays where it is.

    ## Action Space
    ``Discrete(4)``, named by ``envs.crawler_geometry.Move``: 0 arm up, 1 arm down, 2 hand up,
    3 hand down, one bucket each. A move beyond a joint's last bucket stays and pays 0.

    ## Observation Space
    * ``index``: ``Discrete(117)``, arm bucket · 13 + hand bucket.
    * ``coordinates``: ``Box((2,), float32)``, the angles in radians: arm in [−π/6, π/6] (9
      buckets), hand in [−5π/6, 0] (13 buckets), ends included.
    * ``image``: ``Box(0, 255, (40, 64, 3), uint8)``, the body seen from the side.

    ## Rewards
    The distance moved forward in the step, in pixels; backwards is negative.

    ## Starting State
    The middle buckets, (4, 6).

    ## Episode End
    Never terminates: a continuing task. The registered id truncates after 100 steps, in which the
    optimum is 370.979 and the random policy's expectation 6.055 (Spec 11.4).

    ## Arguments
    * ``observation``: ``"index"`` (default), ``"coordinates"`` or ``"image"``.
    * ``render_mode``: ``"ansi"``, ``"rgb_array"``, ``"human"`` or None.

    ## Version History
    * v0: first version.

    Attributes:
        mdp: The same rules as arrays.
        episode_return: The distance crawled in the present episode.

    Raises:
        ValueError: an argument is none of those offered.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 15,
    }

    def __init__(self, observation: str = "index", render_mode: str | None = None) -> None:
        super().__init__(crawler_mdp(), crawler_observer(observation), render_mode)

    def _text(self) -> str:
        return describe_crawler(bucket_angles()[self.state], self.episode_return)

    def _frame(self) -> Frame:
        return draw_crawler(bucket_angles()[self.state], self.episode_return)


class CrawlerVector(TabularVectorEnv):
    """N crawlers in arrays; arguments as ``Crawler`` and ``envs.vector.BatchEnv``."""

    single_metadata: ClassVar[dict[str, Any]] = Crawler.metadata

    def __init__(
        self, num_envs: int = 1, observation: str = "index", **options: Unpack[BatchOptions]
    ) -> None:
        super().__init__(num_envs, crawler_mdp(), crawler_observer(observation), **options)

    def _text(self, index: int) -> str:
        return describe_crawler(bucket_angles()[self.states[index]], float(self.returns[index]))

    def _frame(self, index: int) -> Frame:
        return draw_crawler(bucket_angles()[self.states[index]], float(self.returns[index]))
