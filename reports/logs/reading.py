"""Reading records that anyone may have written: bounded, typed, and nothing in them ever runs.

JSON, and YAML through a safe loader that knows the zoo's ``OrderedDict`` and no other Python tag.
Both give plain values, and refuse what is too large, too deep, or says one thing twice. All YAML
that anybody gives us, or that we ship, is read here.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from reports.logs.opening import read_text, shown_name
from reports.logs.records import UnusableError
from reports.text import clean

MAX_NUMBER = 1_000
"""Characters of a number: beyond it none is meant, and reading it takes quadratic time."""

_MAX_VALUES = 100_000
_MAX_DEPTH = 50
_TOO_MUCH = "is nested too deeply or holds too many values"
_CACHED = 20_000
"""Characters up to which a YAML file is worth remembering."""

try:
    from yaml import CSafeLoader as _Safe
except ImportError:  # PyYAML built without libyaml: the same, some ten times slower
    from yaml import SafeLoader as _Safe  # type: ignore[assignment]


class _ZooLoader(_Safe):
    """YAML's safe types, and ``OrderedDict`` and tuples as RL Zoo's ``yaml.dump`` writes them."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[yaml.Node] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that stands twice: one of its values would be dropped unseen.

        Once for each mapping, before other mappings' keys, which its own override, are merged in.
        """
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value if node not in self._checked else ():
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _refused(f"the key {key.value[:40]!r} stands twice", key)
                seen.add((key.tag, key.value))
        self._checked.add(node)
        super().flatten_mapping(node)


class YamlError(UnusableError):
    """A text that is not read as YAML.

    Attributes:
        problem: why, without the file's name.
        place: ``line 1, column 2``; empty where it is not known.
    """

    def __init__(self, message: str, problem: str, place: str = "") -> None:
        super().__init__(message + (f" ({place})" if place else ""))
        self.problem, self.place = problem, place


def _refused(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _ordered_dict(loader: _ZooLoader, node: yaml.Node) -> dict[object, object]:
    arguments: list[object] = []
    if isinstance(node, yaml.SequenceNode):
        arguments = loader.construct_sequence(node, deep=True)
    if len(arguments) != 1 or not isinstance(arguments[0], list):
        raise _refused("expected an OrderedDict of one list of pairs", node)
    made = dict(arguments[0])
    if len(made) < len(arguments[0]):
        raise _refused("a key of an OrderedDict stands twice", node)
    return made


def _short(construct: Callable[..., object]) -> Callable[[_ZooLoader, yaml.Node], object]:
    def checked(loader: _ZooLoader, node: yaml.Node) -> object:
        if len(node.value) > MAX_NUMBER:
            raise _refused(f"a number of {len(node.value):,} characters", node)
        return construct(loader, node)

    return checked


def _tuple(loader: _ZooLoader, node: yaml.Node) -> list[object]:
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


_ZooLoader.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
_ZooLoader.add_constructor(
    "tag:yaml.org,2002:python/object/apply:collections.OrderedDict", _ordered_dict
)
for _tag, _construct in (("int", _Safe.construct_yaml_int), ("float", _Safe.construct_yaml_float)):
    _ZooLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _short(_construct))


def read_json(path: Path) -> Mapping[str, object]:
    """Return the object that a JSON file holds.

    Args:
        path: a plain file of at most ``opening.MAX_RECORD_BYTES``; anything else is refused
            without waiting for it.

    Returns:
        Plain values: objects, lists, texts without lone surrogates, numbers, booleans, None.
        Numbers have at most ``MAX_NUMBER`` characters; floats may be NaN or infinite.

    Raises:
        UnusableError: unreadable, not JSON, not an object, too deep, too many values, or a key
            that stands twice; one line that names the file, not its folder.
    """
    name = shown_name(path)
    record = plain_json(read_text(path), name)
    if not isinstance(record, dict):
        raise UnusableError(f"{name} does not hold an object")
    return record


def plain_json(text: str, name: str) -> Any:
    """Return the value that a JSON text holds, as :func:`read_json` returns an object's.

    Args:
        text: the text.
        name: of its file, for the error.

    Raises:
        UnusableError: as :func:`read_json`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_int=_whole)
    except UnusableError as error:
        raise UnusableError(f"{name} is not read: {error}") from error
    except json.JSONDecodeError as error:
        raise UnusableError(
            f"{name} is not valid JSON (line {error.lineno}, column {error.colno})"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UnusableError(f"{name} cannot be read ({type(error).__name__})") from error
    return _Plain(name).value(value, 0)


def _distinct(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise UnusableError(f"the key {twice[:40]!r} stands twice")
    return made


def _whole(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise UnusableError(f"a number of {len(text):,} characters")
    return int(text)


def read_yaml(path: Path) -> Mapping[str, object]:
    """Return the mapping that a YAML file holds, as plain JSON values.

    The mapping may be shared with later calls: it is not to be changed.

    Args:
        path: as of :func:`read_json`.

    Returns:
        As :func:`read_json`; dates and bytes as texts, a set as a sorted list, keys as texts.

    Raises:
        UnusableError: unreadable, not YAML, a Python tag other than ``OrderedDict``, a value that
            is not what its tag says, aliases (a small file of them unfolds without end), nested
            too deeply, too many values, a key that stands twice, or not a mapping; one line that
            names the file, not its folder.
    """
    text = read_text(path)
    parse = _remembered_yaml if len(text) <= _CACHED else _parsed_yaml
    return parse(text, shown_name(path))


def plain_yaml(text: str, name: str, *, aliases: bool = False) -> Any:
    """Return the value that a YAML text holds, as plain JSON values.

    Args:
        text: the text.
        name: of its file, for the error.
        aliases: read aliases and merge keys, as far as they unfold to no more than is read without.

    Raises:
        UnusableError: see :func:`read_yaml`; a ``YamlError`` where the text's YAML is at fault.
    """
    try:
        _check_structure(text, name, aliases)
        loaded = yaml.load(text, Loader=_ZooLoader)
    except yaml.MarkedYAMLError as error:
        problem = " ".join(str(error.problem).split())[:200]
        refused = isinstance(error, yaml.constructor.ConstructorError)
        verdict = f"not read: {problem}" if refused else "not valid YAML"
        raise YamlError(f"{name} is {verdict}", problem, _place(error)) from error
    except UnusableError:
        raise
    except Exception as error:  # a tag may be put on any text, and its reader raise anything
        raise _at_fault(name, f"cannot be read ({type(error).__name__})") from error
    return _Plain(name).value(loaded, 0)


def _parsed_yaml(text: str, name: str) -> Mapping[str, object]:
    loaded = plain_yaml(text, name)
    if not isinstance(loaded, dict):
        raise UnusableError(f"{name} does not hold a mapping")
    return loaded


_remembered_yaml = lru_cache(maxsize=64)(_parsed_yaml)
"""The runs of one algorithm have the same config.yml but for their seeds."""


def _check_structure(text: str, name: str, aliases: bool) -> None:
    """Refuse what the loader must not see: it recurses in C, where too deep is a crash."""
    values = 0
    opened: list[tuple[str | None, int]] = []  # anchor, values before
    anchored: dict[str | None, int] = {}  # values that an alias unfolds to
    for event in yaml.parse(text, Loader=_ZooLoader):
        if isinstance(event, yaml.AliasEvent):
            if not aliases:
                raise _at_fault(name, "uses YAML aliases, which are not read")
            if event.anchor not in anchored:
                raise _at_fault(name, f"uses the YAML alias {event.anchor!r:.40} too early")
            values += anchored[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            anchored[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            anchored[event.anchor] = 1
        if len(opened) > _MAX_DEPTH or values > 2 * _MAX_VALUES:
            raise _at_fault(name, _TOO_MUCH)


def _at_fault(name: str, problem: str) -> YamlError:
    return YamlError(f"{name} {problem}", problem)


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""


class _Plain:
    """Turns what was read into JSON's types, and stops at what is too much of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left = _MAX_VALUES

    def value(self, value: object, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > _MAX_DEPTH:
            raise UnusableError(f"{self.name} {_TOO_MUCH}")
        if isinstance(value, dict):
            made = {clean(str(key)): self.value(item, depth + 1) for key, item in value.items()}
            if len(made) < len(value):
                raise UnusableError(f"{self.name} holds two keys that read the same")
            return made
        if isinstance(value, set | frozenset):
            value = sorted(value, key=str)  # a set's own order is another in every process
        if isinstance(value, list | tuple):
            return [self.value(item, depth + 1) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return clean(str(value))
