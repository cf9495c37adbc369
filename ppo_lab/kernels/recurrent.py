"""PPO's step and acting where an LSTM lies before actor and critic each (Spec 6.2, 6.5).

The layers behind the LSTMs are those of ``layout.py``, whose row is what the two put out, one
after the other. All parameters are one flat vector: the actor's LSTM, the critic's, these layers.
"""

import math
from typing import NamedTuple

import numpy as np

from ppo_lab.kernels.acting import run_act
from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.compiling import entry_kernel, inlined_kernel, kernel
from ppo_lab.kernels.finishing import PLAIN
from ppo_lab.kernels.layout import (
    ACTOR,
    CRITIC,
    FIRST_LAYER,
    LAYER_INPUTS,
    LAYER_OUTPUTS,
    LAYER_UNITS,
    LAYER_WEIGHT,
    PACK,
    Layout,
)
from ppo_lab.kernels.losses import APPROX_KL, LOSS, Memory, loss_and_gradient
from ppo_lab.kernels.lstm import (
    LstmMemory,
    backward_in_time,
    forward_in_time,
    n_weights,
    pack_recurrent,
)
from ppo_lab.kernels.network import view
from ppo_lab.kernels.optimizer import adam_step, clip_factor, norm
from ppo_lab.kernels.products import input_gradient
from ppo_lab.kernels.settings import KL_LIMIT, MAX_GRAD_NORM
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Floats2D, Integers, Networks, Rollout

__all__ = ["FAILED", "STEPPED", "STOPPED", "RecurrentMemory", "act_once", "load", "take_step"]

STEPPED, STOPPED, FAILED = 0, 1, 2


class RecurrentMemory(NamedTuple):
    """What minibatches of at most N samples need.

    Attributes:
        actor: of its LSTM.
        critic: of its LSTM.
        behind: of the layers behind, for N samples at once.
        rows: (N, 2 H) what these see.
        gradient: (P,).
        in_order: (N,) 0, 1, 2, …
        ratios: (0,).
    """

    actor: LstmMemory
    critic: LstmMemory
    behind: Memory
    rows: Floats2D
    gradient: Floats
    in_order: Integers
    ratios: Floats

    @classmethod
    def of(cls, layout: Layout, n_parameters: int, rows: int) -> "RecurrentMemory":
        """Memory for so many samples."""
        width = layout.inputs
        behind = Memory(
            layout.workspace(rows),
            np.zeros((rows, layout.n_actions), layout.action_dtype),
            aligned_zeros(2 * layout.n_parameters).reshape(2, -1),
            Memory.of(layout, 1).sums,
        )
        return cls(
            LstmMemory.of(rows, width),
            LstmMemory.of(rows, width),
            behind,
            aligned_zeros(2 * rows * width).reshape(rows, 2 * width),
            aligned_zeros(n_parameters),
            np.arange(rows),
            np.empty(0, np.float32),
        )


@kernel
def begin(memory: LstmMemory, h: Floats2D, c: Floats2D) -> None:
    """Write the states (R, H) that sequences begin with."""
    for r in range(h.shape[0]):
        for j in range(h.shape[1]):
            memory.h_before[r, j], memory.c_before[r, j] = h[r, j], c[r, j]


@kernel
def gradient_by_inputs(networks: Networks, network: np.int64, into: Floats2D) -> None:
    """∂loss/∂a_0 (n, H) of one network, after its ``network.backward``."""
    plan, n = networks.plan, into.shape[0]
    layer = plan[FIRST_LAYER + network]
    n_in, n_out = plan[layer + LAYER_INPUTS], plan[layer + LAYER_OUTPUTS]
    start = plan[layer + LAYER_WEIGHT]
    weight = networks.params[start : start + n_in * n_out].reshape(n_out, n_in)
    delta = view(networks, plan[layer + LAYER_UNITS], n, n_out)
    pack = networks.work[networks.rows * plan[PACK] :]
    input_gradient(delta, weight, into, PLAIN, pack)


@inlined_kernel
def join(memory: RecurrentMemory, n: int) -> None:
    """What both LSTMs put out, side by side."""
    width = memory.actor.h.shape[1]
    for r in range(n):
        for j in range(width):
            memory.rows[r, j] = memory.actor.h[r, j]
            memory.rows[r, width + j] = memory.critic.h[r, j]


