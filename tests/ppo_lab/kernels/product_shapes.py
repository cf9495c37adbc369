"""The kernels' products of one shape beside NumPy's in double precision."""

import sys

import numpy as np

from ppo_lab.kernels import products
from ppo_lab.kernels.finishing import PLAIN, SLOPE
from ppo_lab.kernels.layout import PANEL, RELU, TANH, TILE
from ppo_lab.kernels.vectors import LANES, VECTORS
from tests.ppo_lab.kernels.calling import from_python

input_gradient, outputs, sum_rows, weight_gradient = map(
    from_python,
    (products.input_gradient, products.outputs, products.sum_rows, products.weight_gradient),
)

ROUNDING = 2.0**-24
"""Of single precision, relative to each result of an operation."""
OF_TANH = 6e-7
"""What the kernels' tanh may be off by."""
EDGES = (1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 48, 49, 63, 64, 65, 111, 130, 376)
"""Sizes on both sides of every tile's, and those of well-known environments."""


def check_products(n: int, n_in: int, n_out: int, seed: int) -> None:
    """All four, into memory that is full of NaN and from a workspace as large as promised.

    Raises:
        AssertionError: a number is off by more than single precision explains, or one behind the
            result was written.
    """
    rng = np.random.default_rng(seed)
    below, weight, delta, bias = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((n, n_in), (n_out, n_in), (n, n_out), (n_out,))
    )
    room = PANEL * (n + max(n_in, n_out) + 2) + TILE
    a, w, d, b = (x.astype(np.float64) for x in (below, weight, delta, bias))
    z, flow = a @ w.T + b, d @ w
    # The sums of the terms' magnitudes, which rounding is relative to (Higham 2002, section 3.1).
    size, back = abs(a) @ abs(w).T + abs(b), abs(d) @ abs(w)
    for kernel, arguments, held, kind, expected, magnitude, n_terms in (
        (outputs, (below, weight, bias), None, PLAIN, z, size, n_in + 1),
        (outputs, (below, weight, bias), None, TANH, np.tanh(z), size, n_in + 1),
        (outputs, (below, weight, bias), None, RELU, np.maximum(z, 0.0), size, n_in + 1),
        (weight_gradient, (delta, below), None, None, d.T @ a, abs(d).T @ abs(a), n),
        (input_gradient, (delta, weight), None, PLAIN, flow, back, n_out),
        (
            *(input_gradient, (delta, weight), below, TANH + SLOPE),
            *(flow * (1.0 - a * a), back * (1.0 + a * a), n_out),
        ),
        (
            *(input_gradient, (delta, weight), below, RELU + SLOPE),
            *(flow * (a > 0.0), back * (a > 0.0), n_out),
        ),
        (sum_rows, (delta,), None, None, d.sum(axis=0), abs(d).sum(axis=0), n),
    ):
        memory = np.full(expected.size + 64, np.nan, np.float32)
        if held is not None:
            memory[: expected.size] = held.ravel()
        pack = np.full(room + 64, np.nan, np.float32)
        found = memory[: expected.size].reshape(expected.shape)
        options = () if kind is None else (np.int64(kind),)
        kernel(*arguments, found, *options, pack[:room])
        # A product, a sum for each term, and the three operations of a slope.
        bound = (n_terms + 4) * ROUNDING * magnitude + (OF_TANH if kind == TANH else 0.0)
        worst = np.max(abs(found - expected) - bound)
        assert worst <= 0, f"{kernel} of {(n, n_in, n_out)}, seed {seed}: {worst:.1e} too far off"
        assert np.isnan(memory[expected.size :]).all()
        assert np.isnan(pack[room:]).all()


def check_edges(examples: int) -> None:
    """Random triples of :data:`EDGES`, the same ones every time."""
    rng = np.random.default_rng(0)
    for seed in range(examples):
        n, n_in, n_out = (int(size) for size in rng.choice(EDGES, 3))
        check_products(n, n_in, n_out, seed)


if __name__ == "__main__":
    check_edges(int(sys.argv[1]))
    print(LANES, VECTORS)
