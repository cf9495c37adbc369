"""The one way in which functions of this room are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

from ppo_lab.kernels.compiling import MendingCache

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """``ppo_lab.kernels.compiling.kernel`` without fast mathematics.

    A world repeats an environment to the last bit, so sums keep their order and products are
    rounded before they are added.
    """
    found: Any = numba.njit(nogil=True, error_model="numpy")(function)
    try:
        found._cache = MendingCache(function)
    except RuntimeError:  # numba found no directory that can be written
        return found  # type: ignore[no-any-return]
    return found  # type: ignore[no-any-return]
