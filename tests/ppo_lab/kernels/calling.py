"""Kernels that only kernels call, for tests to call."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def from_python(kernel: F) -> F:
    """The same function with the wrapper that Python's calls need."""

    @numba.njit
    def call(*args: Any) -> Any:
        return kernel(*args)

    return call  # type: ignore[no-any-return]
