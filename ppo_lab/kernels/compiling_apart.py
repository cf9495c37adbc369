"""Compiling in a process of its own, so that the first use computes what every later one does.

Code compiled in this process is bound to its helpers as they were compiled on their own, code
loaded from disk has copies of them inside: the two may round differently in the last bit. So what
is missing on disk is compiled elsewhere, and loaded from there at once.
"""

import atexit
import contextlib
import importlib
import os
import pickle
import subprocess
import sys
from typing import Any

__all__ = ["compiled_apart", "end_compiler", "serve"]

HERE = "PPO_LAB_COMPILE_HERE"
"""Set in the environment of a process that compiles for others."""
START = "from ppo_lab.kernels.compiling_apart import serve; serve()"
ENDING_SECONDS = 10.0
"""A compiler that takes longer to end is killed: what it compiled is on disk."""
_compiler: subprocess.Popen[bytes] | None = None


def compiled_apart(module: str, name: str, signature: tuple[Any, ...]) -> bool:
    """Let another process compile a kernel of a module for these types, into the cache on disk.

    Returns:
        False where it could not be done: the caller compiles for itself.
    """
    global _compiler
    if HERE in os.environ or module == "__main__" or not sys.executable:
        return False
    try:
        if _compiler is None or _compiler.poll() is not None:
            _compiler = _new_compiler()
        assert _compiler.stdin is not None
        assert _compiler.stdout is not None
        pickle.dump((sys.path, module, name, signature), _compiler.stdin)
        _compiler.stdin.flush()
        return _compiler.stdout.read(1) == b"1"
    except (OSError, ValueError, pickle.PicklingError, AttributeError, TypeError):
        end_compiler()
        return False


def _new_compiler() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        (sys.executable, "-c", START),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, HERE: "1"},
    )


@atexit.register
def end_compiler() -> None:
    """End the other process; the next kernel that is missing starts a new one."""
    global _compiler
    if _compiler is None:
        return
    with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
        _compiler.communicate(timeout=ENDING_SECONDS)
    if _compiler.poll() is None:
        _compiler.kill()
        _compiler.wait()
    _compiler = None


def serve() -> None:
    """Compile what stdin asks for, until it ends; a byte for each on stdout, 1 if it was done."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    sys.stdout = sys.stderr  # whatever a module prints is no answer
    while True:
        try:
            path, module, name, signature = pickle.load(requests)
        except EOFError:
            return
        except Exception:  # types of modules that are not found here
            answers.write(b"0")
            continue
        try:
            sys.path[:] = path
            getattr(importlib.import_module(module), name).compile(signature)
        except Exception:
            answers.write(b"0")
        else:
            answers.write(b"1")
