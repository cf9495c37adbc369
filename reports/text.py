"""Names and reasons come from files that anyone may have written; here they become safe to show."""

import re
from collections.abc import Sequence

_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")
_MARKUP = re.compile(r"[\\`*~|$#]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")


def clean(text: str) -> str:
    """Replace lone surrogates: JSON and file names may hold them, UTF-8 files may not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


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


def sentence(text: str) -> str:
    """Begin a text with a capital."""
    return text[:1].upper() + text[1:]


def clause(text: str) -> str:
    """Begin a text with a small letter, to go on within a sentence."""
    return text[:1].lower() + text[1:]


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return ``1 run``, ``2 runs``, ``1,000 runs``; ``nouns``: a plural that is not made by s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Return ``2 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending distinct whole numbers as ``1–3, 7``."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans)
