"""The whole way: run folders in, a report out, the same bytes every time."""

import csv
import errno
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import reports
from reports.content.document import to_json
from reports.logs.loading import NoRunsError, load_runs
from reports.report import write_report
from tests.reports.conftest import MakeRun, write_four_labels, write_run

FIGURES = ("learning_curves", "intervals", "profiles", "pairs")
TABLES = ("table", "tasks", "tests", "pairs", "failures", "efficiency", "protocol")
FILES = (
    *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")),
    *(f"tables/{name}.{kind}" for name in TABLES for kind in ("csv", "md", "tex")),
    *(f"tables/{name}.csv" for name in ("scores", "curves", "profiles")),
    "report.json",
    "report.md",
    "report.html",
)


# What draws do is tested on the statistics; few of them keep these tests quick.
quick_report = partial(write_report, table_draws=60, curve_draws=40)


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_report_holds_exactly_its_files(logs: Path, tmp_path: Path) -> None:
    write_four_labels(logs)
    report = quick_report(logs, tmp_path / "deep" / "out", notes=["Tuned on seeds 0–9."])
    out = tmp_path / "deep" / "out"
    assert set(contents(out)) == set(FILES)
    assert sorted(report.files) == sorted(out / name for name in FILES)
    assert report.files[-1].name == "report.html"
    assert (out / "report.json").read_text(encoding="utf-8") == to_json(report.document)
    page = (out / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# spec_ppo (tuned) scores higher than ppo (tuned)\n")
    assert "- Tuned on seeds 0–9.\n" in page
    assert "40 runs of 4 labels on 1 task: ppo_lab/NoisyGridWorld-v0." in page
    assert "Seeds of every label: 200000–200009." in page
    assert "60 draws for the main table, 40 for the others" in page
    assert "low -0.1 and high 1 (exact, by dynamic programming)" in page
    assert (out / "tables" / "table.md").read_text(encoding="utf-8") in page


def test_the_same_folders_give_the_same_bytes_wherever_they_lie(logs: Path, tmp_path: Path) -> None:
    write_four_labels(logs, runs=3)
    write_run(logs, seed=9, status="failed", reason="why")
    quick_report(logs, tmp_path / "one", seed=5)
    copy = tmp_path / "elsewhere" / "copied tree"
    shutil.copytree(logs, copy)
    quick_report(copy, tmp_path / "two", seed=5)
    quick_report(load_runs(logs), tmp_path / "three", seed=5)
    first = contents(tmp_path / "one")
    assert first == contents(tmp_path / "two") == contents(tmp_path / "three")
    assert all(str(tmp_path).encode() not in content for content in first.values())
    quick_report(logs, tmp_path / "four", seed=6)
    assert first["tables/table.csv"] != contents(tmp_path / "four")["tables/table.csv"]


def test_scores_are_one_row_a_run_in_full_precision(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(algo="ppo", seed=2, score=1 / 3, low=0, high=3)
    make_run(algo="ppo", seed=1, score=0.5)
    quick_report(logs, tmp_path / "out", formats=["csv"])
    first, second = read_csv(tmp_path / "out" / "tables" / "scores.csv")
    assert (first["seed"], second["seed"]) == ("1", "2")
    assert second["label"] == "ppo (tuned)"
    assert float(second["score"]) == pytest.approx(1 / 3, abs=1e-15)
    assert float(second["normalised_score"]) == pytest.approx(1 / 9, abs=1e-15)
    assert (second["env"], second["steps"]) == ("ppo_lab/NoisyGridWorld-v0", "10240")


def test_a_missing_baseline_is_replaced_in_words(logs: Path, tmp_path: Path) -> None:
    write_four_labels(logs, runs=2)
    document = quick_report(logs, tmp_path / "out", baseline="sac", formats=()).document
    assert document.settings.baseline == "ppo (tuned)"
    assert document.cautions[0] == "No one label is of sac: ppo (tuned) is the baseline instead."
    by_label = {row.label: row for row in document.aggregates}
    assert by_label["ppo (tuned)"].improvement is None
    assert by_label["ppo (default)"].improvement is not None


def test_formats_select_what_is_written(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    make_run()
    quick_report(logs, tmp_path / "out", formats=["tex"])
    kinds = {name.rsplit(".", 1)[1] for name in contents(tmp_path / "out")}
    assert kinds == {"tex", "json", "png", "svg"}
    quick_report(logs, tmp_path / "numbers", formats=["csv"])
    assert {name.rsplit(".", 1)[1] for name in contents(tmp_path / "numbers")} == {"csv", "json"}
    with pytest.raises(ValueError, match=r"formats \['pdf'\]: expected of html, md, csv, tex"):
        quick_report(logs, tmp_path / "no", formats=["pdf"])
    assert not (tmp_path / "no").exists()


def test_best_checkpoints_are_judged_where_asked_for(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(returns=(0, 0.25, 0.75, 0.5, 0.5), low=0, high=1)
    of = [quick_report(logs, tmp_path / "out", formats=(), best=b).document for b in (False, True)]
    assert [document.aggregates[0].iqm.value for document in of] == [0.5, 0.75]
    assert [document.task_scores[0].scores for document in of] == [(0.5,), (0.75,)]
    assert of[0].aggregates[0].best_checkpoint == of[1].aggregates[0].best_checkpoint
    assert of[1].cautions[0].startswith("Best checkpoints are judged in place of")


def test_failed_and_damaged_runs_are_listed_and_the_rest_reported(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(seed=1)
    make_run(seed=2)
    make_run(seed=3, status="failed", reason="boom |\n" + "x" * 1000, folder="failed")
    (make_run(seed=4, folder="torn") / "run.json").write_text('{"format": 1')
    quick_report(logs, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "2 files or folders set aside" in page
    assert "- torn: run.json is not valid JSON" in page
    listed = next(line for line in page.splitlines() if line.startswith("- failed: failed: boom"))
    assert listed.startswith(r"- failed: failed: boom \| xxx")
    assert listed.endswith("x…")
    assert len(read_csv(tmp_path / "out" / "tables" / "scores.csv")) == 2


def test_hostile_names_break_neither_csv_nor_markdown(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    names = ['a, "b"', "<script>alert(1)</script>", "x|y\nz", "../../etc", "算法", "\ud800", "$_"]
    for number, name in enumerate(names):
        for seed in (1, 2):
            make_run(algo=name, seed=seed, env="../e|n<v>", folder=f"run, {number} {seed} |<b>")
    write_run(logs, folder="bad |<script>\n# x", status="failed", reason="<img>")
    quick_report(logs, tmp_path / "out", notes=["<script>", "a\n# heading"])
    assert all(name.count("/") <= 1 for name in contents(tmp_path / "out"))
    read = {line["algo"] for line in read_csv(tmp_path / "out" / "tables" / "scores.csv")}
    assert read == {*names, "?"} - {"\ud800"}
    assert {line["label"] for line in read_csv(tmp_path / "out" / "tables" / "table.csv")} == {
        f"{name} (tuned)" for name in read
    }
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<img>" not in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(names)
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert sum(line.startswith("# ") for line in page.splitlines()) == 1


def test_few_runs_one_run_and_equal_scores_are_warned_of(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(algo="one", score=0.9)
    for seed in range(3):
        known = {"clip_range": 0.2} if seed else None  # of one run nothing is known
        make_run(algo="ppo", seed=seed, score=0.5, hyperparameters=known)
    for seed in range(20):
        make_run(algo="enough", seed=seed, score=0.01 * seed, timesteps=20000, settings="default")
    text = "\n".join(quick_report(logs, tmp_path / "out", formats=()).document.cautions)
    assert "one (tuned): a task has one run: no interval can be given" in text
    assert "ppo (tuned): 3 runs of a task: below 10" in text
    assert "ppo (tuned): all runs scored the same" in text
    assert "The runs of ppo (tuned) do not all have the same hyperparameters." in text
    assert "had different step budgets" in text
    assert "A probability of 0 or 1" in text
    # The headline is about one and ppo, both tuned: what a third label had cannot decide it.
    assert "did not receive the same tuning" not in text
    assert "enough (default): " not in text.replace("enough (default): none", "").replace(
        "enough (default): 20,000", ""
    )


def test_what_all_labels_share_is_said_once(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    for algo in ("a", "b", "c"):
        for seed in range(3):
            make_run(algo=algo, seed=seed, score=0.1 * seed)
    cautions = quick_report(logs, tmp_path / "out", formats=()).document.cautions
    assert sum("3 runs of a task" in line for line in cautions) == 1
    assert cautions[0].startswith("Every label: 3 runs of a task")


def test_the_finding_claims_no_more_than_the_runs_bear(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    for seed in range(6):
        make_run(algo="ppo", seed=seed, score=0.5 + 0.01 * seed)
    alone = quick_report(logs, tmp_path / "out", formats=["csv"]).finding
    assert alone.headline == "ppo (tuned) stands alone"
    assert alone.detail.endswith("over 6 runs per environment.")
    for seed in range(6):
        make_run(algo="same", seed=seed, score=0.5 + 0.01 * seed)
    level = quick_report(logs, tmp_path / "out", formats=["csv"]).finding
    assert level.headline == "These runs do not tell same (tuned) from ppo (tuned)"
    assert level.detail.startswith("ppo (tuned) and same (tuned) share the highest IQM")
    assert "with probability 0.500" in level.detail
    shutil.rmtree(logs / "same_tuned")
    for seed in range(6):
        make_run(algo="worse", seed=seed, score=0.1 + 0.01 * seed)
    ahead = quick_report(logs, tmp_path / "out", formats=["csv"]).finding
    # Six runs a side: complete separation, and still only "seems".
    assert ahead.headline == "ppo (tuned) seems to score higher than worse (tuned)"


def test_several_tasks_have_one_table(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    for env in ("A", "B", "C"):
        for seed in range(3):
            make_run(algo="ppo", env=env, seed=seed, score=0.1 * seed)
            make_run(env=env, seed=seed + 10, score=0.1 * seed + 0.2)
    document = quick_report(logs, tmp_path / "out", formats=()).document
    assert "18 runs of 2 labels on 3 tasks: A, B, C." in document.footer[0]
    assert "Seeds of ppo (tuned): 0–2." in document.footer
    assert "Seeds of spec_ppo (tuned): 10–12." in document.footer
    assert [row.score for row in document.aggregates] == [None, None]
    assert not any("with one task" in line for line in document.footer)
    assert {curve.task for curve in document.curves} == {None, "A", "B", "C"}
    # Each label is 0.2 above the other's like run on every task: 8 of 9 pairs, one tie.
    assert document.aggregates[1].improvement
    assert document.aggregates[1].improvement.value == pytest.approx(8.5 / 9)


def test_labels_without_a_shared_task_are_reported_task_by_task(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(algo="a", env="A")
    make_run(algo="b", env="B")
    report = quick_report(logs, tmp_path / "out", formats=["html"])
    assert report.document.headline == "No task was run by every label"
    assert report.document.aggregates == ()
    assert [row.task for row in report.document.task_scores] == ["A", "B"]
    assert "No task was run by every label" in (tmp_path / "out" / "report.html").read_text()


def test_nothing_of_an_earlier_report_is_left_among_the_tables(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    out = tmp_path / "out"
    make_run(algo="a", env="A", folder="a")
    quick_report(logs, out)
    (out / "tables" / "mine.csv").write_text("kept")
    make_run(algo="b", env="B", folder="b")
    quick_report(logs, out, formats=["csv", "tex"])
    left = contents(out)
    assert not {"tables/table.csv", "tables/table.tex", "figures/intervals.png"} & set(left)
    # Of another format, and a user's own: not this report's to remove.
    assert {"tables/mine.csv", "tables/table.md"} <= set(left)


def test_holms_correction_is_over_all_tasks(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    for env in ("A", "B"):
        for seed in range(4):
            make_run(algo="a", env=env, seed=seed, score=0.1 + 0.01 * seed)
            make_run(algo="b", env=env, seed=seed, score=0.3 + 0.01 * seed)
    tests = quick_report(logs, tmp_path / "out", formats=()).document.tests
    # All splits of 8 runs into 4 and 4: 2 of 70 are as extreme. Two tests: twice that.
    assert [test.permutation for test in tests] == pytest.approx([2 / 70] * 2)
    assert [test.permutation_holm for test in tests] == pytest.approx([4 / 70] * 2)
    # In the environment's own units; its scale from -0.1 to 1 carries the margin.
    assert tests[0].difference.value == pytest.approx(-0.2)
    assert tests[0].margin == pytest.approx(0.05 * 1.1)


def test_curves_of_very_many_points_are_thinned_in_words(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(steps=range(1, 302), returns=[0.5] * 301)
    document = quick_report(logs, tmp_path / "out", formats=()).document
    assert len(document.curves[0].steps) == 200
    assert any("more evaluation points than 200, that many are shown" in s for s in document.footer)


def test_left_out_tuning_runs_are_stated(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    make_run()
    make_run(seed=1, stage="screen")
    footer = quick_report(logs, tmp_path / "out", formats=()).document.footer
    assert any(line.startswith("1 tuning run left out") for line in footer)


def test_an_interrupted_write_leaves_the_old_file_and_no_trace(
    logs: Path, tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    out = tmp_path / "out"
    quick_report(logs, out, formats=["csv"])
    before = contents(out)

    def interrupted(*_: object) -> Path:
        raise KeyboardInterrupt

    make_run(seed=1, score=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quick_report(logs, out, formats=["csv"])
    assert contents(out) == before


def test_a_full_disk_is_an_error_and_loses_nothing(
    logs: Path, tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    out = tmp_path / "out"
    quick_report(logs, out, formats=["html"])
    before = contents(out)
    make_run(seed=1, score=0.1)
    write = Path.write_bytes

    def until_full(path: Path, content: bytes) -> int:
        if "report.html" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", until_full)
        with pytest.raises(OSError, match="No space left"):
            quick_report(logs, out, formats=["html"])
    assert contents(out) == before


def test_nothing_to_report_writes_nothing(logs: Path, tmp_path: Path) -> None:
    with pytest.raises(NoRunsError):
        quick_report(logs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_reports_need_no_training_code_and_no_pyplot() -> None:
    code = (
        "import sys, reports.report\n"
        "names = ['ppo_lab', 'tuning', 'torch', 'stable_baselines3', 'matplotlib.pyplot']\n"
        "sys.exit(', '.join(name for name in names if name in sys.modules) or 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(reports.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
