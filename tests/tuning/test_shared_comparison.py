"""One comparison on many machines that share a PostgreSQL server, as an array of jobs is."""

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

if importlib.util.find_spec("psycopg") is None:
    pytest.skip("psycopg is not installed", allow_module_level=True)

from ppo_lab.compare import main
from tests.tuning.postgresql import ENCODED, PASSWORD, binaries, server
from tuning.storage import open_storage

HOME = Path(__file__).resolve().parents[2]
PROGRAMS = binaries()
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL server is installed")

NAME = "many"
SMALL = ["--algos", "q_learning", "optimal", "--envs", "ppo_lab/GridWorld-v0", "--seeds", "4"]
SMALL += ["--timesteps", "2000", "--episodes", "2", "--points", "2", "--settings", "default"]
SMALL += ["--name", NAME]
REPORT = ["report.html", "report.md", "report.json", "tables/table.csv", "tables/scores.csv"]
MACHINE = (
    # Another host's name: the death of such a machine shows by its silence alone.
    "import socket, sys; socket.gethostname = lambda: sys.argv[1]\n"
    "from ppo_lab.compare import main; sys.exit(main(sys.argv[2:]))"
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    assert PROGRAMS is not None
    with server(PROGRAMS) as address:
        yield address


def start(*words: str, **more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words,
        env={**os.environ, "PYTHONPATH": str(HOME), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def secrets_in(folder: Path) -> list[Path]:
    """Files that hold the password, as it is or as the URL writes it."""
    found = re.compile("|".join(map(re.escape, (PASSWORD, ENCODED))).encode())
    return [
        path for path in folder.rglob("*") if path.is_file() and found.search(path.read_bytes())
    ]


def wait_for_claim(url: str, owner: str) -> None:
    storage = open_storage(url)
    deadline = time.monotonic() + 240
    while True:
        assert time.monotonic() < deadline
        try:
            trials = optuna.load_study(study_name=f"{NAME}-runs", storage=storage).get_trials()
        except KeyError:
            trials = []
        owners = [t.user_attrs.get("owner") for t in trials if t.state == TrialState.RUNNING]
        if any(each and each["host"] == owner for each in owners):
            break
        time.sleep(0.02)
    storage.engine.dispose()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_three_machines_one_of_them_killed_come_to_what_one_alone_comes_to(
    url: str, tmp_path: Path
) -> None:
    words = [*SMALL, "--jobs", "1", "--storage", url, "--grace", "4", "--log-folder"]
    machines = {
        name: start(sys.executable, "-c", MACHINE, name, *words, str(tmp_path / name))
        for name in "abc"
    }
    wait_for_claim(url, "a")
    machines["a"].kill()
    outputs = {name: process.communicate(timeout=500) for name, process in machines.items()}
    for name in "bc":
        assert machines[name].returncode == 0, outputs[name]
        assert not re.search(f"{re.escape(PASSWORD)}|{ENCODED}", "".join(outputs[name]))
    assert main([*SMALL, "--jobs", "1", "--log-folder", str(tmp_path / "alone")]) == 0
    for file in REPORT:
        alone = (tmp_path / "alone" / NAME / file).read_bytes()
        for name in "bc":
            assert (tmp_path / name / NAME / file).read_bytes() == alone, file
    storage = open_storage(url)
    trials = optuna.load_study(study_name=f"{NAME}-runs", storage=storage).get_trials()
    storage.engine.dispose()  # type: ignore[attr-defined]
    completed = [t.user_attrs["task"] for t in trials if t.state == TrialState.COMPLETE]
    assert len(completed) == len(set(completed)) == 8
    assert secrets_in(tmp_path) == []


@pytest.mark.slow
def test_an_array_of_jobs_makes_each_run_once_and_writes_one_report(
    url: str, tmp_path: Path
) -> None:
    script = HOME / "docs" / "examples" / "array.sh"
    words = [*SMALL, "--name", "array", "--log-folder", str(tmp_path)]
    bin_folder = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    tasks = [
        start("bash", str(script), *words, PATH=bin_folder, PPO_LAB_STORAGE=url,
              SLURM_CPUS_PER_TASK="1", SLURM_ARRAY_TASK_ID=str(number))
        for number in range(3)
    ]  # fmt: skip
    outputs = [task.communicate(timeout=500) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0, 0], outputs
    wrote = [output for output, _ in outputs if re.search(r"Report: \S+\s\(", output)]
    assert len(wrote) == 1
    others = [" ".join(output.split()) for output, _ in outputs if output not in wrote]
    assert all("which another process of this comparison has written" in said for said in others)
    assert "with 1 processes" in wrote[0]
    assert len(list(tmp_path.glob("array/runs/*/*/run.json"))) == 8
    # None of them was restored: all saw the same folder.
    assert not any("restored" in p.read_text() for p in tmp_path.glob("array/runs/*/*/run.json"))
    assert secrets_in(tmp_path) == []


def test_wrong_password_of_a_comparison_is_one_line_that_does_not_show_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = url.replace("s3cr", "wr0ng")
    words = ["--algos", "optimal", *SMALL[3:], "--storage", wrong, "--log-folder", str(tmp_path)]
    assert main(words) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "the study's storage cannot be used" in errors
    assert "wr0ng" not in errors
    assert secrets_in(tmp_path) == []
