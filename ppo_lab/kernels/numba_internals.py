"""Every name of numba's own that is used here, and what is done where a numba does not have it.

numba's cache on disk looks only at the file that a function stands in, so that a kernel keeps the
old code of the helpers it calls; it fails at a truncated file, and where no directory can be
written. :class:`MendingCache` is numba's with these three mended. Where it cannot be, code lives in
memory only: it is compiled anew in every process, and is right.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import numba

from ppo_lab.kernels.compiling_apart import (
    Request,
    compiled_apart,
    end_compilers,
    expected,
    is_expecting,
)

__all__ = [
    "Call",
    "compile_without_calling",
    "compiled_together",
    "instruction_sets",
    "keep_on_disk",
    "on_compiling",
    "options_of_inner",
    "refuse_python",
]

Call: TypeAlias = tuple[Any, tuple[Any, ...]]
"""A kernel for Python to call, and its arguments."""


def internal(module: str, name: str) -> Any:
    """A name of ``numba.core``; None where this numba does not have it."""
    try:
        return getattr(import_module(f"numba.core.{module}"), name, None)
    except ImportError:
        return None


FunctionCache: Any = internal("caching", "FunctionCache") or object
IndexDataCacheFile: Any = internal("caching", "IndexDataCacheFile")
RUNTIME: Any = internal("runtime", "rtsys")
CPUDispatcher: Any = internal("registry", "CPUDispatcher") or object
JITCodeLibrary: Any = internal("codegen", "JITCodeLibrary") or object
CPU_TARGET: Any = internal("registry", "cpu_target")
host_features: Any = internal("codegen", "get_host_cpu_features")

_listeners: list[Callable[[Path], None]] = []


def instruction_sets() -> frozenset[str]:
    """The instruction sets that numba compiles for, by LLVM's names, as ``avx2`` or ``neon``.

    This CPU's, or those of ``NUMBA_CPU_FEATURES``; empty where this numba does not tell.
    """
    features = getattr(numba.config, "CPU_FEATURES", None)
    if features is None:
        features = host_features() if host_features is not None else ""
    return frozenset(name[1:] for name in features.split(",") if name.startswith("+"))


def keep_on_disk(compiled: Any, function: Callable[..., Any], is_entry: bool) -> None:
    """Give a compiled function its cache on disk, where that can be.

    Args:
        compiled: by ``numba.njit``.
        function: what was compiled.
        is_entry: Python calls it, not only kernels.
    """
    try:
        compiled._cache = MendingCache(function, is_entry)
    # No directory that can be written, or another numba's cache.
    except (RuntimeError, AttributeError, TypeError):
        return


def options_of_inner() -> dict[str, bool]:
    """What ``numba.njit`` is told of a kernel for kernels: no wrapper, a fifth less to compile."""
    return {"no_cpython_wrapper": True} if CPUDispatcher is not object else {}


def refuse_python(compiled: Any) -> None:
    """Let a kernel without the wrapper for Python refuse Python's calls, which would crash."""
    if type(compiled) is CPUDispatcher:  # not where NUMBA_DISABLE_JIT leaves plain Python
        compiled.__class__ = InnerDispatcher


class LateLibrary(JITCodeLibrary):  # type: ignore[misc]
    """A kernel's code where nothing is called: machine code is made of entries only, when saved.

    Callers have a kernel's code inside in LLVM's language, so that its own machine code, a sixth of
    the time, is for none but Python to call.
    """

    is_entry = False

    def _finalize_final_module(self) -> None:
        if not self._object_caching_enabled:  # numba's own, which kernels refer to
            super()._finalize_final_module()
            return
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Zero, as of what is not defined, where there is no machine code."""
        self._ensure_finalized()
        return 0 if self._object_caching_enabled else super().get_pointer_to_function(name)

    def serialize_using_object_code(self) -> tuple[str, str, Any]:
        """As numba's, but machine code of an entry only."""
        if not self.is_entry:
            return self.serialize_using_bitcode()  # type: ignore[no-any-return]
        self._ensure_finalized()
        machine_code = self._codegen._tm.emit_object(self._final_module)
        return self.name, "object", (machine_code, self._get_module_for_linking().as_bitcode())


