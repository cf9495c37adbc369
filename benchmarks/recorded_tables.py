"""Records in, Markdown out: what the runs of a benchmark say, and what others print beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recorded_runs import RECORD, read_record
from ppo_lab.errors import CommandError
from reports.logs.reading import read_yaml
from reports.statistics.improvement import improvements
from reports.statistics.intervals import Estimate
from reports.statistics.significance import PairTest, pair_tests
from reports.statistics.summaries import task_summary
from reports.text import counted, sentence

MARGIN = 0.15
"""Of the way from the random policy to SB3's mean: a smaller difference of means counts as none."""
LEVEL = 0.05
DRAWS = 10_000
SEED = 0
MUST_AGREE = ("hyperparameters", "normalize", "n_envs", "policy")
"""What the runs of a label on a task have in common, or a row would mix different things."""


@dataclass(frozen=True)
class Entry:
    """One record.

    Attributes:
        task: environment.
        label: algorithm and settings, as a report names them.
        seed: of the run.
        timesteps: its budget.
        score: mean return of the policy after its last update.
        low: the random policy's mean return; NaN where the record states none.
        steps: of the evaluations.
        returns: at them.
        seconds: wall-clock time of the run with its evaluations.
        cpu_seconds: CPU time of the same.
        protocol: budget and evaluation, which the runs of a task must have in common.
        agreed: settings, which the runs of a row must have in common.
        circumstances: machine, commit and versions, in words.
        origin: where the settings stand, in words.
    """

    task: str
    label: str
    seed: int
    timesteps: int
    score: float
    low: float
    steps: tuple[int, ...]
    returns: tuple[float, ...]
    seconds: float
    cpu_seconds: float
    protocol: str
    agreed: str
    circumstances: str
    origin: str = ""


def entry_of(record: Mapping[str, Any]) -> Entry:
    """What the tables need of a record."""
    reference, evaluations = record["reference"], record["evaluations"]
    evaluation = {key: value for key, value in record["evaluation"].items() if key != "seed"}
    versions = ", ".join(f"{name} {number}" for name, number in sorted(record["versions"].items()))
    return Entry(
        task=record["env"],
        label=f"{record['algo']} ({record['settings']})",
        seed=record["seed"],
        timesteps=int(record["timesteps"]),
        score=float(record["score"]),
        low=float("nan") if reference is None else float(reference["low"]),
        steps=tuple(evaluations["steps"]),
        returns=tuple(evaluations["returns"]),
        seconds=float(record["seconds"]),
        cpu_seconds=float(record["cpu_seconds"]),
        protocol=repr([record["timesteps"], record["env_kwargs"], evaluation]),
        agreed=repr([record[key] for key in MUST_AGREE]),
        circumstances=f"{_machine(record)}; commit {str(record['git_commit'])[:7]}; {versions}",
        origin=record["origin"],
    )


def _machine(record: Mapping[str, Any]) -> str:
    words = f"{record['cpu']}, {counted(record['cores'], 'core')}"
    if record.get("gpu"):  # which older records do not say
        words += f", {record['gpu']}"
    if record.get("vec_env") == "subproc":
        words += "; environments in processes of their own, which the CPU seconds leave out"
    return words


