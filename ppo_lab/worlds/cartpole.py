"""CartPole as a compiled world: a pole hinged on a cart that is pushed left or right.

Equations of motion: Barto, Sutton, Anderson (1983), without friction, in the form of
Florian (2007), equations 23 and 24; explicit Euler steps of 0.02 s. Equal to Gymnasium's
``CartPole-v0`` and ``-v1`` to the last bit of its observations.
"""

import math
from typing import NamedTuple

from ppo_lab.worlds.randomness import StreamArray, uniform_between
from ppo_lab.worlds.rules import Row, Rules, State, register

__all__ = ["CartPole"]

GRAVITY = 9.8
POLE_MASS = 0.1
TOTAL_MASS = POLE_MASS + 1.0
HALF_LENGTH = 0.5
POLE_MOMENT = POLE_MASS * HALF_LENGTH
PUSH = 10.0
SECONDS = 0.02
WIDEST = 2.4
STEEPEST = 12 * 2 * math.pi / 360
START = 0.05
RESTATED = {
    "gravity": GRAVITY,
    "masscart": 1.0,
    "masspole": POLE_MASS,
    "total_mass": TOTAL_MASS,
    "length": HALF_LENGTH,
    "polemass_length": POLE_MOMENT,
    "force_mag": PUSH,
    "tau": SECONDS,
    "kinematics_integrator": "euler",
    "theta_threshold_radians": STEEPEST,
    "x_threshold": WIDEST,
}
"""The environment's attributes that this world holds fast."""


class CartPole(NamedTuple):
    """A copy's state is (4,): position, velocity, angle, angular velocity.

    Attributes:
        sutton_barto_reward: 0 a step and −1 at the fall, in place of 1 a step.
    """

    sutton_barto_reward: bool


def _begin(world: CartPole, state: State, stream: StreamArray) -> None:
    for index in range(4):
        state[index] = uniform_between(stream, -START, START)


def _accepts(world: CartPole, action: Row) -> bool:
    return bool(action[0] == 0 or action[0] == 1)


def _advance(world: CartPole, state: State, action: Row, stream: StreamArray) -> tuple[float, bool]:
    x, x_dot, theta, theta_dot = state[0], state[1], state[2], state[3]
    force = PUSH if action[0] == 1 else -PUSH
    cosine, sine = math.cos(theta), math.sin(theta)
    thrust = (force + POLE_MOMENT * (theta_dot * theta_dot) * sine) / TOTAL_MASS
    angular = (GRAVITY * sine - cosine * thrust) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS)
    )
    linear = thrust - POLE_MOMENT * angular * cosine / TOTAL_MASS
    x = x + SECONDS * x_dot
    theta = theta + SECONDS * theta_dot
    state[0], state[1] = x, x_dot + SECONDS * linear
    state[2], state[3] = theta, theta_dot + SECONDS * angular
    fallen = x < -WIDEST or x > WIDEST or theta < -STEEPEST or theta > STEEPEST
    if world.sutton_barto_reward:
        return (-1.0 if fallen else 0.0), fallen
    return 1.0, fallen


def _observe(world: CartPole, state: State, out: Row) -> None:
    for index in range(4):
        out[index] = state[index]


register(CartPole, Rules(_begin, _accepts, _advance, _observe))
