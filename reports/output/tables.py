"""The report's tables, each a function of the document; ``formats`` writes them out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter

from reports.content.document import Document
from reports.content.numbers import percent
from reports.content.rows import Interval, TaskTest
from reports.output.table import Column, Table

MARKS_IN_WORDS = (
    "Bold: the best of a column. An asterisk: its interval overlaps the best row's. Of the "
    "optimality gap, less is better."
)


def report_tables(document: Document) -> tuple[Table, ...]:
    """Return every table of the report, the main one first."""
    return tuple(table(document) for table in _TABLES.values())


def main_table(document: Document) -> Table:
    """One row a label, over all compared tasks."""
    baseline = document.settings.baseline
    judged = "best checkpoints" if document.settings.best_checkpoints else "final policies"
    columns = (
        Column("label", "label"),
        Column("runs", "runs", "whole"),
        Column("score", "score", "score"),
        Column("mean", "mean", "unit", 1, True),
        Column("iqm", "IQM", "unit", 1, True),
        Column("optimality_gap", "optimality gap", "unit", -1, True),
        Column(
            "p_better",
            f"P(better than {baseline})",
            "unit",
            interval=True,
            value=attrgetter("improvement"),
        ),
        Column("rank_p", "p", "p"),
        Column("best_checkpoint", "best checkpoint", "unit", interval=True),
        Column("area", "area under the curve", "unit", 1, True),
        Column("baseline", "baseline", value=lambda _: baseline),
    )
    caption = (
        f"Normalised scores of the {judged} over all compared tasks; in brackets the "
        f"{percent(document.settings.level)} intervals. {MARKS_IN_WORDS}"
    )
    return _table("table", "Main table", caption, columns, document.aggregates)


def brief_main_table(document: Document) -> Table:
    """Return the main table for readers: no column without news, none that flatters."""
    table = main_table(document)
    hidden = {"baseline", "best_checkpoint", "area"}
    if all(row.score is None for row in document.aggregates):
        hidden.add("score")
    if len(document.labels) == 1:
        hidden |= {"p_better", "rank_p"}
    if document.looks:
        hidden.add("rank_p")
    return table.without(hidden)


def page_main_table(document: Document) -> Table:
    """Return the same with what decides first: on a narrow screen it is what is seen."""
    return brief_main_table(document).leading(("label", "iqm", "p_better", "rank_p"))


def overall_table(document: Document) -> Table:
    """Return what the main table leaves out: speed, and the number that flatters."""
    caption = (
        "Area: IQM of the mean height of the normalised learning curves; 1 is the reference score "
        "from the first step on. Best checkpoint: IQM of each run's highest evaluation, an "
        "optimistic number, shown apart and used nowhere else."
    )
    kept = {"label", "best_checkpoint", "area"}
    table = main_table(document)
    brief = table.without({column.key for column in table.columns} - kept)
    return replace(brief, name="overall", title="Speed and best checkpoints", caption=caption)


def task_table(document: Document) -> Table:
    """One row a task and label, in the environments' own units."""
    columns = (
        Column("task", "task"),
        Column("label", "label"),
        Column("runs", "runs", "whole"),
        Column("mean", "mean", "score", 1, True),
        Column("iqm", "IQM", "score", 1, True),
        Column("std", "std", "score"),
        Column("min", "min", "score", value=attrgetter("minimum")),
        Column("max", "max", "score", value=attrgetter("maximum")),
        Column("success_rate", "success", "share"),
        Column("best_checkpoint", "best checkpoint", "score"),
    )
    caption = (
        "Scores in the environment's own units. The best checkpoint is the mean of each "
        "run's highest evaluation: an optimistic number, shown apart and used in no test."
    )
    return _table("tasks", "Scores per task", caption, columns, document.task_scores, grouped=True)


def test_table(document: Document) -> Table:
    """One row a task and pair of labels."""
    columns = (
        Column("task", "task"),
        Column("label", "label"),
        Column("other", "against"),
        Column("difference", "difference", "score", interval=True),
        Column("welch", "Welch p", "p"),
        Column("welch_holm", "Welch p, Holm", "p"),
        Column("permutation", "permutation p", "p"),
        Column("permutation_holm", "permutation p, Holm", "p"),
        Column("effect", "Hedges' g", "unit"),
        Column("superiority", "P(better)", "unit"),
        Column("equivalence", "equivalence p", "p"),
        Column("equivalence_holm", "equivalence p, Holm", "p"),
        Column("margin", "margin", "score"),
        Column("equal", "practically equal", value=_equal),
        Column("seeds_low", "seeds needed, from", "whole"),
        Column("seeds_high", "to", "whole"),
    )
    caption = (
        "Difference of the mean scores, first minus second, with Welch's interval. Holm's "
        "correction is over all pairs and tasks of this report. A large p says nothing."
    )
    return _table("tests", "Tests per task", caption, columns, document.tests)


