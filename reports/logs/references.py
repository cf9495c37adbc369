"""What normalises a task: exact or stated by the runs, the user's own, the table, or the report.

In this order:

1. the user's file (``--references``);
2. what the runs state (``run.json``): exact for PPO Lab's finite environments;
3. the table ``reference_scores.yml`` of Gymnasium's environments (docs/references.md);
4. the report itself, and it says so.

All runs of one task are normalised by the same two scores, unless their logs state different ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

from reports.logs.reading import read_yaml
from reports.logs.records import MAX_RETURN, NoRunsError, Run, UnusableError, spans

FALLBACK = "high: the best mean score of any label in this report"
LOWEST = "low: the lowest mean return at any evaluation of any run in this report"
UNIT_SCALE = "high: low + 1, as no label beats the random policy"
TABLE = Path(__file__).with_name("reference_scores.yml")


@dataclass(frozen=True)
class Reference:
    """The two scores that normalise a task's returns: (score − low)/(high − low).

    Attributes:
        low: usually the uniformly random policy's mean return.
        high: a good policy's, above ``low``.
        source: where both come from, in words.
    """

    low: float
    high: float
    source: str


def load_references(path: str | Path) -> dict[str, Reference]:
    """Read a user's file: ``CartPole-v1: {low: 22, high: 500, source: my measurement}``.

    Args:
        path: a YAML file; a key is an environment's id, or a task as the report names it, with
            the environment's keyword arguments. ``source`` may be missing.

    Raises:
        NoRunsError: the file cannot be used; names the entry.
    """
    file = Path(path)
    try:
        entries = read_yaml(file)
        return {task: _stated(task, entry, file.name) for task, entry in entries.items()}
    except UnusableError as error:
        raise NoRunsError(f"references: {error}") from error


@cache
def known_references() -> Mapping[str, Reference]:
    """The table of Gymnasium's environments and of Atari's games, by environment id."""
    table = read_yaml(TABLE)
    sources, measured, published = (
        _mapping(table.get(key)) for key in ("sources", "measured", "published")
    )
    references: dict[str, Reference] = {}
    for env_id in sorted({*measured, *published}):
        scores: dict[str, object] = {}
        words: dict[str, str] = {}
        quoted = _mapping(published.get(env_id))
        by_us = _mapping(measured.get(env_id))
        for which, by_measuring in (("low", "random"), ("high", "threshold")):
            own = by_us.get(which) is not None
            scores[which] = by_us[which] if own else quoted.get(which)
            words[which] = str(sources.get(by_measuring if own else str(quoted.get("source"))))
        if None not in scores.values():
            source = f"low: {words['low']}; high: {words['high']}"
            references[env_id] = _stated(env_id, {**scores, "source": source}, TABLE.name)
    for game, entry in _mapping(table.get("atari")).items():
        stated = {**_mapping(entry), "source": sources.get("atari")}
        for env_id in (f"ALE/{game}-v5", f"{game}NoFrameskip-v4"):
            references[env_id] = _stated(env_id, stated, TABLE.name)
    return references


def fill_references(
    runs: Sequence[Run], given: Mapping[str, Reference] | None = None
) -> tuple[Run, ...]:
    """Give every run the two scores that normalise its task, and say in ``source`` whose they are.

    Where nobody states a high score, it is the best mean score of a label on the task: that label
    then normalises to 1 by construction, ranks and differences stand, "optimality" does not.
    Where nobody states a low score either, it is the lowest mean return of any evaluation.

    Args:
        runs: all usable runs.
        given: the user's references; of :func:`load_references`.

    Returns:
        The runs in their order, ``low < high`` in each.
    """
    of_task: dict[str, list[Run]] = {}
    for run in runs:
        of_task.setdefault(run.task, []).append(run)
    chosen = {task: _reference(task, of_it, given or {}) for task, of_it in of_task.items()}
    overruled = {task for task in of_task if {task, _env_id(task)} & set(given or {})}
    return tuple(_with(run, chosen[run.task], run.task in overruled) for run in runs)


def _reference(task: str, runs: Sequence[Run], given: Mapping[str, Reference]) -> Reference:
    if task in given or _env_id(task) in given:
        return given.get(task) or given[_env_id(task)]
    for run in runs:
        if math.isfinite(run.low) and math.isfinite(run.high):
            return Reference(run.low, run.high, run.source)
    # With keyword arguments it is another environment, which the table does not know.
    listed = known_references().get(task.rpartition(":")[2])  # whatever module registers it
    if listed is not None and "{" not in task:
        return listed
    return _from_report(runs)


def _env_id(task: str) -> str:
    return task.partition(" {")[0]


def _from_report(runs: Sequence[Run]) -> Reference:
    by_label: dict[str, list[float]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run.score)
    best = max(map(fmean, by_label.values()))
    stated = next((run for run in runs if math.isfinite(run.low)), None)
    if stated is None:
        low, low_source = min(float(run.evaluation_returns.min()) for run in runs), LOWEST
    else:
        low, low_source = stated.low, stated.source
    if spans(low, best):
        return Reference(low, best, f"{low_source}; {FALLBACK}")
    return Reference(low, low + max(1.0, 2e-9 * abs(low)), f"{low_source}; {UNIT_SCALE}")


def _with(run: Run, reference: Reference, overruled: bool) -> Run:
    if math.isfinite(run.low) and math.isfinite(run.high) and not overruled:
        return run
    scale = f"{reference.low} to {reference.high}"
    return replace(
        run,
        low=reference.low,
        high=reference.high,
        source=reference.source,
        must_agree=tuple(
            (what, scale if what == "reference scores" else value) for what, value in run.must_agree
        ),
    )


def _stated(task: str, entry: object, file: str) -> Reference:
    stated = _mapping(entry)
    scores: list[float] = []
    for which in ("low", "high"):
        value = stated.get(which)
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not abs(value) < MAX_RETURN
        ):
            raise UnusableError(
                f"{file}: {task}: {which} is {value!r}, expected a number; an entry reads "
                "'CartPole-v1: {low: 22, high: 500, source: where from}'"
            )
        scores.append(float(value))
    if not spans(*scores):
        raise UnusableError(
            f"{file}: {task}: low is {scores[0]:g} and high is {scores[1]:g}; low must lie below"
        )
    source = stated.get("source")
    return Reference(scores[0], scores[1], str(source) if source else f"given in {file}")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
