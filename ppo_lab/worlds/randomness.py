"""NumPy's PCG64 in compiled code: one stream of random numbers a copy, as Gymnasium gives each.

A stream is a row of four unsigned 64-bit integers: the 128-bit state, high half first, and the
128-bit increment. Seeded alike, it gives the numbers of ``numpy.random.Generator(PCG64)`` and so
those of an environment's own ``np_random``: a compiled world then repeats the environment that it
restates, chance included.

Source: M. E. O'Neill, PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
for Random Number Generation (2014), the variant XSL-RR 128/64.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ppo_lab.kernels.compiling import exact_kernel

__all__ = [
    "StreamArray",
    "new_stream",
    "stream_of",
    "uniform",
    "uniform_between",
    "write_stream",
]

StreamArray = npt.NDArray[np.uint64]

HALF = 2**64
MULTIPLIER_HIGH = np.uint64(0x2360ED051FC65DA4)
MULTIPLIER_LOW = np.uint64(0x4385DF649FCCF645)
LOW_WORD = np.uint64(0xFFFFFFFF)
WORD = np.uint64(32)
ROTATION = np.uint64(58)
ALL_BITS = np.uint64(63)
MANTISSA = np.uint64(11)
UNIT = 1.0 / 2**53


def new_stream(seed: int | None) -> StreamArray:
    """The stream (4,) that ``gymnasium.utils.seeding.np_random(seed)`` begins; None: unpredictable.

    Args:
        seed: ≥ 0, or None.
    """
    return _words(np.random.PCG64(np.random.SeedSequence(seed)))


def stream_of(generator: np.random.Generator) -> StreamArray:
    """The stream (4,) that goes on where a generator of a PCG64 stands."""
    return _words(generator.bit_generator)


def write_stream(generator: np.random.Generator, stream: StreamArray) -> None:
    """Let a generator of a PCG64 go on where a stream stands."""
    high, low, increment_high, increment_low = (int(word) for word in stream)
    inner = {"state": high * HALF + low, "inc": increment_high * HALF + increment_low}
    state = {"bit_generator": "PCG64", "state": inner, "has_uint32": 0, "uinteger": 0}
    generator.bit_generator.state = state


def _words(bits: Any) -> StreamArray:
    state = bits.state["state"]
    words = [*divmod(state["state"], HALF), *divmod(state["inc"], HALF)]
    return np.array(words, np.uint64)


@exact_kernel
def _multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The 128-bit product of two 64-bit integers, high and low half, by 32-bit words."""
    a_low, a_high = a & LOW_WORD, a >> WORD
    b_low, b_high = b & LOW_WORD, b >> WORD
    low = a_low * b_low
    middle = a_high * b_low + (low >> WORD)
    other = a_low * b_high + (middle & LOW_WORD)
    return a_high * b_high + (middle >> WORD) + (other >> WORD), a * b


@exact_kernel
def _next_bits(stream: StreamArray) -> np.uint64:
    """Move the stream on and return its next 64 bits: state ← state · multiplier + increment."""
    high, low = _multiply(stream[1], MULTIPLIER_LOW)
    high += stream[0] * MULTIPLIER_LOW + stream[1] * MULTIPLIER_HIGH
    moved = low + stream[3]
    high += stream[2]
    if moved < low:
        high += np.uint64(1)
    stream[0], stream[1] = high, moved
    turn = high >> ROTATION
    bits = high ^ moved
    rotated: np.uint64 = (bits >> turn) | (bits << ((np.uint64(64) - turn) & ALL_BITS))
    return rotated


@exact_kernel
def uniform(stream: StreamArray) -> float:
    """The next uniform number in [0, 1): ``Generator.random()``."""
    return float(_next_bits(stream) >> MANTISSA) * UNIT


@exact_kernel
def uniform_between(stream: StreamArray, low: float, high: float) -> float:
    """The next uniform number in [low, high): ``Generator.uniform(low, high)``."""
    return low + (high - low) * uniform(stream)