def compile_without_calling() -> None:
    """From here on kernels are compiled to be saved, and this process can call none."""
    try:
        codegen = CPU_TARGET.target_context.codegen()
        if JITCodeLibrary is object or codegen._library_class is not JITCodeLibrary:
            return
    except AttributeError:
        return
    codegen._library_class = LateLibrary
    codegen.set_env = lambda *_: None  # it is written into the machine code


class InnerDispatcher(CPUDispatcher):  # type: ignore[misc]
    """A compiled function without the wrapper that Python's calls need."""

    def __call__(self, *_args: Any, **_kwargs: Any) -> Any:
        """Refuse; without this the process would crash."""
        raise TypeError(
            f"{self.py_func.__name__} was called from Python, but only kernels call it; "
            "decorate it with entry_kernel"
        )


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
            end_compilers()


@contextmanager
def compiled_together(*lanes: Sequence[Call]) -> Iterator[None]:
    """Within the block, the first call that must be compiled has all of these compiled with it.

    Args:
        lanes: calls that the block makes; those of a lane share most of their helpers, and other
            lanes are compiled at the same time, if there is a core for each.
    """
    requests = [[_request(*call) for call in lane] for lane in lanes]
    with expected([[each for each in lane if each is not None] for lane in requests]):
        try:
            yield
        finally:
            if not _listeners:
                end_compilers()


def _request(compiled: Any, args: tuple[Any, ...]) -> Request | None:
    """What compiles a kernel for these arguments; None: it has no cache, so is compiled here."""
    cache = getattr(compiled, "_cache", None)
    if not isinstance(cache, MendingCache):
        return None
    return (*cache.place, tuple(numba.typeof(arg) for arg in args))


class MendingCache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, rebuilt where it is stale or broken.

    Args:
        function: the Python function.
        is_entry: Python calls it, not only kernels.
    """

    def __init__(self, function: Callable[..., Any], is_entry: bool) -> None:
        super().__init__(function)
        self.place = function.__module__, function.__qualname__
        self._is_entry = is_entry and function.__qualname__ == function.__name__
        digest = sources_digest(Path(function.__code__.co_filename).parent)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=f"{self._impl.filename_base}-{digest[:12]}",
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function for these types, or None where it must be compiled."""
        loaded = self._load(sig, target_context)
        if loaded is None and _listeners:
            for call in _listeners:
                call(Path(self._cache_path))
            # A listener may have waited for a process that compiled it.
            loaded = self._load(sig, target_context)
        # What only kernels call is compiled where its callers are.
        if loaded is None and self._is_entry and compiled_apart(*self.place, tuple(sig)):
            loaded = self._load(sig, target_context)
            if not (_listeners or is_expecting()):
                end_compilers()
        return loaded

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            loaded = self._read(sig, target_context)
            # Two processes that save at once may have swapped their files.
            return (
                loaded
                if loaded is not None and tuple(loaded.signature.args) == tuple(sig)
                else None
            )
        except Exception:  # whatever a broken file makes pickle or LLVM raise
            self._drop()
            return None

    def _read(self, sig: Any, target_context: Any) -> Any:
        read = getattr(self, "_load_overload", None)
        if RUNTIME is None or read is None:
            return super().load_overload(sig, target_context)
        # Without numba's ``refresh``, which imports all that compiling takes: 35 MiB, 0.4 s.
        RUNTIME.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return read(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if the disk lets us."""
        try:
            if isinstance(data.library, LateLibrary):
                data.library.is_entry = self._is_entry
            super().save_overload(sig, data)
        except Exception:  # a broken file, a full disk, what cannot be pickled, another numba
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
