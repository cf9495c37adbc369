"""What a benchmark says of where it ran: processor, versions, and which BLAS kernel is chosen."""

import ctypes
import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["blas_kernel", "described", "last_core", "processor"]

PACKAGES = ("stable-baselines3", "gymnasium", "torch", "numba", "numpy")


def described(others: Iterable[str] = ()) -> list[str]:
    """The lines that stand above a benchmark's figures.

    Args:
        others: packages whose versions are told beside those of all benchmarks, where installed.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"{processor()}, {cores} cores usable; Python {platform.python_version()}, "
        f"{platform.platform()}",
        ", ".join(f"{name} {found}" for name in (*PACKAGES, *others) if (found := _version(name))),
        f"BLAS of NumPy: {blas_kernel()}",
    ]


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def last_core() -> int | None:
    """The core that a benchmark's processes share; None where a process cannot choose."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def blas_kernel() -> str:
    """Which BLAS NumPy calls, and the kernel that it has chosen on this CPU."""
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']}, kernel {_chosen(Path(np.__file__)) or 'not told'}"


def _chosen(numpy_file: Path) -> str:
    """What the OpenBLAS that comes with NumPy says; empty where it is another library."""
    folder = numpy_file.parent.parent / "numpy.libs"
    for file in (*folder.glob("*openblas*"), *(numpy_file.parent / ".dylibs").glob("*openblas*")):
        library = ctypes.CDLL(str(file))
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_"):
            if asked := getattr(library, name, None):
                asked.restype = ctypes.c_char_p
                return str(asked().decode())
    return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
