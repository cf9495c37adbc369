"""The steps of an actor's and a critic's Adam, taken in one call (Spec 5.2).

Adam moves each number by itself, so that it does not matter which optimiser holds it: one call
over both networks gives the bits of two, or of SB3's one, in two thirds of the time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch as th

from ppo_lab.ppo.torch_internals import (
    GLOBAL_OPTIMIZER_HOOKS,
    OPTIMIZER_HOOKS,
    hook_reason,
    no_compiler_import,
)

__all__ = ["as_one_step"]


def as_one_step(optimizers: Sequence[th.optim.Optimizer]) -> Callable[[], None]:
    """What moves all their parameters once.

    Where all are torch's plain Adam with the same options, one Adam steps over everything. It
    works on their own states, which stay what is saved and loaded. Elsewhere each takes its step.

    Args:
        optimizers: of different parameters, as they are for the coming update.
    """

    def one_after_the_other() -> None:
        for optimizer in optimizers:
            optimizer.step()

    if not all(_is_plain_adam(optimizer) for optimizer in optimizers):
        return one_after_the_other
    options = [_options(optimizer) for optimizer in optimizers]
    # A schedule's last rollout may overshoot into a rate below 0, which torch makes no Adam with.
    if options.count(options[0]) != len(options) or options[0]["lr"] < 0:
        return one_after_the_other
    parameters = [p for optimizer in optimizers for p in optimizer.param_groups[0]["params"]]
    with no_compiler_import():
        joint = th.optim.Adam(parameters, **{**options[0], "foreach": True})
    for optimizer in optimizers:
        for parameter in optimizer.param_groups[0]["params"]:
            joint.state[parameter] = optimizer.state[parameter]
    return joint.step


def _is_plain_adam(optimizer: th.optim.Optimizer) -> bool:
    """Exactly torch's Adam, of one group, with nothing hung onto it, and no kind of loop chosen."""
    hooks = hook_reason(*GLOBAL_OPTIMIZER_HOOKS, "has hooks")
    hooks = hooks or hook_reason(optimizer, OPTIMIZER_HOOKS, "has hooks")
    if type(optimizer) is not th.optim.Adam or "step" in vars(optimizer) or hooks is not None:
        return False
    groups = optimizer.param_groups
    return len(groups) == 1 and all(groups[0].get(kind) in (None, False) for kind in _KINDS)


_KINDS = ("foreach", "fused", "capturable", "differentiable")


def _options(optimizer: th.optim.Optimizer) -> dict[str, Any]:
    """What Adam was made with; what others left in the group (``initial_lr``) says nothing."""
    group = optimizer.param_groups[0]
    return {name: group[name] for name in optimizer.defaults if name in group}
