"""Which callbacks must be called at every step, and which a rollout can pass over."""

import dis
from collections.abc import Callable, Iterator

from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback

__all__ = ["needs_every_step", "note_steps"]

RETURNS_TRUE = ([("LOAD_CONST", True), ("RETURN_VALUE", None)], [("RETURN_CONST", True)])
WITHOUT_EFFECT = ("RESUME", "NOP")

CALLED = ("on_step", "update_locals")
"""What SB3's loop calls at every step, as SB3 has it."""
PLAIN = {name: getattr(BaseCallback, name) for name in CALLED}
SET = ("locals", "n_calls", "num_timesteps", "__setattr__", "__getattribute__", "__getattr__")
"""What SB3's loop sets at every step, and how a class could notice."""


def needs_every_step(callback: BaseCallback) -> bool:
    """Whether a callback, or one that it holds, does something between two steps of a rollout.

    That is every callback with an ``_on_step`` of its own, be it the class's or the object's,
    unless this is ``return True`` and nothing else, or unless ``every_step = False`` is said by the
    object, by the class that has this ``_on_step``, or by one derived from that. Those are then
    called at the first step of a rollout only, and count the others all the same.
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
    kind, own = type(callback), vars(callback)
    if _notices(callback):
        return True
    if kind is CallbackList and "_on_step" not in own:
        return False  # as much as those it holds
    if kind is ConvertCallback and "_on_step" not in own:
        return callback.callback is not None  # type: ignore[attr-defined]
    declared = _declared(callback)
    if declared is not None:
        return declared
    return "_on_step" in own or not _only_returns_true(kind._on_step)


def _notices(callback: BaseCallback) -> bool:
    """Whether something else than ``_on_step`` runs when SB3's loop calls or sets it."""
    kind, own = type(callback), vars(callback)
    if any(name in own or getattr(kind, name) is not PLAIN[name] for name in CALLED):
        return True
    passes_on = kind.update_child_locals  # SB3's own do no more than that
    if "update_child_locals" in own or passes_on.__module__ != BaseCallback.__module__:
        return True
    below = kind.__mro__[: kind.__mro__.index(BaseCallback)]
    return any(name in vars(each) for each in below for name in SET)


def _declared(callback: BaseCallback) -> bool | None:
    """``every_step``, if it is said of the very ``_on_step`` that would be called."""
    for holder in (callback, *type(callback).__mro__):
        if "every_step" in vars(holder):
            return bool(vars(holder)["every_step"])
        if "_on_step" in vars(holder):
            return None
    return None


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
