"""Labels compared two by two: over the tasks of all, and on each task."""

from collections.abc import Mapping

from reports.content.arrangement import Arrangement
from reports.content.document import ReportSettings
from reports.content.rows import Interval, Pair, TaskTest
from reports.content.verdicts import matrix_p
from reports.statistics import rliable_engine, significance
from reports.statistics.improvement import complement, improvements
from reports.statistics.intervals import Estimate
from reports.statistics.power import ALPHA
from reports.statistics.samples import Scores

MOST_PAIRED = 24
"""Labels of which every two are compared; their pairs grow with the square."""


def pair_rows(arrangement: Arrangement, settings: ReportSettings) -> tuple[Pair, ...]:
    """Return the probability of improvement and the rank test of every two labels, tasks of all."""
    labels = arrangement.labels
    if not arrangement.shared_tasks or len(labels) < 2:
        return ()
    over = _over(arrangement, settings)
    scores = {label: arrangement.shared(label, best=settings.best_checkpoints) for label in labels}
    if settings.engine == "rliable":
        estimates = _by_rliable(scores, settings)
    else:
        estimates = improvements(scores, seed=settings.seed, draws=settings.curve_draws, over=over)
    tests = matrix_p(arrangement, settings, over)
    return tuple(
        Pair(label, other, Interval.of(estimates[label, other]), *tests[label, other])
        for label in labels
        for other in labels
        if (label, other) in estimates
    )


def _over(arrangement: Arrangement, settings: ReportSettings) -> str | None:
    """The one label that the others are compared with, where all pairs would be too many.

    rliable takes ten seconds and more for a pair.
    """
    many = len(arrangement.labels) > MOST_PAIRED or settings.engine == "rliable"
    return settings.baseline if many else None


def _by_rliable(
    scores: Mapping[str, Scores], settings: ReportSettings
) -> dict[tuple[str, str], Estimate]:
    """Every label over the baseline, and what follows of the baseline over it."""
    for label, of_label in scores.items():
        rliable_engine.matrix(of_label, label)  # refused by its label, not by a pair's name
    baseline = settings.baseline
    found: dict[tuple[str, str], Estimate] = {}
    for label in scores:
        if label != baseline:
            one = rliable_engine.improvement(
                scores[label],
                scores[baseline],
                seed=settings.seed,
                key=f"{label} over {baseline}",
                draws=settings.curve_draws,
            )
            found[label, baseline] = one
            found[baseline, label] = complement(one)
    return found


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