class Entries:
    """A benchmark's records, by label and task.

    Args:
        entries: in any order.

    Raises:
        CommandError: two runs of a task differ in budget or evaluation, two of a row in settings,
            or are the same run.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._rows: dict[tuple[str, str], list[Entry]] = {}
        protocols: dict[str, str] = {}
        for entry in sorted(entries, key=lambda entry: entry.seed):
            row = self._rows.setdefault((entry.label, entry.task), [])
            where = f"the records of {entry.label} on {entry.task}"
            if protocols.setdefault(entry.task, entry.protocol) != entry.protocol:
                raise CommandError(f"the records on {entry.task} differ in budget or evaluation")
            if row and row[0].agreed != entry.agreed:
                raise CommandError(f"{where} differ in settings")
            if row and row[-1].seed == entry.seed:
                raise CommandError(f"{where} hold seed {entry.seed} twice")
            row.append(entry)

    def row(self, label: str, task: str) -> list[Entry]:
        """The runs of a label on a task, by seed; none where there is no record."""
        return self._rows.get((label, task), [])

    def all(self) -> list[Entry]:
        """Every run."""
        return [entry for row in self._rows.values() for entry in row]

    def scores(self, label: str, task: str) -> np.ndarray:
        """(R,) final scores."""
        return np.array([entry.score for entry in self.row(label, task)])


def read_entries(folder: Path) -> Entries:
    """The records below a folder.

    Raises:
        CommandError: one cannot be read, or two do not go together.
    """
    return Entries(_read_entry(file) for file in sorted(folder.glob(f"*/*/{RECORD}")))


def _read_entry(file: Path) -> Entry:
    record = read_record(file.parent)
    try:
        return entry_of(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise CommandError(f"{file} is no record of a benchmark ({what})") from error


def score_table(
    entries: Entries,
    tasks: Sequence[str],
    labels: Sequence[str],
    thresholds: Mapping[str, float],
    printed: Mapping[str, float] | None = None,
) -> str:
    """A row of every task and label that has a record; empty without any.

    Args:
        entries: all records.
        tasks: in their order.
        labels: in their order.
        thresholds: task → the score that solves it; three more columns where there are any.
        printed: task → what RL Zoo prints for it.
    """
    head = ["task", "label", "steps", "seeds", "IQM", "mean", "CPU s a run", "wall s a run"]
    head += ["reach the threshold", "steps to it", "reach RL Zoo's score"] if thresholds else []
    rows, printed = [], printed or {}
    for task in tasks:
        for label in labels:
            if runs := entries.row(label, task):
                scores = task_summary(
                    entries.scores(label, task), seed=SEED, key=f"{label} {task}", draws=DRAWS
                )
                cpu, wall = (
                    f"{np.median([getattr(run, name) for run in runs]):,.0f}"
                    for name in ("cpu_seconds", "seconds")
                )
                counts = [f"{runs[0].timesteps:,}", str(len(runs))]
                cells = [task, label, *counts, shown(scores.iqm), shown(scores.mean)]
                cells += [cpu, wall]
                if thresholds:
                    cells += reaching(runs, thresholds[task])
                    cells.append(reaching(runs, printed[task])[0] if task in printed else "–")
                rows.append(cells)
    return _table(head, rows, left=2)


def reaching(runs: Sequence[Entry], threshold: float) -> tuple[str, str]:
    """How many final policies score the threshold, and the median of the steps to it.

    The steps are those of the first evaluation there, over the runs that had one.
    """
    final = sum(run.score >= threshold for run in runs)
    first = [
        next((s for s, r in zip(run.steps, run.returns, strict=True) if r >= threshold), None)
        for run in runs
    ]
    steps = [each for each in first if each is not None]
    when = f"{np.median(steps):,.0f} ({len(steps)} of {len(runs)})" if steps else "–"
    return f"{final} of {len(runs)} ({threshold:g})", when


def same_runs(entries: Entries, task: str, ours: str, theirs: str) -> str:
    """In words, where every run that both have a seed of went the same way; else empty."""
    by_seed = {run.seed: run for run in entries.row(theirs, task)}
    pairs = [(run, by_seed[run.seed]) for run in entries.row(ours, task) if run.seed in by_seed]
    if not pairs or any(x.steps != y.steps or x.returns != y.returns for x, y in pairs):
        return ""
    looks = counted(len(pairs[0][0].steps), "evaluation")
    return (
        f"On {task} {ours} and {theirs} are the same run: with the same seed all {looks} have the "
        f"same mean returns ({counted(len(pairs), 'pair')})."
    )


def equivalence(entries: Entries, task: str, ours: str, theirs: str) -> PairTest | None:
    """The test of two labels on a task; None without two runs of each, or without a margin."""
    x, y = entries.scores(ours, task), entries.scores(theirs, task)
    if min(len(x), len(y)) < 2:
        return None
    margin = MARGIN * (y.mean() - entries.row(theirs, task)[0].low)
    if not margin > 0:
        return None
    (test,) = pair_tests({ours: [x], theirs: [y]}, [task], seed=SEED, margin=margin)
    return test


def equivalence_table(entries: Entries, tasks: Sequence[str], ours: str, theirs: str) -> str:
    """Difference of means, test of equivalence and ratio of CPU times of each task."""
    rows = []
    for task in tasks:
        if test := equivalence(entries, task, ours, theirs):
            p = test.tost_p
            times = [
                np.median([run.cpu_seconds for run in entries.row(label, task)])
                for label in (theirs, ours)
            ]
            rows.append(
                [
                    task,
                    shown(Estimate(test.difference, test.low, test.high)),
                    number(test.margin),
                    "–" if p is None else f"{p:.2g}",
                    "yes" if p is not None and p < LEVEL else "not shown",
                    f"{times[0] / times[1]:.1f}",
                ]
            )
    head = ["task", f"{ours} − {theirs}", "margin", "p", "equivalent", "CPU time, theirs / ours"]
    return _table(head, rows)


def improvement_table(
    entries: Entries, tasks: Sequence[str], better: Sequence[str], base: str
) -> str:
    """Each label's difference from a base, and the probability that a run of it scores above."""
    rows = []
    for label in better:
        both = [t for t in tasks if entries.row(label, t) and entries.row(base, t)]
        for names in [[task] for task in both] + ([both] if len(both) > 1 else []):
            samples = {one: [entries.scores(one, task) for task in names] for one in (label, base)}
            chance = improvements(samples, seed=SEED, draws=DRAWS)[label, base]
            difference = "–"
            if len(names) == 1:
                (test,) = pair_tests(samples, names, seed=SEED, margin=1.0)
                difference = shown(Estimate(test.difference, test.low, test.high))
            runs = ", ".join(str(sum(map(len, sample))) for sample in samples.values())
            where = names[0] if len(names) == 1 else f"all {len(names)}"
            rows.append([label, where, runs, difference, shown(chance, 3)])
    head = ["label", "task", f"runs, of it and of {base}", f"− {base}", "P(better)"]
    return _table(head, rows, left=2)


