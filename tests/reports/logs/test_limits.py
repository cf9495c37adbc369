"""What a report takes in, and what is set aside beyond it."""

from pathlib import Path

import numpy as np
import pytest

from reports.content import assembly, comparisons
from reports.logs import limits, score_csv
from reports.logs import loading as runs
from reports.logs.loading import load_runs
from reports.report import write_report
from reports.statistics.efficiency import area_under_curve
from tests.reports.conftest import MakeRun, write_run
from tests.reports.log_writers import write_evaluations


def write_table(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["algo,env,seed,step,score", *rows, ""]))
    return path


def test_a_curve_of_many_points_keeps_its_first_best_and_last(tmp_path: Path) -> None:
    count = limits.MAX_POINTS + 12_345
    returns = np.sin(np.arange(count) / 1000)
    returns[7777] = 9.0
    write_evaluations(tmp_path, returns)  # at steps 500, 1000, …
    (run,) = load_runs(tmp_path).runs
    assert limits.MAX_POINTS <= len(run.evaluation_steps) <= limits.MAX_POINTS + 1
    assert (run.evaluation_steps[0], run.steps, run.score) == (500, 500 * count, returns[-1])
    assert run.best_score == 9.0
    assert run.evaluation_steps[run.evaluation_returns.argmax()] == 500 * 7778
    assert (np.diff(run.evaluation_steps) > 0).all()
    whole = area_under_curve(np.arange(1, count + 1), returns)
    assert area_under_curve(run.evaluation_steps, run.evaluation_returns) == pytest.approx(
        whole, abs=1e-2
    )
    assert "an even spread of 10,000 is kept" in run.remarks[-1]


def test_a_curve_within_the_limit_is_left_alone(tmp_path: Path) -> None:
    write_evaluations(tmp_path, np.zeros(limits.MAX_POINTS))
    (run,) = load_runs(tmp_path).runs
    assert len(run.evaluation_steps) == limits.MAX_POINTS
    assert not any("even spread" in remark for remark in run.remarks)


@pytest.mark.parametrize(
    ("limit", "value", "kept", "reason"),
    [
        ("MAX_RUNS", 3, 3, "beyond the first 3 runs"),
        ("MAX_LABELS", 1, 2, "beyond the first 1 labels"),
        ("MAX_GROUPS", 2, 4, "beyond the first 2 pairs of a label and a task"),
        ("MAX_ALL_POINTS", 25, 5, "beyond the first 25 evaluations of all runs"),
    ],
)
def test_runs_beyond_a_limit_are_set_aside_by_name(
    logs: Path,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    kept: int,
    reason: str,
) -> None:
    # Two labels on the first task, one of them on a second: 3 groups of 2 runs of 5 points.
    for number, (algo, env) in enumerate((("a", "E-v0"), ("b", "E-v0"), ("b", "F-v0"))):
        for seed in (1, 2):
            make_run(algo=algo, env=env, seed=seed, folder=f"{number}{seed}")
    monkeypatch.setattr(limits, limit, value)
    loaded = load_runs(logs)
    assert [run.folder for run in loaded.runs] == ["01", "02", "11", "12", "21", "22"][:kept]
    assert [aside.folder for aside in loaded.set_aside] == ["01", "02", "11", "12", "21", "22"][
        kept:
    ]
    assert all(aside.reason.startswith(reason) for aside in loaded.set_aside)


def test_folders_beyond_the_limit_are_not_even_opened(
    logs: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder="1")
    (make_run(folder="2", seed=2) / "run.json").write_text("damaged")
    monkeypatch.setattr(runs, "MAX_RUNS", 1)
    (aside,) = load_runs(logs).set_aside
    assert aside.reason.startswith("beyond the first 1 runs")


def test_a_table_of_too_many_runs_gives_the_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_csv, "MAX_RUNS", 2)
    rows = [f"a,E,{seed},{step},{seed}" for step in (1, 2) for seed in (0, 1, 2)]
    loaded = load_runs(write_table(tmp_path / "scores.csv", rows))
    assert [(run.seed, run.steps) for run in loaded.runs] == [(0, 2), (1, 2)]
    assert [aside.reason.split(":")[0] for aside in loaded.set_aside] == ["line 4", "line 7"]


