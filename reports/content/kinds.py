"""Sentences of one kind, of which many differ in names and numbers alone, said once and counted."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence

LISTED = 4
"""Of the other cases of a kind, so many are named."""
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_NUMBER = re.compile(r"\d[\d,.]*")
_AGAIN = re.compile(r"(\x00[^,;\x00]{0,20}|\x01[^,;]{0,40})(?:(?:[,;] | and | or )\1)+")


def one_a_kind(sentences: Iterable[str], names: Sequence[str]) -> tuple[str, ...]:
    """Keep the first sentence of each kind, followed by how many more there are and of what.

    Two sentences are of one kind where they are equal but for names, numbers, and what stands in
    brackets.

    Args:
        sentences: in the order in which they are to stand; an equal one again counts for nothing.
        names: of labels and tasks.
    """
    ordered = sorted({name for name in names if name})
    kinds: dict[str, list[str]] = {}
    for sentence in dict.fromkeys(sentences):
        kinds.setdefault(_kind(sentence, ordered), []).append(sentence)
    return tuple(_said(of_kind, ordered) for of_kind in kinds.values())


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names between commas, of many the first ones and a count."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _kind(sentence: str, names: Sequence[str]) -> str:
    bare = _IN_BRACKETS.sub("()", _split(sentence, names)[0])
    return _AGAIN.sub(r"\1", _NUMBER.sub("\1", bare))


def _said(sentences: Sequence[str], names: Sequence[str]) -> str:
    first, *others = sentences
    if not others:
        return first
    cases = ["/".join(_about(said, names)) for said in others[: 2 * LISTED]]
    shown = [case for case in cases if case][:LISTED]
    of = f": {', '.join(shown)}" if shown else ""
    more = ", …" if len(others) > LISTED else "."
    return f"{first} And {len(others):,} more of this kind{of}{more}"


def _about(sentence: str, names: Sequence[str]) -> list[str]:
    """The names that a sentence is about: each once, those in brackets left out."""
    bare, found = _split(sentence, names)
    depth, about = 0, iter(found)
    kept: list[str] = []
    for sign in bare:
        depth += (sign == "(") - (sign == ")")
        if sign == "\0":
            name = next(about)
            kept += [] if depth > 0 else [name]
    return list(dict.fromkeys(kept))


def _split(sentence: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """A sentence with a NUL for each name, the longest that stands there, and these names.

    Args:
        sentence: any.
        names: in ascending order; by halving, since there may be hundreds.
    """
    sentence = sentence.replace("\0", "\ufffd")  # of a name that holds one, which is then not found
    pieces: list[str] = []
    found: list[str] = []
    place = done = 0
    while place < len(sentence):
        name = None
        if not place or not _is_word(sentence[place - 1]):
            name = _name_at(sentence, place, names)
        if name is None:
            place += 1
            continue
        pieces += [sentence[done:place], "\0"]
        found.append(name)
        place = done = place + len(name)
    return "".join([*pieces, sentence[done:]]), found


def _name_at(sentence: str, place: int, names: Sequence[str]) -> str | None:
    """The longest name that begins at a place of a sentence and ends with a word there."""
    rest = sentence[place:]
    while at := bisect_right(names, rest):
        name = names[at - 1]
        end = place + len(name)
        if rest.startswith(name):
            if end == len(sentence) or not _is_word(sentence[end]):
                return name
            rest = name[:-1]  # a shorter one may end where a word does
        else:
            rest = _common(name, rest)
        if not rest:
            return None
    return None


def _common(one: str, other: str) -> str:
    """What both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))]


def _is_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"
