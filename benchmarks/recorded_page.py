"""What a page says of a benchmark's records, a section of settings at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import gymnasium as gym

from benchmarks.recorded_runs import Benchmark
from benchmarks.recorded_tables import (
    Entries,
    circumstances,
    equivalence_table,
    improvement_table,
    published_table,
    same_runs,
    score_table,
    zoo_scores,
)
from ppo_lab.commands.settings_source import OURS

BASE = f"{OURS} (default)"
"""What the presets are set against."""


def sections(benchmark: Benchmark, entries: Entries, published: Path) -> str:
    """The tables of everything that has a record; empty without any.

    Args:
        benchmark: whose records they are.
        entries: the records.
        published: others' figures.
    """
    known = {(run.task, run.label) for run in entries.all()}
    tasks = [task for task in benchmark.budgets if any(task == one for one, _ in known)]
    parts = [f"## {benchmark.title}"] if known else []
    printed = zoo_scores(published, tasks)
    parts += [_of_settings(benchmark, word, entries, tasks, printed) for word in benchmark.settings]
    parts.append(_of_presets(benchmark, entries, tasks))
    if beside := published_table(published, tasks):
        parts.append(f"### What others print\n\n{beside}")
    if known:
        parts.append(f"### Where it ran\n\n{circumstances(entries)}")
    return "\n\n".join(filter(None, parts))


def _of_settings(
    benchmark: Benchmark,
    word: str,
    entries: Entries,
    tasks: Sequence[str],
    printed: Mapping[str, float],
) -> str:
    labels = [f"{algo} ({word})" for algo in benchmark.settings[word].algos]
    thresholds = {task: _threshold(task) for task in tasks} if benchmark.to_threshold else {}
    scores = score_table(entries, tasks, labels, thresholds, printed)
    if not scores:
        return ""
    origins: dict[str, list[str]] = {}
    for task in tasks:
        for label in labels:
            for run in entries.row(label, task)[:1]:
                origins.setdefault(run.origin, []).append(task)
    said = "; ".join(f"{origin} ({', '.join(dict.fromkeys(of))})" for origin, of in origins.items())
    parts = [f"### Settings `{word}`", f"{said}.", scores]
    if len(labels) > 1:
        parts.append(equivalence_table(entries, tasks, *labels[:2]))
        parts += [same_runs(entries, task, *labels[:2]) for task in tasks]
    return "\n\n".join(filter(None, parts))


def _of_presets(benchmark: Benchmark, entries: Entries, tasks: Sequence[str]) -> str:
    labels = [
        f"{OURS} ({word})" for word, settings in benchmark.settings.items() if settings.preset
    ]
    table = improvement_table(entries, tasks, labels, BASE)
    return f"### Presets against the defaults\n\n{table}" if table else ""


def _threshold(task: str) -> float:
    """Gymnasium's ``reward_threshold``."""
    threshold = gym.spec(task).reward_threshold
    assert threshold is not None, f"{task} has no threshold"
    return float(threshold)
