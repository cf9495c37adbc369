"""numba with types, and a cache on disk that may go stale or break without harm.

numba's own cache looks only at the file that a function stands in, so that a kernel keeps the
old code of the helpers it calls; it fails at a truncated file, and where no directory can be
written. The cache here is numba's with these three mended.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.registry import CPUDispatcher
from numba.core.runtime import rtsys

from ppo_lab.kernels.compiling_apart import compiled_apart, end_compiler

__all__ = [
    "entry_kernel",
    "exact_entry_kernel",
    "exact_kernel",
    "inlined_kernel",
    "kernel",
    "on_compiling",
]

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
"""What lets loops vectorise. Not ``nnan`` and ``ninf``: the guards look for NaN and infinity."""

F = TypeVar("F", bound=Callable[..., Any])

_listeners: list[Callable[[Path], None]] = []


class InnerDispatcher(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function without the wrapper that Python's calls need: a fifth less to compile."""

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        """Refuse; without this the process would crash."""
        raise TypeError(
            f"{self.py_func.__name__} was called from Python, but only kernels call it; "
            "decorate it with entry_kernel"
        )


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
    compiled: Any = _compiled(function, fastmath, no_cpython_wrapper=True)
    if isinstance(compiled, CPUDispatcher):  # not where NUMBA_DISABLE_JIT leaves plain Python
        compiled.__class__ = InnerDispatcher
    return compiled  # type: ignore[no-any-return]


def _compiled(function: F, fastmath: set[str] | bool, **options: bool) -> F:
    compiled: Any = numba.njit(
        nogil=True, error_model="numpy", fastmath=fastmath, no_cfunc_wrapper=True, **options
    )(function)
    # Where numba finds no directory that can be written, the code lives in memory only.
    with suppress(RuntimeError):
        compiled._cache = MendingCache(function, is_entry="no_cpython_wrapper" not in options)
    return compiled  # type: ignore[no-any-return]


@contextmanager
def on_compiling(call: Callable[[Path], None]) -> Iterator[None]:
    """Within the block, call this whenever a kernel must be compiled, before it is.

    Args:
        call: given the folder of the cache; not called for what memory or the disk already hold.
    """
    _listeners.append(call)
    try:
        yield
    finally:
        _listeners.remove(call)
        if not _listeners:
            end_compiler()


class MendingCache(FunctionCache):  # type: ignore[misc]  # numba has no types
    """numba's cache of one function, rebuilt where it is stale or broken.

    Args:
        function: the Python function.
        is_entry: Python calls it, not only kernels.
    """

    def __init__(self, function: Callable[..., Any], is_entry: bool) -> None:
        super().__init__(function)
        self._place = function.__module__, function.__qualname__
        self._is_entry = is_entry and function.__qualname__ == function.__name__
        file = Path(function.__code__.co_filename)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=f"{self._impl.filename_base}-{sources_digest(file.parent)[:12]}",
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for these types, or None where it must be compiled."""
        found = self._load(sig, target_context)
        if found is None and _listeners:
            for call in _listeners:
                call(Path(self._cache_path))
            # A listener may have waited for a process that compiled it.
            found = self._load(sig, target_context)
        # What only kernels call is compiled where its callers are.
        if found is None and self._is_entry and compiled_apart(*self._place, tuple(sig)):
            found = self._load(sig, target_context)
            if not _listeners:
                end_compiler()
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        found = None
        try:
            # Without numba's ``refresh``, which imports all that compiling takes: 35 MiB, 0.4 s.
            rtsys.initialize(target_context)
            with self._guard_against_spurious_io_errors():
                found = self._load_overload(sig, target_context)
            # Two processes that save at once may have swapped their files.
            if found is not None and tuple(found.signature.args) != tuple(sig):
                found = None
        except Exception:  # whatever a broken file makes pickle or LLVM raise
            self._drop()
            return None
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if the disk lets us."""
        try:
            super().save_overload(sig, data)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._drop()

    def _drop(self) -> None:
        """Remove this function's files, as far as they can be removed."""
        try:
            for path in Path(self._cache_path).glob(f"{Path(self._cache_file._index_path).stem}.*"):
                path.unlink(missing_ok=True)
        except OSError:
            self.disable()


@cache
def sources_digest(directory: Path) -> str:
    """A digest of every source file of this room and of ``directory``.

    Compiled code has the code of what it calls inside, and these are what a kernel calls.
    """
    digest = hashlib.sha256()
    for folder in sorted({directory, Path(__file__).parent}):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
