"""The inner loop of every matrix product, as LLVM vectors that stay in registers.

A tile of C, a few rows by 8 or 16 columns, is summed over k without touching memory: per k one
load of B's row, one broadcast of each of A's numbers, one fused multiply–add each. What plain
loops lack is the promise that C does not overlap A and B: the compiler then writes C out at every
k. Vectors of 8 floats are one register with AVX; LLVM splits or joins them elsewhere.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "one_narrow", "one_wide", "rows_narrow", "rows_wide"]

LANES = 8
"""Floats of one vector: columns of a narrow tile; a wide one has twice as many."""
ROWS = 4
"""Rows of a tall tile: 4 × 2 sums hide the latency of a multiply–add on today's cores."""

INT = ir.IntType(64)
VECTOR = ir.VectorType(ir.FloatType(), LANES)
LANE = ir.IntType(32)
FAST = ("contract",)


def _tile(n_rows: int, n_vectors: int) -> Callable[..., None]:
    """C[r, j] = Σ_k A[r, k] B[k, j] for ``n_rows`` rows and 8 ``n_vectors`` columns.

    The compiled function's arguments: flat arrays a, b, c; of a the index of A[0, 0] and the strides of
    its rows and of k; of c the index of C[0, 0] and the stride of its rows; n_k. B's rows lie
    one after the other from b's first number.
    """

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def tile(
        _context: Any, a: Any, start: Any, row: Any, step: Any, b: Any, c: Any, to: Any, by: Any, n: Any
    ) -> Any:
        signature = types.void(a, start, row, step, b, c, to, by, n)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointers = [
                context.make_array(signature.args[i])(context, builder, args[i]).data
                for i in (0, 4, 5)
            ]
            _, start, row, step, _, _, to, by, n = args
            _emit(builder, n_rows, n_vectors, pointers, (start, row, step, to, by, n))
            return context.get_dummy_value()

        return signature, generate

    return tile  # type: ignore[no-any-return]


def _emit(builder: Any, n_rows: int, n_vectors: int, pointers: Any, numbers: Any) -> None:
    """Write the instructions of one tile."""
    (a, b, c), (start, row, step, to, by, n) = pointers, numbers
    cells = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
    sums = {cell: cgutils.alloca_once(builder, VECTOR) for cell in cells}
    for cell in cells:
        builder.store(ir.Constant(VECTOR, [0.0] * LANES), sums[cell])
    with cgutils.for_range(builder, n) as loop:
        b_row = builder.mul(loop.index, ir.Constant(INT, n_vectors * LANES))
        columns = [
            builder.load(_vector_at(builder, b, b_row, v * LANES), align=4)
            for v in range(n_vectors)
        ]
        a_first = builder.add(start, builder.mul(loop.index, step))
        for r in range(n_rows):
            index = builder.add(a_first, builder.mul(ir.Constant(INT, r), row))
            factor = _broadcast(builder, builder.load(builder.gep(a, [index])))
            for v in range(n_vectors):
                product = builder.fmul(factor, columns[v], flags=FAST)
                total = builder.fadd(builder.load(sums[r, v]), product, flags=FAST)
                builder.store(total, sums[r, v])
    for r, v in cells:
        first = builder.add(to, builder.mul(ir.Constant(INT, r), by))
        builder.store(builder.load(sums[r, v]), _vector_at(builder, c, first, v * LANES), align=4)


def _vector_at(builder: Any, pointer: Any, index: Any, offset: int) -> Any:
    place = builder.gep(pointer, [builder.add(index, ir.Constant(INT, offset))])
    return builder.bitcast(place, VECTOR.as_pointer())


def _broadcast(builder: Any, number: Any) -> Any:
    empty = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(LANE, 0))
    everywhere = ir.Constant(ir.VectorType(LANE, LANES), [0] * LANES)
    return builder.shuffle_vector(first, empty, everywhere)


rows_wide = _tile(ROWS, 2)
rows_narrow = _tile(ROWS, 1)
one_wide = _tile(1, 2)
one_narrow = _tile(1, 1)
