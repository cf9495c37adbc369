"""The three matrix products of a layer.

By tiles that stay in registers (``tiles.py``) rather than by BLAS, which at these sizes spends as
much on checks and copies as on arithmetic, and may start threads.
"""

from typing import Any

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.finishing import PLAIN, activate, finished
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

__all__ = ["input_gradient", "outputs", "sum_rows", "weight_gradient"]

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
UNIT: Any = np.int64(1)
NONE: Any = np.int64(0)
"""Strides; no literals, for which numba would compile ``multiply`` once more."""
ONE, ZERO = np.float32(1.0), np.float32(0.0)


@kernel
def outputs(
    below: Floats2D, weight: Floats2D, bias: Floats, above: Floats2D, kind: int, pack: Floats
) -> None:
    """A′ (n, out) ← f(A (n, in) Wᵀ + b), W (out, in); ``kind`` TANH or RELU, or PLAIN: no f."""
    n, n_out, n_in = below.shape[0], weight.shape[0], weight.shape[1]
    dots = n_out * (n_in + REDUCE * LANES)
    if n > FEW and dots > n_in * (LANES + n_out):
        factors, into = flat(below), flat(above)
        multiply(
            bias, factors, n_in, UNIT, flat(weight), UNIT, n_in, into, n, n_out, n_in, kind, pack
        )
        return
    for i in range(n):
        for o in range(n_out):
            total = ZERO
            for j in range(n_in):
                total += weight[o, j] * below[i, j]
            above[i, o] = total + bias[o]
    activate(flat(above), kind)


@kernel
def weight_gradient(delta: Floats2D, below: Floats2D, into: Floats2D, pack: Floats) -> None:
    """∂W (out, in) ← δᵀ A, δ (n, out), A (n, in).

    Where ``in`` would leave most lanes of its vectors empty: (∂W)ᵀ = Aᵀ δ, and turned.
    """
    n, n_out, n_in = delta.shape[0], delta.shape[1], below.shape[1]
    a, b, none = flat(delta), flat(below), pack[:0]
    if 4 * tiles(n_in, n_out) > 3 * tiles(n_out, n_in):
        multiply(none, a, UNIT, n_out, b, n_in, UNIT, flat(into), n_out, n_in, n, PLAIN, pack)
        return
    for first in range(0, n_out, PANEL):
        width = min(PANEL, n_out - first)
        turned, rest = pack[: width * n_in], pack[width * n_in :]
        multiply(none, b, UNIT, n_in, a[first:], n_out, UNIT, turned, n_in, width, n, PLAIN, rest)
        for o in range(width):
            for j in range(n_in):
                into[first + o, j] = turned[j * width + o]


@kernel
def tiles(m: int, n: int) -> int:
    """Narrow tiles that cover m rows and n columns."""
    return ((m + TALL - 1) // TALL) * ((n + LANES - 1) // LANES)


@kernel
def input_gradient(
    delta: Floats2D, weight: Floats2D, into: Floats2D, kind: int, pack: Floats
) -> None:
    """A (n, in) ← δ (n, out) W ⊙ f′, W (out, in), f′ from the A that was there.

    ``kind`` is that of f plus SLOPE; PLAIN: without f′, whatever was there.
    """
    n, n_out, n_in = delta.shape[0], delta.shape[1], weight.shape[1]
    a, b = flat(delta), flat(weight)
    multiply(pack[:0], a, n_out, UNIT, b, n_in, UNIT, flat(into), n, n_in, n_out, kind, pack)


@kernel
def sum_rows(delta: Floats2D, into: Floats, pack: Floats) -> None:
    """∂b (out,) ← 1ᵀ δ, δ (n, out)."""
    n, n_out = delta.shape
    if n_out >= LANES:
        ones, rest = pack[:1], pack[WIDE:]
        ones[0] = ONE
        multiply(
            pack[:0], ones, NONE, NONE, flat(delta), n_out, UNIT, into, UNIT, n_out, n, PLAIN, rest
        )
        return
    into[:] = ZERO
    for i in range(n):
        for o in range(n_out):
            into[o] += delta[i, o]


@kernel
def flat(matrix: Floats2D) -> Floats:
    """All numbers of a contiguous matrix in one row."""
    return matrix.reshape(matrix.size)


@kernel
def multiply(
    s: Floats,
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
    kind: int,
    pack: Floats,
) -> None:
    """C (m, n) ← f(s + A B), by panels of WIDE columns, at the end of LANES if they are enough.

    A panel of B that is not whole, or lies column after column, or far apart, is copied row after
    row into ``pack``, with zeros for the columns that are missing, and meets all rows of A.

    Args:
        s: (n,) added to every row; or empty.
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
        kind: what becomes of the sums, see ``finishing.py``.
        pack: at least PANEL · (k + 1) + TILE floats.
    """
    added, pack = pack[:WIDE], pack[WIDE:]
    for first in range(0, n, WIDE):
        rest = min(WIDE, n - first)
        padded = WIDE if rest > WIDE - LANES else LANES
        for j in range(WIDE):
            added[j] = s[first + j] if first + j < s.size else ZERO
        for column in range(first, first + rest, padded):
            width = min(padded, first + rest - column)
            far = padded < LINES and (k * b_step > NEAR or b_step > CLOSE)
            panel, start, step = b, column, b_step
            if b_column != 1 or width < padded or far:
                copy_panel(b, b_step, b_column, column, width, padded, k, pack)
                panel, start, step = pack, 0, padded
            meet_rows(
                added[column - first :],
                a,
                a_row,
                a_step,
                panel,
                start,
                step,
                c,
                column,
                n,
                m,
                k,
                width,
                kind,
                pack,
            )


@kernel
def meet_rows(
    s: Floats,
    a: Floats,
    a_row: int,
    a_step: int,
    b: Floats,
    start: int,
    step: int,
    c: Floats,
    column: int,
    n: int,
    m: int,
    k: int,
    width: int,
    kind: int,
    pack: Floats,
) -> None:
    """One panel of B and all rows of A make ``width`` columns of C from ``column`` on.

    As :func:`multiply`; s[j] is of column + j, and B[l, column + j] = b[start + l · step + j].
    """
    wide = width > LANES
    padded = WIDE if wide else LANES
    corner = k * padded  # behind the panel, for a tile that does not fit into C
    i = 0
    while i < m:
        tall = m - i > 2 * LOW
        rows = min(TALL if tall else LOW, m - i)
        first = i * a_row
        done = kind if width == padded else PLAIN
        to, at, by = (c, i * n + column, n) if width == padded else (pack, corner, padded)
        if tall and wide:
            tall_wide_tile(s, a, first, a_row, a_step, b, start, step, to, at, by, k, rows, done)
        elif tall:
            tall_narrow_tile(s, a, first, a_row, a_step, b, start, step, to, at, by, k, rows, done)
        elif wide:
            low_wide_tile(s, a, first, a_row, a_step, b, start, step, to, at, by, k, rows, done)
        else:
            low_narrow_tile(s, a, first, a_row, a_step, b, start, step, to, at, by, k, rows, done)
        if width < padded:
            for r in range(rows):
                for j in range(width):
                    place = (i + r) * n + column + j
                    c[place] = finished(pack[corner + r * padded + j], c[place], kind)
        i += rows
