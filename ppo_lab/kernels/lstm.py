"""A layer of LSTM cells forwards, and backwards through time (Hochreiter and Schmidhuber 1997).

z_t = W_x x_t + W_h h_{t−1} + b_x + b_h in four parts i, f, g, o; c_t = σ(f) c_{t−1} + σ(i) tanh g,
h_t = σ(o) tanh c_t, as ``torch.nn.LSTM`` has them. Rows are sorted by step, and within each step by
the lengths of their sequences, longest first: the first ``counts[t]`` sequences have a step t, and
what they carry lies in consecutive rows.
"""

from typing import NamedTuple

import numpy as np

from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.compiling import inlined_kernel, kernel
from ppo_lab.kernels.elementary import exp, tanh
from ppo_lab.kernels.finishing import PLAIN
from ppo_lab.kernels.layout import PANEL, TILE
from ppo_lab.kernels.panels import copy_panel
from ppo_lab.kernels.products import (
    WIDE,
    flat,
    meet_rows,
    outputs,
    sum_rows,
    weight_gradient,
)
from ppo_lab.kernels.typing import Floats, Floats2D, Integers

__all__ = ["LstmMemory", "backward_in_time", "forward_in_time", "n_weights", "pack_recurrent"]

ONE, ZERO = np.float32(1.0), np.float32(0.0)


class LstmMemory(NamedTuple):
    """What one layer of H cells keeps of N rows.

    Attributes:
        gates: (N, 4 H) σ(i), σ(f), tanh g, σ(o); after the way back ∂loss/∂z.
        h: (N, H) what it puts out.
        c: (N, H) what it keeps.
        h_before: (N, H) h of the step before; of each first step the caller writes it.
        c_before: (N, H) likewise.
        d_h: (N, H) ∂loss/∂h by what is behind the layer, for the way back.
        carried: (N, 4 H) scratch.
        d_c: (N, H) scratch.
        recurrent: (4 H²,) W_h as the products read it.
        bias: (4 H,) scratch.
        pack: scratch of the products.
    """

    gates: Floats2D
    h: Floats2D
    c: Floats2D
    h_before: Floats2D
    c_before: Floats2D
    d_h: Floats2D
    carried: Floats2D
    d_c: Floats2D
    recurrent: Floats
    bias: Floats
    pack: Floats

    @classmethod
    def of(cls, rows: int, width: int) -> "LstmMemory":
        """Memory for so many rows and cells."""

        def table(columns: int) -> Floats2D:
            return aligned_zeros(rows * columns).reshape(rows, columns)

        return cls(
            gates=table(4 * width),
            h=table(width),
            c=table(width),
            h_before=table(width),
            c_before=table(width),
            d_h=table(width),
            carried=table(4 * width),
            d_c=table(width),
            recurrent=aligned_zeros(4 * width * width),
            bias=aligned_zeros(4 * width),
            pack=aligned_zeros(PANEL * (4 * width + 2) + 2 * TILE),
        )


@inlined_kernel
def n_weights(inputs: int, width: int) -> int:
    """Numbers of one layer: W_x (4 H, I), W_h (4 H, H), b_x and b_h (4 H), one after the other."""
    return 4 * width * (inputs + width + 2)


@kernel
def pack_recurrent(w: Floats, inputs: int, memory: LstmMemory, turned: bool) -> None:
    """Lay W_h out for the products: turned for h W_hᵀ forwards, as it is for δ W_h backwards."""
    width = memory.h.shape[1]
    n_in, n_out = (width, 4 * width) if turned else (4 * width, width)
    by_row, by_column = (1, width) if turned else (width, 1)
    recurrent = w[4 * width * inputs :]
    for first in range(0, n_out, WIDE):
        into = memory.recurrent[first * n_in :]
        copy_panel(recurrent, by_row, by_column, first, WIDE, WIDE, n_in, into)


@kernel
def times(a: Floats2D, packed: Floats, into: Floats2D, pack: Floats) -> None:
    """``into`` (m, n) ← A (m, k) B, B (k, n) as :func:`pack_recurrent` left it."""
    (m, k), n = a.shape, into.shape[1]
    nothing, rest = pack[:WIDE], pack[WIDE:]
    for j in range(WIDE):
        nothing[j] = ZERO
    for first in range(0, n, WIDE):
        meet_rows(
            nothing, flat(a), k, 1, packed, first * k, WIDE, flat(into), first, n, m, k, WIDE,
            PLAIN, rest,
        )  # fmt: skip


@inlined_kernel
def logistic(x: np.float32) -> np.float32:
    """σ(x) = 1 / (1 + e^−x)."""
    return ONE / (ONE + exp(-x))


