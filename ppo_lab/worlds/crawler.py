"""CrawlerContinuous (Spec 11.2, 11.4) as a compiled world."""

import math
from typing import NamedTuple

from envs.crawler_continuous import HIGHEST, LARGEST_TURN, LOWEST, START_ANGLES
from envs.crawler_geometry import BODY_HEIGHT, BODY_WIDTH, HAND, UPPER_ARM
from ppo_lab.kernels.compiling import exact_kernel
from ppo_lab.worlds.randomness import StreamArray
from ppo_lab.worlds.rules import Row, Rules, State, clipped, register

__all__ = ["Crawler"]

LOWEST_ARM, LOWEST_HAND = LOWEST.tolist()
HIGHEST_ARM, HIGHEST_HAND = HIGHEST.tolist()
ARM_TURN, HAND_TURN = LARGEST_TURN.tolist()
START_ARM, START_HAND = START_ANGLES.tolist()


class Crawler(NamedTuple):
    """A copy's state is (2,): the angles of arm and hand.

    Attributes:
        n_joints: 2; a world has at least one number.
    """

    n_joints: int


@exact_kernel
def _tip(arm: float, hand: float) -> tuple[float, float]:
    x = BODY_WIDTH + UPPER_ARM * math.cos(arm) + HAND * math.cos(arm + hand)
    y = BODY_HEIGHT + UPPER_ARM * math.sin(arm) + HAND * math.sin(arm + hand)
    return x, y


@exact_kernel
def _drag(arm: float, hand: float, next_arm: float, next_hand: float) -> float:
    """``envs.crawler_geometry.drag`` of one move (Spec 11.4)."""
    x, y = _tip(arm, hand)
    next_x, next_y = _tip(next_arm, next_hand)
    before, after = y < 0.0, next_y < 0.0
    rise = next_y - y if before != after else 1.0
    crossing = x - y * (next_x - x) / rise
    start = math.hypot(x, y) if before else crossing
    end = math.hypot(next_x, next_y) if after else crossing
    return start - end


def _begin(world: Crawler, state: State, stream: StreamArray) -> None:
    state[0], state[1] = START_ARM, START_HAND


def _accepts(world: Crawler, action: Row) -> bool:
    return bool(abs(action[0]) <= 1.0 and abs(action[1]) <= 1.0)


def _advance(world: Crawler, state: State, action: Row, stream: StreamArray) -> tuple[float, bool]:
    arm = clipped(state[0] + action[0] * ARM_TURN, LOWEST_ARM, HIGHEST_ARM)
    hand = clipped(state[1] + action[1] * HAND_TURN, LOWEST_HAND, HIGHEST_HAND)
    reward = _drag(state[0], state[1], arm, hand)
    state[0], state[1] = arm, hand
    return reward, False


def _observe(world: Crawler, state: State, out: Row) -> None:
    out[0], out[1] = state[0], state[1]


register(Crawler, Rules(_begin, _accepts, _advance, _observe))
