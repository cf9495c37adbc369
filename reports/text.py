"""Names and reasons come from files that anyone may have written; here they become safe to show."""

import re

_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_MARKUP = re.compile(r"[\\`*~|$#]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")


def one_line(text: str) -> str:
    """Replace white space, terminal control codes and direction overrides by single spaces."""
    return _SPACE.sub(" ", text).strip()


def shortened(text: str, length: int) -> str:
    """Cut a text to at most ``length`` characters, the last being ``…`` where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def markdown(text: str) -> str:
    """Escape a text so that GitHub's Markdown shows it as it is, in a table's cell too.

    Left alone, because they are no markup there: an underscore within a word, and brackets that
    make no link.
    """
    escaped = _MARKUP.sub(lambda match: "\\" + match[0], one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
