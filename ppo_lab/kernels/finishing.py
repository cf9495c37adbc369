"""What becomes of a product's sums before they are stored, so that no pass over C comes after.

Forwards the activation, a = f(z). Backwards its derivative from the activation that C holds,
∂z = ∂a ⊙ f′(z): 1 − a² of tanh, [a > 0] of ReLU.
"""

from typing import Any

import numpy as np
from llvmlite import ir

from ppo_lab.kernels.compiling import inlined_kernel, kernel
from ppo_lab.kernels.elementary import SATURATION, P, Q, tanh
from ppo_lab.kernels.layout import RELU, TANH
from ppo_lab.kernels.typing import Floats
from ppo_lab.kernels.vectors import VECTOR, multiply_add

__all__ = ["KINDS", "PLAIN", "SLOPE", "activate", "finished", "finished_vector"]

SLOPE = 2
"""Added to an activation's number: its derivative."""
PLAIN: Any = np.int64(4)
"""The sums as they are; no literal, as strides in ``products.py``."""
KINDS = (TANH, RELU, TANH + SLOPE, RELU + SLOPE)
"""All others."""
ONE, ZERO = np.float32(1.0), np.float32(0.0)


@inlined_kernel
def finished(total: np.float32, before: np.float32, kind: int) -> np.float32:
    """One number of C from its sum, and from what C held before."""
    if kind == TANH:
        total = tanh(total)
    elif kind == RELU:
        total = ZERO if total < ZERO else total
    elif kind == TANH + SLOPE:
        total = total * (ONE - before * before)
    elif kind == RELU + SLOPE:
        total = total if before > ZERO else ZERO
    return total


@kernel
def activate(z: Floats, kind: int) -> None:
    """Z ← f(z), or z where ``kind`` is PLAIN."""
    if kind == RELU:
        for j in range(z.size):
            z[j] = ZERO if z[j] < ZERO else z[j]
    elif kind == TANH:
        for j in range(z.size):
            z[j] = tanh(z[j])


def finished_vector(builder: Any, total: Any, before: Any, kind: int) -> Any:
    """:func:`finished` in LLVM's language; ``before`` is None forwards."""
    if kind == TANH:
        return _tanh(builder, total)
    if kind == RELU:
        negative = builder.fcmp_ordered("<", total, _everywhere(0.0))
        return builder.select(negative, _everywhere(0.0), total)
    if kind == TANH + SLOPE:
        minus = builder.fmul(before, _everywhere(-1.0))
        return builder.fmul(total, multiply_add(builder, minus, before, _everywhere(1.0)))
    positive = builder.fcmp_ordered(">", before, _everywhere(0.0))
    return builder.select(positive, total, _everywhere(0.0))


def _tanh(builder: Any, x: Any) -> Any:
    low, high = _everywhere(-float(SATURATION)), _everywhere(float(SATURATION))
    x = builder.select(builder.fcmp_ordered("<", x, low), low, x)
    x = builder.select(builder.fcmp_ordered(">", x, high), high, x)
    t = builder.fmul(x, x)
    p, q = (_polynomial(builder, t, coefficients) for coefficients in (P, Q))
    return builder.fdiv(builder.fmul(x, p), q)


def _polynomial(builder: Any, t: Any, coefficients: tuple[np.float32, ...]) -> Any:
    """Σ_n coefficients[n] tⁿ, by Horner's rule."""
    *lower, total = (_everywhere(float(number)) for number in coefficients)
    for constant in reversed(lower):
        total = multiply_add(builder, total, t, constant)
    return total


def _everywhere(number: float) -> Any:
    return ir.Constant(VECTOR, [number] * VECTOR.count)
