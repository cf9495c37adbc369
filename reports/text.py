"""Names and reasons come from files that anyone may have written; here they become safe to show."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MARKUP = re.compile(r"[\\`*\[\]~|$#]|(?<![^\W_])_|_(?![^\W_])")


def one_line(text: str) -> str:
    """Replace line ends, terminal control codes and direction overrides by one space each."""
    return _CONTROL.sub(" ", text).strip()


def shortened(text: str, length: int) -> str:
    """Cut a text to at most ``length`` characters, the last being ``…`` where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def markdown(text: str) -> str:
    """Escape a text so that GitHub's Markdown shows it as it is, in a table's cell too.

    An underscore within a word is left alone: it is never markup there, and names are full of them.
    """
    escaped = _MARKUP.sub(lambda match: "\\" + match[0], one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