def split_tests(table: Table) -> tuple[Table, Table]:
    """Split the wide table of tests in two: tests; effect sizes, equivalence, seeds needed."""
    tests = {"difference", "welch", "welch_holm", "permutation", "permutation_holm"}
    names = {"task", "label", "other"}
    caption = (
        "Hedges' g: the difference in pooled standard deviations. A small equivalence p says that "
        "the difference lies within ± margin, whatever failures were not seen; a large one says "
        "nothing. Seeds needed: runs of each with which the rank test tells the two apart on this "
        "task four times in five, the second number with 80 % assurance; a dash where no number "
        "below 1,000 is enough."
    )
    others = {column.key for column in table.columns} - tests - names
    return table.without(others), replace(table.without(tests), caption=caption)


def pair_table(document: Document) -> Table:
    """One row an ordered pair of labels."""
    columns = (
        Column("label", "label"),
        Column("other", "over"),
        Column("p_better", "P(better)", "unit", interval=True, value=attrgetter("improvement")),
        Column("rank_p", "p", "p"),
        Column("rank_p_holm", "p, Holm", "p"),
    )
    caption = (
        "Probability that a run of the first scores above a run of the second, ties counting half, "
        "averaged over tasks; p of the rank test over them, Holm's correction over all pairs here."
    )
    return _table("pairs", "Probability of improvement", caption, columns, document.pairs)


def look_table(document: Document) -> Table:
    """One row a pair that was decided while the runs were made."""
    columns = (
        Column("label", "label"),
        Column("other", "against"),
        Column("verdict", "decided"),
        Column("seeds", "after seeds", "whole"),
        Column("difference", "difference", "unit", interval=True),
        Column("welch", "Welch p", "p"),
        Column("level", "asked for", "p"),
    )
    caption = (
        "What each pair's last look decided, and with how many seeds of each label and task. "
        "Difference: of the mean normalised scores, with an interval that holds wherever the runs "
        "stop, together with all other pairs'; it is wider than the test."
    )
    return _table("looks", "Until clear", caption, columns, document.looks)


def failure_table(document: Document) -> Table:
    """One row a task and label: runs that failed, and how many may."""
    columns = (
        Column("task", "task"),
        Column("label", "label"),
        Column("runs", "runs", "whole"),
        Column("threshold", "failed below", "score"),
        Column("failed", "failed", "whole"),
        Column("bound", "at most", "share"),
        Column("worst", "worst run", "score"),
        Column("worst_seed", "its seed", "id"),
        Column("above_worst", "no worse than it", "share"),
    )
    caption = (
        f"A run failed below {document.settings.failed_below:g} of its label's upper quartile, "
        "normalised. With 95 % confidence at most this share of all possible runs fails, and at "
        "least that share scores no less than the worst run seen."
    )
    return _table("failures", "Failed runs", caption, columns, document.failures, grouped=True)


def _equal(test: TaskTest) -> str:
    return "yes" if test.equal else "not shown"


def efficiency_table(document: Document) -> Table:
    """One row a task and label: how fast."""
    columns = (
        Column("task", "task"),
        Column("label", "label"),
        Column("area", "area under the curve", "unit", 1, True),
        Column("reached", "reached the threshold", "share", interval=True),
        Column("median_steps", "median steps to it", "steps", -1),
        Column("mean_steps", "mean steps to it", "steps", -1, True),
        Column("horizon", "horizon", "steps"),
    )
    caption = (
        "Area: IQM over runs of the mean height of the normalised learning curve; 1 is the "
        "reference score from the first step on. The threshold is a normalised return of "
        f"{document.settings.threshold:g}. Runs that never reached it count in the mean with the "
        "whole horizon, the steps for which every run of the task was watched."
    )
    rows = document.task_scores
    return _table("efficiency", "Sample efficiency", caption, columns, rows, grouped=True)


