"""The CPU's vector registers, and what is done with them in LLVM's language.

A vector of ``LANES`` floats fills one register. The compiler would split or join vectors of any
size, to the right numbers; those that fit are the fast ones.
"""

from typing import Any

from llvmlite import ir

from ppo_lab.kernels.numba_internals import instruction_sets

__all__ = [
    "INT",
    "LANES",
    "VECTOR",
    "VECTORS",
    "broadcast",
    "load",
    "multiply_add",
    "store",
    "transposed",
]


def _registers() -> tuple[int, int]:
    """Floats of a register, and how many vectors side by side make a tile of 6 rows.

    6 rows take 6 sums a vector; a quarter of the registers is left for the operands. 32 registers
    hold 6 × 4 sums, 16 hold 6 × 2.
    """
    features = instruction_sets()
    if "avx512f" in features:
        return 16, 4
    if "avx" in features:
        return 8, 2
    if "neon" in features:
        return 4, 4
    return 4, 2


LANES, VECTORS = _registers()
INT = ir.IntType(64)
VECTOR = ir.VectorType(ir.FloatType(), LANES)
LANE = ir.IntType(32)
FUSED = ("contract",)


def load(builder: Any, pointer: Any, index: Any) -> Any:
    """The vector p[index : index + LANES]."""
    place = builder.gep(pointer, [index])
    return builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4)


def store(builder: Any, vector: Any, pointer: Any, index: Any) -> None:
    """Write p[index : index + LANES] ← vector."""
    place = builder.gep(pointer, [index])
    builder.store(vector, builder.bitcast(place, VECTOR.as_pointer()), align=4)


def broadcast(builder: Any, number: Any) -> Any:
    """The vector with this number in every lane."""
    empty = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(LANE, 0))
    return builder.shuffle_vector(first, empty, _lanes([0] * LANES))


def multiply_add(builder: Any, x: Any, y: Any, total: Any) -> Any:
    """X · y + total, in one instruction where the CPU has it."""
    return builder.fadd(total, builder.fmul(x, y, flags=FUSED), flags=FUSED)


def transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of a block of LANES rows.

    Round by round, d = 1, 2, 4, …: rows i and i + d exchange the blocks of d × d beside the
    diagonal.
    """
    rows = list(rows)
    distance = 1
    while distance < LANES:
        for i in range(LANES):
            if i & distance:
                continue
            upper, lower = rows[i], rows[i + distance]
            # Lanes of the lower row are counted on from LANES.
            above = [j if not j & distance else LANES + j - distance for j in range(LANES)]
            below = [j + distance if not j & distance else LANES + j for j in range(LANES)]
            rows[i] = builder.shuffle_vector(upper, lower, _lanes(above))
            rows[i + distance] = builder.shuffle_vector(upper, lower, _lanes(below))
        distance *= 2
    return rows


def _lanes(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(LANE, len(numbers)), numbers)
