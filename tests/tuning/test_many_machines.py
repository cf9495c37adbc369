"""Many machines on one PostgreSQL server: the loss of one loses no trial and counts none twice."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

if importlib.util.find_spec("psycopg") is None:
    pytest.skip("psycopg is not installed", allow_module_level=True)

import psycopg

from ppo_lab.tune import main
from tests.tuning.postgresql import PASSWORD, binaries, server, wait_until_ready
from tuning.storage import open_storage

HOME = Path(__file__).resolve().parents[2]
PROGRAMS = binaries()
pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL server is installed")

NAME = "shared"
SMALL = ["--algo", "ppo", "--trials", "6", "--window", "4", "--finalists", "2", "--replicas", "2"]
SMALL += ["--seeds", "2", "--timesteps", "128", "--jobs", "1", "--study-name", NAME]
SMALL += ["--env", "ppo_lab/NoisyGridWorld-v0"]
# 2 trials beside the default, which is kept here: judged once.
TASKS = {NAME + "-ppo": 6, NAME + "-ppo-replicate": 6, NAME + "-ppo-judge": 2}
REPORT = ["report.md", "tables/table.csv", "tables/scores.csv", "trials-ppo.csv", "ppo.yml"]

MACHINE = (
    # Another host's name makes a process of this machine one of another: its death shows by its
    # silence alone.
    "import socket, sys; socket.gethostname = lambda: sys.argv[1]\n"
    "from ppo_lab.tune import main; sys.exit(main(sys.argv[2:]))"
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    assert PROGRAMS is not None
    with server(PROGRAMS) as address:
        yield address


def machine(name: str, url: str, logs: Path, grace: int = 4) -> "subprocess.Popen[str]":
    arguments = [*SMALL, "--storage", url, "--grace", str(grace), "--log-folder", str(logs / name)]
    return subprocess.Popen(
        [sys.executable, "-c", MACHINE, name, *arguments],
        env={**os.environ, "PYTHONPATH": str(HOME)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials(url: str, study: str) -> list[FrozenTrial]:
    storage = open_storage(url)
    try:
        return optuna.load_study(study_name=study, storage=storage).get_trials()
    except KeyError:
        return []
    finally:
        storage.engine.dispose()  # type: ignore[attr-defined]


def wait_for_claim(url: str, owner: str) -> None:
    deadline = time.monotonic() + 120
    while not any(
        t.state == TrialState.RUNNING and t.user_attrs.get("owner", {}).get("host") == owner
        for t in trials(url, f"{NAME}-ppo")
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_four_machines_one_of_them_killed_come_to_what_one_alone_comes_to(
    url: str, tmp_path: Path
) -> None:
    machines = {name: machine(name, url, tmp_path) for name in "abcd"}
    wait_for_claim(url, "a")
    machines["a"].kill()
    outputs = {name: process.communicate(timeout=300) for name, process in machines.items()}
    for name in "bcd":
        assert machines[name].returncode == 0, outputs[name][1]

    for study, tasks in TASKS.items():
        made = trials(url, study)
        completed = Counter(t.user_attrs["task"] for t in made if t.state == TrialState.COMPLETE)
        assert len(completed) == tasks
        assert set(completed.values()) == {1}
        assert not [t for t in made if t.state == TrialState.RUNNING]
    lost = [t for t in trials(url, f"{NAME}-ppo") if t.state == TrialState.FAIL]
    assert [t.user_attrs["owner"]["host"] for t in lost] == ["a"]

    assert main([*SMALL, "--log-folder", str(tmp_path / "alone")]) == 0
    for file in REPORT:
        alone = (tmp_path / "alone" / NAME / file).read_bytes()
        for name in "bcd":
            assert (tmp_path / name / NAME / file).read_bytes() == alone, file


def stop(url: str) -> tuple[Path, list[str]]:
    """End a server as an administrator does; its data folder and the command that began it."""
    with psycopg.connect(url) as connection:
        [(data,)] = connection.execute("SELECT current_setting('data_directory')").fetchall()
    command = (Path(data) / "postmaster.opts").read_text().strip()
    process = int((Path(data) / "postmaster.pid").read_text().splitlines()[0])
    os.kill(process, signal.SIGINT)
    while (Path(data) / "postmaster.pid").exists():
        time.sleep(0.05)
    return Path(data), [word.strip('"') for word in command.split(" ")]


@contextmanager
def restarted(url: str) -> Iterator[None]:
    """A server that was away for longer than any proposal takes."""
    data, words = stop(url)
    time.sleep(15)
    owner: dict[str, Any] = {"user": data.owner(), "group": data.group(), "extra_groups": []}
    with subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=data,
        **(owner if os.getuid() == 0 else {}),
    ):
        wait_until_ready(int(words[words.index("-p") + 1]))
        try:
            yield
        finally:
            stop(url)


@pytest.mark.slow
def test_server_that_restarts_in_mid_study_is_waited_for(tmp_path: Path) -> None:
    assert PROGRAMS is not None
    with server(PROGRAMS) as url:
        process = machine("a", url, tmp_path, grace=120)
        wait_for_claim(url, "a")
        with restarted(url):
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
            said = " ".join(output.split())
            assert "The study's storage does not answer (" in said, said
            assert "The study's storage answers again." in said
            assert PASSWORD not in said
            for study, tasks in TASKS.items():
                made = trials(url, study)
                completed = [t for t in made if t.state == TrialState.COMPLETE]
                assert len({t.user_attrs["task"] for t in completed}) == len(completed) == tasks


@pytest.mark.slow
def test_server_that_stays_away_is_one_line_with_its_cause(tmp_path: Path) -> None:
    assert PROGRAMS is not None
    with server(PROGRAMS) as url:
        process = machine("a", url, tmp_path)
        wait_for_claim(url, "a")
        stop(url)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert errors.startswith(
        "ppo_lab.tune: the study's storage failed: StorageLostError: it has not answered for 4 s: "
    )
    assert "refused" in errors
    assert errors.endswith("; the same command goes on from here\n")


def test_wrong_password_is_one_line_that_does_not_show_it(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = url.replace("s3cr", "wr0ng")
    assert main([*SMALL, "--storage", wrong, "--log-folder", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "the study's storage cannot be used" in errors
    assert "wr0ng" not in errors
    assert PASSWORD not in errors


def test_server_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "postgresql://lab:hush@127.0.0.1:1/none"
    assert main([*SMALL, "--storage", address, "--log-folder", str(tmp_path)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "refused" in errors
    assert "hush" not in errors
