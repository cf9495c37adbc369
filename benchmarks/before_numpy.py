"""Imported by a benchmark before anything that imports NumPy: BLAS reads its variables once.

``OPENBLAS_CORETYPE`` and ``OPENBLAS_L2_SIZE``, which some machines set for old builds of NumPy,
choose another kernel than this CPU's and slow NumPy, torch and with them SB3: both are taken back,
for the processes that a benchmark starts too. One thread is all that each process uses.

``python benchmarks/NAME.py`` looks for packages in this folder first, whose ``mujoco.py`` is none:
the folder of the project takes its place, as ``python -m benchmarks.NAME`` has it.
"""

import os
import sys
from pathlib import Path

__all__ = ["MISLEADING", "THREADS"]

MISLEADING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

if "numpy" in sys.modules and (
    any(name in os.environ for name in MISLEADING)
    or any(os.environ.get(name) != "1" for name in THREADS)
):
    raise ImportError("import before_numpy before NumPy, which has read its variables by now")
for _name in MISLEADING:
    os.environ.pop(_name, None)
for _name in THREADS:
    os.environ[_name] = "1"
_here = Path(__file__).resolve().parent
sys.path[:] = dict.fromkeys(
    str(_here.parent) if not entry or Path(entry).resolve() == _here else entry
    for entry in sys.path
)
