"""The value of a word of a command line, as Python writes it or as a file of settings does."""

import ast
from typing import Any

from reports.logs.reading import plain_yaml
from reports.logs.records import UnusableError

__all__ = ["word_value"]

CONSTANTS = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
    **dict.fromkeys(("null", "~"), None),
}
"""As YAML 1.1 reads them, which the zoo's files are."""


def word_value(text: str) -> Any:
    """What stands behind the colon of ``name:value``; nothing is run.

    ``false``, ``no`` and ``null`` are what they are in a file: as texts they would all count as
    true. A text of that spelling is written with quotes within, ``"'no'"``.

    Args:
        text: a Python literal; YAML's true, false and null in any of its spellings, also within a
            list or mapping; or else a text.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    word = text.strip()
    if word.casefold() in CONSTANTS:
        return CONSTANTS[word.casefold()]
    if word[:1] not in ("[", "{"):
        return text
    try:
        value = plain_yaml(word, "the word")
    except UnusableError:
        return text
    return value if isinstance(value, list | dict) else text
