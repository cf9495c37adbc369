"""The report's words: what a finding may claim."""

import pytest

from reports.content.document import Aggregate, Interval
from reports.content.findings import find


def row(label: str, iqm: float, improvement: Interval | None = None, runs: int = 10) -> Aggregate:
    value = Interval(iqm, iqm - 0.1, iqm + 0.1)
    return Aggregate(label, runs, 0.5, value, value, value, value, improvement, None, None)


@pytest.mark.parametrize(
    ("low", "high", "headline"),
    [
        (0.51, 0.9, "b scores higher than a"),
        (0.5, 0.9, "These runs do not tell b from a"),
        (0.4, 0.9, "These runs do not tell b from a"),
        (0.1, 0.5, "These runs do not tell b from a"),
        (0.1, 0.49, "a scores higher than b"),
        (None, None, "These runs do not tell b from a"),
    ],
)
def test_two_labels_are_told_apart_where_the_interval_leaves_out_one_half(
    low: float | None, high: float | None, headline: str
) -> None:
    rows = [row("a", 0.5), row("b", 0.6, Interval(0.5, low, high))]
    assert find(rows, "a").headline == headline


def test_few_runs_on_either_side_only_seem() -> None:
    over = Interval(1.0, 1.0, 1.0)
    assert find([row("a", 0.5, runs=9), row("b", 0.6, over)], "a").headline.startswith("b seems to")
    assert find([row("a", 0.5), row("b", 0.6, over, runs=9)], "a").headline.startswith("b seems to")
    few_elsewhere = [row("a", 0.5), row("b", 0.6, over), row("c", 0.1, over, runs=9)]
    assert find(few_elsewhere, "a").headline == "b scores higher than a"


def test_the_baseline_meets_the_best_of_the_others() -> None:
    even = Interval(0.4, 0.3, 0.6)
    found = find([row("a", 0.9), row("b", 0.2, even), row("c", 0.8, even)], "a")
    assert found.headline == "These runs do not tell c from a"
    assert found.detail == (
        "a has the highest IQM, 0.900 [0.800, 1.000]. "
        "A run of c scores above a run of a with probability 0.400 [0.300, 0.600]."
    )


def test_without_a_shared_task_nothing_is_claimed() -> None:
    assert find([], "a").headline == "No task was run by every label"