def runtime_table(document: Document) -> Table:
    """One row a task and label: how long its runs took."""
    columns = (
        Column("task", "task"),
        Column("label", "label"),
        Column("runs", "runs", "whole"),
        Column("seconds", "wall time, s", "score", -1, True),
        Column("steps_per_second", "steps/s", "score", 1, True),
        Column("machine", "machine"),
    )
    caption = (
        "Medians, in brackets the least and the greatest, as the runs' own records state them, "
        "evaluations included. Runs that others ran beside, or on other machines, do not compare."
    )
    return _table("runtime", "Runtime", caption, columns, document.runtimes, grouped=True)


def protocol_table(document: Document) -> Table:
    """One row a label: how its runs were made."""
    columns = (
        Column("label", "label"),
        Column("tuning", "tuning received"),
        Column("tasks", "tasks", "whole"),
        Column("runs", "runs", "whole"),
        Column("seeds", "seeds"),
        Column("steps", "steps a run"),
        Column("episodes", "evaluation episodes"),
        Column("hyperparameters", "hyperparameters"),
    )
    caption = "What each label's runs received."
    return _table("protocol", "Protocol", caption, columns, document.protocol)


def score_table(document: Document) -> Table:
    """One row a run."""
    columns = (
        Column("label", "label"),
        Column("algo", "algorithm"),
        Column("settings", "settings"),
        Column("env", "task", value=attrgetter("task")),
        Column("seed", "seed", "id"),
        Column("steps", "steps", "whole"),
        Column("score", "score", "score"),
        Column("normalised_score", "normalised", "unit"),
        Column("best_checkpoint", "best checkpoint", "score"),
        Column("episodes", "episodes", "whole"),
        Column("measure", "score is"),
        Column("source", "read from"),
        Column("folder", "folder"),
        Column("versions", "versions"),
        Column("circumstances", "circumstances"),
    )
    return _table("scores", "Runs", "Every run that was read.", columns, document.runs)


def curve_table(document: Document) -> Table:
    """One row a point of a curve, long form; an empty task means all tasks, normalised."""
    columns = (
        Column("task", "task", value=lambda point: point[0].task or ""),
        Column("label", "label", value=lambda point: point[0].label),
        Column("steps", "steps", "whole", value=itemgetter(1)),
        Column("iqm", "IQM", "score", interval=True, value=itemgetter(2)),
    )
    points = (
        (curve, *point)
        for curve in document.curves
        for point in _points(curve.steps, curve.value, curve.low, curve.high)
    )
    return _table("curves", "Learning curves", "IQM over environment steps.", columns, points)


def profile_table(document: Document) -> Table:
    """One row a point of a performance profile."""
    columns = (
        Column("label", "label", value=itemgetter(0)),
        Column("tau", "τ", "unit", value=itemgetter(1)),
        Column("share", "share above τ", "unit", interval=True, value=itemgetter(2)),
    )
    points = (
        (profile.label, *point)
        for profile in document.profiles
        for point in _points(profile.taus, profile.share, profile.low, profile.high)
    )
    return _table("profiles", "Performance profiles", "Share of runs above τ.", columns, points)


def set_aside_table(document: Document) -> Table:
    """One row a file or folder that could not be used."""
    columns = (Column("path", "file or folder"), Column("reason", "reason"))
    caption = "Not part of any number above."
    return _table("set_aside", "Files set aside", caption, columns, document.set_aside)


_TABLES: Mapping[str, Callable[[Document], Table]] = {
    "table": main_table,
    "tasks": task_table,
    "tests": test_table,
    "pairs": pair_table,
    "looks": look_table,
    "failures": failure_table,
    "efficiency": efficiency_table,
    "runtime": runtime_table,
    "protocol": protocol_table,
    "scores": score_table,
    "curves": curve_table,
    "profiles": profile_table,
    "set_aside": set_aside_table,
}
TABLE_NAMES = tuple(_TABLES)


def _table(
    name: str,
    title: str,
    caption: str,
    columns: tuple[Column, ...],
    records: Iterable[object],
    *,
    grouped: bool = False,
) -> Table:
    """Build a table: a row of cells for each record."""
    getters = [column.value or attrgetter(column.key) for column in columns]
    rows = tuple(tuple(getter(record) for getter in getters) for record in records)
    return Table(name, title, caption, columns, rows, grouped)


def _points(
    x: Sequence[float],
    value: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
) -> Iterator[tuple[float, Interval]]:
    """Yield each x of a curve with its interval."""
    bare: list[float | None] = [None] * len(value)
    for position, *ends in zip(x, value, low or bare, high or bare, strict=True):
        yield position, Interval(*ends)
