"""The crawler's body: where the arm's tip is, how far a move drags it, its MDP (Spec 11.4).

Lengths are in pixels, angles in radians. The origin is the body's rear bottom corner on the
ground, x points forward, y up.
"""

import math
from enum import IntEnum

import numpy as np

from envs.mdp import FloatArray, TabularMDP

UPPER_ARM, HAND = 60.0, 40.0
BODY_WIDTH, BODY_HEIGHT = 80.0, 40.0
ARM_RANGE = (-math.pi / 6, math.pi / 6)
HAND_RANGE = (-5 * math.pi / 6, 0.0)
N_ARM, N_HAND = 9, 13
START_BUCKETS = (4, 6)

ARM_ANGLES: FloatArray = np.linspace(*ARM_RANGE, N_ARM)
HAND_ANGLES: FloatArray = np.linspace(*HAND_RANGE, N_HAND)


class Move(IntEnum):
    """One joint by one bucket."""

    ARM_UP = 0
    ARM_DOWN = 1
    HAND_UP = 2
    HAND_DOWN = 3


# (arm, hand) buckets in the order of Move.
STEPS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])


def tip_position(arm: FloatArray, hand: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(x, y) of the tip: x = 80 + 60 cos a + 40 cos(a+h), y = 40 + 60 sin a + 40 sin(a+h).

    Args:
        arm: The upper arm's angle a above the horizontal, any shape.
        hand: The hand's angle h from the upper arm, the same shape.

    Returns:
        Two arrays of that shape. y < 0 means that the tip presses on the ground and lifts the body.
    """
    x = BODY_WIDTH + UPPER_ARM * np.cos(arm) + HAND * np.cos(arm + hand)
    y = BODY_HEIGHT + UPPER_ARM * np.sin(arm) + HAND * np.sin(arm + hand)
    return x, y


def drag(
    arm: FloatArray, hand: FloatArray, next_arm: FloatArray, next_hand: FloatArray
) -> FloatArray:
    """How far forward a move takes the body (Spec 11.4).

    In contact the body moves by the *decrease* of the distance √(x² + y²) between its rear corner
    and the tip; in the air not at all. A move that touches down or lifts off counts only its part
    in contact, cut where the straight line between the two tips crosses y = 0.

    Args:
        arm: The arm's angle before, any shape.
        hand: The hand's angle before.
        next_arm: The arm's angle after.
        next_hand: The hand's angle after.

    Returns:
        An array of that shape; backwards is negative.
    """
    x, y = tip_position(arm, hand)
    next_x, next_y = tip_position(next_arm, next_hand)
    before, after = y < 0.0, next_y < 0.0
    crosses = before != after
    rise = np.where(crosses, next_y - y, 1.0)
    crossing = x - y * (next_x - x) / rise
    # On the way through y = 0 the tip is as far from the corner as its x; a move that stays in the
    # air begins and ends with the same number and gives 0.
    start = np.where(before, np.hypot(x, y), crossing)
    end = np.where(after, np.hypot(next_x, next_y), crossing)
    return start - end


def crawler_state(arm: int, hand: int) -> int:
    """The state of a pair of buckets: ``arm * 13 + hand``."""
    return arm * N_HAND + hand


def crawler_mdp() -> TabularMDP:
    """The finite crawler: 117 states, four moves, one outcome each, no termination (Spec 11.3).

    A move beyond a joint's last bucket stays and pays 0.
    """
    buckets = np.stack(np.divmod(np.arange(N_ARM * N_HAND), N_HAND), axis=1)
    wanted = buckets[:, np.newaxis] + STEPS
    arrived = np.clip(wanted, 0, (N_ARM - 1, N_HAND - 1))
    angles = bucket_angles()[:, np.newaxis]
    next_states = arrived[..., 0] * N_HAND + arrived[..., 1]
    next_angles = bucket_angles()[next_states]
    rewards = drag(angles[..., 0], angles[..., 1], next_angles[..., 0], next_angles[..., 1])
    shape = (*next_states.shape, 1)
    start = np.zeros(N_ARM * N_HAND)
    start[crawler_state(*START_BUCKETS)] = 1.0
    return TabularMDP(
        next_states.reshape(shape),
        np.ones(shape),
        rewards.reshape(shape),
        np.zeros(shape, np.bool_),
        start,
    )


def bucket_angles() -> FloatArray:
    """(117, 2): arm and hand angle of each state."""
    arm, hand = np.divmod(np.arange(N_ARM * N_HAND), N_HAND)
    return np.stack([ARM_ANGLES[arm], HAND_ANGLES[hand]], axis=1)
