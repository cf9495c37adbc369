"""The three matrix products of a layer.

By tiles that stay in registers (``tiles.py``) rather than by BLAS, which at these sizes spends as
much on checks and copies as on arithmetic, and may start threads.
"""

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.tiles import LANES, ROWS, narrow_tile, wide_tile
from ppo_lab.kernels.typing import Floats, Floats2D

__all__ = ["input_gradient", "outputs", "weight_gradient"]

NEAR, CLOSE = 24576, 128
"""A panel is read where it lies if its rows span so many floats at most, so far apart at most.

Else it is copied: lines at greater distances drive each other out of the nearest cache.
"""
FEW, SHORT = 16, 32
"""For so few rows packing the weights costs more than it saves, unless the sums are so short."""
ZERO = np.float32(0.0)


@kernel
def outputs(below: Floats2D, weight: Floats2D, above: Floats2D, pack: Floats) -> None:
    """Z (n, out) ← A (n, in) Wᵀ, W (out, in)."""
    n, n_out, n_in = below.shape[0], weight.shape[0], weight.shape[1]
    if n >= ROWS and n_out >= ROWS and (n > FEW or n_in < SHORT):
        multiply(flat(below), n_in, 1, flat(weight), 1, n_in, flat(above), n, n_out, n_in, pack)
        return
    for i in range(n):
        for o in range(n_out):
            total = ZERO
            for j in range(n_in):
                total += weight[o, j] * below[i, j]
            above[i, o] = total


@kernel
def weight_gradient(delta: Floats2D, below: Floats2D, into: Floats2D, pack: Floats) -> None:
    """∂W (out, in) ← δᵀ A, δ (n, out), A (n, in)."""
    n, n_out, n_in = delta.shape[0], delta.shape[1], below.shape[1]
    if n_out >= ROWS:
        multiply(flat(delta), 1, n_out, flat(below), n_in, 1, flat(into), n_out, n_in, n, pack)
        return
    into[:] = ZERO
    for i in range(n):
        for o in range(n_out):
            for j in range(n_in):
                into[o, j] += delta[i, o] * below[i, j]


@kernel
def input_gradient(delta: Floats2D, weight: Floats2D, into: Floats2D, pack: Floats) -> None:
    """∂A (n, in) ← δ (n, out) W, W (out, in)."""
    n, n_out, n_in = delta.shape[0], delta.shape[1], weight.shape[1]
    if n >= ROWS and n_out >= ROWS:
        multiply(flat(delta), n_out, 1, flat(weight), n_in, 1, flat(into), n, n_in, n_out, pack)
        return
    into[:] = ZERO
    for i in range(n):
        for o in range(n_out):
            for j in range(n_in):
                into[i, j] += delta[i, o] * weight[o, j]


@kernel
def flat(matrix: Floats2D) -> Floats:
    """All numbers of a contiguous matrix in one row."""
    return matrix.reshape(matrix.size)


@kernel
def multiply(
    a: Floats,
    a_row: int,
    a_step: int,
    b: Floats,
    b_step: int,
    b_column: int,
    c: Floats,
    m: int,
    n: int,
    k: int,
    pack: Floats,
) -> None:
    """C (m, n) ← A B, m ≥ ROWS, panel by panel of 16 columns (8 at the end, if they are enough).

    A panel of B that is neither contiguous nor near is copied row after row into ``pack``, with
    zeros for the columns that are missing, and meets all rows of A. The last rows are done twice
    where ROWS does not divide m. Strides given as the constant 1 make specialisations of their
    own, which is worth half the speed.

    Args:
        a: A[i, l] = a[i · a_row + l · a_step].
        a_row: see ``a``.
        a_step: see ``a``.
        b: B[l, j] = b[l · b_step + j · b_column].
        b_step: see ``b``.
        b_column: see ``b``.
        c: C, row after row.
        m: rows of A and C.
        n: columns of B and C.
        k: columns of A, rows of B.
        pack: at least PANEL · k + TILE floats.
    """
    for first in range(0, n, 2 * LANES):
        width = min(2 * LANES, n - first)
        padded = LANES if width <= LANES else 2 * LANES
        whole = width == padded
        panel, start, step = b, first, b_step
        if b_column != 1 or not whole or k * b_step > NEAR or b_step > CLOSE:
            copy_panel(b, b_step, b_column, first, width, padded, k, pack)
            panel, start, step = pack, 0, padded
        corner = k * padded  # of a tile that does not fit into C, behind the panel
        for i in range(0, m, ROWS):
            row = min(i, m - ROWS)
            target, to, by = (c, row * n + first, n) if whole else (pack, corner, padded)
            if padded > LANES:
                wide_tile(a, row * a_row, a_row, a_step, panel, start, step, target, to, by, k)
            else:
                narrow_tile(a, row * a_row, a_row, a_step, panel, start, step, target, to, by, k)
            if not whole:
                for r in range(ROWS):
                    for j in range(width):
                        c[(row + r) * n + first + j] = pack[corner + r * padded + j]


@kernel
def copy_panel(
    b: Floats,
    b_step: int,
    b_column: int,
    first: int,
    width: int,
    padded: int,
    k: int,
    pack: Floats,
) -> None:
    """Columns ``first`` … ``first + width`` of B, row after row, filled up with zeros."""
    for step in range(k):
        for j in range(padded):
            missing = j >= width
            pack[step * padded + j] = ZERO if missing else b[step * b_step + (first + j) * b_column]
