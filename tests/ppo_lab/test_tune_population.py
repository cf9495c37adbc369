"""``python -m ppo_lab.tune --strategy pbt``: what it leaves, how it goes on, what it refuses."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from ppo_lab.compare import main as compare
from ppo_lab.tune import main
from reports.logs.loading import load_runs

HOME = Path(__file__).resolve().parents[2]
GRID = "ppo_lab/GridWorld-v0"
STUDY = "tune-ppo_lab-GridWorld-v0"
SMALL = [
    *("--env", GRID, "--algo", "ppo", "--strategy", "pbt", "--population", "3"),
    *("--generations", "3", "--timesteps", "96", "--n-envs", "2", "--finalists", "2"),
    *("--replicas", "2", "--seeds", "2", "--episodes", "2"),
    *("--set", "n_steps=16", "batch_size=16", "learning_rate=0.001:0.1:log"),
]
LEFT = ["report.md", "report.html", "population-ppo.csv", "ppo-pbt.yml", "trials-ppo.csv"]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def command(logs: Path) -> list[str]:
    return [sys.executable, "-m", "ppo_lab.tune", *SMALL, "--jobs", "2", "--log-folder", str(logs)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HOME)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    subprocess.run(command(logs), env=environment(), check=True, capture_output=True, cwd=logs)
    return logs / STUDY


@pytest.mark.slow  # a whole study
def test_it_leaves_a_table_a_schedule_and_judged_runs_beside_the_constant_ones(
    finished: Path,
) -> None:
    rows = list(csv.DictReader((finished / "population-ppo.csv").read_text().splitlines()))
    assert [(row["generation"], row["member"]) for row in rows] == [
        (str(generation), str(member)) for generation in (1, 2, 3) for member in (1, 2, 3)
    ]
    assert sum(int(row["copied"]) for row in rows) == 2
    loaded = load_runs(finished / "judge").runs
    assert {"ppo (default)", "ppo (pbt)"} <= {run.label for run in loaded}
    seeds = {run.label: set() for run in loaded}  # type: ignore[var-annotated]
    for run in loaded:
        seeds[run.label].add(run.seed)
    assert len({frozenset(each) for each in seeds.values()}) == 1
    page = (finished / "report.md").read_text().replace("\\", "")
    assert "Population of ppo: 3 members of 96 steps each, as many steps as the 3 trials" in page
    assert "a schedule that a population of the study has found" in page


@pytest.mark.slow  # a whole study
def test_the_schedule_in_the_file_is_the_judged_one(finished: Path, tmp_path: Path) -> None:
    file = finished / "ppo-pbt.yml"
    assert GRID in yaml.safe_load(file.read_text())
    arguments = ["--algos", "ppo", "--envs", GRID, "--seeds", "2", "--timesteps", "96"]
    arguments += ["--conf", str(file), "--episodes", "2", "--points", "4", "--jobs", "1"]
    assert compare([*arguments, "--log-folder", str(tmp_path)]) == 0
    [again] = tmp_path.glob("*/runs/ppo-given/*_1/evaluations.npz")
    [judged] = finished.glob("judge/ppo-pbt/*_1/evaluations.npz")
    np.testing.assert_array_equal(np.load(again)["results"], np.load(judged)["results"])


@pytest.mark.slow  # a whole study, killed twice
@pytest.mark.parametrize("where", ["population/ppo/generation_2", "replicate/ppo-pbt"])
def test_killed_command_goes_on_and_ends_with_the_same_bytes(
    finished: Path, tmp_path: Path, where: str
) -> None:
    with subprocess.Popen(
        command(tmp_path), env=environment(), stdout=subprocess.DEVNULL, cwd=tmp_path
    ) as process:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob(f"{STUDY}/{where}/**/run.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    subprocess.run(
        command(tmp_path), env=environment(), check=True, capture_output=True, cwd=tmp_path
    )
    for name in LEFT:
        assert (tmp_path / STUDY / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "30"], r"--trials 30 with --strategy pbt: constant settings get as many"),
        (
            ["--storage", "sqlite:///x.db"],
            r"--storage with --strategy pbt: .* on one machine; leave",
        ),
        (["--cluster", "auto"], r"--cluster with --strategy pbt: .* on one machine; leave"),
        (["--pruner", "halving"], r"--pruner halving with --strategy pbt: .* leave --pruner out"),
        (
            ["--screen-seeds", "2"],
            r"--screen-seeds 2 with --strategy pbt: .*; leave --screen-seeds",
        ),
        (
            ["--strategy", "optuna"],
            r"--population 3 without --strategy pbt: there is no population",
        ),
        (["--population", "1"], r"--population 1: expected at least 2"),
        (["--population", "0"], r"--population 0: expected at least 2"),
        (["--generations", "9"], r"--generations 9: 96 steps are 3 rollouts of 32"),
        (["--set", "net_arch=8x8,16x16"], r"net_arch cannot: --set net_arch=default"),
        (["--strategy", "pb2"], r"argument --strategy: invalid choice: 'pb2'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_one_clear_line_and_nothing_runs(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main([*SMALL, *arguments, "--log-folder", str(tmp_path)])
    except SystemExit as end:
        code = int(str(end.code))
    errors = capsys.readouterr().err
    assert code == 2
    assert errors.count("\n") == 1
    assert re.search(message, errors)
    assert not list(tmp_path.glob("**/run.json"))


def test_seeds_that_are_added_until_it_is_clear_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = SMALL.index("--seeds")
    arguments = [*SMALL[:place], *SMALL[place + 2 :], "--until-clear"]
    assert main([*arguments, "--log-folder", str(tmp_path)]) == 2
    assert "--until-clear with --strategy pbt: a schedule is judged" in capsys.readouterr().err


def test_several_environments_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--envs", GRID, "CartPole-v1", "--strategy", "pbt", "--log-folder", str(tmp_path)]
    assert main(arguments) == 2
    assert (
        "--strategy pbt with --envs: it is for a study of one environment"
        in capsys.readouterr().err
    )
