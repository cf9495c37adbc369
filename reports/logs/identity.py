"""Which runs are of one kind: what decides a result, and the fewest words that tell kinds apart."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from reports.logs.records import Run, SetAside, UnusableError
from reports.text import clean, one_line, shortened

__all__ = ["decisive", "with_telling_labels", "without_continued"]

LONGEST = 60
"""Characters by which a label tells two kinds apart; beyond them, kinds are numbered."""
LONGEST_DISTINCTION = 400
BUDGET = "timesteps"
UNKNOWN_KIND = "settings unknown"
_BARE = re.compile(r"[A-Za-z_][\w.+\-]*")
_JSON_WORDS = ("true", "false", "null", "NaN", "Infinity")

Decisive = tuple[tuple[str, str], ...]


def decisive(
    settings: Mapping[str, object], budget: int | None, others: Mapping[str, object]
) -> Decisive:
    """What of a run decides its result beside algorithm, environment and seed.

    Args:
        settings: hyperparameters, by name.
        budget: environment steps given; None if unknown.
        others: what else was chosen: policy, parallel environments, normalisation, …. None and
            False stand for not chosen.

    Returns:
        Sorted (name, value in words) pairs, equal where the runs are alike; a mapping among the
        settings counts by its entries.

    Raises:
        UnusableError: nested too deeply, or with a number of too many digits.
    """
    pairs: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            pairs.update({f"{name}.{key}": entry for key, entry in value.items()})
        else:
            pairs[str(name)] = value
    pairs.update({name: value for name, value in others.items() if value not in (None, False)})
    if budget is not None:
        pairs[BUDGET] = budget
    try:
        return tuple(sorted((_shown(name), _words(value)) for name, value in pairs.items()))
    except (RecursionError, ValueError) as error:  # too deep, or a number of too many digits
        raise UnusableError(f"its settings cannot be read ({type(error).__name__})") from error


def _words(value: object) -> str:
    """A value in words, another one for every other value."""
    if isinstance(value, str) and _BARE.fullmatch(value) and value not in _JSON_WORDS:
        return value
    return _shown(json.dumps(_plain(value), sort_keys=True, ensure_ascii=False))


def _plain(value: object) -> object:
    """The same with 1.0 as 1, which is the same setting."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(text: str) -> str:
    return clean(one_line(text))


def with_telling_labels(runs: Sequence[Run]) -> list[Run]:
    """Give runs that would share a label, and differ on one task, labels that say in what.

    On different tasks the settings of one label may differ: tuned ones do. Where something does
    differ on one task, it is in the labels on every task, so that a label is one kind everywhere.

    Args:
        runs: of any labels.

    Returns:
        The runs in their order, ``distinction`` filled where it is needed.
    """
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.algo, run.settings].append(run)
    telling = {group: _telling(members) for group, members in groups.items()}
    kinds = {group: _kinds(members, telling[group]) for group, members in groups.items()}
    labelled = []
    for run in runs:
        group = (run.algo, run.settings)
        if telling[group]:
            short, full = kinds[group][_chosen(run, telling[group])]
            run = replace(run, distinction=short, distinction_in_full=full)
        labelled.append(run)
    return labelled


def _telling(runs: Sequence[Run]) -> tuple[str, ...]:
    """The names of what differs between runs of one task; nothing is known of some runs."""
    by_task: dict[str, set[Decisive]] = defaultdict(set)
    for run in runs:
        if run.decisive:
            by_task[run.task].add(run.decisive)
    names: set[str] = set()
    for kinds in by_task.values():
        if len(kinds) > 1:
            common = set.intersection(*map(set, kinds))
            names |= {name for kind in kinds for name, value in kind if (name, value) not in common}
    return tuple(sorted(names))


def _chosen(run: Run, names: Iterable[str]) -> Decisive | None:
    """What a run has of these; None where nothing is known of it."""
    if not run.decisive:
        return None
    values = dict(run.decisive)
    return tuple((name, values[name]) for name in names if name in values)


def _kinds(runs: Sequence[Run], names: Sequence[str]) -> dict[Decisive | None, tuple[str, str]]:
    """Each kind's words: for the label, and in full."""
    kinds = sorted(
        {_chosen(run, names) for run in runs}, key=lambda kind: (kind is None, kind or ())
    )
    full = {
        kind: UNKNOWN_KIND if kind is None else ", ".join(f"{name}={text}" for name, text in kind)
        for kind in kinds
    }
    distinct = len(set(full.values())) == len(kinds)
    if distinct and all(len(text) <= LONGEST for text in full.values()):
        return {kind: (text, text) for kind, text in full.items()}
    return {
        kind: (
            UNKNOWN_KIND if kind is None else f"variant {number}",
            shortened(text, LONGEST_DISTINCTION),
        )
        for number, (kind, text) in enumerate(full.items(), 1)
    }


def without_continued(runs: Sequence[Run]) -> tuple[list[Run], list[SetAside]]:
    """Set aside every run that a later one went on from: the resumed run is the whole run.

    Its source is the run of the same kind and seed with a smaller budget that lies in a folder of
    the name that ``resumed_from`` states, or that took as many steps as it began with; folders may
    have been moved since.

    Args:
        runs: of any kinds.

    Returns:
        The other runs, and what was set aside; a chain of resumed runs leaves its last.
    """
    alike: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for run in runs:
        alike[_without_budget(run)].append(run)
    continued: dict[int, str] = {}
    for run in runs:
        if not run.resumed_from:
            continue
        source = PurePosixPath(run.resumed_from).parent.name
        for other in alike[_without_budget(run)]:
            named = source and PurePosixPath(other.folder).name == source
            if other.steps < run.steps and (named or other.steps == run.resumed_at):
                continued.setdefault(id(other), run.folder)
    kept = [run for run in runs if id(run) not in continued]
    asides = [
        SetAside(run.folder, f"{continued[id(run)]} goes on from it and counts in its place")
        for run in runs
        if id(run) in continued
    ]
    return kept, asides


def _without_budget(run: Run) -> tuple[object, ...]:
    rest = tuple(pair for pair in run.decisive if pair[0] != BUDGET)
    return (run.algo, run.settings, run.task, run.seed, rest)
