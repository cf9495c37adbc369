"""From arranged runs to the document: which statistic of which runs stands where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.content.arrangement import Arrangement, Cell, Steps, baseline_label, common_grid
from reports.content.cautions import cautions
from reports.content.document import (
    FORMAT,
    Aggregate,
    Curve,
    Document,
    Interval,
    Pair,
    Profile,
    RunRow,
    SetAsideRow,
    Settings,
    Task,
    TaskScore,
    TaskTest,
)
from reports.content.findings import find, footer
from reports.content.protocol import protocol_rows
from reports.logs.records import LoadedRuns, Run
from reports.statistics import aggregates, bands, significance
from reports.statistics.efficiency import area_under_curve, threshold_times, time_to_threshold
from reports.statistics.improvement import improvements
from reports.statistics.intervals import LEVEL, Estimate
from reports.statistics.samples import Matrix
from reports.statistics.summaries import task_summary

BEST_CHECKPOINTS = (
    "Best checkpoints are judged in place of the final policies, as was asked for: each score is "
    "the highest of several noisy means, and flatters."
)
INTERVALS = "stratified-bootstrap intervals, stretched for few runs"

MOST_PAIRED = 24
"""Labels of which every two are compared; their pairs grow with the square."""

_PASSING = ("seconds",)
"""Different each time that the same command makes the same run: it has no place in a report."""


@dataclass(frozen=True)
class Choices:
    """What a caller decides.

    Attributes:
        baseline: label, or algorithm of one label, that others are compared with; None: SB3's PPO.
        seed: seed of every resampling.
        table_draws: see ``document.Settings``.
        curve_draws: see ``document.Settings``.
        margin: equivalence margin as a share of the normalised scale, above 0.
        threshold: normalised return that time to threshold waits for.
        best: judge the best checkpoints in place of the final policies, which flatters.
        title: of the page; empty for none.
    """

    baseline: str | None
    seed: int
    table_draws: int
    curve_draws: int
    margin: float
    threshold: float
    best: bool = False
    title: str = ""


def assemble(
    arrangement: Arrangement, loaded: LoadedRuns, choices: Choices, notes: Sequence[str]
) -> Document:
    """Compute every number of a report.

    Args:
        arrangement: normalised runs by label and task.
        loaded: what the logs held, for what was set aside.
        choices: the caller's.
        notes: the caller's sentences.
    """
    baseline, stated = _baseline(arrangement.runs, choices.baseline)
    settings = Settings(
        baseline=baseline,
        seed=choices.seed,
        table_draws=choices.table_draws,
        curve_draws=choices.curve_draws,
        level=LEVEL,
        interval_method=INTERVALS,
        equivalence_margin=choices.margin,
        threshold=choices.threshold,
        best_checkpoints=choices.best,
    )
    if len(arrangement.labels) > MOST_PAIRED:
        stated = (
            *stated,
            f"With {len(arrangement.labels)} labels, more than {MOST_PAIRED}, each is compared "
            f"with {baseline} alone: not every two with each other.",
        )
    if choices.best:
        stated = (*stated, BEST_CHECKPOINTS)
    pairs = _pairs(arrangement, settings)
    rows = _aggregates(arrangement, settings, pairs)
    tests = _tests(arrangement, settings)
    finding = find(rows, baseline)
    return Document(
        format=FORMAT,
        title=choices.title,
        headline=finding.headline,
        detail=finding.detail,
        settings=settings,
        labels=arrangement.labels,
        tasks=tuple(_task(arrangement, task) for task in arrangement.tasks),
        aggregates=rows,
        task_scores=tuple(
            _task_score(cell, _horizon_grid(arrangement, cell.task), settings)
            for task in arrangement.tasks
            for cell in _cells(arrangement, task)
        ),
        tests=tests,
        pairs=pairs,
        curves=(
            *_shared_curves(arrangement, settings),
            *(
                curve
                for task in arrangement.tasks
                for cell in _cells(arrangement, task)
                for curve in _task_curve(cell, settings)
            ),
        ),
        profiles=_profiles(arrangement, settings),
        protocol=protocol_rows(arrangement),
        cautions=(*stated, *cautions(arrangement, rows, loaded)),
        footer=footer(arrangement, loaded, settings),
        notes=tuple(notes),
        runs=tuple(map(_run_row, arrangement.runs)),
        set_aside=tuple(SetAsideRow(aside.folder, aside.reason) for aside in loaded.set_aside),
    )


def _baseline(runs: Sequence[Run], wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the baseline, and a sentence where it is not the one that was asked for."""
    try:
        return baseline_label(runs, wanted), ()
    except ValueError:
        instead = baseline_label(runs, None)
        return instead, (f"No one label is of {wanted}: {instead} is the baseline instead.",)


