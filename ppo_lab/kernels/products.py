"""The three matrix products of a layer.

By tiles that stay in registers (``tiles.py``) rather than by BLAS: at these sizes the packing and the
checks of a general library cost as much as the arithmetic, and it may start threads.
"""

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.tiles import LANES, ROWS, one_narrow, one_wide, rows_narrow, rows_wide
from ppo_lab.kernels.typing import Floats, Matrix

__all__ = ["input_gradient", "outputs", "weight_gradient"]

FEW = 6
"""Fewer samples than this do not repay the packing of the weights."""
ZERO = np.float32(0.0)


@kernel
def outputs(below: Matrix, weight: Matrix, above: Matrix, pack: Floats) -> None:
    """Z (n, out) ← A (n, in) Wᵀ, W (out, in)."""
    n, n_out, n_in = below.shape[0], weight.shape[0], weight.shape[1]
    if n >= FEW:
        multiply(flat(below), n_in, 1, flat(weight), 1, n_in, flat(above), n, n_out, n_in, pack)
        return
    for i in range(n):
        for o in range(n_out):
            total = ZERO
            for j in range(n_in):
                total += weight[o, j] * below[i, j]
            above[i, o] = total


@kernel
def weight_gradient(delta: Matrix, below: Matrix, into: Matrix, pack: Floats) -> None:
    """∂W (out, in) ← δᵀ A, δ (n, out), A (n, in)."""
    n, n_out, n_in = delta.shape[0], delta.shape[1], below.shape[1]
    multiply(flat(delta), 1, n_out, flat(below), n_in, 1, flat(into), n_out, n_in, n, pack)


@kernel
def input_gradient(delta: Matrix, weight: Matrix, into: Matrix, pack: Floats) -> None:
    """∂A (n, in) ← δ (n, out) W, W (out, in)."""
    n, n_out, n_in = delta.shape[0], delta.shape[1], weight.shape[1]
    multiply(flat(delta), n_out, 1, flat(weight), n_in, 1, flat(into), n, n_in, n_out, pack)


@kernel
def flat(matrix: Matrix) -> Floats:
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
    """C (m, n) ← A B, panel by panel of 16 columns (8 at the end, where they are enough).

    Each panel of B is copied row after row into ``pack``, with zeros for the columns that are
    missing, and meets all rows of A while it is in the nearest cache.

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
        pack: at least 16 k + 64 floats.
    """
    for first in range(0, n, 2 * LANES):
        width = min(2 * LANES, n - first)
        padded = LANES if width <= LANES else 2 * LANES
        copy_panel(b, b_step, b_column, first, width, padded, k, pack)
        whole = width == padded
        corner = k * padded  # of a tile that does not fit into C, behind the panel
        for i in range(0, m, ROWS):
            height = min(ROWS, m - i)
            target, to, by = (c, i * n + first, n) if whole else (pack, corner, padded)
            if height == ROWS and padded > LANES:
                rows_wide(a, i * a_row, a_row, a_step, pack, target, to, by, k)
            elif height == ROWS:
                rows_narrow(a, i * a_row, a_row, a_step, pack, target, to, by, k)
            elif padded > LANES:
                for r in range(height):
                    start = (i + r) * a_row
                    one_wide(a, start, a_row, a_step, pack, target, to + r * by, by, k)
            else:
                for r in range(height):
                    start = (i + r) * a_row
                    one_narrow(a, start, a_row, a_step, pack, target, to + r * by, by, k)
            if not whole:
                for r in range(height):
                    for j in range(width):
                        c[(i + r) * n + first + j] = pack[corner + r * padded + j]


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
    if width < padded:
        pack[: k * padded] = ZERO
    if b_column == 1:
        for step in range(k):
            for j in range(width):
                pack[step * padded + j] = b[step * b_step + first + j]
    else:
        for j in range(width):
            start = (first + j) * b_column
            for step in range(k):
                pack[step * padded + j] = b[start + step * b_step]
