"""The inner loop of every matrix product, as LLVM vectors that stay in registers.

A tile of C, a few rows by 8 or 16 columns, is summed over k without touching memory: per k one
load of B's row, one broadcast of each of A's numbers, one fused multiply–add each. What plain
loops lack is the promise that C does not overlap A and B: the compiler then writes C out at every
k. Vectors of 8 floats are one register with AVX; LLVM splits or joins them elsewhere.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "narrow_tile", "wide_tile"]

LANES = 8
"""Floats of one vector: columns of a narrow tile; a wide one has twice as many."""
ROWS = 6
"""Rows of a tile: 6 × 2 sums hide the latency of a multiply–add and fit into 16 registers."""

INT = ir.IntType(64)
VECTOR = ir.VectorType(ir.FloatType(), LANES)
LANE = ir.IntType(32)
FAST = ("contract",)


def _tile(n_vectors: int) -> Callable[..., None]:
    """C[r, j] = Σ_k A[r, k] B[k, j] for ``ROWS`` rows and 8 ``n_vectors`` columns.

    The compiled function takes flat arrays, and for each where its corner lies and its strides:
    ``(a, a_start, a_row, a_step, b, b_start, b_step, c, c_start, c_row, n_k)`` with
    A[r, k] = a[a_start + r a_row + k a_step], B[k, j] = b[b_start + k b_step + j] and
    C[r, j] = c[c_start + r c_row + j].
    """

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def tile(
        _context: Any,
        a: Any,
        a_start: Any,
        a_row: Any,
        a_step: Any,
        b: Any,
        b_start: Any,
        b_step: Any,
        c: Any,
        c_start: Any,
        c_row: Any,
        n_k: Any,
    ) -> Any:
        signature = types.void(
            a, a_start, a_row, a_step, b, b_start, b_step, c, c_start, c_row, n_k
        )

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = (
                context.make_array(signature.args[i])(context, builder, args[i]).data
                for i in (0, 4, 7)
            )
            _emit(builder, n_vectors, arrays, [*args[1:4], *args[5:7], *args[8:]])
            return context.get_dummy_value()

        return signature, generate

    return tile  # type: ignore[no-any-return]


def _emit(builder: Any, n_vectors: int, arrays: Iterable[Any], places: Iterable[Any]) -> None:
    """Write the instructions of one tile; the arguments are those of the compiled function."""
    a, b, c = arrays
    a_start, a_row, a_step, b_start, b_step, c_start, c_row, n_k = places

    def offset(start: Any, times: Any, stride: Any) -> Any:
        return builder.add(start, builder.mul(times, stride))

    cells = [(r, v) for r in range(ROWS) for v in range(n_vectors)]
    sums = {cell: cgutils.alloca_once(builder, VECTOR) for cell in cells}
    for cell in cells:
        builder.store(ir.Constant(VECTOR, [0.0] * LANES), sums[cell])
    with cgutils.for_range(builder, n_k) as loop:
        b_first = offset(b_start, loop.index, b_step)
        columns = [
            builder.load(_vector_at(builder, b, b_first, v * LANES), align=4)
            for v in range(n_vectors)
        ]
        a_first = offset(a_start, loop.index, a_step)
        for r in range(ROWS):
            number = builder.load(builder.gep(a, [offset(a_first, ir.Constant(INT, r), a_row)]))
            factor = _broadcast(builder, number)
            for v in range(n_vectors):
                product = builder.fmul(factor, columns[v], flags=FAST)
                total = builder.fadd(builder.load(sums[r, v]), product, flags=FAST)
                builder.store(total, sums[r, v])
    for r, v in cells:
        place = _vector_at(builder, c, offset(c_start, ir.Constant(INT, r), c_row), v * LANES)
        builder.store(builder.load(sums[r, v]), place, align=4)


def _vector_at(builder: Any, pointer: Any, index: Any, offset: int) -> Any:
    place = builder.gep(pointer, [builder.add(index, ir.Constant(INT, offset))])
    return builder.bitcast(place, VECTOR.as_pointer())


def _broadcast(builder: Any, number: Any) -> Any:
    empty = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(LANE, 0))
    everywhere = ir.Constant(ir.VectorType(LANE, LANES), [0] * LANES)
    return builder.shuffle_vector(first, empty, everywhere)


wide_tile = _tile(2)
narrow_tile = _tile(1)
