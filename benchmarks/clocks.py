"""What a benchmark must do for its clocks to be honest; import it before NumPy.

It takes back the variables that choose another BLAS kernel than this CPU's, and one thread is all
that NumPy and torch then use. The core's own rates stand beside every share, and a ratio whose
rounds overlap is not printed as one.
"""

# ruff: noqa: E402  # the variables come first

import os
import sys

assert "numpy" not in sys.modules, "import clocks before numpy: BLAS reads its variables once"
for _variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_variable, None)
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import time
from collections.abc import Callable, Sequence

import numba
import numpy as np

from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.finishing import PLAIN
from ppo_lab.kernels.tiles import TALL, tall_wide_tile
from ppo_lab.kernels.vectors import LANES, VECTORS

__all__ = ["blas_kernel", "cpu_seconds", "fma_rate", "ratio", "rounds_of", "sgemm_rate"]

LARGE = 1536
"""Rows and columns of the large sgemm."""
STEPS = 100_000


def blas_kernel() -> str:
    """Which BLAS NumPy calls, and its kernel for this CPU where that can be asked."""
    try:
        import threadpoolctl
    except ImportError:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return (
            f"{blas['name']} {blas['version']}, its kernel unknown: "
            "pip install threadpoolctl to be told"
        )
    found = [info for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"]
    return "; ".join(
        f"{info['internal_api']} {info['version']}, kernel {info.get('architecture', 'unknown')}"
        for info in found
    )


def cpu_seconds(side: Callable[[], object]) -> float:
    """CPU seconds of this thread, so that other programs on the machine disturb less."""
    started = time.thread_time()
    side()
    return time.thread_time() - started


def rounds_of(sides: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """CPU seconds of each side, (sides × rounds), the sides in turn; each runs once before."""
    for side in sides:
        side()
    timed = [[cpu_seconds(side) for side in sides] for _ in range(rounds)]
    return [list(column) for column in zip(*timed, strict=True)]


def ratio(numerators: Sequence[float], denominators: Sequence[float], digits: int = 2) -> str:
    """The ratio of the medians, or "overlap" and both ranges where the rounds' ranges meet."""
    if min(numerators) <= max(denominators) and min(denominators) <= max(numerators):
        ranges = (f"{min(rounds):.4g}–{max(rounds):.4g}" for rounds in (numerators, denominators))
        return "overlap (" + " and ".join(ranges) + ")"
    return f"{np.median(numerators) / np.median(denominators):.{digits}f}"


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


def sgemm_rate(rounds: int = 5) -> float:
    """GFLOP/s of NumPy's product of two large matrices, the largest of the rounds."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((LARGE, LARGE)).astype(np.float32) for _ in range(2))
    into = np.empty_like(a)
    (timed,) = rounds_of([lambda: np.dot(a, b, into)], rounds)
    return 2.0 * LARGE**3 / min(timed) / 1e9
