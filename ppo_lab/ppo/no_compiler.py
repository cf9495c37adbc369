"""Optimisers without torch's compiler."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch as th

__all__ = ["no_compiler_import"]

MARK = "__dynamo_disable"
"""Where torch keeps a function that ``torch.compile`` must not trace, once it has made it."""


@contextmanager
def no_compiler_import() -> Iterator[None]:
    """Within the block, optimisers are made, saved and loaded without ``torch._dynamo``.

    torch marks these methods as not to be traced, and a mark's first call imports the compiler: 80
    MiB and a second, which the kernels' path needs for nothing else. Where nobody has imported it
    nobody traces, so that the bare method does the same.
    """
    optimizer = th.optim.Optimizer
    methods = (optimizer.add_param_group, optimizer.state_dict, optimizer.load_state_dict)
    bare: list[Any] = [getattr(method, "__wrapped__", None) for method in methods]
    if "torch._dynamo" in sys.modules or None in bare or any(hasattr(b, MARK) for b in bare):
        yield
        return
    for method in bare:
        setattr(method, MARK, method)
    try:
        yield
    finally:
        for method in bare:
            delattr(method, MARK)
