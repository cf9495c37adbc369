"""Several sources of several kinds in one report."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import reports
from reports.logs.loading import NoRunsError, Source, load_runs
from tests.reports.conftest import write_run
from tests.reports.log_writers import write_evaluations, write_monitor, write_zoo_run


def test_every_kind_of_log_enters_one_list(tmp_path: Path) -> None:
    write_run(tmp_path / "ours")
    write_zoo_run(tmp_path / "zoo", algo="a2c")
    write_monitor(tmp_path / "bare" / "mine" / "monitor.csv", [1.0])
    table = tmp_path / "scores.csv"
    table.write_text("algo,env,seed,step,score\nsac,A,1,100,5\n")
    loaded = load_runs(tmp_path / "ours", tmp_path / "zoo", tmp_path / "bare", table)
    assert [(run.kind, run.label) for run in loaded.runs] == [
        ("ppo_lab", "spec_ppo (tuned)"),
        ("rl_zoo", "a2c"),
        ("sb3", "mine"),
        ("scores", "sac"),
    ]
    assert loaded.runs[1].folder == "zoo/a2c/CartPole-v1_1"
    assert loaded.runs[3].folder == "scores.csv:2"
    assert loaded.sources == (
        "ours: 1 PPO Lab run",
        "zoo: 1 RL Zoo run",
        "bare: 1 run of an SB3 folder",
        "scores.csv: 1 run of a table of scores",
    )
    # One folder that holds them all reads the same runs; a table is read only where it is named.
    assert {run.kind for run in load_runs(tmp_path).runs} == {"ppo_lab", "rl_zoo", "sb3"}


def test_several_runs_of_a_kind_are_named_in_the_plural(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / "ours", seed=seed)
        write_zoo_run(tmp_path / "zoo", number=seed, seed=seed)
        write_evaluations(tmp_path / "bare" / f"mine_seed{seed}", [1.0])
    table = tmp_path / "scores.csv"
    table.write_text("algo,env,seed,score\nsac,A,1,5\nsac,A,2,6\nsac,A,3,7\n")
    loaded = load_runs(tmp_path / "ours", tmp_path / "zoo", tmp_path / "bare", table)
    assert loaded.sources == (
        "ours: 2 PPO Lab runs",
        "zoo: 2 RL Zoo runs",
        "bare: 2 runs of SB3 folders",
        "scores.csv: 3 runs of a table of scores",
    )


def test_equal_names_of_sources_are_told_apart(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_zoo_run(tmp_path / place / "logs", seed=len(place) if place == "a" else 2)
    loaded = load_runs(tmp_path / "a" / "logs", tmp_path / "b" / "logs")
    assert [run.folder.split("/")[0] for run in loaded.runs] == ["logs#1", "logs#2"]


def test_a_name_keeps_two_sources_of_one_algorithm_apart(tmp_path: Path) -> None:
    for place in ("a", "b"):
        write_zoo_run(tmp_path / place)
    same = load_runs(tmp_path / "a", tmp_path / "b")
    assert len(same.runs) == 1
    assert same.set_aside[0].reason.startswith("same algorithm, settings, environment and seed")
    apart = load_runs(Source(tmp_path / "a", "mine"), Source(tmp_path / "b", "theirs"))
    assert [run.label for run in apart.runs] == ["ppo (mine)", "ppo (theirs)"]


def test_a_folder_that_two_sources_lead_to_counts_once(tmp_path: Path) -> None:
    write_evaluations(tmp_path / "all" / "mine", [1.0])  # without a seed: no duplicate to see
    loaded = load_runs(tmp_path / "all", tmp_path / "all" / "mine")
    assert len(loaded.runs) == 1
    assert loaded.set_aside[0].reason.startswith("read already")


def test_links_and_hidden_folders_are_named_and_not_entered(tmp_path: Path) -> None:
    write_zoo_run(tmp_path / "logs")
    (tmp_path / "logs" / "loop").symlink_to(tmp_path / "logs", target_is_directory=True)
    write_monitor(tmp_path / "logs" / ".run.part-12" / "0.monitor.csv", [1.0])
    (tmp_path / "logs" / ".git").mkdir()
    loaded = load_runs(tmp_path / "logs")
    assert len(loaded.runs) == 1
    assert {aside.folder: aside.reason.split(":")[0] for aside in loaded.set_aside} == {
        "loop": "a link to a folder",
        ".run.part-12": "a hidden folder",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_in_place_of_a_model_costs_the_versions_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(write_zoo_run(tmp_path) / "CartPole-v1.zip")
    (run,) = load_runs(tmp_path).runs
    assert (run.score, run.versions) == (80.0, ())


def test_names_that_no_file_system_should_hold_come_through(tmp_path: Path) -> None:
    for name in ("a, b", '"quoted"', "<script>alert(1)<", "算法", "$(reboot)", "-rf"):
        write_evaluations(tmp_path / name / "CartPole-v1_1", [1.0])
    write_evaluations(tmp_path / os.fsdecode(b"\xff") / "CartPole-v1_1", [1.0])
    loaded = load_runs(tmp_path)
    assert {run.algo for run in loaded.runs} == {
        "a, b",
        '"quoted"',
        "<script>alert(1)<",
        "算法",
        "$(reboot)",
        "-rf",
        "?",
    }
    for run in loaded.runs:
        run.folder.encode("utf-8")


def test_endless_folders_are_left_with_a_word(tmp_path: Path) -> None:
    write_zoo_run(tmp_path / "good")
    (tmp_path / "/".join("d" * 150)).mkdir(parents=True)
    loaded = load_runs(tmp_path)
    assert len(loaded.runs) == 1
    assert "nested more than 100 deep" in loaded.set_aside[0].reason


def test_a_link_to_itself_is_no_source(tmp_path: Path) -> None:
    write_zoo_run(tmp_path / "good")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NoRunsError, match="is not a folder"):
        load_runs(tmp_path / "good", tmp_path / "loop")


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for path, reason in (("none", "is not a folder"), ("notes.txt", r"not a \.csv file")):
        with pytest.raises(NoRunsError, match=reason):
            load_runs(tmp_path / path)
    with pytest.raises(NoRunsError, match="no logs were given"):
        load_runs()


def test_reading_needs_no_torch_no_sb3_and_nothing_of_ppo_lab() -> None:
    code = (
        "import sys, reports.logs.loading, reports.content.arrangement, reports.logs.references\n"
        "names = ['ppo_lab', 'tuning', 'torch', 'stable_baselines3', 'gymnasium', 'pandas']\n"
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
