"""Sentences of one kind, of which many differ in names and numbers alone, said once and counted."""

import re
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
    wanted = sorted({name for name in names if name}, key=len, reverse=True)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in wanted) or r"\Z.")
    kinds: dict[str, list[str]] = {}
    for sentence in dict.fromkeys(sentences):
        kinds.setdefault(_kind(sentence, pattern), []).append(sentence)
    return tuple(_said(of_kind, pattern) for of_kind in kinds.values())


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names between commas, of many the first ones and a count."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _kind(sentence: str, names: re.Pattern[str]) -> str:
    bare = _IN_BRACKETS.sub("()", names.sub("\0", sentence))
    return _AGAIN.sub(r"\1", _NUMBER.sub("\1", bare))


def _said(sentences: Sequence[str], names: re.Pattern[str]) -> str:
    first, *others = sentences
    if not others:
        return first
    cases = ["/".join(_about(said, names)) for said in others]
    shown = [case for case in cases if case][:LISTED]
    of = f": {', '.join(shown)}" if shown else ""
    return (
        f"{first} And {len(others):,} more of this kind{of}{', …' if len(cases) > LISTED else '.'}"
    )


def _about(sentence: str, names: re.Pattern[str]) -> list[str]:
    """The names that a sentence is about: each once, those in brackets left out."""
    found = names.findall(sentence)
    places = iter(range(len(found)))
    bare = _IN_BRACKETS.sub("", names.sub(lambda _: f"\0{next(places)}\0", sentence))
    return list(dict.fromkeys(found[int(place)] for place in bare.split("\0")[1::2]))
