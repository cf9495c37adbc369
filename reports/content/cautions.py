"""What a reader should not conclude from a table, as plain sentences."""

from collections.abc import Mapping, Sequence

from reports.content.arrangement import Arrangement
from reports.content.document import ReportSettings
from reports.content.kinds import listed
from reports.content.protocol import mixes_hyperparameters
from reports.content.rows import Aggregate
from reports.logs.records import LoadedRuns, Run
from reports.logs.references import FALLBACK
from reports.statistics.failures import Failures
from reports.statistics.summaries import doubts
from reports.text import clause, counted

_UNEQUAL_SPREAD = 3.0
_ENOUGH_FOR_SPREAD = 5
_MOST_LISTED = 3
_STATED_ELSEWHERE = ("step budget", "kind of score")
"""What ``arrangement.statements`` says already, with the numbers."""


def cautions(
    arrangement: Arrangement,
    rows: Sequence[Aggregate],
    loaded: LoadedRuns,
    failed: Mapping[str, Failures],
    pair: tuple[str, str] | None,
) -> tuple[str, ...]:
    """List every reason to doubt the numbers that can be seen in the runs themselves.

    The gravest come first, and each ends in what to do: what was not measured alike, what is too
    little, what failed, what was set otherwise, and what only has to be known.

    Args:
        arrangement: the runs.
        rows: one per label.
        loaded: what was set aside.
        failed: every label's failed runs.
        pair: the two labels that the headline is about; None: about none.
    """
    planned = _planned(loaded)
    sentences = [
        *_on_conditions(arrangement),
        *_on_evaluation_seeds(arrangement),
        *arrangement.statements,
        *_doubts(arrangement, planned),
        *_on_failures(failed, planned),
        *_on_tuning(arrangement, pair),
        *_on_hyperparameters(arrangement),
        *_on_certainty(rows, planned),
        *_on_scale(arrangement),
        *_on_trackers(arrangement),
        *_on_remarks(arrangement),
    ]
    if loaded.set_aside:
        sentences.append(
            f"{counted(len(loaded.set_aside), 'file or folder', 'files or folders')} set aside, "
            "each listed in the report with its reason: the statistics describe the other runs "
            "only. Mend or remove them."
        )
    return tuple(dict.fromkeys(sentences))


def _planned(loaded: LoadedRuns) -> bool:
    """Whether a comparison until clear made some of the runs: its plan says how many there are."""
    return any(looks.plan is not None for looks in loaded.looks)


def _on_certainty(rows: Sequence[Aggregate], planned: bool) -> list[str]:
    if any(row.improvement is not None and row.improvement.value in (0, 1) for row in rows):
        advice = "" if planned else " Add seeds to narrow it."
        return [
            "A probability of 0 or 1 says that no run of the one beat a run of the other here; "
            f"that is no certainty about other seeds.{advice}"
        ]
    return []


def _doubts(arrangement: Arrangement, planned: bool) -> list[str]:
    """Each doubt once, with the labels that it is about."""
    about: dict[str, list[str]] = {}
    for label in arrangement.labels:
        scores = arrangement.shared(label) or tuple(arrangement.by_task(label).values())
        for sentence in doubts(scores, planned=planned):
            about.setdefault(sentence, []).append(label)
    return [
        f"{_named(labels, arrangement.labels)}: {clause(sentence)}"
        for sentence, labels in about.items()
    ]


def _on_failures(failed: Mapping[str, Failures], planned: bool) -> list[str]:
    counts = [
        f"{found.failed} of {found.runs} runs of {label}"
        for label, found in failed.items()
        if found.failed
    ]
    if not counts:
        return []
    return [
        f"{listed(counts)} failed: an interval of the mean covers too rarely where failures are "
        "few and large, and the IQM may leave them out altogether. Look at their "
        f"curves{'' if planned else ', and add seeds'}."
    ]


def _named(labels: Sequence[str], every: Sequence[str]) -> str:
    if len(labels) == len(every) > 1:
        return "Every label"
    return listed(labels)


def on_unequal(arrangement: Arrangement, loaded: LoadedRuns, settings: ReportSettings) -> list[str]:
    """Whether the rank test's hypothesis, one distribution, may fail where the means are equal.

    Unequal numbers of runs alone do no harm, and unequal spreads of equal numbers little; both
    together let it claim too much. How unequal the spreads are few runs hardly show.
    """
    found = []
    for task in arrangement.shared_tasks:
        base = arrangement.groups[settings.baseline, task].scores
        for label in arrangement.labels:
            scores = arrangement.groups[label, task].scores
            if label == settings.baseline:
                continue
            parts = []
            if len(scores) != len(base):
                parts.append(f"{len(scores)} runs beside {len(base)}")
            spreads = scores.std(), base.std()
            if min(len(scores), len(base)) >= _ENOUGH_FOR_SPREAD and (
                max(spreads) > _UNEQUAL_SPREAD * min(spreads) > 0
            ):
                parts.append(f"{spreads[0] / spreads[1]:.2g} times the spread")
            if parts:
                found.append(f"{label} on {task}: {' and '.join(parts)}")
    if not found:
        return []
    shown = "; ".join(found[:_MOST_LISTED])
    more = f"; and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    alike = "" if _planned(loaded) else "run the same seeds of every label, and "
    return [
        f"Unequal beside {settings.baseline} are {shown}{more}: the rank test asks for one "
        "distribution and may claim a difference of mean where only the spread differs, so "
        f"{alike}look whether Welch's test, per task, agrees."
    ]


