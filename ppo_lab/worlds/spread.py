"""MPE's ``simple_spread_v3`` as a compiled game, in double precision as mpe2 computes it.

N agents are points of mass 1 that push each other apart where they touch; N landmarks lie still.
In a step of dt = 0.1 an agent's position moves by dt times its velocity, whose quarter is lost
before dt times the force is added: its own, of size 5 along an axis, and from each agent at
distance d the contact's, 100 k log(1 + exp((0.3 − d) / k)) with k = 10⁻³, away from it.

Source: R. Lowe et al., Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments
(2017), as mpe2 has it. Operations are in its order, so that the bits are the same.
"""

import math
from typing import NamedTuple

import numpy as np

from envs.mdp import FloatArray
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.worlds.game_stepping import Shown
from ppo_lab.worlds.randomness import StreamArray, uniform_between
from ppo_lab.worlds.rules import Row, Rules, State, register

__all__ = ["AGENT", "CONSTANTS", "LANDMARK", "Spread", "log_add_exps"]

DT, DAMPING, CONTACT_FORCE, CONTACT_MARGIN, SIZE = 0.1, 0.25, 1e2, 1e-3, 0.15
SENSITIVITY, CAPTURE_RADIUS = 5.0, 0.1
CONSTANTS = {
    "dt": DT, "damping": DAMPING, "contact_force": CONTACT_FORCE,
    "contact_margin": CONTACT_MARGIN, "dim_p": 2, "dim_c": 2,
}  # fmt: skip
"""What mpe2's ``World`` has, by its names."""
AGENT = {
    "size": SIZE, "movable": True, "collide": True, "silent": True, "u_noise": None,
    "accel": None, "max_speed": None, "initial_mass": 1.0, "action_callback": None,
}  # fmt: skip
LANDMARK = {"movable": False, "collide": False}
"""What its agents and landmarks have."""
N_MOVES = 5
"""Nothing, left, right, down, up."""
TOUCHING = SIZE + SIZE
LOG_2 = math.log(2.0)


class Spread(NamedTuple):
    """A game's arguments; a copy's state is (6·N,): agents' places and speeds, landmarks' places.

    Attributes:
        local_ratio: weight of an agent's own collisions, in [0, 1].
        max_cycles: steps after which a game is cut off.
        terminates: whether it ends when every landmark has an agent within 0.1.
        shown: see :class:`~ppo_lab.worlds.game_stepping.Shown`.
    """

    local_ratio: float
    max_cycles: int
    terminates: bool
    shown: Shown


@exact_kernel
def log_add_exp(x: float, y: float) -> float:
    """The function log(eˣ + eʸ) as NumPy's ``logaddexp`` computes it."""
    if x == y:
        return x + LOG_2
    difference = x - y
    if difference > 0.0:
        return x + math.log1p(math.exp(-difference))
    return y + math.log1p(math.exp(difference))


@exact_entry_kernel
def log_add_exps(numbers: FloatArray) -> FloatArray:
    """The function log(1 + eʸ) of each number, as the contacts take it."""
    results = np.empty_like(numbers)
    for index in range(numbers.size):
        results[index] = log_add_exp(0.0, numbers[index])
    return results


@exact_kernel
def _distance(state: State, one: int, other: int) -> float:
    """Between the points whose first numbers these are."""
    across, along = state[one] - state[other], state[one + 1] - state[other + 1]
    return math.sqrt(across * across + along * along)


@exact_kernel
def _nearest(world: Spread, state: State, landmark: int) -> float:
    """A landmark's distance from the nearest agent."""
    place = 4 * world.shown.n_agents + 2 * landmark
    least = _distance(state, 0, place)
    for agent in range(1, world.shown.n_agents):
        distance = _distance(state, 2 * agent, place)
        if distance < least:
            least = distance
    return least


