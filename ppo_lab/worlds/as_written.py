"""Whether Python's classes and functions still are what their source files say.

A world restates an environment's source. A method, constant or helper that was replaced after
the import makes another environment of it, which the world is not. So the source is executed once
more, into modules that nobody else holds, and what is in use is compared with that.
"""

import builtins
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.util import module_from_spec
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from envs.gymnasium_internals import GYMNASIUMS, zoos

__all__ = ["Snapshot", "changed_class", "changed_module", "equal_values", "replaced_on"]

DATA = (bool, int, float, complex, str, bytes, type(None), np.generic, np.ndarray)
CONTAINERS = (tuple, list, dict, set, frozenset)
MISSING = object()


def changed_module(name: str, but: frozenset[str] = frozenset()) -> str | None:
    """What of a module was replaced since its import: of its data, functions and classes.

    Args:
        name: of a module that is imported, and whose execution does nothing but define.
        but: attributes of classes that may have changed.

    Returns:
        The first name found, ``name`` or ``Class.name``; None where nothing was.
    """
    live, source = vars(sys.modules[name]), vars(_as_written(name))
    hidden = (live.keys() - source.keys()) & vars(builtins).keys()
    if hidden - {"__doc__", "__name__"}:
        return min(hidden)
    for key, written in source.items():
        if key.startswith("__"):
            continue
        if isinstance(written, type) and written.__module__ == name:
            now = live.get(key)
            if now is not None and now is zoos():  # under Gymnasium's name
                now = GYMNASIUMS
            changed = changed_class(now, written, but)
            if changed is not None:
                return changed
        elif not _same(live.get(key, MISSING), written):
            return key
    return None


def changed_class(live: object, written: type, but: frozenset[str] = frozenset()) -> str | None:
    """What of a class was added, replaced or taken away: ``Class.name``; None where nothing was."""
    if not isinstance(live, type):
        return written.__name__
    for key in sorted((vars(live).keys() | vars(written).keys()) - but):
        one, other = vars(live).get(key, MISSING), vars(written).get(key, MISSING)
        is_code = any(isinstance(value, FunctionType | property) for value in (one, other))
        if key.startswith("__") and not is_code:
            continue
        if not _same(one, other):
            return f"{written.__name__}.{key}"
    return None


def replaced_on(thing: object) -> str | None:
    """The first method or property of its class that an object has replaced for itself alone."""
    names = _replaceable(type(thing))  # type: ignore[arg-type]  # a class can be hashed
    if names.isdisjoint(vars(thing)):
        return None
    return next(name for name in vars(thing) if name in names)


@cache
def _replaceable(kind: type) -> frozenset[str]:
    """The methods and properties of a class."""
    members = {name: getattr(kind, name, None) for name in dir(kind)}
    return frozenset(
        name for name, member in members.items() if callable(member) or isinstance(member, property)
    )


class Snapshot:
    """Objects, classes and modules as they were: tells in microseconds that none has changed.

    What a name stands for is compared by identity, and where it is another object by value.

    Args:
        things: with a ``__dict__`` each.
        deep: also see changes within their dicts, lists and arrays.
    """

    def __init__(self, things: Sequence[object], deep: bool = False) -> None:
        self._pairs = [
            (vars(thing), {key: _copied(value, deep) for key, value in vars(thing).items()})
            for thing in things
        ]
        arrays = [value for now, _ in self._pairs for value in now.values()] if deep else []
        self._arrays = [(each, each.copy()) for each in arrays if isinstance(each, np.ndarray)]

    @property
    def holds(self) -> bool:
        """Whether every name still stands for the same object, or for an equal one."""
        try:
            same = all(now == then for now, then in self._pairs)
        except ValueError:  # another array, whose comparison is an array
            return False
        return same and all(np.array_equal(now, then) for now, then in self._arrays)


def _copied(value: Any, deep: bool) -> Any:
    if deep and type(value) is dict:
        return {key: _copied(part, deep) for key, part in value.items()}
    return list(value) if deep and type(value) is list else value


@cache
def _as_written(name: str) -> ModuleType:
    spec = importlib.import_module(name).__spec__
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _same(live: Any, written: Any) -> bool:
    """Whether two things are one, or do and hold the same; what cannot be compared is the same."""
    if live is written:
        return True
    if not _of_one_type(live, written):
        return False
    if isinstance(written, FunctionType):
        return _same_function(live, written)
    parts = [*_parts(live)]
    if parts:
        return all(map(_same, parts, _parts(written)))
    if isinstance(written, DATA + CONTAINERS):
        return equal_values(live, written)
    return not isinstance(written, ModuleType)


def _of_one_type(one: object, other: object) -> bool:
    """Whether two things are of one class, or of one that was executed twice."""
    names = [(kind.__module__, kind.__qualname__) for kind in (type(one), type(other))]
    return names[0] == names[1]


def _parts(thing: Any) -> Iterator[Any]:
    """What a descriptor or a decorated function is made of."""
    if isinstance(thing, property):
        yield from (thing.fget, thing.fset, thing.fdel)
    elif isinstance(thing, classmethod | staticmethod):
        yield thing.__func__
    elif isinstance(thing, cached_property):
        yield thing.func
    elif isinstance(wrapped := getattr(thing, "__wrapped__", None), FunctionType):
        yield wrapped


def _same_function(live: FunctionType, written: FunctionType) -> bool:
    if live.__code__ != written.__code__ or live.__module__ != written.__module__:
        return False
    own = sys.modules.get(live.__module__)
    if live.__globals__ is not written.__globals__ and (
        own is None or live.__globals__ is not vars(own)
    ):
        return False
    held = (live.__defaults__, live.__kwdefaults__)
    if not equal_values(held, (written.__defaults__, written.__kwdefaults__)):
        return False
    return all(map(_same_cell, live.__closure__ or (), written.__closure__ or ()))


def _same_cell(live: Any, written: Any) -> bool:
    one, other = live.cell_contents, written.cell_contents
    if isinstance(one, type) and isinstance(other, type):  # the class, for ``super``
        return one.__qualname__ == other.__qualname__
    return _same(one, other)


def equal_values(one: Any, other: Any) -> bool:
    """Equality of plain data, arrays included; other objects count as equal if of one type."""
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if type(one) is not type(other) or one.dtype != other.dtype:
            return False
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal_values(one[k], other[k]) for k in one)
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(equal_values, one, other))
    if isinstance(one, set | frozenset) and isinstance(other, set | frozenset):
        return one == other
    if isinstance(one, DATA) or isinstance(other, DATA):
        return bool(one == other) or (one != one and other != other)
    return _of_one_type(one, other)
