"""Commands whose runs take their time, started on a cluster, looked at on the way and ended."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.ray_cluster import HOME, RayCluster, descendants

SLOW = "tests.ppo_lab.runs.cluster.slow_env:SlowEnv"
REPORT = ["report.html", "report.md", "report.json", "tables/table.csv", "tables/scores.csv"]
MOST_SECONDS = 600.0


def command(
    *words: str, program: str = "compare", more: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """``python -m ppo_lab.compare`` with these words, its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", f"ppo_lab.{program}", *words],
        env={**os.environ, "PYTHONPATH": str(HOME), **(more or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def slow(logs: Path, conf: str, *more: str, seconds: float = 0.05) -> list[str]:
    """Four runs of a few seconds, which leave traces beside their logs."""
    witness = logs.with_name(f"{logs.name}-witness")
    witness.mkdir(exist_ok=True)
    words = ["--algos", "ppo", "--envs", SLOW, "--seeds", "4", "--timesteps", "64"]
    words += ["--episodes", "1", "--points", "1", "--conf", conf, "--log-folder", str(logs)]
    return [*words, "--env-kwargs", f"seconds:{seconds}", f"witness:'{witness}'", *more]


def traces(logs: Path) -> list[int]:
    """The processes in which steps were made."""
    return [int(path.name) for path in logs.with_name(f"{logs.name}-witness").iterdir()]


def node_at_work(cluster: RayCluster, pids: list[int]) -> "subprocess.Popen[bytes] | None":
    """A node to which one of these processes belongs."""
    return next((n for n in cluster.nodes if {*pids} & {*descendants(n.pid)}), None)


def wait_for(reached: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Wait until something is reached, which it must be before a command ends."""
    deadline = time.monotonic() + MOST_SECONDS
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def records(logs: Path) -> list[dict[str, object]]:
    """``run.json`` of each run of a comparison."""
    return [json.loads(path.read_text()) for path in sorted(logs.glob("*/runs/*/*/run.json"))]


def end(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    """What a command that ends with this code has written."""
    output, errors = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == code, (output, errors)
    assert "Traceback" not in errors
    return output, errors
