"""Microseconds a minibatch update: compiled beside eager torch, and beside np.dot of its shapes.

    python -m benchmarks.kernels [--rounds 5] [--networks small wide]

Every round times the three sides and one large sgemm in turn, on one thread; medians over the
rounds are printed, and ratios only where the rounds do not overlap. CPU time, so that other
programs on the machine disturb less. The goals are shares of what the large sgemm makes on this
core. Exits with 1 if one is missed or not shown.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import argparse
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import torch as th
from torch import nn

from benchmarks.clocks import ranges, ratio, ratio_of, rounds_of
from benchmarks.comparison import met, verdict
from benchmarks.machine import described
from benchmarks.page_marks import Printed
from benchmarks.peak import LARGE_OPERATIONS, core_peak, large_sgemm
from ppo_lab.kernels.acting import run_act
from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.losses import Memory
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout
from ppo_lab.kernels.update import Adam, update
from ppo_lab.kernels.warm_up import warm_up
from ppo_lab.ppo import objectives as obj
from ppo_lab.ppo.advantages import normalize_advantages

MINIBATCHES, EPOCHS = 16, 10
"""Minibatches of an epoch, and epochs of one compiled update; the other sides do one epoch."""
NETWORKS = {
    "small": Layout(4, (64, 64), (64, 64), "tanh", "categorical", (2,)),
    "wide": Layout(17, (256, 256), (256, 256), "relu", "gaussian", (6,)),
}
"""SB3's for CartPole, and RL Zoo's for HalfCheetah."""
GOALS = {
    "small": {64: 0.75, 256: 0.8, 2048: 0.8},
    "wide": {64: 0.8, 256: 0.8, 2048: 0.8},
}
"""Shares of the large sgemm, at least, by minibatch."""


def rollout_of(layout: Layout, n: int, rng: np.random.Generator) -> Rollout:
    """Random transitions."""
    gaussian = layout.head == "gaussian"
    shape = (n, layout.n_actions)
    actions = rng.standard_normal(shape) if gaussian else np.zeros(shape)
    rest = [rng.standard_normal(n).astype(np.float32) for _ in range(4)]
    rest[1] = np.full(n, -1.0, np.float32)
    observations = rng.standard_normal((n, layout.inputs)).astype(np.float32)
    return Rollout(observations, actions.astype(layout.action_dtype), *rest)


def kernel_side(layout: Layout, rollout: Rollout, batch: int) -> Callable[[], None]:
    """One compiled update of ten epochs."""
    rng = np.random.default_rng(0)
    params = aligned_zeros(layout.n_parameters)
    params += 0.1 * rng.standard_normal(layout.n_parameters).astype(np.float32)
    order = np.stack([rng.permutation(len(rollout.returns)) for _ in range(EPOCHS)])
    adam, memory, options = Adam.zeros(layout), Memory.of(layout, batch), UpdateSettings()
    rates = AdamSettings()

    def epochs() -> None:
        done = update(layout, params, adam, rollout, order, batch, options, rates, rates, memory)
        assert done.failure is None

    return epochs


def network(widths: tuple[int, ...], activation: str) -> nn.Sequential:
    """Linear layers with the activation between them."""
    between = nn.Tanh if activation == "tanh" else nn.ReLU
    layers = [m for pair in pairwise(widths) for m in (nn.Linear(*pair), between())]
    return nn.Sequential(*layers[:-1])


def torch_side(layout: Layout, rollout: Rollout, batch: int) -> Callable[[], None]:
    """One epoch of the same in eager torch, without SB3's wrappers."""
    actor = network((layout.inputs, *layout.actor, layout.n_outputs), layout.activation)
    critic = network((layout.inputs, *layout.critic, 1), layout.activation)
    log_std = nn.Parameter(th.zeros(layout.n_outputs))
    parameters = [*actor.parameters(), log_std, *critic.parameters()]
    optimizer = th.optim.Adam(parameters, lr=3e-4, eps=1e-5)
    tensors = [th.as_tensor(array) for array in rollout]
    order = th.as_tensor(np.random.default_rng(0).permutation(len(rollout.returns)))

    def epoch() -> None:
        for indices in order.split(batch):
            observations, actions, values, log_probs, advantages, returns = (
                tensor[indices] for tensor in tensors
            )
            outputs = actor(observations)
            if layout.head == "gaussian":
                normal = th.distributions.Normal(outputs, log_std.exp().expand_as(outputs))
                log_prob, entropy = normal.log_prob(actions).sum(1), normal.entropy().sum(1)
            else:
                categorical = th.distributions.Categorical(logits=outputs)
                log_prob, entropy = categorical.log_prob(actions[:, 0]), categorical.entropy()
            ratio = obj.probability_ratio(log_prob, log_probs)
            surrogate = obj.clipped_surrogate(ratio, normalize_advantages(advantages), 0.2)
            value_loss = obj.value_loss(critic(observations).flatten(), returns, values, None)
            loss = obj.total_loss(surrogate, value_loss, entropy.mean(), 0.5, 0.0)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 0.5)
            optimizer.step()

    return epoch


