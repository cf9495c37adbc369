"""The three matrix products of a layer.

By tiles that stay in registers (``tiles.py``) rather than by BLAS, which at these sizes spends as
much on checks and copies as on arithmetic, and may start threads.
"""

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.layout import PANEL
from ppo_lab.kernels.panels import copy_panel
from ppo_lab.kernels.tiles import (
    LOW,
    TALL,
    low_narrow_tile,
    low_wide_tile,
    tall_narrow_tile,
    tall_wide_tile,
)
from ppo_lab.kernels.typing import Floats, Floats2D
from ppo_lab.kernels.vectors import LANES, VECTORS

__all__ = ["input_gradient", "outputs", "weight_gradient"]

WIDE = LANES * VECTORS
"""Columns of a wide tile."""
NEAR, CLOSE, LINES = 24576, 128, 64
"""A panel is read where it lies if its rows span so many floats at most, so far apart at most.

Else it is copied: lines at greater distances drive each other out of the nearest cache. Rows of
``LINES`` floats are read where they lie in any case: they use each line whole.
"""
FEW = 6
"""For so few rows packing the weights costs more than it saves."""
REDUCE = 8
"""What adding up the lanes of a vector costs, in multiply–adds of vectors."""
UNIT = np.int64(1)
"""A stride; no literal, for which numba would compile ``multiply`` once more."""
ZERO = np.float32(0.0)


@kernel
def outputs(below: Floats2D, weight: Floats2D, above: Floats2D, pack: Floats) -> None:
    """Z (n, out) ← A (n, in) Wᵀ, W (out, in)."""
    n, n_out, n_in = below.shape[0], weight.shape[0], weight.shape[1]
    dots = n_out * (n_in + REDUCE * LANES)
    if n > FEW and dots > n_in * (LANES + n_out):
        multiply(flat(below), n_in, UNIT, flat(weight), UNIT, n_in, flat(above), n, n_out, n_in, pack)
        return
    for i in range(n):
        for o in range(n_out):
            total = ZERO
            for j in range(n_in):
                total += weight[o, j] * below[i, j]
            above[i, o] = total


@kernel
def weight_gradient(delta: Floats2D, below: Floats2D, into: Floats2D, pack: Floats) -> None:
    """∂W (out, in) ← δᵀ A, δ (n, out), A (n, in).

    Where ``in`` would leave most lanes of its vectors empty: (∂W)ᵀ = Aᵀ δ, and turned.
    """
    n, n_out, n_in = delta.shape[0], delta.shape[1], below.shape[1]
    if 4 * tiles(n_in, n_out) > 3 * tiles(n_out, n_in):
        multiply(flat(delta), UNIT, n_out, flat(below), n_in, UNIT, flat(into), n_out, n_in, n, pack)
        return
    for first in range(0, n_out, PANEL):
        width = min(PANEL, n_out - first)
        turned, rest = pack[: width * n_in], pack[width * n_in :]
        columns = flat(delta)[first:]
        multiply(flat(below), UNIT, n_in, columns, n_out, UNIT, turned, n_in, width, n, rest)
        for o in range(width):
            for j in range(n_in):
                into[first + o, j] = turned[j * width + o]


@kernel
def tiles(m: int, n: int) -> int:
    """Narrow tiles that cover m rows and n columns."""
    return ((m + TALL - 1) // TALL) * ((n + LANES - 1) // LANES)


@kernel
def input_gradient(delta: Floats2D, weight: Floats2D, into: Floats2D, pack: Floats) -> None:
    """∂A (n, in) ← δ (n, out) W, W (out, in)."""
    n, n_out, n_in = delta.shape[0], delta.shape[1], weight.shape[1]
    multiply(flat(delta), n_out, UNIT, flat(weight), n_in, UNIT, flat(into), n, n_in, n_out, pack)


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
    """C (m, n) ← A B, panel by panel of WIDE columns, at the end of LANES if they are enough.

    A panel of B that is not whole, or lies column after column, or far apart, is copied row after
    row into ``pack``, with zeros for the columns that are missing, and meets all rows of A.

    Args:
        a: A[i, l] = a[i · a_row + l · a_step].
        a_row: see ``a``.
        a_step: see ``a``.
        b: B[l, j] = b[l · b_step + j · b_column].
        b_step: see ``b``.
        b_column: see ``b``.
        c: C, row after row.
        m: rows of A and C, ≥ 1.
        n: columns of B and C.
        k: columns of A, rows of B, ≥ 1.
        pack: at least PANEL · k + TILE floats.
    """
    for first in range(0, n, WIDE):
        rest = min(WIDE, n - first)
        padded = WIDE if rest > WIDE - LANES else LANES
        for column in range(first, first + rest, padded):
            width = min(padded, first + rest - column)
            far = padded < LINES and (k * b_step > NEAR or b_step > CLOSE)
            if b_column != 1 or width < padded or far:
                copy_panel(b, b_step, b_column, column, width, padded, k, pack)
                meet_rows(a, a_row, a_step, pack, 0, padded, c, column, n, m, k, width, pack)
            else:
                meet_rows(a, a_row, a_step, b, column, b_step, c, column, n, m, k, width, pack)


@kernel
def meet_rows(
    a: Floats,
    a_row: int,
    a_step: int,
    panel: Floats,
    start: int,
    step: int,
    c: Floats,
    column: int,
    n: int,
    m: int,
    k: int,
    width: int,
    pack: Floats,
) -> None:
    """One panel of B and all rows of A make ``width`` columns of C from ``column`` on.

    As :func:`multiply`; B[l, column + j] = panel[start + l · step + j].
    """
    wide = width > LANES
    padded = WIDE if wide else LANES
    corner = k * padded  # behind the panel, for a tile that does not fit into C
    i = 0
    while i < m:
        tall = m - i > 2 * LOW
        rows = min(TALL if tall else LOW, m - i)
        first = i * a_row
        target, to, by = (c, i * n + column, n) if width == padded else (pack, corner, padded)
        if tall and wide:
            tall_wide_tile(a, first, a_row, a_step, panel, start, step, target, to, by, k, rows)
        elif tall:
            tall_narrow_tile(a, first, a_row, a_step, panel, start, step, target, to, by, k, rows)
        elif wide:
            low_wide_tile(a, first, a_row, a_step, panel, start, step, target, to, by, k, rows)
        else:
            low_narrow_tile(a, first, a_row, a_step, panel, start, step, target, to, by, k, rows)
        if width < padded:
            for r in range(rows):
                for j in range(width):
                    c[(i + r) * n + column + j] = pack[corner + r * padded + j]
        i += rows
