"""The report's words: what a finding may claim."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reports.content.arrangement import arrange
from reports.content.document import to_json
from reports.content.findings import find
from reports.content.scores import failed_by_label
from reports.content.verdicts import verdicts
from reports.logs.loading import load_runs
from reports.report import Report, write_report
from tests.reports.conftest import MakeRun

HIGH = (0.90, 0.91, 0.92, 0.93, 0.94)
LOW = (0.10, 0.11, 0.12, 0.13, 0.14)


def reported(
    logs: Path, make_run: MakeRun, scores: Mapping[str, Mapping[str, Sequence[float]]], **how: Any
) -> Report:
    """Report runs of labels, by label and task."""
    for label, tasks in scores.items():
        for task, of_runs in tasks.items():
            for seed, score in enumerate(of_runs):
                make_run(algo=label, env=task, seed=seed, score=score, low=0.0)
    out = logs.parent / "out"
    return write_report(logs, out, table_draws=50, curve_draws=50, formats=(), **how)


def test_five_runs_that_always_win_are_told_apart(logs: Path, make_run: MakeRun) -> None:
    finding = reported(logs, make_run, {"a": {"E": LOW}, "b": {"E": HIGH}}).finding
    assert finding.headline == "b (tuned) seems to score higher than a (tuned)"
    assert "The exact rank test gives p = 0.008." in finding.detail  # 2/252
    assert "with probability 1.000 [0.478, 1.000]" in finding.detail
    assert "wider than the test and only describes" in finding.detail
    # 1 − 0.05^(1/5) = 0.451.
    assert "Failed runs of b (tuned): 0 of 5, up to 45 % may; a (tuned): 0 of 5" in finding.detail


def test_the_lower_label_may_be_the_one_that_is_not_the_baseline(
    logs: Path, make_run: MakeRun
) -> None:
    scores = {"a": {"E": HIGH * 2}, "b": {"E": LOW * 2}}
    assert reported(logs, make_run, scores).finding.headline == (
        "a (tuned) scores higher than b (tuned)"  # ten runs of each: no "seems"
    )


@pytest.mark.parametrize(
    ("labels", "runs", "remedy"),
    [
        (2, 3, "4 runs of each or 2 tasks"),  # 2/20; with four 2/70, on two tasks 2/400
        (2, 1, "4 runs of each or 6 tasks"),  # 2/2^T
        (6, 4, "5 runs of each or 2 tasks"),  # of five pairs 0.01: 2/70, 2/252, 2/4900
    ],
)
def test_runs_that_never_could_tell_say_so_and_what_could(
    logs: Path, make_run: MakeRun, labels: int, runs: int, remedy: str
) -> None:
    scores = {name: {"E": [0.01 * n for n in range(runs)]} for name in "abcdef"[: labels - 1]}
    scores["z"] = {"E": [0.9 + 0.01 * n for n in range(runs)]}
    finding = reported(logs, make_run, scores).finding
    assert finding.headline == (
        f"These runs do not tell z (tuned) from a (tuned): so few never could, {remedy} might"
    )
    assert f"At least {remedy} would be needed." in finding.detail
    assert "no scores could give less than " in finding.detail


def test_runs_that_could_and_did_not_name_the_seeds_needed(logs: Path, make_run: MakeRun) -> None:
    scores = {"a": {"E": (0.1, 0.5, 0.6, 0.7, 0.8)}, "b": {"E": (0.2, 0.4, 0.65, 0.75, 0.9)}}
    finding = reported(logs, make_run, scores).finding
    assert finding.headline == "These runs do not tell b (tuned) from a (tuned)"
    assert "runs of each" in finding.detail
    p = stats.mannwhitneyu(scores["a"]["E"], scores["b"]["E"], method="exact").pvalue
    assert f"The exact rank test gives p = {p:.3f}. " in finding.detail


def test_the_best_of_many_answers_for_all_of_them(logs: Path, make_run: MakeRun) -> None:
    # Against one baseline alone p = 8/252 = 0.032; as the best of five, five times that.
    base = (0.1, 0.2, 0.3, 0.4, 0.85)
    scores: dict[str, dict[str, Sequence[float]]] = {"a": {"E": base}}
    scores["z"] = {"E": (0.5, 0.81, 0.9, 0.95, 0.99)}
    pair = stats.mannwhitneyu(scores["z"]["E"], base, method="exact").pvalue
    two = reported(logs, make_run, scores)
    assert two.document.aggregates[1].rank_p == pytest.approx(pair)
    for name in "bcde":
        scores[name] = {"E": [score + 0.001 for score in base]}
    for name in "bcde":
        for seed, score in enumerate(scores[name]["E"]):
            make_run(algo=name, env="E", seed=seed, score=score, low=0.0)
    six = reported(logs, make_run, {})
    assert six.document.aggregates[-1].rank_p == pytest.approx(min(1.0, 5 * pair))
    assert "over 5 labels" in six.finding.detail
    # In the matrix of all fifteen pairs the correction is over them.
    matrix = {(row.label, row.other): row for row in six.document.pairs}
    row = matrix["z (tuned)", "a (tuned)"]
    assert row.rank_p == pytest.approx(pair)
    assert row.rank_p_holm == pytest.approx(15 * pair)
    assert not row.told_apart


def test_three_seeds_on_three_tasks_can_tell(logs: Path, make_run: MakeRun) -> None:
    scores = {
        "a": dict.fromkeys("EFG", LOW[:3]),
        "b": dict.fromkeys("EFG", HIGH[:3]),
    }
    finding = reported(logs, make_run, scores).finding
    assert finding.headline == "b (tuned) seems to score higher than a (tuned)"
    assert "p <0.001" in finding.detail  # 2/20³
    assert "Failed runs of b (tuned): 0 of 9, up to 28 % may" in finding.detail


def test_what_leads_by_rank_and_not_by_rate_is_not_called_better(
    logs: Path, make_run: MakeRun
) -> None:
    scores = {"a": {"E": LOW}, "b": {"E": HIGH}}
    report = reported(logs, make_run, scores)
    rows = report.document.aggregates
    arrangement = arrange(load_runs(logs).runs)
    judged = verdicts(arrangement, report.document.settings)
    failed = failed_by_label(arrangement, report.document.settings)
    assert find(rows, "a (tuned)", judged, failed) == report.finding
    improvement = rows[1].improvement
    assert improvement is not None
    against = [rows[0], replace(rows[1], improvement=replace(improvement, value=0.4))]
    assert find(against, "a (tuned)", judged, failed).headline == (
        "These runs do not tell b (tuned) from a (tuned)"
    )


def test_failed_runs_are_told_where_they_matter(logs: Path, make_run: MakeRun) -> None:
    scores = {"a": {"E": (*HIGH, *HIGH)}, "b": {"E": (*HIGH, *HIGH[:4], 0.1)}}
    document = reported(logs, make_run, scores).document
    rows = {row.label: row for row in document.failures}
    assert (rows["a (tuned)"].failed, rows["b (tuned)"].failed) == (0, 1)
    assert rows["b (tuned)"].worst == pytest.approx(0.1)
    assert rows["b (tuned)"].worst_seed == 9
    assert rows["b (tuned)"].threshold == pytest.approx(0.93 / 2, abs=0.005)
    # Clopper and Pearson of 1 in 10: 39 %.
    assert "b (tuned): 1 of 10, up to 39 % may" in document.detail
    assert any(
        line.startswith("1 of 10 runs of b (tuned) failed: an interval of the mean")
        for line in document.cautions
    )


@pytest.mark.parametrize(("runs", "equal"), [(10, False), (80, True)])
def test_practically_equal_waits_until_failures_are_ruled_out(
    logs: Path, make_run: MakeRun, runs: int, equal: bool
) -> None:
    even = [0.9 + 0.0001 * n for n in range(runs)]
    report = reported(logs, make_run, {"a": {"E": even}, "b": {"E": even}})
    (test,) = report.document.tests
    assert test.equal == equal
    assert ('"equal": true' in to_json(report.document)) == equal


def test_another_threshold_is_stated(logs: Path, make_run: MakeRun) -> None:
    scores = {"a": {"E": (1.0, 1.0, 1.0, 0.7)}}
    document = reported(logs, make_run, scores, failed_below=0.8).document
    assert document.failures[0].failed == 1
    assert any("below 0.8 of its label's upper quartile" in line for line in document.footer)
    with pytest.raises(ValueError, match=r"failed_below=1\.5: expected a share between 0 and 1"):
        write_report(logs, logs.parent / "out", failed_below=1.5)


def test_without_a_shared_task_nothing_is_claimed() -> None:
    assert find([], "a", {}, {}).headline == "No task was run by every label"
