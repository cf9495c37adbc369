"""Panels of B that must be copied before tiles can meet them."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.typing import Floats
from ppo_lab.kernels.vectors import INT, LANES, load, store, transposed

__all__ = ["copy_panel"]

ZERO = np.float32(0.0)


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
    """Columns ``first`` … ``first + width`` of B, row after row, filled up with zeros.

    Args:
        b: B[l, j] = b[l · b_step + j · b_column].
        b_step: see ``b``.
        b_column: see ``b``.
        first: the panel's first column.
        width: how many of its columns B has.
        padded: how many columns it is given.
        k: rows of B.
        pack: pack[l · padded + j] ← B[l, first + j].
    """
    whole_columns = whole_rows = 0
    if b_step == 1:  # B lies column after column: by blocks of LANES × LANES
        whole_columns, whole_rows = width // LANES * LANES, k // LANES * LANES
        for j in range(0, whole_columns, LANES):
            for step in range(0, whole_rows, LANES):
                start = step + (first + j) * b_column
                transpose_block(b, start, b_column, pack, step * padded + j, padded)
    for step in range(k):
        for j in range(whole_columns if step < whole_rows else 0, padded):
            missing = j >= width
            pack[step * padded + j] = ZERO if missing else b[step * b_step + (first + j) * b_column]


@intrinsic  # type: ignore[untyped-decorator]  # numba has no types
def transpose_block(
    _context: Any, source: Any, start: Any, row: Any, target: Any, to: Any, by: Any
) -> Any:
    """target[to + i · by + j] ← source[start + j · row + i] for i, j < LANES."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, target = (
            context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 3)
        )
        _, start, row, _, to, by = args

        def place(first: Any, stride: Any, index: int) -> Any:
            return builder.add(first, builder.mul(stride, ir.Constant(INT, index)))

        rows = [load(builder, source, place(start, row, j)) for j in range(LANES)]
        for i, column in enumerate(transposed(builder, rows)):
            store(builder, column, target, place(to, by, i))
        return context.get_dummy_value()

    return types.void(source, start, row, target, to, by), generate
