"""How each label's runs were made, in a row of words."""

import json
from collections.abc import Iterable, Sequence

from reports.content.arrangement import Arrangement
from reports.content.rows import ProtocolRow
from reports.logs.records import EXACT, Run
from reports.text import ranges

_UNKNOWN = "unknown"


def protocol_rows(arrangement: Arrangement) -> tuple[ProtocolRow, ...]:
    """Return one row per label."""
    runs = arrangement.runs
    return tuple(
        _row(label, [run for run in runs if run.label == label]) for label in arrangement.labels
    )


def mixes_hyperparameters(runs: Sequence[Run]) -> bool:
    """Whether one environment was run with different hyperparameters."""
    settings = {(run.task, run.hyperparameters) for run in runs}
    return len(settings) > len({run.task for run in runs})


def _row(label: str, runs: Sequence[Run]) -> ProtocolRow:
    seeds = sorted({run.seed for run in runs if run.seed is not None})
    return ProtocolRow(
        label=label,
        tuning="; ".join(sorted({run.tuning for run in runs})),
        tasks=len({run.task for run in runs}),
        runs=len(runs),
        seeds=ranges(seeds) or _UNKNOWN,
        steps=_numbers(run.steps if run.budget is None else run.budget for run in runs),
        episodes=_episodes(runs),
        hyperparameters=_hyperparameters(runs),
    )


def _episodes(runs: Sequence[Run]) -> str:
    played = [run.evaluation_episodes for run in runs if run.evaluation_episodes]
    if not any(run.measure == EXACT for run in runs):
        return _numbers(played)
    return f"none (exact) or {_numbers(played)}" if played else "none (exact)"


def _numbers(values: Iterable[int]) -> str:
    distinct = sorted(set(values))
    if not distinct:
        return _UNKNOWN
    if len(distinct) > 3:
        return f"{distinct[0]:,} to {distinct[-1]:,}"
    return " or ".join(f"{value:,}" for value in distinct)


def _hyperparameters(runs: Sequence[Run]) -> str:
    texts = {run.hyperparameters for run in runs}
    if mixes_hyperparameters(runs):
        return "differ between runs of one task"
    if len(texts) > 1:
        return "one set for each task"
    return _readable(texts.pop())


def _readable(hyperparameters: str) -> str:
    """Write a JSON object as ``gamma 0.99, n_steps 64``; any other text as it is."""
    try:
        plain = json.loads(hyperparameters)
    except ValueError:
        return hyperparameters or _UNKNOWN
    if not isinstance(plain, dict):
        return hyperparameters
    pairs = (
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in plain.items()
    )
    return ", ".join(f"{key} {value}" for key, value in pairs) or "none stated"
