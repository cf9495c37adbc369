"""Acrobot as a compiled world: two links, the upper hung up, a motor at the joint between.

The equations of motion of Sutton and Barto (2018), section 11.3, with links of mass, length and
moment of inertia 1 and their centres halfway; one Runge-Kutta step of fourth order over 0.2 s.
Equal to Gymnasium's ``Acrobot-v1`` up to the last bit: NumPy takes a square as a power, which may
round the other way.
"""

import math
from typing import NamedTuple

import numpy as np

from ppo_lab.kernels.compiling import exact_kernel
from ppo_lab.worlds.randomness import StreamArray, uniform_between
from ppo_lab.worlds.rules import Row, Rules, State, clipped, register

__all__ = ["Acrobot"]

GRAVITY = 9.8
SECONDS = 0.2
FASTEST_UPPER, FASTEST_LOWER = 4 * math.pi, 9 * math.pi
START = 0.1
RESTATED = {
    "dt": SECONDS,
    "LINK_LENGTH_1": 1.0,
    "LINK_LENGTH_2": 1.0,
    "LINK_MASS_1": 1.0,
    "LINK_MASS_2": 1.0,
    "LINK_COM_POS_1": 0.5,
    "LINK_COM_POS_2": 0.5,
    "LINK_MOI": 1.0,
    "MAX_VEL_1": FASTEST_UPPER,
    "MAX_VEL_2": FASTEST_LOWER,
    "AVAIL_TORQUE": [-1.0, 0.0, 1.0],
    "torque_noise_max": 0.0,
    "book_or_nips": "book",
}
"""The environment's attributes that this world holds fast."""

Four = tuple[float, float, float, float]


class Acrobot(NamedTuple):
    """Torque −1, 0 or 1; −1 a step, 0 for the last. A copy's state is (4,): angles, velocities.

    Attributes:
        n_torques: 3, the actions.
    """

    n_torques: int


@exact_kernel
def _derivatives(s: Four, torque: float) -> Four:
    """Velocities and accelerations of both angles, the book's form."""
    upper, lower, upper_speed, lower_speed = s
    cosine, sine = math.cos(lower), math.sin(lower)
    d1 = 0.25 + (1.25 + cosine) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cosine + 1.0
    phi2 = 0.5 * GRAVITY * math.cos(upper + lower - math.pi / 2.0)
    phi1 = (
        -0.5 * (lower_speed * lower_speed) * sine
        - lower_speed * upper_speed * sine
        + 1.5 * GRAVITY * math.cos(upper - math.pi / 2.0)
        + phi2
    )
    push = torque + d2 / d1 * phi1 - 0.5 * (upper_speed * upper_speed) * sine - phi2
    lower_gain = push / (1.25 - d2 * d2 / d1)
    return upper_speed, lower_speed, -(d2 * lower_gain + phi1) / d1, lower_gain


@exact_kernel
def _along(s: Four, seconds: float, k: Four) -> Four:
    return (
        s[0] + seconds * k[0],
        s[1] + seconds * k[1],
        s[2] + seconds * k[2],
        s[3] + seconds * k[3],
    )


@exact_kernel
def _wrapped(angle: float) -> float:
    while angle > math.pi:
        angle -= 2 * math.pi
    while angle < -math.pi:
        angle += 2 * math.pi
    return angle


def _begin(world: Acrobot, state: State, stream: StreamArray) -> None:
    for index in range(4):
        state[index] = np.float32(uniform_between(stream, -START, START))


def _accepts(world: Acrobot, action: Row) -> bool:
    return bool(0 <= action[0] < world.n_torques)


def _advance(world: Acrobot, state: State, action: Row, stream: StreamArray) -> tuple[float, bool]:
    torque = float(int(action[0]) - 1)
    s = (state[0], state[1], state[2], state[3])
    k1 = _derivatives(s, torque)
    k2 = _derivatives(_along(s, SECONDS / 2.0, k1), torque)
    k3 = _derivatives(_along(s, SECONDS / 2.0, k2), torque)
    k4 = _derivatives(_along(s, SECONDS, k3), torque)
    for index in range(4):
        slope = k1[index] + 2 * k2[index] + 2 * k3[index] + k4[index]
        state[index] += SECONDS / 6.0 * slope
    state[0], state[1] = _wrapped(state[0]), _wrapped(state[1])
    state[2] = clipped(state[2], -FASTEST_UPPER, FASTEST_UPPER)
    state[3] = clipped(state[3], -FASTEST_LOWER, FASTEST_LOWER)
    terminated = -math.cos(state[0]) - math.cos(state[1] + state[0]) > 1.0
    return (0.0 if terminated else -1.0), terminated


def _observe(world: Acrobot, state: State, out: Row) -> None:
    out[0], out[1] = math.cos(state[0]), math.sin(state[0])
    out[2], out[3] = math.cos(state[1]), math.sin(state[1])
    out[4], out[5] = state[2], state[3]


register(Acrobot, Rules(_begin, _accepts, _advance, _observe))