@kernel
def forward_in_time(x: Floats2D, counts: Integers, w: Floats, memory: LstmMemory) -> None:
    """h_t and c_t of all steps, after :func:`pack_recurrent`.

    Args:
        x: (n, I) what the layer sees.
        counts: (T,) sequences that have each step.
        w: as of :func:`n_weights`.
        memory: its first ``counts[0]`` rows of ``h_before`` and ``c_before`` are the beginning's.
    """
    (n, inputs), width = x.shape, memory.h.shape[1]
    gates, h, c = memory.gates[:n], memory.h, memory.c
    for j in range(4 * width):
        memory.bias[j] = w[w.size - 8 * width + j] + w[w.size - 4 * width + j]
    w_x = w[: 4 * width * inputs].reshape(4 * width, inputs)
    outputs(x, w_x, memory.bias, gates, PLAIN, memory.pack)
    row = 0
    for t in range(counts.size):
        stop = row + counts[t]
        if t > 0:
            for r in range(row, stop):
                above = r - counts[t - 1]
                for j in range(width):
                    memory.h_before[r, j], memory.c_before[r, j] = h[above, j], c[above, j]
        added = memory.carried[: counts[t]]
        times(memory.h_before[row:stop], memory.recurrent, added, memory.pack)
        for r in range(row, stop):
            z, more, kept = gates[r], added[r - row], memory.c_before[r]
            for j in range(width):
                i = logistic(z[j] + more[j])
                f = logistic(z[width + j] + more[width + j])
                g = tanh(z[2 * width + j] + more[2 * width + j])
                o = logistic(z[3 * width + j] + more[3 * width + j])
                z[j], z[width + j], z[2 * width + j], z[3 * width + j] = i, f, g, o
                c[r, j] = f * kept[j] + i * g
                h[r, j] = o * tanh(c[r, j])
        row = stop


@kernel
def backward_in_time(
    x: Floats2D, counts: Integers, w: Floats, memory: LstmMemory, gradient: Floats
) -> None:
    """∂loss/∂w from ``memory.d_h``, after :func:`forward_in_time`, whose arguments these are.

    With δc_t = carried + δh_t o (1 − tanh² c_t), carried = f δc_{t+1}, and δh_t with what comes
    back from step t + 1: δi = δc g i (1 − i), δf = δc c_{t−1} f (1 − f), δg = δc i (1 − g²),
    δo = δh tanh c o (1 − o), and δh_{t−1} = δz W_h.

    Args:
        x: as forwards.
        counts: as forwards.
        w: as forwards.
        memory: as forwards left it, and ``d_h``.
        gradient: as ``w``; written.
    """
    (n, inputs), width = x.shape, memory.h.shape[1]
    gates, after = memory.gates[:n], flat(memory.carried)
    pack_recurrent(w, inputs, memory, False)
    for r in range(counts[0]):
        for j in range(width):
            memory.d_c[r, j] = ZERO
    row = n
    for t in range(counts.size - 1, -1, -1):
        row -= counts[t]
        n_after = counts[t + 1] if t + 1 < counts.size else 0
        for r in range(counts[t]):
            z, kept, d_c = gates[row + r], memory.c_before[row + r], memory.d_c[r]
            c, d_h = memory.c[row + r], memory.d_h[row + r]
            if r < n_after:
                for j in range(width):
                    d_h[j] += after[r * width + j]
            for j in range(width):
                i, f, g, o = z[j], z[width + j], z[2 * width + j], z[3 * width + j]
                squashed = tanh(c[j])
                total = d_c[j] + d_h[j] * o * (ONE - squashed * squashed)
                z[j] = total * g * i * (ONE - i)
                z[width + j] = total * kept[j] * f * (ONE - f)
                z[2 * width + j] = total * i * (ONE - g * g)
                z[3 * width + j] = d_h[j] * squashed * o * (ONE - o)
                d_c[j] = total * f
        if t > 0:
            back = after[: counts[t] * width].reshape(counts[t], width)
            times(gates[row : row + counts[t]], memory.recurrent, back, memory.pack)
    n_x, n_both = 4 * width * inputs, 4 * width * (inputs + width)
    by_x, by_h = gradient[:n_x], gradient[n_x:n_both]
    weight_gradient(gates, x, by_x.reshape(4 * width, inputs), memory.pack)
    weight_gradient(gates, memory.h_before[:n], by_h.reshape(4 * width, width), memory.pack)
    biases = gradient[n_both:]
    sum_rows(gates, biases[: 4 * width], memory.pack)
    for j in range(4 * width):
        biases[4 * width + j] = biases[j]
