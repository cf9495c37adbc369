"""What one core makes at most: fused multiply–adds in a loop, and one large product."""

from collections.abc import Callable

import numba
import numpy as np

from benchmarks.clocks import rounds_of
from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.finishing import PLAIN
from ppo_lab.kernels.tiles import TALL, tall_wide_tile
from ppo_lab.kernels.vectors import LANES, VECTORS

__all__ = ["LARGE_OPERATIONS", "core_peak", "fma_rate", "large_sgemm", "sgemm_rate"]

LARGE = 1536
"""Rows and columns of the large sgemm."""
LARGE_OPERATIONS = 2.0 * LARGE**3
STEPS = 100_000


@numba.njit
def multiply_adds(s, a, b, c, step):  # type: ignore[no-untyped-def]
    """A tile that with ``step`` 0 reads the same numbers each time: only multiply–adds count.

    A literal 0 would have the numbers kept in registers, more than there are.
    """
    tall_wide_tile(s, a, 0, 1, step, b, 0, step, c, 0, LANES * VECTORS, STEPS, TALL, PLAIN)


def fma_rate(rounds: int = 9) -> float:
    """GFLOP/s of fused multiply–adds in a loop, the largest of the rounds: the core's peak."""
    columns = LANES * VECTORS
    s, a, b, c = (aligned_zeros(size) for size in (columns, TALL, columns, TALL * columns))
    (timed,) = rounds_of([lambda: multiply_adds(s, a, b, c, 0)], rounds)
    return 2.0 * TALL * columns * STEPS / min(timed) / 1e9


def large_sgemm() -> Callable[[], object]:
    """NumPy's product of two large matrices, ``LARGE_OPERATIONS`` of floating point."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((LARGE, LARGE)).astype(np.float32) for _ in range(2))
    into = np.empty_like(a)
    return lambda: np.dot(a, b, into)


def sgemm_rate(rounds: int = 5) -> float:
    """GFLOP/s of the large product, the largest of the rounds."""
    (timed,) = rounds_of([large_sgemm()], rounds)
    return LARGE_OPERATIONS / min(timed) / 1e9


def core_peak() -> str:
    """Both, in a line."""
    return (
        f"this core: multiply-adds {fma_rate():.1f} GFLOP/s, a large sgemm {sgemm_rate():.1f} "
        "(the best round of each)"
    )