@numba.njit
def dot_epoch(layers, deeper, times):  # type: ignore[no-untyped-def]
    """Every product of an update, ``times`` times, and nothing else."""
    for _ in range(times):
        for below, weight, delta, above, gradient in layers:
            np.dot(below, weight.T, above)
            np.dot(delta.T, below, gradient)
        for delta, weight, flow in deeper:
            np.dot(delta, weight, flow)


def dot_side(layout: Layout, batch: int) -> tuple[Callable[[], None], float]:
    """np.dot of the same shapes, and the floating-point operations of a minibatch."""
    rng = np.random.default_rng(0)
    layers, deeper, operations = [], [], 0.0
    for hidden, out in ((layout.actor, layout.n_outputs), (layout.critic, 1)):
        for index, (n_in, n_out) in enumerate(pairwise((layout.inputs, *hidden, out))):
            shapes = ((batch, n_in), (n_out, n_in), (batch, n_out))
            below, weight, delta = (rng.standard_normal(s).astype(np.float32) for s in shapes)
            layers.append((below, weight, delta, delta.copy(), weight.copy()))
            if index > 0:
                deeper.append((delta, weight, below.copy()))
            operations += (4.0 if index == 0 else 6.0) * batch * n_in * n_out
    arrays = tuple(layers), tuple(deeper)
    return lambda: dot_epoch(*arrays, MINIBATCHES), operations


def row(layout: Layout, batch: int, rounds: int, goal: float) -> tuple[str, str]:
    """Time all sides at one size of minibatches, in turn: a line, and the goal's."""
    rollout = rollout_of(layout, batch * MINIBATCHES, np.random.default_rng(1))
    dots, operations = dot_side(layout, batch)
    sides = [
        kernel_side(layout, rollout, batch),
        torch_side(layout, rollout, batch),
        dots,
        large_sgemm(),
    ]
    each = (MINIBATCHES * EPOCHS, MINIBATCHES, MINIBATCHES, 1)
    ours, torchs, numpys, large = (
        [total / n for total in column]
        for column, n in zip(rounds_of(sides, rounds), each, strict=True)
    )
    rate, numpys_rate = ([operations / spent / 1e9 for spent in side] for side in (ours, numpys))
    sgemm = [LARGE_OPERATIONS / spent / 1e9 for spent in large]
    share = ratio_of(rate, sgemm)
    told = ranges(rate, sgemm) if share is None else f"{share:.2f}"
    line = (
        f"{batch:9d} {np.median(ours) * 1e6:9.1f} {np.median(torchs) * 1e6:8.1f}"
        f" {ratio(torchs, ours, 1):>15s} {np.median(rate):9.1f} {np.median(numpys_rate):7.1f}"
        f" {np.median(sgemm):6.1f}  {ratio(rate, numpys_rate)}"
    )
    return (
        line,
        f"share of the large sgemm at {batch}: {told}, goal ≥ {goal:g}: {verdict(share, goal)}",
    )


def main() -> int:
    """Time and print; 0 if every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    arguments = parser.parse_args()
    th.set_num_threads(1)
    say = Printed()
    for line in (*described(), core_peak()):
        say(line)
    goals: list[str] = []
    for name in arguments.networks:
        layout = NETWORKS[name]
        say(f"\n{layout}")
        # Not a figure of this page: it depends on whether they were compiled before.
        warm_up(layout)
        say("           microseconds a minibatch        GFLOP/s of the products     compiled")
        say("minibatch  compiled    torch  torch/compiled  compiled  np.dot  sgemm  / np.dot")
        for batch, goal in GOALS[name].items():
            line, told = row(layout, batch, arguments.rounds, goal)
            say(line)
            goals.append(told)
        for told in goals[-len(GOALS[name]) :]:
            say(told)
        say(acting(layout, arguments.rounds))
    say.write(arguments.write, "kernels")
    return 0 if met(goals) else 1


def acting(layout: Layout, rounds: int) -> str:
    """Microseconds of one call that chooses one action, in a line."""
    params = np.zeros(layout.n_parameters, np.float32)
    arrays = (
        np.zeros((1, layout.inputs), np.float32),
        np.full((1, layout.n_actions), 0.5),
        layout.workspace(1),
        np.zeros((1, layout.n_actions), layout.action_dtype),
        np.zeros(1, np.float32),
        np.zeros(1, np.float32),
    )
    found = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(2000):
            run_act(params, layout.plan, *arrays)
        found.append((time.process_time() - started) / 2000)
    return f"act, one environment: {np.median(found) * 1e6:.1f} µs a call"


if __name__ == "__main__":
    sys.exit(main())
