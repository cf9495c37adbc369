"""Which callbacks must be called at every step, and which a rollout can pass over."""

import dis
from collections.abc import Callable, Iterator

from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    ConvertCallback,
)

__all__ = ["needs_every_step", "note_steps"]

RETURNS_TRUE = ([("LOAD_CONST", True), ("RETURN_VALUE", None)], [("RETURN_CONST", True)])
WITHOUT_EFFECT = ("RESUME", "NOP")


def needs_every_step(callback: BaseCallback) -> bool:
    """Whether a callback, or one that it holds, does something between two steps of a rollout.

    That is every callback with an ``_on_step`` of its own, unless this is ``return True`` and
    nothing else, or unless the class says ``every_step = False``. Those are then called at the
    first step of a rollout only, and count the others all the same.
    """
    return any(map(_needs_every_step, _tree(callback)))


def note_steps(callback: BaseCallback, n_steps: int) -> None:
    """Let a callback, and those that it holds, count the steps at which it was not called."""
    for each in _tree(callback):
        each.n_calls += n_steps
        each.num_timesteps = each.model.num_timesteps


def _tree(callback: BaseCallback) -> Iterator[BaseCallback]:
    yield callback
    if isinstance(callback, CallbackList):
        for child in callback.callbacks:
            yield from _tree(child)


def _needs_every_step(callback: BaseCallback) -> bool:
    kind = type(callback)
    if kind is CallbackList:
        return False  # as much as those it holds
    if kind is ConvertCallback:
        return callback.callback is not None  # type: ignore[attr-defined]
    own = (kind.on_step, kind.update_locals)
    if own != (BaseCallback.on_step, BaseCallback.update_locals):
        return True
    declared = getattr(callback, "every_step", None)
    if declared is not None:
        return bool(declared)
    return not _only_returns_true(kind._on_step)


def _only_returns_true(method: Callable[..., object]) -> bool:
    code = getattr(method, "__code__", None)
    if code is None:
        return False
    done = [
        (instruction.opname, instruction.argval)
        for instruction in dis.get_instructions(code)
        if instruction.opname not in WITHOUT_EFFECT
    ]
    return done in RETURNS_TRUE
