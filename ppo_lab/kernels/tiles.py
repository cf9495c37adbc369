"""The inner loop of every matrix product: a tile of C that stays in registers.

A tile, a few rows by a few vectors of columns, is summed over k without touching memory: per k a
load for each vector of B's row, a broadcast for each of A's numbers, a fused multiply–add for each
sum. What plain loops lack is the promise that C does not overlap A and B: the compiler then writes
C out at every k.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ppo_lab.kernels.finishing import KINDS, SLOPE, finished_vector
from ppo_lab.kernels.vectors import INT, LANES, VECTORS, broadcast, load, multiply_add, store

__all__ = ["LOW", "TALL", "low_narrow_tile", "low_wide_tile", "tall_narrow_tile", "tall_wide_tile"]

TALL, LOW = 6, 2
"""Rows of a tile: 6 keep the multiply–adds busy, 2 are for the rows that 6 leave over."""


def _tile(n_rows: int, n_vectors: int) -> Callable[..., None]:
    """C[r, j] ← f(s[j] + Σ_k A[r, k] B[k, j]), ``n_rows`` rows, LANES · ``n_vectors`` columns.

    The compiled function takes flat arrays, and for each where its corner lies and its strides:
    ``(s, a, a_start, a_row, a_step, b, b_start, b_step, c, c_start, c_row, n_k, rows, kind)`` with
    A[r, k] = a[a_start + r a_row + k a_step], B[k, j] = b[b_start + k b_step + j] and
    C[r, j] = c[c_start + r c_row + j]; n_k ≥ 1. f is what ``finishing.py`` says of ``kind``.
    Of the tile's rows only the first ``rows`` ≥ 1 are there: the others repeat the last of them,
    and what it reads and writes.
    """

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no types
    def tile(
        _context: Any,
        s: Any,
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
        rows: Any,
        kind: Any,
    ) -> Any:
        signature = types.void(
            s, a, a_start, a_row, a_step, b, b_start, b_step, c, c_start, c_row, n_k, rows, kind
        )

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            s, a, b, c = (
                context.make_array(signature.args[i])(context, builder, args[i]).data
                for i in (0, 1, 5, 8)
            )
            a_start, a_row, a_step = args[2:5]
            b_start, b_step = args[6:8]
            c_start, c_row, n_k, rows, kind = args[9:]
            from_rows = _rows(builder, a, a_start, a_row, n_rows, rows)
            first = _vectors(builder, s, n_vectors)
            columns = builder.gep(b, [b_start])
            sums = _sum(builder, first, from_rows, a_step, columns, b_step, n_k)
            to_rows = _rows(builder, c, c_start, c_row, n_rows, rows)
            _store(builder, sums, to_rows, kind)
            return context.get_dummy_value()

        return signature, generate

    return tile  # type: ignore[no-any-return]


def _rows(builder: Any, array: Any, start: Any, stride: Any, n_rows: int, rows: Any) -> list[Any]:
    """Pointers to the tile's rows, those that are not there to the last that is."""
    last = builder.sub(rows, ir.Constant(INT, 1))
    pointers = []
    for r in range(n_rows):
        row = ir.Constant(INT, r)
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        pointers.append(builder.gep(array, [builder.add(start, builder.mul(row, stride))]))
    return pointers


def _vectors(builder: Any, pointer: Any, n_vectors: int) -> list[Any]:
    """So many vectors, one after the other."""
    return [load(builder, pointer, ir.Constant(INT, v * LANES)) for v in range(n_vectors)]


def _sum(
    builder: Any, first: list[Any], rows: list[Any], a_step: Any, b: Any, b_step: Any, n_k: Any
) -> list[list[Any]]:
    """The loop over k; its sums, row by row, are what a block of LLVM's carries along."""
    before = builder.block
    loop, after = builder.append_basic_block("k"), builder.append_basic_block("sums")
    builder.branch(loop)
    builder.position_at_end(loop)
    k, a_offset, b_offset = (_carried(builder, ir.Constant(INT, 0), before) for _ in range(3))
    sums = [[_carried(builder, vector, before) for vector in first] for _ in rows]
    columns = _vectors(builder, builder.gep(b, [b_offset]), len(first))
    grown = []
    for pointer, row in zip(rows, sums, strict=True):
        factor = broadcast(builder, builder.load(builder.gep(pointer, [a_offset])))
        grown.append(
            [
                multiply_add(builder, factor, column, total)
                for column, total in zip(columns, row, strict=True)
            ]
        )
    for carried, by in ((k, ir.Constant(INT, 1)), (a_offset, a_step), (b_offset, b_step)):
        carried.add_incoming(builder.add(carried, by), loop)
    for row, grown_row in zip(sums, grown, strict=True):
        for total, larger in zip(row, grown_row, strict=True):
            total.add_incoming(larger, loop)
    more = builder.icmp_signed("<", builder.add(k, ir.Constant(INT, 1)), n_k)
    builder.cbranch(more, loop, after)
    builder.position_at_end(after)
    return grown


def _store(builder: Any, sums: list[list[Any]], rows: list[Any], kind: Any) -> None:
    """Finish the sums, as ``kind`` says, and store them."""
    after = builder.append_basic_block("stored")
    plain = builder.append_basic_block("plain")
    choice = builder.switch(kind, plain)
    for number in (None, *KINDS):
        block = plain if number is None else builder.append_basic_block("finished")
        if number is not None:
            choice.add_case(ir.Constant(kind.type, int(number)), block)
        builder.position_at_end(block)
        for v in range(len(sums[0])):
            index = ir.Constant(INT, v * LANES)
            # All of a column before the first is stored: rows that are not there repeat one.
            before = [
                load(builder, row, index) if number is not None and number >= SLOPE else None
                for row in rows
            ]
            for row, vectors, old in zip(rows, sums, before, strict=True):
                total = vectors[v]
                if number is not None:
                    total = finished_vector(builder, total, old, number)
                store(builder, total, row, index)
        builder.branch(after)
    builder.position_at_end(after)


def _carried(builder: Any, first: Any, before: Any) -> Any:
    """A value that each round of the loop hands to the next."""
    value = builder.phi(first.type)
    value.add_incoming(first, before)
    return value


tall_wide_tile, tall_narrow_tile = _tile(TALL, VECTORS), _tile(TALL, 1)
low_wide_tile, low_narrow_tile = _tile(LOW, VECTORS), _tile(LOW, 1)