@entry_kernel
def take_step(
    x: Floats2D,
    counts: Integers,
    states: tuple[Floats2D, Floats2D, Floats2D, Floats2D],
    params: Floats,
    behind: Networks,
    m: Floats,
    v: Floats,
    n_steps: int,
    settings: Doubles,
    rates: Doubles,
    rollout: Rollout,
    memory: RecurrentMemory,
    row: Doubles,
) -> int:
    """One minibatch: loss and gradient, the guards, clipping of all together, Adam.

    Args:
        x: (n, I) samples, sorted as :mod:`ppo_lab.kernels.lstm` says; n ≤ N.
        counts: (T,) sequences that have each step.
        states: h and c (R, H) at the beginnings of the sequences, the actor's and the critic's.
        params: (P,); moved in place, as ``m`` and ``v`` are.
        behind: the layers behind the LSTMs, in ``memory.behind``'s workspace.
        m: (P,) of Adam.
        v: (P,) of Adam.
        n_steps: of Adam, this one included.
        settings: ``UpdateSettings.packed()``.
        rates: (4,) ``AdamSettings.packed()``.
        rollout: of the n samples; its observations are ``memory.rows[:n]``.
        memory: of N rows.
        row: (N_DIAGNOSTICS,); written.

    Returns:
        STEPPED; STOPPED where the KL passed its limit, FAILED where the loss or the norm is not
        finite: nothing was moved then.
    """
    n, inputs, width = x.shape[0], x.shape[1], memory.actor.h.shape[1]
    size = n_weights(inputs, width)
    gradient = memory.gradient
    begin(memory.actor, states[0], states[1])
    begin(memory.critic, states[2], states[3])
    pack_recurrent(params[:size], inputs, memory.actor, True)
    forward_in_time(x, counts, params[:size], memory.actor)
    pack_recurrent(params[size : 2 * size], inputs, memory.critic, True)
    forward_in_time(x, counts, params[size : 2 * size], memory.critic)
    join(memory, n)
    loss_and_gradient(
        behind, settings, rollout, memory.in_order[:n], memory.behind, row, memory.ratios
    )
    if row[APPROX_KL] > settings[KL_LIMIT]:
        return STOPPED
    gradient_by_inputs(behind, ACTOR, memory.actor.d_h[:n])
    gradient_by_inputs(behind, CRITIC, memory.critic.d_h[:n])
    backward_in_time(x, counts, params[:size], memory.actor, gradient[:size])
    backward_in_time(x, counts, params[size : 2 * size], memory.critic, gradient[size : 2 * size])
    for j in range(params.size - 2 * size):
        gradient[2 * size + j] = memory.behind.gradients[0, j]
    length = norm(gradient)
    if not (math.isfinite(row[LOSS]) and math.isfinite(length)):
        return FAILED
    adam_step(params, gradient, m, v, n_steps, rates, clip_factor(length, settings[MAX_GRAD_NORM]))
    return STEPPED


@entry_kernel
def load(params: Floats, inputs: int, memory: RecurrentMemory) -> None:
    """Lay the LSTMs' weights out for :func:`act_once`, once for a rollout."""
    size = n_weights(inputs, memory.actor.h.shape[1])
    pack_recurrent(params[:size], inputs, memory.actor, True)
    pack_recurrent(params[size : 2 * size], inputs, memory.critic, True)


@entry_kernel
def act_once(
    x: Floats2D,
    counts: Integers,
    states: tuple[Floats2D, Floats2D, Floats2D, Floats2D],
    params: Floats,
    behind: Networks,
    noise: Doubles,
    memory: RecurrentMemory,
    actions: Actions,
    values: Floats,
    log_probs: Floats,
) -> int:
    """A ~ π, V and log π of K environments after :func:`load`; new states are in ``memory``.

    Args:
        x: (K, I).
        counts: (1,) K.
        states: (K, H) each, as of :func:`take_step`.
        params: (P,).
        behind: the layers behind.
        noise: (K, action columns) as of ``acting.act``.
        memory: of K rows at least.
        actions: (K, action columns); written.
        values: (K,); written.
        log_probs: (K,); written.

    Returns:
        As ``acting.act``.
    """
    n, inputs, width = x.shape[0], x.shape[1], memory.actor.h.shape[1]
    size = n_weights(inputs, width)
    begin(memory.actor, states[0], states[1])
    begin(memory.critic, states[2], states[3])
    forward_in_time(x, counts, params[:size], memory.actor)
    forward_in_time(x, counts, params[size : 2 * size], memory.critic)
    join(memory, n)
    bad: int = run_act(
        behind.params, behind.plan, memory.rows[:n], noise, behind.work, actions, values, log_probs
    )
    return bad
