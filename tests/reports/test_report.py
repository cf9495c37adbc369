"""The whole way: run folders in, a report out, the same bytes every time."""

import csv
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import reports
from reports.report import write_report
from reports.runs import NoRunsError, load_runs

from .conftest import MakeRun, write_four_labels, write_run

FILES = ("scores.csv", "table.csv", "learning_curves.png", "intervals.png", "report.md")


# What draws do is tested on the statistics; few of them keep these tests quick.
quick_report = partial(write_report, table_draws=60, curve_draws=40)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_report_holds_exactly_its_files(logs: Path, tmp_path: Path) -> None:
    write_four_labels(logs)
    report = quick_report(logs, tmp_path / "deep" / "out", notes=["Tuned on seeds 0–9."])
    assert tuple(path.name for path in report.files) == FILES
    assert set(contents(tmp_path / "deep" / "out")) == set(FILES)
    page = (tmp_path / "deep" / "out" / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# spec_ppo (tuned) scores higher than ppo (tuned)\n")
    assert "- Tuned on seeds 0–9.\n" in page
    assert "40 runs of 4 labels on 1 task: ppo_lab/NoisyGridWorld-v0." in page
    assert "Seeds of every label: 200000–200009." in page
    assert "60 draws for the table, 40 for the learning curves, seed 0." in page
    assert "low -0.1 and high 1 (exact, by dynamic programming)" in page
    assert report.table.markdown() in page


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
    assert first["table.csv"] != contents(tmp_path / "four")["table.csv"]


def test_scores_are_one_row_a_run_in_full_precision(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(algo="ppo", seed=2, score=1 / 3, low=0, high=3)
    make_run(algo="ppo", seed=1, score=0.5)
    quick_report(logs, tmp_path / "out")
    first, second = read_csv(tmp_path / "out" / "scores.csv")
    assert (first["seed"], second["seed"]) == ("1", "2")
    assert second["label"] == "ppo (tuned)"
    assert float(second["score"]) == pytest.approx(1 / 3, abs=1e-15)
    assert float(second["normalised_score"]) == pytest.approx(1 / 9, abs=1e-15)
    assert (second["env"], second["steps"]) == ("ppo_lab/NoisyGridWorld-v0", "10240")


def test_a_missing_baseline_is_replaced_by_the_first_label_in_words(
    logs: Path, tmp_path: Path
) -> None:
    write_four_labels(logs, runs=2)
    report = quick_report(logs, tmp_path / "out", baseline="sac")
    assert report.table.baseline == "ppo (default)"
    assert report.table.cautions[0] == "No run is of sac: ppo (default) is the baseline instead."
    assert report.table.rows[0].improvement is None


def test_failed_and_damaged_runs_are_listed_and_the_rest_reported(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(seed=1)
    make_run(seed=2)
    make_run(seed=3, status="failed", reason="boom |\n" + "x" * 1000, folder="failed")
    (make_run(seed=4, folder="torn") / "run.json").write_text('{"format": 1')
    quick_report(logs, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "2 run folders set aside" in page
    assert "- torn: run.json is not valid JSON" in page
    listed = next(line for line in page.splitlines() if line.startswith("- failed: failed: boom"))
    assert listed.startswith(r"- failed: failed: boom \| xxx")
    assert listed.endswith("x…")
    assert len(read_csv(tmp_path / "out" / "scores.csv")) == 2


def test_hostile_names_break_neither_csv_nor_markdown(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    names = ['a, "b"', "<script>alert(1)</script>", "x|y\nz", "../../etc", "算法", "\ud800", "$_"]
    for number, name in enumerate(names):
        for seed in (1, 2):
            make_run(algo=name, seed=seed, env="../e|n<v>", folder=f"run, {number} {seed} |<b>")
    write_run(logs, folder="bad |<script>\n# x", status="failed", reason="<img>")
    quick_report(logs, tmp_path / "out", notes=["<script>", "a\n# heading"])
    assert set(contents(tmp_path / "out")) == set(FILES)
    read = {line["algo"] for line in read_csv(tmp_path / "out" / "scores.csv")}
    assert read == {*names, "?"} - {"\ud800"}
    assert {line["label"] for line in read_csv(tmp_path / "out" / "table.csv")} == {
        f"{name} (tuned)" for name in read
    }
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<img>" not in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(names)
    assert {line.replace(r"\|", "").count("|") for line in table} == {9}
    assert sum(line.startswith("# ") for line in page.splitlines()) == 1


def test_few_runs_one_run_and_equal_scores_are_warned_of(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(algo="one", score=0.9)
    for seed in range(3):
        make_run(algo="ppo", seed=seed, score=0.5, hyperparameters={"clip_range": 0.1 * seed})
    for seed in range(10):
        make_run(algo="enough", seed=seed, score=0.01 * seed, timesteps=20000)
    cautions = quick_report(logs, tmp_path / "out").table.cautions
    text = "\n".join(cautions)
    assert "one (tuned) has one run per environment: no interval can be given" in text
    assert "ppo (tuned) has 3 runs per environment: with fewer than 10" in text
    assert "All runs of ppo (tuned) scored the same" in text
    assert "The runs of ppo (tuned) do not all have the same hyperparameters." in text
    assert "do not all have the same step budget" in text
    assert "A probability of 0 or 1" in text
    assert "enough (tuned)" not in text


def test_the_finding_claims_no_more_than_the_runs_bear(
    logs: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    for seed in range(4):
        make_run(algo="ppo", seed=seed, score=0.5 + 0.01 * seed)
    alone = quick_report(logs, tmp_path / "out").finding
    assert alone.headline == "ppo (tuned) stands alone"
    assert alone.detail.endswith("over 4 runs per environment.")
    for seed in range(4):
        make_run(algo="same", seed=seed, score=0.5 + 0.01 * seed)
    level = quick_report(logs, tmp_path / "out").finding
    assert level.headline == "These runs do not tell same (tuned) from ppo (tuned)"
    assert level.detail.startswith("ppo (tuned) and same (tuned) share the highest IQM")
    assert "with probability 0.500" in level.detail
    shutil.rmtree(logs / "same_tuned")
    for seed in range(4):
        make_run(algo="worse", seed=seed, score=0.1 + 0.01 * seed)
    ahead = quick_report(logs, tmp_path / "out").finding
    # Four runs a side: complete separation, and still only "seems".
    assert ahead.headline == "ppo (tuned) seems to score higher than worse (tuned)"


def test_several_tasks_have_one_table(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    for env in ("A", "B", "C"):
        for seed in range(3):
            make_run(algo="ppo", env=env, seed=seed, score=0.1 * seed)
            make_run(env=env, seed=seed + 10, score=0.1 * seed + 0.2)
    report = quick_report(logs, tmp_path / "out")
    assert "18 runs of 2 labels on 3 tasks: A, B, C." in report.table.footer[0]
    assert "Seeds of ppo (tuned): 0–2." in report.table.footer
    assert "Seeds of spec_ppo (tuned): 10–12." in report.table.footer
    assert [row.raw_mean for row in report.table.rows] == [None, None]
    assert not any("with one task" in line for line in report.table.footer)


def test_left_out_tuning_runs_are_stated(logs: Path, tmp_path: Path, make_run: MakeRun) -> None:
    make_run()
    make_run(seed=1, stage="screen")
    footer = quick_report(logs, tmp_path / "out").table.footer
    assert footer[-1].startswith("1 tuning run left out")


def test_an_interrupted_write_leaves_the_old_file_and_no_trace(
    logs: Path, tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    out = tmp_path / "out"
    quick_report(logs, out)
    before = contents(out)

    def interrupted(*_: object) -> Path:
        raise KeyboardInterrupt

    make_run(seed=1, score=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quick_report(logs, out)
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
