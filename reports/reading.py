"""Reading files that anyone may have written: bounded, typed, and nothing in them ever runs.

JSON, YAML through a safe loader that knows the zoo's ``OrderedDict`` and no other Python tag, and
arrays whose bytes are numbers. A pickle is never opened, neither as a file nor inside an npz.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml
from numpy.lib import format as npy
from numpy.typing import NDArray

from reports.records import UnusableError, clean

MAX_RECORD_BYTES = 4_000_000
"""A run.json or a YAML file is some kilobytes; beyond this it is something else."""
MAX_ARRAY_BYTES = 256_000_000
MAX_TABLE_BYTES = 128_000_000

_MAX_VALUES = 100_000
_MAX_DEPTH = 50
_SUSPICIOUS = re.compile(r"(?:^|[\s,\[{:-])\*\S|^[\s\-?:]{100}", re.MULTILINE)
"""What may be an alias or a deep nesting in block style; flow style shows by its brackets."""
_MANY_BRACKETS = 200
_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

try:
    from yaml import CSafeLoader as _Safe
except ImportError:  # PyYAML built without libyaml: the same, some ten times slower
    from yaml import SafeLoader as _Safe  # type: ignore[assignment]


class _ZooLoader(_Safe):
    """YAML's safe types, and ``OrderedDict`` and tuples as RL Zoo's ``yaml.dump`` writes them."""


def _ordered_dict(loader: _ZooLoader, node: yaml.Node) -> dict[object, object]:
    arguments: list[object] = []
    if isinstance(node, yaml.SequenceNode):
        arguments = loader.construct_sequence(node, deep=True)
    if len(arguments) != 1 or not isinstance(arguments[0], list):
        raise yaml.constructor.ConstructorError(
            None, None, "expected an OrderedDict of one list of pairs", node.start_mark
        )
    return dict(arguments[0])


def _tuple(loader: _ZooLoader, node: yaml.Node) -> list[object]:
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


_ZooLoader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
_ZooLoader.add_constructor(
    "tag:yaml.org,2002:python/object/apply:collections.OrderedDict", _ordered_dict
)


def must_be_a_file(path: Path, limit: int) -> None:
    """Refuse what is missing, no plain file (opening a pipe would wait for ever) or too large.

    Raises:
        UnusableError: says which.
    """
    if not path.is_file():
        raise UnusableError(f"{path.name} is {'no file' if path.exists() else 'missing'}")
    if path.stat().st_size > limit:
        raise UnusableError(f"{path.name} is larger than {limit // 1_000_000} MB")


def read_text(path: Path, limit: int = MAX_RECORD_BYTES) -> str:
    """Return a whole UTF-8 file.

    Raises:
        UnusableError: missing, no file, too large, unreadable or not UTF-8.
    """
    try:
        must_be_a_file(path, limit)
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, UnusableError):
            raise
        raise UnusableError(f"{path.name} cannot be read ({type(error).__name__})") from error


def read_json(path: Path) -> Mapping[str, object]:
    """Return the object that a JSON file holds.

    Raises:
        UnusableError: unreadable, not JSON, or not an object.
    """
    text = read_text(path)
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnusableError(
            f"{path.name} is not valid JSON (line {error.lineno}, column {error.colno})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnusableError(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not isinstance(record, dict):
        raise UnusableError(f"{path.name} does not hold an object")
    return record


def read_yaml(path: Path) -> Mapping[str, object]:
    """Return the mapping that a YAML file holds, as plain JSON values.

    Raises:
        UnusableError: unreadable, not YAML, a Python tag other than ``OrderedDict``, aliases (a
            small file of them unfolds without end), nested too deeply, or not a mapping.
    """
    return _parsed_yaml(read_text(path), path.name)


@lru_cache(maxsize=64)  # the runs of one algorithm have the same config.yml but for their seeds
def _parsed_yaml(text: str, name: str) -> Mapping[str, object]:
    try:
        if _SUSPICIOUS.search(text) or text.count("[") + text.count("{") > _MANY_BRACKETS:
            _check_structure(text, name)
        loaded = yaml.load(text, Loader=_ZooLoader)
    except yaml.constructor.ConstructorError as error:
        problem = " ".join(str(error.problem).split())
        raise UnusableError(f"{name} is not read: {problem}{_place(error)}") from error
    except yaml.MarkedYAMLError as error:
        raise UnusableError(f"{name} is not valid YAML{_place(error)}") from error
    except UnusableError:
        raise
    except Exception as error:  # a tag on a value that is none of it can raise anything
        raise UnusableError(f"{name} cannot be read ({type(error).__name__})") from error
    if not isinstance(loaded, dict):
        raise UnusableError(f"{name} does not hold a mapping")
    plain = _Plain(name).value(loaded, 0)
    assert isinstance(plain, dict)
    return plain


def _check_structure(text: str, name: str) -> None:
    """Refuse what the parser must not see: it recurses in C, where too deep is a crash."""
    depth = 0
    for event in yaml.parse(text, Loader=_ZooLoader):
        if isinstance(event, yaml.AliasEvent):
            raise UnusableError(f"{name} uses YAML aliases, which are not read")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise UnusableError(f"{name} is nested too deeply or holds too many values")


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    return f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""


class _Plain:
    """Turns what YAML gave into JSON's types, and stops at what is too much of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = _MAX_VALUES

    def value(self, value: object, depth: int) -> object:
        self.left -= 1
        if self.left < 0 or depth > _MAX_DEPTH:
            raise UnusableError(f"{self.name} is nested too deeply or holds too many values")
        if isinstance(value, dict):
            return {clean(str(key)): self.value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set):
            return [self.value(item, depth + 1) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return clean(str(value))


def read_arrays(path: Path, wanted: tuple[str, ...], optional: str) -> list[NDArray[np.generic]]:
    """Read named arrays of numbers from an npz archive.

    Args:
        path: the archive.
        wanted: arrays that must be in it.
        optional: an array that may be in it.

    Returns:
        The wanted arrays, then the optional one if it is there.

    Raises:
        UnusableError: missing, truncated, too large, or holding Python objects.
    """
    name = path.name
    try:
        must_be_a_file(path, MAX_ARRAY_BYTES)
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise UnusableError(f"{name} is not an npz archive")
            with zipfile.ZipFile(file) as archive:
                held = set(archive.namelist())
                names = [*wanted, *([optional] if f"{optional}.npy" in held else [])]
                return [_array(archive, f"{key}.npy", name) for key in names]
    except UnusableError:
        raise
    except Exception as error:  # damaged bytes can make the decoders raise anything
        raise UnusableError(f"{name} cannot be read ({type(error).__name__})") from error


def _array(archive: zipfile.ZipFile, key: str, name: str) -> NDArray[np.generic]:
    member = archive.getinfo(key)
    if member.file_size > MAX_ARRAY_BYTES:
        raise UnusableError(f"{name} unfolds to more than {MAX_ARRAY_BYTES // 1_000_000} MB")
    data = archive.read(member)
    stream = io.BytesIO(data)
    shape, fortran, dtype = _READERS[npy.read_magic(stream)](stream)
    if dtype.hasobject:
        raise UnusableError(
            f"{name} cannot be read: {key} holds pickled Python objects, which are never opened"
        )
    # Checked before anything is allocated: a header may claim any shape.
    if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise UnusableError(f"{name} cannot be read: {key} does not hold what it states")
    flat: NDArray[np.generic] = np.frombuffer(data, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
