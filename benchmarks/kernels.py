"""Microseconds a minibatch update: compiled beside eager torch, and beside np.dot of its shapes.

    python benchmarks/kernels.py [--rounds 9] [--inputs 4] [--widths 64 64] [--activation tanh]
        [--head categorical] [--outputs 2]

Every round times the three sides in turn, on one thread; medians over the rounds are printed, and
ratios only where the rounds do not overlap. CPU time of the thread, so that other programs on the
machine disturb less. The share is of what a large sgemm makes on this core, in the same run.
"""

# isort: off
from clocks import blas_kernel, fma_rate, ratio, rounds_of, sgemm_rate  # before numpy

# isort: on
import argparse
import platform
import time
from collections.abc import Callable
from itertools import pairwise

import numba
import numpy as np
import torch as th
from torch import nn

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


def print_row(layout: Layout, batch: int, rounds: int, sgemm: float) -> None:
    """Time the three sides at one size of minibatches, in turn, and print them."""
    rollout = rollout_of(layout, batch * MINIBATCHES, np.random.default_rng(1))
    dots, operations = dot_side(layout, batch)
    sides = [kernel_side(layout, rollout, batch), torch_side(layout, rollout, batch), dots]
    ours, torchs, numpys = (
        [total / n for total in column]
        for column, n in zip(
            rounds_of(sides, rounds),
            (MINIBATCHES * EPOCHS, MINIBATCHES, MINIBATCHES),
            strict=True,
        )
    )
    rates = [operations / np.median(side) / 1e9 for side in (ours, numpys)]
    print(
        f"{batch:9d} {np.median(ours) * 1e6:9.1f} {np.median(torchs) * 1e6:8.1f}"
        f" {ratio(torchs, ours, 1):>15s} {rates[0]:9.1f} {rates[1]:7.1f}"
        f" {rates[0] / sgemm:14.2f}  {ratio(numpys, ours)}"
    )


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--widths", type=int, nargs="*", default=[64, 64])
    parser.add_argument("--activation", choices=["tanh", "relu"], default="tanh")
    parser.add_argument("--head", choices=["categorical", "gaussian"], default="categorical")
    parser.add_argument("--outputs", type=int, default=2)
    arguments = parser.parse_args()
    th.set_num_threads(1)
    widths = tuple(arguments.widths)
    layout = Layout(
        arguments.inputs,
        widths,
        widths,
        arguments.activation,
        arguments.head,
        (arguments.outputs,),
    )
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numba {numba.__version__}, "
        f"numpy {np.__version__}, torch {th.__version__}; medians of {arguments.rounds} rounds"
    )
    sgemm = sgemm_rate()
    print(f"BLAS: {blas_kernel()}")
    print(f"this core: multiply-adds {fma_rate():.1f} GFLOP/s, a large sgemm {sgemm:.1f}")
    print(f"kernels loaded or compiled in {warm_up(layout):.1f} s; {layout}")
    print("           microseconds a minibatch        GFLOP/s of the products  of the")
    print("minibatch  compiled    torch  torch/compiled  compiled  np.dot  core's sgemm  np.dot's")
    for batch in (64, 256, 2048):
        print_row(layout, batch, arguments.rounds, sgemm)
    acting(layout, arguments.rounds)


def acting(layout: Layout, rounds: int) -> None:
    """Print microseconds of one call that chooses one action."""
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
        started = time.thread_time()
        for _ in range(2000):
            run_act(params, layout.plan, *arrays)
        found.append((time.thread_time() - started) / 2000)
    print(f"act, one environment: {np.median(found) * 1e6:.1f} µs a call")


if __name__ == "__main__":
    main()
