"""Decorators that compile a function by numba, with types."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

from ppo_lab.kernels.numba_internals import keep_on_disk, options_of_inner, refuse_python

__all__ = ["entry_kernel", "exact_entry_kernel", "exact_kernel", "inlined_kernel", "kernel"]

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
"""What lets loops vectorise. Not ``nnan`` and ``ninf``: the guards look for NaN and infinity."""

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function that kernels call, for the types it is called with, once per machine.

    Without the GIL, with IEEE division (no ZeroDivisionError), sums in any order (the same one
    each time), and the result kept on disk beside the source or, where that cannot be written, in
    the user's cache directory, or in memory only.

    Args:
        function: in numba's nopython subset of Python.

    Returns:
        The compiled function; ``py_func`` is the one given.
    """
    return _inner(function, FASTMATH)


def entry_kernel(function: F) -> F:
    """As :func:`kernel`, for Python to call."""
    return _compiled(function, FASTMATH)


def exact_kernel(function: F) -> F:
    """As :func:`kernel`, but with every operation in the order that is written, as torch's."""
    return _inner(function, False)


def exact_entry_kernel(function: F) -> F:
    """As :func:`exact_kernel`, for Python to call."""
    return _compiled(function, False)


def inlined_kernel(function: F) -> F:
    """As :func:`kernel`, but compiled into each caller instead of on its own.

    A kernel that is called from one place only is otherwise optimised twice.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy", fastmath=FASTMATH, inline="always")(
        function
    )
    return compiled  # type: ignore[no-any-return]


def _inner(function: F, fastmath: set[str] | bool) -> F:
    compiled: Any = _compiled(function, fastmath, is_entry=False, **options_of_inner())
    refuse_python(compiled)
    return compiled  # type: ignore[no-any-return]


def _compiled(function: F, fastmath: set[str] | bool, is_entry: bool = True, **options: bool) -> F:
    compiled: Any = numba.njit(
        nogil=True, error_model="numpy", fastmath=fastmath, no_cfunc_wrapper=True, **options
    )(function)
    keep_on_disk(compiled, function, is_entry)
    return compiled  # type: ignore[no-any-return]
