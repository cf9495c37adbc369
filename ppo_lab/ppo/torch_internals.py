"""Every name of torch's own that is used here, and what is done where a torch does not have it."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch as th
from torch import nn
from torch.nn.modules import module as torch_module
from torch.optim import optimizer as torch_optimizer

__all__ = [
    "GLOBAL_MODULE_HOOKS",
    "GLOBAL_OPTIMIZER_HOOKS",
    "MODULE_HOOKS",
    "OPTIMIZER_HOOKS",
    "PARAMETER_HOOKS",
    "copy_all",
    "hook_reason",
    "live_parts",
    "no_compiler_import",
    "norms_of",
    "own_modules",
    "own_parameters",
    "uncompiled",
]

PARAMETERS, MODULES = "_parameters", "_modules"
FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
MODULE_HOOKS = (*FORWARD_HOOKS, "_backward_hooks", "_backward_pre_hooks")
PARAMETER_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
OPTIMIZER_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
GLOBAL_MODULE_HOOKS = (torch_module, tuple(f"_global{name}" for name in MODULE_HOOKS))
GLOBAL_OPTIMIZER_HOOKS = (
    torch_optimizer,
    ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks"),
)
MARK = "__dynamo_disable"
"""Where torch keeps a function that ``torch.compile`` must not trace, once it has made it."""


def own_parameters(module: nn.Module) -> Mapping[str, nn.Parameter | None]:
    """A module's parameters, without those of the modules in it; the live mapping, for speed."""
    held: Mapping[str, nn.Parameter | None] | None = vars(module).get(PARAMETERS)
    return dict(module.named_parameters(recurse=False)) if held is None else held


def own_modules(module: nn.Module) -> Mapping[str, nn.Module | None]:
    """The modules directly in a module; the live mapping, for speed."""
    held: Mapping[str, nn.Module | None] | None = vars(module).get(MODULES)
    return dict(module.named_children()) if held is None else held


def live_parts(module: nn.Module) -> list[Mapping[Any, Any]] | None:
    """What a module is made of, its forward hooks included, as mappings that change with it.

    Returns:
        None where this torch does not show them.
    """
    parts = [vars(module).get(name) for name in (PARAMETERS, MODULES, *FORWARD_HOOKS)]
    return None if any(part is None for part in parts) else parts  # type: ignore[return-value]


def hook_reason(holder: object, names: Sequence[str], words: str) -> str | None:
    """Say that hooks are there.

    Args:
        holder: a module, a parameter, an optimiser, or what holds those for all.
        names: of its hooks, of the constants above.
        words: of such a holder with hooks.

    Returns:
        ``words``; None where there are no hooks; that nobody can tell, where this torch does not
        show them.
    """
    try:
        return words if any(getattr(holder, name) for name in names) else None
    except AttributeError:
        return "may have hooks, which this version of torch does not show"


def copy_all(targets: Sequence[th.Tensor], sources: Sequence[th.Tensor]) -> None:
    """Copy tensors into others of their shapes: in one call, where torch has it."""
    at_once = getattr(th, "_foreach_copy_", None)
    if at_once is not None:
        at_once(targets, sources)
        return
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def norms_of(tensors: Sequence[th.Tensor]) -> list[th.Tensor]:
    """‖t‖₂ of each tensor, as ``nn.utils.clip_grad_norm_`` takes it: in one call, if torch can."""
    at_once = getattr(th, "_foreach_norm", None)
    if at_once is not None:
        return list(at_once(tensors, 2.0))
    return [th.linalg.vector_norm(tensor, 2.0) for tensor in tensors]


def uncompiled(module: nn.Module) -> nn.Module:
    """What ``torch.compile`` wrapped, or the module itself."""
    inner: nn.Module = getattr(module, "_orig_mod", module)
    return inner


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
