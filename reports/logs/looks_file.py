"""``looks.json``: what a comparison notes of its looks, written and read."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

from reports.logs.looks import Looks, NotedLook, NotedPair
from reports.logs.reading import read_json
from reports.logs.records import UnusableError

LOOKS = "looks.json"
FORMAT = 1
_VERDICTS = ("higher", "lower", "given up", "not told")


def looks_text(looks: Looks) -> str:
    """The file's text."""
    return json.dumps({"format": FORMAT, **asdict(looks)}, indent=1, allow_nan=False) + "\n"


def read_looks(file: Path) -> Looks:
    """Read a file that :func:`looks_text` made.

    Raises:
        UnusableError: it is none, or damaged; names no absolute path.
    """
    record: Mapping[str, Any] = read_json(file)
    try:
        plan, scales = record["plan"], record["scales"]
        if record["format"] != FORMAT or not isinstance(plan, dict | None):
            raise ValueError
        return Looks(
            plan,
            {str(task): _positive(scale) for task, scale in scales.items()},
            tuple(map(_look, record["looks"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnusableError(f"{file.name} is damaged ({type(error).__name__})") from error


def _look(entry: Mapping[str, Any]) -> NotedLook:
    seeds = {str(label): int(_positive(number)) for label, number in entry["seeds"].items()}
    return NotedLook(seeds, tuple(map(_pair, entry["decided"])))


def _pair(entry: Mapping[str, Any]) -> NotedPair:
    kinds = get_type_hints(NotedPair)
    values: dict[str, Any] = {}
    for name in (entry_field.name for entry_field in fields(NotedPair)):
        value = entry[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not math.isfinite(value):
            raise ValueError(name)
        if not isinstance(value, kinds[name]) and not (number and kinds[name] not in (str, int)):
            raise TypeError(name)
        values[name] = value
    if values["verdict"] not in _VERDICTS:
        raise ValueError("verdict")
    return NotedPair(**values)


def _positive(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError("expected a number above 0")
    return value
