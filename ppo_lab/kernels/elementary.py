"""tanh, exp and log of single precision without branches, so that loops over them vectorise.

The C library's are called number by number. NaN stays NaN in all three.
"""

import math

import numpy as np

from ppo_lab.kernels.compiling import inlined_kernel

__all__ = ["SATURATION", "P", "Q", "exp", "log", "tanh"]

ONE, HALF, ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)
INFINITY = np.float32(np.inf)

SATURATION = np.float32(8.0)
"""From here on tanh is 1 to within 2.3e-7."""
P = tuple(
    np.float32(value)
    for value in (0.999999994, 0.134445056, 0.00357160713, 2.18948136e-05, 1.5230633e-08)
)
Q = tuple(
    np.float32(value) for value in (1.0, 0.467778329, 0.0261644775, 0.000341130697, 8.52253355e-07)
)
"""The coefficients of 1, t, t², …"""
P0, P1, P2, P3, P4 = P
_, Q1, Q2, Q3, Q4 = Q

LOG2_E = np.float32(1.0 / math.log(2.0))
LN2_HIGH = np.float32(0.693359375)
"""ln 2 but for its last bits: n times it is exact for |n| < 2⁹."""
LN2_LOW = np.float32(math.log(2.0) - 0.693359375)
LARGEST, SMALLEST = np.float32(127.49 * math.log(2.0)), np.float32(-126.0 * math.log(2.0))
E2, E3, E4, E5, E6, E7 = (np.float32(1.0 / math.factorial(n)) for n in range(2, 8))

BIAS, MANTISSA = np.int32(127), np.int32(23)
"""Of the exponent in a float's bits, and the bits below it."""
SQRT_HALF = np.float32(math.sqrt(0.5)).view(np.int32)
L1, L3, L5, L7, L9 = (np.float32(2.0 / n) for n in (1, 3, 5, 7, 9))


@inlined_kernel
def tanh(x: np.float32) -> np.float32:
    """The function tanh x ≈ x P(x²) / Q(x²), |x| cut at 8, right to 4e-7.

    P and Q of degree 4 minimise the largest relative error on [0, 8] (docs/kernels.md).
    """
    x = -SATURATION if x < -SATURATION else x
    x = SATURATION if x > SATURATION else x
    t = x * x
    p = (((P4 * t + P3) * t + P2) * t + P1) * t + P0
    q = (((Q4 * t + Q3) * t + Q2) * t + Q1) * t + ONE
    return x * p / q


@inlined_kernel
def exp(x: np.float32) -> np.float32:
    """The function eˣ = 2ⁿ eʳ with n = ⌊x log₂ e + ½⌋, eʳ by its series; right to 2e-7 of itself.

    Infinite for x > 88.37, where single precision nearly ends, and 0 for x < −87.33, where its
    normal numbers do.
    """
    cut = SMALLEST if x < SMALLEST else x
    cut = LARGEST if cut > LARGEST else cut
    n = np.float32(math.floor(cut * LOG2_E + HALF))
    r = (cut - n * LN2_HIGH) - n * LN2_LOW
    series = (((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + E2) * r * r + r + ONE
    power = np.int32((np.int32(n) + BIAS) << MANTISSA).view(np.float32)
    result = INFINITY if x > LARGEST else series * power
    return ZERO if x < SMALLEST else result


@inlined_kernel
def log(x: np.float32) -> np.float32:
    """The function ln x = e ln 2 + 2 artanh f with x = 2ᵉ m, f = (m − 1) / (m + 1), ½ ≤ m² < 2.

    Right to 2e-7 of itself for x from the smallest normal number on; no other x but NaN.
    """
    bits = np.float32(x).view(np.int32)
    exponent = np.int32((bits - SQRT_HALF) >> MANTISSA)
    m = np.int32(bits - (exponent << MANTISSA)).view(np.float32)
    f = (m - ONE) / (m + ONE)
    t = f * f
    series = f * ((((L9 * t + L7) * t + L5) * t + L3) * t + L1)
    e = np.float32(exponent)
    result = (series + e * LN2_LOW) + e * LN2_HIGH
    return result if x < INFINITY else x
