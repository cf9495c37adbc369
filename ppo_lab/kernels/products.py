"""The three matrix products of a layer, by BLAS (scipy's, which numba calls)."""

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.typing import Matrix

__all__ = ["input_gradient", "outputs", "weight_gradient"]


@kernel
def outputs(below: Matrix, weight: Matrix, above: Matrix) -> None:
    """Z (n, out) ← A (n, in) Wᵀ, W (out, in)."""
    np.dot(below, weight.T, above)


@kernel
def weight_gradient(delta: Matrix, below: Matrix, into: Matrix) -> None:
    """∂W (out, in) ← δᵀ A, δ (n, out), A (n, in)."""
    np.dot(delta.T, below, into)


@kernel
def input_gradient(delta: Matrix, weight: Matrix, into: Matrix) -> None:
    """∂A (n, in) ← δ (n, out) W, W (out, in)."""
    np.dot(delta, weight, into)