def _cells(arrangement: Arrangement, task: str) -> list[Cell]:
    return [
        arrangement.cells[label, task]
        for label in arrangement.labels
        if (label, task) in arrangement.cells
    ]


def _task(arrangement: Arrangement, task: str) -> Task:
    run = _cells(arrangement, task)[0].runs[0]
    return Task(task, task in arrangement.shared_tasks, run.low, run.high, run.source)


def _pairs(arrangement: Arrangement, settings: Settings) -> tuple[Pair, ...]:
    if not arrangement.shared_tasks or len(arrangement.labels) < 2:
        return ()
    estimates = improvements(
        {
            label: arrangement.shared(label, best=settings.best_checkpoints)
            for label in arrangement.labels
        },
        seed=settings.seed,
        draws=settings.curve_draws,
        over=_over(arrangement, settings),
    )
    return tuple(
        Pair(label, other, _interval(estimates[label, other]))
        for label in arrangement.labels
        for other in arrangement.labels
        if (label, other) in estimates
    )


def _over(arrangement: Arrangement, settings: Settings) -> str | None:
    """The one label that the others are compared with, where all pairs would be too many."""
    return settings.baseline if len(arrangement.labels) > MOST_PAIRED else None


def _aggregates(
    arrangement: Arrangement, settings: Settings, pairs: Sequence[Pair]
) -> tuple[Aggregate, ...]:
    if not arrangement.shared_tasks:
        return ()
    over = {pair.label: pair.improvement for pair in pairs if pair.other == settings.baseline}
    return tuple(
        _aggregate(arrangement, label, settings, over.get(label)) for label in arrangement.labels
    )


def _aggregate(
    arrangement: Arrangement, label: str, settings: Settings, improvement: Interval | None
) -> Aggregate:
    scores = arrangement.shared(label, best=settings.best_checkpoints)
    of = aggregates.aggregates(
        scores, seed=settings.seed, key=f"aggregates of {label}", draws=settings.table_draws
    )
    best = aggregates.aggregates(
        arrangement.shared(label, best=True),
        seed=settings.seed,
        key=f"best checkpoints of {label}",
        draws=settings.table_draws,
    )
    cells = [arrangement.cells[label, task] for task in arrangement.shared_tasks]
    return Aggregate(
        label=label,
        runs=min(map(len, scores)),
        score=float(_raw(cells[0], settings).mean()) if len(cells) == 1 else None,
        mean=_interval(of.mean),
        iqm=_interval(of.iqm),
        median=_interval(of.median),
        optimality_gap=_interval(of.optimality_gap),
        improvement=improvement,
        best_checkpoint=_interval(best.iqm),
        area=_area(
            [_areas(cell, _horizon_grid(arrangement, cell.task)) for cell in cells], label, settings
        ),
    )


def _task_score(cell: Cell, grid: Steps, settings: Settings) -> TaskScore:
    where = f"{cell.label} on {cell.task}"
    found = task_summary(
        _raw(cell, settings),
        seed=settings.seed,
        key=f"scores of {where}",
        draws=settings.curve_draws,
    )
    rates = cell.success_rates
    times = None
    if len(grid):
        horizon = int(grid[-1])
        reached = [
            time_to_threshold(run.evaluation_steps, run.normalised_returns, settings.threshold)
            for run in cell.runs
        ]
        times = threshold_times(
            reached,
            horizon,
            seed=settings.seed,
            key=f"times of {where}",
            draws=settings.curve_draws,
        )
    return TaskScore(
        task=cell.task,
        label=cell.label,
        runs=len(cell.runs),
        mean=_interval(found.mean),
        median=found.median,
        iqm=_interval(found.iqm),
        std=found.std,
        minimum=found.min,
        maximum=found.max,
        success_rate=float(rates.mean()) if rates.size else None,
        best_checkpoint=float(cell.raw_best_scores.mean()),
        area=_area([_areas(cell, grid)], where, settings),
        reached=_interval(times.share) if times else None,
        median_steps=times.median if times else None,
        mean_steps=_interval(times.restricted_mean) if times else None,
        horizon=int(grid[-1]) if len(grid) else None,
        scores=tuple(map(float, _raw(cell, settings))),
    )


def _raw(cell: Cell, settings: Settings) -> Matrix:
    return cell.raw_best_scores if settings.best_checkpoints else cell.raw_scores


def _horizon_grid(arrangement: Arrangement, task: str) -> Steps:
    """The steps at which every run of every label on the task has a value."""
    runs = [run for cell in _cells(arrangement, task) for run in cell.runs]
    return common_grid([run.evaluation_steps for run in runs])


