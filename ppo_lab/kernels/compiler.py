"""The process that compiles for others; ``compiling_apart.py`` starts it and asks."""

import importlib
import os
import pickle
import sys

from ppo_lab.kernels.numba_internals import compile_without_calling

__all__ = ["serve"]


def serve() -> None:
    """Compile what stdin asks for, until it ends; a byte for each on stdout, 1 if it was done."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    sys.stdout = sys.stderr  # whatever a module prints is no answer
    compile_without_calling()
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
