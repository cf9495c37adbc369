"""``tune --cluster``: a study whose trials come from nodes that are lost is that of one machine."""

import importlib.util
import signal
from pathlib import Path

import pytest

from benchmarks.ray_cluster import RayCluster
from tests.ppo_lab.runs.cluster.commands import (
    REPORT,
    SLOW,
    command,
    end,
    node_at_work,
    traces,
    wait_for,
)

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)
pytestmark = pytest.mark.slow

NAME = "many"


def study(logs: Path, *more: str) -> list[str]:
    """Six trials, three at a time, with runs of a moment that leave traces in one place."""
    words = ["--algo", "ppo", "--env", SLOW, "--trials", "6", "--window", "3", "--finalists", "2"]
    words += ["--replicas", "2", "--seeds", "2", "--timesteps", "128", "--study-name", NAME]
    (witness := logs.with_name("all-witness")).mkdir(exist_ok=True)
    words += ["--env-kwargs", "seconds:0.002", f"witness:'{witness}'", "--log-folder", str(logs)]
    return [*words, *more]


def made(logs: Path) -> int:
    return len(list((logs / NAME).glob("**/run.json")))


def test_a_study_that_is_stopped_and_loses_a_node_comes_to_what_one_machine_comes_to(
    cluster: RayCluster, tmp_path: Path
) -> None:
    alone, many = tmp_path / "alone", tmp_path / "many"
    end(command(*study(alone, "--jobs", "2"), program="tune"))

    words = study(many, "--cluster", cluster.address)
    process = command(*words, program="tune")
    wait_for(lambda: made(many) >= 3, process)
    process.send_signal(signal.SIGINT)
    _, errors = end(process, code=130)
    assert errors == "ppo_lab.tune: stopped; the same command goes on from here\n"
    before = made(many)
    assert 3 <= before < made(alone)

    process = command(*words, program="tune")
    wait_for(lambda: made(many) > before, process)
    busy = node_at_work(cluster, traces(tmp_path / "all"))
    assert busy is not None
    cluster.kill_node(busy)
    end(process)
    cluster.add_node()
    for file in [*REPORT, "trials-ppo.csv", "ppo.yml"]:
        assert (many / NAME / file).read_bytes() == (alone / NAME / file).read_bytes(), file