def _areas(cell: Cell, grid: Steps) -> Matrix | None:
    if len(grid) < 2:
        return None
    return np.array([area_under_curve(grid, curve) for curve in cell.curves(grid)])


def _area(areas: Sequence[Matrix | None], name: str, settings: Settings) -> Interval | None:
    known = [area for area in areas if area is not None]
    if len(known) < len(areas):
        return None
    found = aggregates.aggregates(
        known, seed=settings.seed, key=f"areas of {name}", draws=settings.curve_draws
    )
    return _interval(found.iqm)


def _tests(arrangement: Arrangement, settings: Settings) -> tuple[TaskTest, ...]:
    """Compare every two labels on every task that both ran; Holm's correction is over them all."""
    raw: list[significance.PairTest] = []
    best = settings.best_checkpoints
    for task in arrangement.tasks:
        cells = _cells(arrangement, task)
        raw += significance.pair_tests(
            {cell.label: [cell.best_scores if best else cell.scores] for cell in cells},
            [task],
            seed=settings.seed,
            margin=settings.equivalence_margin,
            over=_over(arrangement, settings),
        )
    return tuple(_task_test(arrangement, test) for test in significance.corrected(raw))


def _task_test(arrangement: Arrangement, test: significance.PairTest) -> TaskTest:
    run = arrangement.cells[test.x, test.task].runs[0]
    # Tested as normalised, shown in the environment's own units: no test depends on the scale.
    scale = run.high - run.low
    return TaskTest(
        task=test.task,
        label=test.x,
        other=test.y,
        difference=Interval(
            test.difference * scale,
            None if test.low is None else test.low * scale,
            None if test.high is None else test.high * scale,
        ),
        welch=test.welch_p,
        welch_holm=test.welch_holm,
        permutation=test.permutation_p,
        permutation_holm=test.permutation_holm,
        effect=test.hedges_g,
        superiority=test.a12,
        equivalence=test.equivalence_p,
        margin=test.margin * scale,
        seeds_needed=test.seeds.runs,
        seeds_sentence=test.seeds.sentence,
    )


def _shared_curves(arrangement: Arrangement, settings: Settings) -> list[Curve]:
    found = []
    for label in arrangement.labels if arrangement.shared_tasks else ():
        grid = arrangement.grid(label, arrangement.shared_tasks)
        cells = [arrangement.cells[label, task] for task in arrangement.shared_tasks]
        if len(grid):
            band = bands.iqm_curve(
                [cell.curves(grid) for cell in cells],
                grid,
                seed=settings.seed,
                key=f"learning curve of {label}",
                draws=settings.curve_draws,
            )
            found.append(_curve(label, None, min(len(cell.runs) for cell in cells), band))
    return found


def _task_curve(cell: Cell, settings: Settings) -> list[Curve]:
    grid = common_grid([run.evaluation_steps for run in cell.runs])
    if not len(grid):
        return []
    band = bands.iqm_curve(
        [cell.raw_curves(grid)],
        grid,
        seed=settings.seed,
        key=f"learning curve of {cell.label} on {cell.task}",
        draws=settings.curve_draws,
    )
    return [_curve(cell.label, cell.task, len(cell.runs), band)]


def _curve(label: str, task: str | None, runs: int, band: bands.Band) -> Curve:
    return Curve(
        label=label,
        task=task,
        runs=runs,
        steps=tuple(int(step) for step in band.x),
        value=_floats(band.value),
        low=_floats(band.low),
        high=_floats(band.high),
    )


def _profiles(arrangement: Arrangement, settings: Settings) -> tuple[Profile, ...]:
    if not arrangement.shared_tasks:
        return ()
    best = settings.best_checkpoints
    samples = {label: arrangement.shared(label, best=best) for label in arrangement.labels}
    taus = bands.profile_thresholds(samples.values())
    profiles = []
    for label, scores in samples.items():
        band = bands.run_score_profile(
            scores,
            taus,
            seed=settings.seed,
            key=f"profile of {label}",
            draws=settings.curve_draws,
        )
        profiles.append(
            Profile(
                label, _floats(band.x), _floats(band.value), _floats(band.low), _floats(band.high)
            )
        )
    return tuple(profiles)


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
        versions=_listed(run.versions),
        circumstances=_listed([pair for pair in run.circumstances if pair[0] not in _PASSING]),
    )


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{what} {value}" for what, value in pairs)


def _interval(of: Estimate) -> Interval:
    return Interval(of.value, of.low, of.high)


def _floats(values: Matrix | None) -> tuple[float, ...]:
    return () if values is None else tuple(map(float, values))
