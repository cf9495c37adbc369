"""Labels compared two by two: over the tasks of all, and on each task."""

from reports.content.arrangement import Arrangement
from reports.content.document import Interval, Pair, ReportSettings, TaskTest
from reports.content.verdicts import matrix_p
from reports.statistics import significance
from reports.statistics.improvement import improvements
from reports.statistics.power import ALPHA

MOST_PAIRED = 24
"""Labels of which every two are compared; their pairs grow with the square."""


def pair_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[Pair, ...]:
    """Return the probability of improvement and the rank test of every two labels, tasks of all."""
    labels = arrangement.labels
    if not arrangement.shared_tasks or len(labels) < 2:
        return ()
    over = _over(arrangement, settings)
    estimates = improvements(
        {label: arrangement.shared(label, best=settings.best_checkpoints) for label in labels},
        seed=settings.seed,
        draws=settings.curve_draws,
        over=over,
    )
    tests = matrix_p(arrangement, settings, over)
    return tuple(
        Pair(label, other, Interval.of(estimates[label, other]), *tests[label, other])
        for label in labels
        for other in labels
        if (label, other) in estimates
    )


def _over(arrangement: Arrangement, settings: ReportSettings) -> str | None:
    """The one label that the others are compared with, where all pairs would be too many."""
    return settings.baseline if len(arrangement.labels) > MOST_PAIRED else None


def test_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[TaskTest, ...]:
    """Compare every two labels on every task that both ran; Holm's correction is over them all."""
    tests: list[significance.PairTest] = []
    best = settings.best_checkpoints
    for task in arrangement.tasks:
        groups = arrangement.on_task(task)
        tests += significance.pair_tests(
            {group.label: [group.best_scores if best else group.scores] for group in groups},
            [task],
            seed=settings.seed,
            margin=settings.equivalence_margin,
            over=_over(arrangement, settings),
            failed_below=settings.failed_below,
        )
    return tuple(_task_test(arrangement, test) for test in significance.corrected(tests))


def _task_test(arrangement: Arrangement, test: significance.PairTest) -> TaskTest:
    run = arrangement.groups[test.x, test.task].runs[0]
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
        equivalence_holm=test.equivalence_holm,
        equal=test.equivalence_holm is not None and test.equivalence_holm <= ALPHA,
        margin=test.margin * scale,
        seeds_low=test.seeds.low,
        seeds_high=test.seeds.high,
        seeds_sentence=test.seeds.sentence,
    )