@exact_kernel
def _contacts(state: State, forces: FloatArray) -> None:
    """Add to ``forces`` (N, 2) what agents that touch do to each other."""
    for one in range(forces.shape[0]):
        for other in range(one + 1, forces.shape[0]):
            apart = _distance(state, 2 * one, 2 * other)
            depth = log_add_exp(0.0, -(apart - TOUCHING) / CONTACT_MARGIN) * CONTACT_MARGIN
            for axis in range(2):
                between = state[2 * one + axis] - state[2 * other + axis]
                force = CONTACT_FORCE * between / apart * depth
                forces[one, axis] = force + forces[one, axis]
                forces[other, axis] = -force + forces[other, axis]


@exact_kernel
def _own_forces(actions: Row, forces: FloatArray) -> None:
    """Write into ``forces`` (N, 2) what agents do themselves, by a move or five numbers each."""
    for agent in range(forces.shape[0]):
        for axis in range(2):
            back, forth = 1 + 2 * axis, 2 + 2 * axis
            if actions.shape[1] == 1:
                move = actions[agent, 0]
                push = -1.0 if move == back else 1.0 if move == forth else 0.0
            else:
                push = 0.0 + float(actions[agent, forth] - actions[agent, back])
            forces[agent, axis] = push * SENSITIVITY


def _begin(world: Spread, state: State, stream: StreamArray) -> None:
    n_agents = world.shown.n_agents
    for number in range(2 * n_agents):
        state[number] = uniform_between(stream, -1.0, 1.0)
    for number in range(2 * n_agents, 4 * n_agents):
        state[number] = 0.0
    for number in range(4 * n_agents, 6 * n_agents):
        state[number] = uniform_between(stream, -1.0, 1.0)


def _accepts(world: Spread, actions: Row) -> bool:
    most = N_MOVES - 1 if actions.shape[1] == 1 else 1
    for agent in range(world.shown.n_agents):
        for column in range(actions.shape[1]):
            if not 0 <= actions[agent, column] <= most:
                return False
    return True


def _advance(
    world: Spread, state: State, actions: Row, stream: StreamArray, n_steps: int, paid: FloatArray
) -> tuple[bool, bool]:
    n_agents = world.shown.n_agents
    forces = np.empty((n_agents, 2))
    _own_forces(actions, forces)
    _contacts(state, forces)
    for number in range(2 * n_agents):
        speed = 2 * n_agents + number
        state[number] += state[speed] * DT
        state[speed] = state[speed] * (1 - DAMPING)
        state[speed] += forces[number // 2, number % 2] * DT
    together, covered = 0.0, True
    for landmark in range(n_agents):
        nearest = _nearest(world, state, landmark)
        together -= nearest
        covered = covered and nearest < CAPTURE_RADIUS
    for agent in range(n_agents):
        own = 0.0
        for other in range(n_agents):
            if other != agent and _distance(state, 2 * other, 2 * agent) < TOUCHING:
                own -= 1.0
        paid[agent] = together * (1 - world.local_ratio) + own * world.local_ratio
    is_late = n_steps >= world.max_cycles
    return world.terminates and covered and not is_late, is_late


@exact_kernel
def _see(world: Spread, state: State, agent: int, out: Row) -> None:
    """Write what an agent sees into the first numbers of ``out``."""
    n_agents = world.shown.n_agents
    place, column = 2 * agent, 4
    for axis in range(2):
        out[axis] = state[2 * n_agents + place + axis]
        out[2 + axis] = state[place + axis]
    for landmark in range(n_agents):
        for axis in range(2):
            out[column] = state[4 * n_agents + 2 * landmark + axis] - state[place + axis]
            column += 1
    for other in range(n_agents):
        if other != agent:
            for axis in range(2):
                out[column] = state[2 * other + axis] - state[place + axis]
                column += 1
    for silent in range(column, world.shown.width):  # nobody says anything
        out[silent] = 0.0


def _observe(world: Spread, state: State, rows: Row) -> None:
    for agent in range(world.shown.n_agents):
        _see(world, state, agent, rows[agent])


def _tell(world: Spread, state: State, out: Row) -> None:
    for agent in range(world.shown.n_agents):
        _see(world, state, agent, out[agent * world.shown.width :])


register(Spread, Rules(_begin, _accepts, _advance, _observe, tell=_tell))