def _on_tuning(arrangement: Arrangement, pair: tuple[str, str] | None) -> list[str]:
    """Whether the headline's two labels, or all where there is no headline, were tuned alike."""
    tuning: dict[str, list[str]] = {}
    for label in pair or arrangement.labels:
        words = {run.tuning for run in arrangement.runs if run.label == label}
        tuning.setdefault("; ".join(sorted(words)), []).append(label)
    if len(tuning) < 2:
        return []
    received = ". ".join(f"{listed(labels)}: {what}" for what, labels in tuning.items())
    return [
        f"{_named(pair or arrangement.labels, arrangement.labels)} did not receive the same "
        f"tuning, which alone can decide. {received}. Tune them alike: python -m ppo_lab.tune."
    ]


def _on_hyperparameters(arrangement: Arrangement) -> list[str]:
    return [
        f"The runs of {label} do not all have the same hyperparameters. Report them apart: "
        "NAME=LOGS."
        for label in arrangement.labels
        if mixes_hyperparameters([run for run in arrangement.runs if run.label == label])
    ]


def on_distinctions(arrangement: Arrangement) -> list[str]:
    """Which label is which, where their names cannot say all of it: each in full."""
    numbered = dict.fromkeys(
        (run.label, run.distinction_in_full)
        for run in arrangement.runs
        if run.distinction_in_full != run.distinction
    )
    return [f"{label} is the one with {full}." for label, full in numbered]


def _on_conditions(arrangement: Arrangement) -> list[str]:
    sentences: list[str] = []
    for task in arrangement.tasks:
        conditions = [dict(run.must_agree) for run in arrangement.runs if run.task == task]
        whats = dict.fromkeys(what for of_run in conditions for what in of_run)
        sentences.extend(
            f"The runs of {task} do not all have the same {what}: their scores are not strictly "
            "comparable. Evaluate them alike: python -m ppo_lab.evaluate."
            for what in whats
            if what not in _STATED_ELSEWHERE
            and len({of_run.get(what) for of_run in conditions}) > 1
        )
    return sentences


def _on_evaluation_seeds(arrangement: Arrangement) -> list[str]:
    """Labels must have the same evaluation seeds, and the runs of one label different ones."""
    sentences: list[str] = []
    for task in arrangement.tasks:
        of_label = {
            group.label: [run for run in group.runs if run.evaluation_seed is not None]
            for group in arrangement.on_task(task)
        }
        seeded = {label: runs for label, runs in of_label.items() if runs}
        first = next(iter(seeded.values()), [])
        if any(_evaluated_otherwise(first, runs) for runs in seeded.values()):
            sentences.append(
                f"The labels on {task} do not all have the same evaluation seeds: chance was not "
                "the same for all. Make them in one comparison: python -m ppo_lab.compare."
            )
        sharing = [
            label
            for label, runs in seeded.items()
            if len({run.evaluation_seed for run in runs}) < len(runs)
        ]
        if sharing:
            sentences.append(
                f"On {task} runs of {_named(sharing, arrangement.labels)} share an evaluation "
                "seed: what is common in their errors no interval can see, so it speaks of those "
                "episodes only. Evaluate each run from a seed of its own, as compare does."
            )
    return sentences


def _evaluated_otherwise(ours: Sequence[Run], theirs: Sequence[Run]) -> bool:
    """Whether a training seed that both have was evaluated from different seeds.

    Where they have none in common, whether their sets of evaluation seeds differ.
    """
    mine, other = (
        {run.seed: run.evaluation_seed for run in runs if run.seed is not None}
        for runs in (ours, theirs)
    )
    common = mine.keys() & other.keys()
    if common:
        return any(mine[seed] != other[seed] for seed in common)
    return {run.evaluation_seed for run in ours} != {run.evaluation_seed for run in theirs}


def _on_scale(arrangement: Arrangement) -> list[str]:
    tasks = dict.fromkeys(run.task for run in arrangement.runs if FALLBACK in run.source)
    if not tasks:
        return []
    return [
        f"No good score is known for {listed(list(tasks))}: 1 is the best label's own mean there, "
        "so ranks and differences stand, and an optimality gap is no distance from an optimum. "
        "Give a good score: --references FILE."
    ]


def _on_trackers(arrangement: Arrangement) -> list[str]:
    """Runs that were logged both by a tracker and by files of their own, and may stand twice."""
    kinds = {run.kind for run in arrangement.runs}
    tracked = kinds & {"tensorboard", "wandb", "openrlbenchmark"}
    if not tracked or len(kinds) == 1:
        return []
    count = sum(run.kind in tracked for run in arrangement.runs)
    return [
        f"{count} of {counted(len(arrangement.runs), 'run')} were read from the logs of a tracker "
        "(TensorBoard, W&B), beside others: a run that was logged in both ways counts twice, under "
        "two labels. Give one of the two folders."
    ]


def _on_remarks(arrangement: Arrangement) -> list[str]:
    """Each remark once, with how many runs it is about."""
    about: dict[str, int] = {}
    for run in arrangement.runs:
        for remark in run.remarks:
            about[remark] = about.get(remark, 0) + 1
    return [f"Of {counted(count, 'run')}: {clause(remark)}" for remark, count in about.items()]