def test_of_many_bad_rows_the_first_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    rows = ["a,E,0,1,5", *["a,E,x,1,5"] * 100, *["a,E,0,1,6"] * 3, "b,E,0,1,nan"]
    loaded = load_runs(write_table(tmp_path / "scores.csv", rows))
    assert [run.score for run in loaded.runs] == [5.0]
    assert [aside.reason.split(",")[0] for aside in loaded.set_aside[:20]] == [
        f"line {line}" for line in range(3, 23)
    ]
    # 100 without a seed, 3 of a step that is there, and the run of b: 104, of which 20 are listed.
    assert loaded.set_aside[20].reason == "and 84 more rows or runs"


def test_rows_of_one_step_are_named_with_the_line_of_the_first(tmp_path: Path) -> None:
    rows = ["a,E,0,2,5", "a,E,0,1,4", "a,E,0,2,6", "a,E,0,2,7", "a,E,0,1,8"]
    loaded = load_runs(write_table(tmp_path / "scores.csv", rows))
    np.testing.assert_array_equal(loaded.runs[0].evaluation_returns, [4.0, 5.0])
    assert [aside.reason for aside in loaded.set_aside] == [
        f"line {line}: a second row of the same run and step as line {first}"
        for line, first in ((4, 2), (5, 2), (6, 3))
    ]


def test_many_labels_meet_the_baseline_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        f"{algo},E,{seed},1,{place + seed}"
        for place, algo in enumerate("abcd")
        for seed in range(3)
    ]
    loaded = load_runs(write_table(tmp_path / "scores.csv", rows))
    reports = []
    for most in (4, 3):
        for module in (assembly, comparisons):
            monkeypatch.setattr(module, "MOST_PAIRED", most)
        reports.append(
            write_report(
                loaded,
                tmp_path / "out",
                baseline="b",
                table_draws=10,
                curve_draws=10,
                formats=("html", "csv"),
            )
        )
    every, few = (report.document for report in reports)
    assert [(pair.label, pair.other) for pair in few.pairs] == [
        ("a", "b"),
        ("b", "a"),
        ("b", "c"),
        ("b", "d"),
        ("c", "b"),
        ("d", "b"),
    ]
    # Holm's correction is over fewer pairs, so it alone differs.
    uncorrected = [
        {(pair.label, pair.other, pair.improvement, pair.rank_p) for pair in document.pairs}
        for document in (few, every)
    ]
    assert uncorrected[0] < uncorrected[1]
    assert few.aggregates == every.aggregates
    assert [(test.label, test.other) for test in few.tests] == [("a", "b"), ("b", "c"), ("b", "d")]
    assert "With 4 labels, more than 3, each is compared with b alone" in few.cautions[0]
    assert (every.all_paired, few.all_paired) == (True, False)


def test_scores_of_any_size_that_is_read_have_numbers(tmp_path: Path) -> None:
    """Warnings are errors here: nothing overflows between the reader's limits."""
    scores = (9e99, -9e99, 1e-300, 0.0)
    for seed, score in enumerate(scores):
        for env, low, high in (("A-v0", -1e-12, 1.1e-12), ("B-v0", -1e100, 1e100)):
            for algo, returns in (("a", [0.0, score]), ("b", [score, 1.0])):
                write_run(
                    tmp_path / "logs",
                    algo=algo,
                    env=env,
                    seed=seed,
                    returns=returns,
                    steps=[1, 2],
                    low=low,
                    high=high,
                )
    report = write_report(tmp_path / "logs", tmp_path / "out", table_draws=10, curve_draws=10)
    assert len(report.document.runs) == 16
    row = report.document.aggregates[0]
    # On A the mean is 0 but for the rounding of ±9e99/2.1e-12; on B it is one half.
    assert row.mean.value is not None
    assert row.mean.low is not None
    assert abs(row.mean.value) < 1e97 * 1e12
    assert -1e113 < row.mean.low < 0
