"""PPO with environment, rollout and update in one JAX program: the peer of ``compiled.py``.

Written from the published description of PureJaxRL (Lu et al., Discovered Policy Optimisation,
2022): environments stepped by ``vmap``, rollouts, epochs and minibatches by ``lax.scan``, one jit
around all. As there, a time limit counts as a termination. Networks, loss and Adam are those of
SB3's defaults. Needs ``jax`` alone.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

GAMMA, LAMBDA, CLIP, RATE, LARGEST_NORM, VALUE_WEIGHT = 0.99, 0.95, 0.2, 3e-4, 0.5, 0.5
HIDDEN = 64
Array = jax.Array
Tree = Any


# ---------------------------------------------------------------------- environments


def cartpole_begin(key: Array) -> Array:
    """Position, velocity, angle, angular velocity."""
    return random.uniform(key, (4,), minval=-0.05, maxval=0.05)


def cartpole_step(state: Array, action: Array) -> tuple[Array, Array, Array]:
    """Gymnasium's equations of motion; state, reward, whether it fell."""
    _, x_dot, theta, theta_dot = state
    force = jnp.where(action == 1, 10.0, -10.0)
    cosine, sine = jnp.cos(theta), jnp.sin(theta)
    thrust = (force + 0.05 * theta_dot**2 * sine) / 1.1
    angular = (9.8 * sine - cosine * thrust) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / 1.1))
    linear = thrust - 0.05 * angular * cosine / 1.1
    moved = state + 0.02 * jnp.stack([x_dot, linear, theta_dot, angular])
    fallen = (jnp.abs(moved[0]) > 2.4) | (jnp.abs(moved[2]) > 12 * 2 * math.pi / 360)
    return moved, jnp.float32(1.0), fallen


def pendulum_begin(key: Array) -> Array:
    """Angle, angular velocity."""
    return random.uniform(key, (2,), minval=-1.0, maxval=1.0) * jnp.array([math.pi, 1.0])


def pendulum_step(state: Array, action: Array) -> tuple[Array, Array, Array]:
    """Gymnasium's equations of motion; state, reward, never an end."""
    theta, speed = state
    torque = jnp.clip(action[0], -2.0, 2.0)
    angle = (theta + math.pi) % (2 * math.pi) - math.pi
    cost = angle**2 + 0.1 * speed**2 + 0.001 * torque**2
    speed = jnp.clip(speed + (15.0 * jnp.sin(theta) + 3.0 * torque) * 0.05, -8.0, 8.0)
    return jnp.stack([theta + speed * 0.05, speed]), -cost, jnp.bool_(False)


def pendulum_observe(state: Array) -> Array:
    """Cosine and sine of the angle, angular velocity."""
    return jnp.stack([jnp.cos(state[0]), jnp.sin(state[0]), state[1]])


# begin, step, observe, time limit, inputs, outputs, whether actions are continuous
ENVIRONMENTS: dict[str, tuple[Any, Any, Any, int, int, int, bool]] = {
    "CartPole-v1": (cartpole_begin, cartpole_step, lambda state: state, 500, 4, 2, False),
    "Pendulum-v1": (pendulum_begin, pendulum_step, pendulum_observe, 200, 3, 1, True),
}


# ---------------------------------------------------------------------- networks and loss


def new_network(key: Array, inputs: int, outputs: int, last_gain: float) -> Tree:
    """Two hidden layers, orthogonal weights."""
    widths, gains = (inputs, HIDDEN, HIDDEN, outputs), (math.sqrt(2), math.sqrt(2), last_gain)
    keys = random.split(key, 3)
    make = [jax.nn.initializers.orthogonal(gain) for gain in gains]
    shapes = pairwise(widths)
    return [
        (orthogonal(one, shape), jnp.zeros(shape[1]))
        for orthogonal, one, shape in zip(make, keys, shapes, strict=True)
    ]


def forward(network: Tree, inputs: Array) -> Array:
    """Apply the layers with tanh between."""
    for weight, bias in network[:-1]:
        inputs = jnp.tanh(inputs @ weight + bias)
    return inputs @ network[-1][0] + network[-1][1]


def log_prob(params: Tree, outputs: Array, actions: Array, continuous: bool) -> Array:
    """The logarithm of π(a|s), of a batch."""
    if not continuous:
        return jnp.take_along_axis(jax.nn.log_softmax(outputs), actions[:, None], 1)[:, 0]
    log_std = params["log_std"]
    z = (actions - outputs) / jnp.exp(log_std)
    return (-0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(axis=1)


def loss(params: Tree, batch: Tree, continuous: bool) -> Array:
    """−L^CLIP + c_v · value loss, advantages normalised over the minibatch."""
    observations, actions, old_log_prob, advantages, returns = batch
    new = log_prob(params, forward(params["actor"], observations), actions, continuous)
    ratio = jnp.exp(new - old_log_prob)
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - CLIP, 1.0 + CLIP) * advantages
    objective = jnp.minimum(ratio * advantages, clipped).mean()
    values = forward(params["critic"], observations)[:, 0]
    return VALUE_WEIGHT * ((returns - values) ** 2).mean() - objective


