"""The types of the kernels' arguments; all arrays are C-contiguous."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Actions", "Doubles", "Floats", "Integers", "Matrix"]

Floats: TypeAlias = NDArray[np.float32]
"""One dimension."""
Matrix: TypeAlias = NDArray[np.float32]
"""Two dimensions."""
Doubles: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Actions: TypeAlias = NDArray[Any]
"""(K, columns): int64 of Discrete and MultiDiscrete, float32 of Box."""
