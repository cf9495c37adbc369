"""MountainCar as compiled worlds: a car that must swing up a hill it cannot climb at once.

The velocity changes by the motor's force and by −0.0025 cos 3x, then the position by the
velocity; the left wall stops the car (Moore 1990). Equal to Gymnasium's ``MountainCar-v0`` and
``MountainCarContinuous-v0``.
"""

import math
from typing import NamedTuple

import numpy as np

from ppo_lab.kernels.compiling import exact_kernel
from ppo_lab.worlds.randomness import StreamArray, uniform_between
from ppo_lab.worlds.rules import Row, Rules, State, clipped, register

__all__ = ["MountainCar", "MountainCarContinuous"]

LEFTMOST, RIGHTMOST = -1.2, 0.6
FASTEST = 0.07
GRAVITY = 0.0025
FORCE, GOAL = 0.001, 0.5
POWER, CONTINUOUS_GOAL = 0.0015, 0.45
START = (-0.6, -0.4)
RESTATED_BY_BOTH = {"min_position": LEFTMOST, "max_position": RIGHTMOST, "max_speed": FASTEST}
RESTATED = {**RESTATED_BY_BOTH, "goal_position": GOAL, "force": FORCE, "gravity": GRAVITY}
"""The environment's attributes that ``MountainCar`` holds fast."""
RESTATED_CONTINUOUS = {
    **RESTATED_BY_BOTH,
    "min_action": -1.0,
    "max_action": 1.0,
    "goal_position": CONTINUOUS_GOAL,
    "power": POWER,
}
"""Those of ``MountainCarContinuous``."""

SINGLE_SLOPE, SINGLE_POWER = np.float32(3.0), np.float32(POWER)
SINGLE_LEFTMOST, SINGLE_RIGHTMOST = np.float32(LEFTMOST), np.float32(RIGHTMOST)
SINGLE_FASTEST = np.float32(FASTEST)


class MountainCar(NamedTuple):
    """Three actions: left, nothing, right; −1 a step. A copy's state is (2,): position, velocity.

    Attributes:
        goal_velocity: the least velocity at which the goal counts.
    """

    goal_velocity: float


class MountainCarContinuous(NamedTuple):
    """A force in [−1, 1]; −0.1 · force² a step, 100 at the goal.

    A copy's state is (3,): position, velocity, steps taken. Gymnasium keeps position and velocity
    in single precision from the first step on, so this does.

    Attributes:
        goal_velocity: the least velocity at which the goal counts.
    """

    goal_velocity: float


def _begin(world: MountainCar, state: State, stream: StreamArray) -> None:
    for index in range(state.size):
        state[index] = 0.0
    state[0] = uniform_between(stream, START[0], START[1])


def _accepts(world: MountainCar, action: Row) -> bool:
    return bool(action[0] == 0 or action[0] == 1 or action[0] == 2)


def _advance(
    world: MountainCar, state: State, action: Row, stream: StreamArray
) -> tuple[float, bool]:
    push = (int(action[0]) - 1) * FORCE
    velocity = state[1] + (push + math.cos(3 * state[0]) * -GRAVITY)
    velocity = clipped(velocity, -FASTEST, FASTEST)
    position = clipped(state[0] + velocity, LEFTMOST, RIGHTMOST)
    if position == LEFTMOST and velocity < 0.0:
        velocity = 0.0
    state[0], state[1] = position, velocity
    return -1.0, bool(position >= GOAL and velocity >= world.goal_velocity)


def _observe(world: MountainCar, state: State, out: Row) -> None:
    out[0], out[1] = state[0], state[1]


@exact_kernel
def _acceleration(force: float, angle: float) -> float:
    """Motor and slope; in single precision where NumPy computes so: a force within the bounds."""
    slope = GRAVITY * math.cos(angle)
    if abs(force) > 1.0:
        return clipped(force, -1.0, 1.0) * POWER - slope
    return np.float64(np.float32(force) * SINGLE_POWER - np.float32(slope))


@exact_kernel
def _first_move(state: State, force: float) -> tuple[float, float]:
    velocity = state[1] + _acceleration(force, 3.0 * state[0])
    velocity = clipped(velocity, -FASTEST, FASTEST)
    position = clipped(state[0] + velocity, LEFTMOST, RIGHTMOST)
    return position, 0.0 if position == LEFTMOST and velocity < 0.0 else velocity


@exact_kernel
def _later_move(state: State, force: float) -> tuple[float, float]:
    position = np.float32(state[0])
    change = np.float32(_acceleration(force, np.float64(SINGLE_SLOPE * position)))
    velocity = clipped(np.float32(state[1]) + change, -SINGLE_FASTEST, SINGLE_FASTEST)
    position = clipped(position + velocity, SINGLE_LEFTMOST, SINGLE_RIGHTMOST)
    stopped = position == SINGLE_LEFTMOST and velocity < 0.0
    return np.float64(position), 0.0 if stopped else np.float64(velocity)


def _accepts_force(world: MountainCarContinuous, action: Row) -> bool:
    return True


def _advance_continuous(
    world: MountainCarContinuous, state: State, action: Row, stream: StreamArray
) -> tuple[float, bool]:
    force = np.float64(action[0])
    move = _first_move(state, force) if state[2] == 0.0 else _later_move(state, force)
    state[0], state[1], state[2] = np.float32(move[0]), np.float32(move[1]), state[2] + 1.0
    goal = np.float32(CONTINUOUS_GOAL)
    terminated = np.float32(move[0]) >= goal and move[1] >= world.goal_velocity
    return (100.0 if terminated else 0.0) - force * force * 0.1, bool(terminated)


register(MountainCar, Rules(_begin, _accepts, _advance, _observe))
register(MountainCarContinuous, Rules(_begin, _accepts_force, _advance_continuous, _observe))
