"""Spaces changed by words: the flags of a command and files of YAML.

One entry, of a file or a flag, is one parameter:

=========================== ================================ =================================
on the command line         in YAML                          meaning
=========================== ================================ =================================
``gamma=0.99``              ``gamma: 0.99``                  fixed, for the default row too
``clip_range=0.1:0.3``      ``{low: 0.1, high: 0.3}``        searched in a range
``learning_rate=1e-5:1e-2:log`` ``{low: 1e-5, high: 1e-2, scale: log}`` on another scale
``n_epochs=3,5,10``         ``[3, 5, 10]``                   one of these
``ent_coef=default``        ``default``                      searched no more: the default
=========================== ================================ =================================

A range that names no scale keeps the one that the space has for it. Sizes of layers are ``64x64``
on the command line. ``spec_ppo.clip_range``, or a section ``spec_ppo:`` of a file, is for one
algorithm; without, an entry is for every algorithm that knows the name.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import ALGORITHMS, closest, unknown_hyperparameter
from reports.logs.opening import read_text
from reports.logs.reading import YamlError, plain_yaml
from reports.logs.records import UnusableError
from tuning.parameters import Choice, Fixed, Parameter, Real, Value, Whole
from tuning.spaces import SPACES, Space, known_names, merge

__all__ = ["parse_flag", "read_file", "space_names", "spaces_for"]

_FOLDER = files("tuning") / "named_spaces"
"""Spaces as files of YAML, by name; a section for each algorithm that they are for."""
_DEFAULT = "default"
_RANGE_KEYS = {"low", "high", "scale"}

Entry = tuple[str | None, str, Any]
"""Algorithm or None for all, name, content as YAML has it."""


def space_names() -> list[str]:
    """The spaces that have names: those written in ``tuning/spaces.py``, then the files."""
    shipped = (Path(file.name) for file in _FOLDER.iterdir())
    return [*SPACES, *sorted(file.stem for file in shipped if file.suffix == ".yml")]


def spaces_for(
    algos: Sequence[str], bases: Sequence[str], changes: Sequence[str]
) -> dict[str, Space]:
    """The space of each algorithm.

    Args:
        algos: names of the algorithms.
        bases: names of :func:`space_names`, of which the last counts, and files of YAML that change
            it, in this order.
        changes: the command line's ``NAME=…``, applied last.

    Raises:
        ArgumentError: an unknown name, a value that cannot be read, a range that cannot be; says
            where it stands.
    """
    names = space_names()
    named = [base for base in bases if base in names]
    spaces = {algo: _base(algo, named[-1] if named else "core") for algo in algos}
    entries: list[tuple[str, Entry]] = []
    for base in bases:
        if base not in names:
            entries += [(base, entry) for entry in read_file(Path(base))]
    entries += [("--set", parse_flag(text)) for text in changes]
    for source, entry in entries:
        _apply(spaces, entry, source)
    return spaces


def _base(algo: str, name: str) -> Space:
    spaces = SPACES[name] if name in SPACES else _shipped(name)
    if algo not in spaces:
        raise ArgumentError(
            f"algorithm {algo!r} has no search space; one of {', '.join(spaces)} has"
            if name in SPACES
            else f"--space {name}: it has none for {algo!r}; it is for {', '.join(spaces)}"
        )
    return spaces[algo]


def _shipped(name: str) -> dict[str, Space]:
    """A space that comes with the package: algorithm → parameters."""
    file = _FOLDER / f"{name}.yml"
    spaces: dict[str, Space] = {}
    for algo, entry, content in _entries(plain_yaml(file.read_text("utf-8"), name, aliases=True)):
        assert algo is not None
        spaces.setdefault(algo, ())
        _apply(spaces, (algo, entry, content), name)
    return spaces


def read_file(path: Path) -> list[Entry]:
    """The entries of a file, in its order.

    Raises:
        ArgumentError: it cannot be read, is no YAML (line and column), or holds something else.
    """
    try:
        content = plain_yaml(read_text(path), path.name, aliases=True)
    except YamlError as error:
        place = f", {error.place}" if error.place else ""
        raise ArgumentError(f"--space {path}{place}: {error.problem}") from error
    except UnusableError as error:
        cause = error.__cause__
        reason = cause.strerror if isinstance(cause, OSError) else error
        names = ", ".join(space_names())
        raise ArgumentError(f"--space {path}: {reason}; expected {names} or a file") from error
    if not isinstance(content, dict):
        raise ArgumentError(f"--space {path}: expected NAME: VALUE lines")
    return _entries(content)


def _entries(content: Mapping[str, Any]) -> list[Entry]:
    entries: list[Entry] = []
    for key, value in content.items():
        if key in ALGORITHMS and isinstance(value, dict):
            entries += [(str(key), str(name), part) for name, part in value.items()]
        else:
            entries.append((None, str(key), value))
    return entries


def parse_flag(text: str) -> Entry:
    """One ``NAME=…`` of the command line as YAML would have it.

    Raises:
        ArgumentError: it is not of that form.
    """
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise ArgumentError(
            f"--set {text!r}: expected NAME=VALUE, NAME=LOW:HIGH, NAME=LOW:HIGH:log, "
            "NAME=A,B,C or NAME=default"
        )
    algo, dot, rest = name.partition(".")
    entry_name = (algo, rest) if dot else (None, name)
    if ":" in value:
        bounds = value.split(":")
        if len(bounds) > 3:
            raise ArgumentError(f"--set {text!r}: expected NAME=LOW:HIGH or NAME=LOW:HIGH:SCALE")
        content: Any = {"low": _scalar(bounds[0]), "high": _scalar(bounds[1])}
        if len(bounds) == 3:
            content["scale"] = bounds[2]
    elif "," in value:
        content = [_scalar(part) for part in value.split(",")]
    else:
        content = _scalar(value)
    return (*entry_name, content)


def _scalar(text: str) -> Any:
    parts = text.split("x")
    if all(part.isdigit() for part in parts) and len(parts) > 1:
        return [int(part) for part in parts]
    try:
        value = plain_yaml(text, "--set")
    except UnusableError:
        return text
    return text if isinstance(value, dict | list) else value


def _apply(spaces: dict[str, Space], entry: Entry, source: str) -> None:
    """Change the spaces that an entry is meant for."""
    algo, name, content = entry
    if algo is not None and algo not in ALGORITHMS:
        raise ArgumentError(
            f"{source}: unknown algorithm {algo!r}; closest: {closest(algo, ALGORITHMS)}"
        )
    meant = [a for a in spaces if algo in (None, a)]
    knowing = [a for a in meant if name in known_names(a)]
    if meant and not knowing:
        names = {known for a in meant for known in known_names(a)}
        raise ArgumentError(f"{source}: {unknown_hyperparameter(name, ', '.join(meant), names)}")
    for a in knowing:
        if content == _DEFAULT:
            spaces[a] = merge(spaces[a], (), (name,))
            continue
        present = next((p for p in spaces[a] if p.name == name), None)
        try:
            parameter = _parameter(name, content, present, known_names(a)[name])
        except ArgumentError as error:
            raise ArgumentError(f"{source}: {error}") from error
        spaces[a] = merge(spaces[a], (parameter,))


def _parameter(name: str, content: Any, present: Parameter | None, default: Any) -> Parameter:
    if isinstance(content, dict):
        return _range(name, content, present, default)
    is_layers = name == "net_arch" and isinstance(content, list) and _all_whole(content)
    if isinstance(content, list) and not is_layers:
        return Choice(name, tuple(_value(name, part, default) for part in content))
    return Fixed(name, _value(name, content, default))


def _range(
    name: str, content: Mapping[str, Any], present: Parameter | None, default: Any
) -> Parameter:
    if "choices" in content and set(content) == {"choices"}:
        return _parameter(name, list(content["choices"]), present, default)
    if not {"low", "high"} <= set(content) <= _RANGE_KEYS:
        raise ArgumentError(
            f"{name}: {dict(content)}; expected low, high and perhaps scale, or choices"
        )
    low, high = (_number(name, content[bound]) for bound in ("low", "high"))
    known_scale = present.scale if isinstance(present, Real | Whole) else "linear"
    scale = content.get("scale", known_scale)
    whole = isinstance(present, Whole) or (isinstance(default, int) and default is not True)
    if isinstance(default, bool) or name == "net_arch":
        raise ArgumentError(f"{name}: {low:g} to {high:g}; expected choices, not a range")
    if whole:
        if low != int(low) or high != int(high):
            raise ArgumentError(f"{name}: {low:g} to {high:g}; expected whole numbers")
        return Whole(name, int(low), int(high), scale)
    return Real(name, float(low), float(high), scale)


def _number(name: str, value: Any) -> float:
    """A number; YAML 1.1 reads 1e-5, without a point, as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ArgumentError(f"{name}: {value!r}; expected a number")
    try:
        return float(value)
    except ValueError:
        raise ArgumentError(f"{name}: {value!r}; expected a number") from None


def _value(name: str, value: Any, default: Any) -> Value:
    """A single value, of the type that the algorithm's default has."""
    if name == "net_arch":
        if isinstance(value, list) and _all_whole(value) and min(value) > 0:
            return [int(size) for size in value]
        raise ArgumentError(f"{name}: {value!r}; expected sizes of layers, [64, 64] or 64x64")
    if value is None or (isinstance(value, str) and value.startswith("lin_")):
        return value
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise ArgumentError(f"{name}: {value!r}; expected true or false")
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise ArgumentError(f"{name}: {value!r}; expected a word such as {default!r}")
    number = _number(name, value)
    if isinstance(default, int):
        if number != int(number):
            raise ArgumentError(f"{name}: {value!r}; expected a whole number")
        return int(number)
    return number


def _all_whole(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(v, int) and not isinstance(v, bool) for v in values)
