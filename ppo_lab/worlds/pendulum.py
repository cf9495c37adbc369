"""Pendulum as a compiled world: a rod to be swung up by a motor too weak to lift it at once.

θ is measured from upright. With mass and length 1 and torque u, θ̈ = 3g/2 · sin θ + 3u; the
velocity is stepped first, by 0.05 s, and then the angle (semi-implicit Euler). The cost of a step
is θ² + 0.1 θ̇² + 0.001 u², θ in [−π, π). Equal to Gymnasium's ``Pendulum-v1``.
"""

import math
from typing import NamedTuple

import numpy as np

from ppo_lab.worlds.randomness import StreamArray, uniform_between
from ppo_lab.worlds.rules import Row, Rules, State, clipped, register

__all__ = ["Pendulum"]

FASTEST = 8.0
STRONGEST = 2.0
SECONDS = 0.05
RESTATED = {"max_speed": FASTEST, "max_torque": STRONGEST, "dt": SECONDS, "m": 1.0, "l": 1.0}
"""The environment's attributes that this world holds fast."""


class Pendulum(NamedTuple):
    """A copy's state is (2,): angle, angular velocity.

    Attributes:
        g: the acceleration of gravity.
    """

    g: float


def _begin(world: Pendulum, state: State, stream: StreamArray) -> None:
    state[0] = uniform_between(stream, -math.pi, math.pi)
    state[1] = uniform_between(stream, -1.0, 1.0)


def _accepts(world: Pendulum, action: Row) -> bool:
    return True


def _advance(world: Pendulum, state: State, action: Row, stream: StreamArray) -> tuple[float, bool]:
    theta, theta_dot = state[0], state[1]
    # The motor's part is computed in single precision, as the actions of Gymnasium's space are.
    torque = np.float32(clipped(action[0], -STRONGEST, STRONGEST))
    angle = (theta + math.pi) % (2 * math.pi) - math.pi
    effort = np.float32(0.001) * (torque * torque)
    cost = angle * angle + 0.1 * (theta_dot * theta_dot) + effort
    pull = np.float32(3.0) * torque
    moved = theta_dot + (3 * world.g / 2.0 * math.sin(theta) + pull) * SECONDS
    moved = clipped(moved, -FASTEST, FASTEST)
    state[0], state[1] = theta + moved * SECONDS, moved
    return -cost, False


def _observe(world: Pendulum, state: State, out: Row) -> None:
    out[0], out[1], out[2] = math.cos(state[0]), math.sin(state[0]), state[1]


register(Pendulum, Rules(_begin, _accepts, _advance, _observe))
