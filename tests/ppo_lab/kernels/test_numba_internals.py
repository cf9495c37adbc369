"""Where a numba does not have a name of its own that is used, kernels compute the same."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest
from numba.core import caching, codegen, registry, runtime

from ppo_lab.kernels import compiling, numba_internals


def made_anew() -> ModuleType:
    """The module as it would be imported now."""
    spec = importlib.util.spec_from_file_location("numba_internals", numba_internals.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernels() -> tuple[Callable[[int], int], Callable[[int], int]]:
    """2 (x + 1) for Python to call, and x + 1 for kernels."""

    @compiling.kernel
    def helper(x: int) -> int:
        return x + 1

    @compiling.entry_kernel
    def twice(x: int) -> int:
        return 2 * helper(x)

    return twice, helper


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (caching, "FunctionCache"),
        (caching, "IndexDataCacheFile"),
        (caching.Cache, "_load_overload"),
        (caching.Cache, "_guard_against_spurious_io_errors"),
        (caching.CacheImpl, "filename_base"),
        (runtime, "rtsys"),
        (registry, "CPUDispatcher"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_a_name_of_numbas_a_kernel_computes_the_same(
    holder: Any, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    with monkeypatch.context() as without:
        without.delattr(holder, name)
        module = made_anew()
        if isinstance(holder, ModuleType):
            without.undo()  # numba could not do without it itself
        for function in ("keep_on_disk", "options_of_inner", "refuse_python"):
            without.setattr(compiling, function, getattr(module, function))
        twice, helper = kernels()
        assert (twice(3), twice(4)) == (8, 10)
        if name == "CPUDispatcher":
            assert helper(3) == 4  # with the wrapper for Python, rather than a crash
        else:
            with pytest.raises(TypeError, match="only kernels call it"):
                helper(3)


def test_a_name_that_is_not_there_is_none() -> None:
    assert numba_internals.internal("runtime", "gone") is None
    assert numba_internals.internal("gone", "rtsys") is None


@pytest.mark.parametrize(
    ("holder", "name"), [(codegen, "JITCodeLibrary"), (registry, "cpu_target")]
)
def test_without_numbas_library_of_code_a_compiler_makes_machine_code_of_all(
    holder: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = registry.cpu_target.target_context.codegen()
    with monkeypatch.context() as without:
        without.delattr(holder, name)
        module = made_anew()
    module.compile_without_calling()
    assert made_by._library_class is codegen.JITCodeLibrary
    assert "set_env" not in vars(made_by)
