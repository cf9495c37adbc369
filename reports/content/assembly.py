"""From arranged runs to the document: which statistic of which runs stands where."""

from collections.abc import Sequence

from reports.content.arrangement import Arrangement
from reports.content.cautions import cautions, on_distinctions, on_unequal
from reports.content.comparisons import MOST_PAIRED, pair_rows, test_rows
from reports.content.curves import curve_rows, profile_rows
from reports.content.document import FORMAT, Document, ReportSettings
from reports.content.findings import find, footer, headline_pair
from reports.content.kinds import one_a_kind
from reports.content.looks import clear_pairs, find_clear, look_rows, on_looks, until_clear_runs
from reports.content.protocol import protocol_rows
from reports.content.repeating import made_by_rows, repeat_rows, runtime_rows
from reports.content.rows import RunRow, SetAsideRow, TaskRow
from reports.content.scores import (
    aggregate_rows,
    failed_by_label,
    failure_rows,
    task_score_rows,
)
from reports.content.verdicts import verdicts
from reports.logs.records import LoadedRuns, Run

BEST_CHECKPOINTS = (
    "Best checkpoints are judged in place of the final policies, as was asked for: each score is "
    "the highest of several noisy means, and flatters."
)

_PASSING = ("seconds",)
"""Different each time that the same command makes the same run: it has no place in a report."""


def assemble(
    arrangement: Arrangement,
    loaded: LoadedRuns,
    settings: ReportSettings,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    remarks: Sequence[str] = (),
    runtime: bool = False,
) -> Document:
    """Compute every number of a report.

    Args:
        arrangement: normalised runs by label and task.
        loaded: what the logs held, for what was set aside.
        settings: what the numbers depend on besides the runs.
        title: of the page; empty for none.
        notes: the caller's sentences.
        remarks: what was not done as the caller asked, as sentences; the first of the cautions.
        runtime: say how long the runs took, which is never twice the same.
    """
    clear = until_clear_runs(arrangement, loaded, settings)
    pairs = clear_pairs(pair_rows(arrangement, settings), clear)
    judged = {} if clear else verdicts(arrangement, settings)
    rows = aggregate_rows(arrangement, settings, pairs, judged)
    failed = failed_by_label(arrangement, settings)
    if clear and rows:
        finding = find_clear(rows, settings.baseline, clear, failed)
    else:
        finding = find(rows, settings.baseline, judged, failed)
    return Document(
        format=FORMAT,
        title=title,
        headline=finding.headline,
        detail=finding.detail,
        settings=settings,
        labels=arrangement.labels,
        tasks=tuple(_task_row(arrangement, task) for task in arrangement.tasks),
        aggregates=rows,
        task_scores=task_score_rows(arrangement, settings),
        failures=failure_rows(arrangement, settings),
        tests=test_rows(arrangement, settings),
        pairs=pairs,
        looks=look_rows(clear),
        curves=curve_rows(arrangement, settings),
        profiles=profile_rows(arrangement, settings),
        protocol=protocol_rows(arrangement),
        cautions=(
            *remarks,
            *on_looks(arrangement, loaded, clear),
            *([] if clear else on_unequal(arrangement, loaded, settings)),
            *_on_choices(arrangement, settings),
            *one_a_kind(
                cautions(arrangement, rows, loaded, failed, headline_pair(rows, settings.baseline)),
                (*arrangement.labels, *arrangement.tasks),
            ),
            *on_distinctions(arrangement),
        ),
        footer=footer(arrangement, loaded, settings, clear.words if clear else ""),
        notes=tuple(notes),
        runs=tuple(map(_run_row, arrangement.runs)),
        set_aside=tuple(SetAsideRow(aside.folder, aside.reason) for aside in loaded.set_aside),
        runtimes=runtime_rows(arrangement) if runtime else (),
        made_by=made_by_rows(loaded),
        repeat=repeat_rows(loaded, settings, title),
    )


def _on_choices(arrangement: Arrangement, settings: ReportSettings) -> list[str]:
    sentences = []
    if len(arrangement.labels) > MOST_PAIRED:
        sentences.append(
            f"With {len(arrangement.labels)} labels, more than {MOST_PAIRED}, each is compared "
            f"with {settings.baseline} alone: not every two with each other."
        )
    if settings.best_checkpoints:
        sentences.append(BEST_CHECKPOINTS)
    return sentences


def _task_row(arrangement: Arrangement, task: str) -> TaskRow:
    run = arrangement.on_task(task)[0].runs[0]
    return TaskRow(task, task in arrangement.shared_tasks, run.low, run.high, run.source)


def _run_row(run: Run) -> RunRow:
    return RunRow(
        label=run.label,
        algo=run.algo,
        settings=run.settings,
        task=run.task,
        seed=run.seed,
        steps=run.steps,
        score=run.score,
        normalised_score=run.normalised_score,
        best_checkpoint=run.best_score,
        episodes=run.evaluation_episodes or None,
        source=run.kind,
        measure=run.measure,
        folder=run.folder,
        versions=_in_words(run.versions),
        circumstances=_in_words([pair for pair in run.circumstances if pair[0] not in _PASSING]),
    )


def _in_words(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{what} {value}" for what, value in pairs)