def adam(params: Tree, moments: Tree, gradients: Tree) -> tuple[Tree, Tree]:
    """One step with the gradient's norm clipped."""
    first, second, count = moments
    leaves = jax.tree.leaves(gradients)
    norm = jnp.sqrt(sum((leaf**2).sum() for leaf in leaves))
    scale = jnp.minimum(1.0, LARGEST_NORM / (norm + 1e-6))
    gradients = jax.tree.map(lambda g: g * scale, gradients)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradients)
    rate = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    params = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-5), params, first, second
    )
    return params, (first, second, count)


# ---------------------------------------------------------------------- training


def jax_trainer(
    env_id: str, n_envs: int, n_steps: int, batch_size: int, n_epochs: int
) -> Callable[[int], None]:
    """A function that trains for so many rollouts, compiled at its first call."""
    begin, step, observe, limit, inputs, outputs, continuous = ENVIRONMENTS[env_id]
    n_samples = n_envs * n_steps

    def play(carry: Tree, _: None) -> tuple[Tree, Tree]:
        params, states, steps, key = carry
        key, choosing, beginning = random.split(key, 3)
        observations = jax.vmap(observe)(states)
        out = forward(params["actor"], observations)
        if continuous:
            actions = out + jnp.exp(params["log_std"]) * random.normal(choosing, out.shape)
        else:
            actions = random.categorical(choosing, out)
        chances = log_prob(params, out, actions, continuous)
        values = forward(params["critic"], observations)[:, 0]
        states, rewards, ended = jax.vmap(step)(states, actions)
        steps = steps + 1
        dones = ended | (steps >= limit)
        fresh = jax.vmap(begin)(random.split(beginning, n_envs))
        states = jnp.where(dones[:, None], fresh, states)
        steps = jnp.where(dones, 0, steps)
        row = (observations, actions, chances, values, rewards, dones)
        return (params, states, steps, key), row

    def advantages_of(values: Array, rewards: Array, dones: Array, last: Array) -> Array:
        def back(carry: Tree, row: Tree) -> tuple[Tree, Array]:
            advantage, following = carry
            value, reward, done = row
            going_on = 1.0 - done
            delta = reward + GAMMA * following * going_on - value
            advantage = delta + GAMMA * LAMBDA * going_on * advantage
            return (advantage, value), advantage

        start = (jnp.zeros_like(last), last)
        return lax.scan(back, start, (values, rewards, dones), reverse=True)[1]

    def minibatch(carry: Tree, batch: Tree) -> tuple[Tree, None]:
        params, moments = carry
        return adam(params, moments, jax.grad(loss)(params, batch, continuous)), None

    def epoch(carry: Tree, key: Array, samples: Tree) -> tuple[Tree, None]:
        order = random.permutation(key, n_samples).reshape(-1, batch_size)
        batches = jax.tree.map(lambda each: each[order], samples)
        return lax.scan(minibatch, carry, batches)

    def train_once(carry: Tree, _: None) -> tuple[Tree, None]:
        params, moments, states, steps, key = carry
        key, playing, learning = random.split(key, 3)
        (_, states, steps, _), rows = lax.scan(
            play, (params, states, steps, playing), None, length=n_steps
        )
        observations, actions, chances, values, rewards, dones = rows
        last = forward(params["critic"], jax.vmap(observe)(states))[:, 0]
        advantages = advantages_of(values, rewards, dones, last)
        samples = jax.tree.map(
            lambda each: each.reshape(n_samples, *each.shape[2:]),
            (observations, actions, chances, advantages, advantages + values),
        )
        keys = random.split(learning, n_epochs)
        (params, moments), _ = lax.scan(partial(epoch, samples=samples), (params, moments), keys)
        return (params, moments, states, steps, key), None

    whole = jax.jit(
        lambda carry, count: lax.fori_loop(0, count, lambda _, c: train_once(c, None)[0], carry)
    )
    keys = random.split(random.key(0), 4)
    params = {
        "actor": new_network(keys[0], inputs, outputs, 0.01),
        "critic": new_network(keys[1], inputs, 1, 1.0),
        "log_std": jnp.zeros(outputs),
    }
    zeros = jax.tree.map(jnp.zeros_like, params)
    states = jax.vmap(begin)(random.split(keys[2], n_envs))
    moments = (zeros, zeros, jnp.float32(0.0))
    carry = (params, moments, states, jnp.zeros(n_envs, jnp.int32), keys[3])

    def train(rollouts: int) -> None:
        nonlocal carry
        carry = jax.block_until_ready(whole(carry, rollouts))

    return train