def zoo_scores(file: Path, tasks: Sequence[str]) -> dict[str, float]:
    """Task → what RL Zoo prints for it, where it prints something."""
    scores: Any = read_yaml(file)["scores"]
    return {
        task: float(entry["score"])
        for task in tasks
        for entry in scores.get(task, [])
        if entry["source"] == "zoo"
    }


def published_table(file: Path, tasks: Sequence[str]) -> str:
    """What others print for the tasks, and below the table where."""
    published: Any = read_yaml(file)
    rows, used = [], []
    for task in tasks:
        for entry in published["scores"].get(task, []):
            source = published["sources"][entry["source"]]
            spread = "" if entry["spread"] is None else f" ± {entry['spread']:,}"
            steps = "not stated" if entry["steps"] is None else f"{entry['steps']:,}"
            rows.append([task, source["name"], entry["env"], steps, f"{entry['score']:,}{spread}"])
            used.append(entry["source"])
    notes = [
        f"- {published['sources'][key]['name']}: {published['sources'][key]['where']}. "
        f"{sentence(published['sources'][key]['how'])}."
        for key in dict.fromkeys(used)
    ]
    table = _table(["task", "source", "version", "steps", "score"], rows, left=3)
    return f"{table}\n\n" + "\n".join(notes) if rows else ""


def circumstances(entries: Entries) -> str:
    """Machines and versions of all records, a line each."""
    counts: dict[str, int] = {}
    for entry in entries.all():
        counts[entry.circumstances] = counts.get(entry.circumstances, 0) + 1
    return "\n".join(f"- {counted(count, 'run')}: {words}." for words, count in counts.items())


def shown(found: Estimate, digits: int | None = None) -> str:
    """``1,234 [1,100, 1,402]``: an estimate with its 95 % interval, where it has one."""
    value = number(found.value, digits)
    if found.low is None or found.high is None:
        return value
    return f"{value} [{number(found.low, digits)}, {number(found.high, digits)}]"


def number(value: float, digits: int | None = None) -> str:
    """To four significant digits, or as many decimals as told."""
    if digits is None:
        digits = next((d for d, least in enumerate((1000, 100, 10)) if abs(value) >= least), 3)
    return f"{value:z,.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Markdown, the first columns to the left; empty without rows."""
    if not rows:
        return ""
    marks = [":--" if column < left else "--:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
