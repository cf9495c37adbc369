"""What a cluster's executor sends when, and what comes back; production's nodes without Ray."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ppo_lab
from benchmarks.cluster import Cost, least_bundle, per_run
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.cluster.driver import ClusterSettings, _entry
from ppo_lab.runs.cluster.executor import PAUSES, ClusterExecutor, bundle_size
from ppo_lab.runs.cluster.orders import Need
from ppo_lab.runs.executor import Death
from tests.ppo_lab.runs.cluster.without_ray import serve

MOST_SECONDS = 120.0


def cluster(home: Path | None, *needs: Need) -> ClusterExecutor[Any]:
    settings = ClusterSettings("test", 1.0, 0.0, (), ppo_lab.__version__)
    return ClusterExecutor(settings, home, needs, driver=serve)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (folder := tmp_path / "home").mkdir()
    return folder


@pytest.fixture
def executor(home: Path) -> Iterator[ClusterExecutor[Any]]:
    made = cluster(home)
    yield made
    made.close()


def outcomes(executor: ClusterExecutor[Any]) -> dict[object, Any]:
    came: dict[object, Any] = {}
    deadline = time.monotonic() + MOST_SECONDS
    while executor.busy:
        assert time.monotonic() < deadline
        came.update(executor.finished(1.0))
    return came


def leave(folder: Path, score: float) -> str:
    """Leaves a folder such as a run's, unless it finds one; says where."""
    if not (folder / "run.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps({"status": "completed", "score": score}))
    return str(folder)


def end_the_node(note: Path) -> int:
    """The first time it is tried its node dies with it."""
    with note.open("ab") as file:
        file.write(b"x")
    if note.stat().st_size == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(MOST_SECONDS)
    return note.stat().st_size


def full_disk(note: Path) -> None:
    with note.open("ab") as file:
        file.write(b"x")
    raise OSError(28, "No space left on device")


def test_where_the_nodes_see_the_home_runs_are_left_in_it(
    executor: ClusterExecutor[Any], home: Path
) -> None:
    executor.submit("run", leave, home / "ppo" / "x_1", 1.0)
    assert outcomes(executor) == {"run": str(home / "ppo" / "x_1")}
    executor.close()
    assert [path.name for path in home.iterdir()] == ["ppo"]


def test_where_they_do_not_the_folders_come_back_and_what_is_there_goes_with_them(
    executor: ClusterExecutor[Any], home: Path, tmp_path: Path
) -> None:
    [token] = home.glob(".probe-*")
    token.unlink()
    leave(home / "ppo" / "x_2", 2.0)
    for number in (1, 2):
        executor.submit(number, leave, home / "ppo" / f"x_{number}", 10.0 * number)
    places = outcomes(executor)
    assert not any(place.startswith(str(tmp_path)) for place in places.values())
    assert not any(Path(place).exists() for place in places.values())
    scores = {p.parent.name: json.loads(p.read_text())["score"] for p in home.glob("*/*/run.json")}
    assert scores == {"x_1": 10.0, "x_2": 2.0}  # the second one was finished


def test_a_task_whose_node_is_lost_is_made_on_another_a_moment_later(
    executor: ClusterExecutor[Any], tmp_path: Path
) -> None:
    executor.submit("lost", end_the_node, tmp_path / "note")
    executor.submit("other", len, "four")
    came: dict[object, int] = {}
    waits = []
    while executor.busy:
        came.update(executor.finished(0.2))
        waits += [task.due - time.monotonic() for task in executor._alone]
    assert came == {"lost": 2, "other": 4}
    assert max(waits, default=0.0) > PAUSES[0] / 2


def test_a_cluster_that_has_lost_its_last_node_says_once_that_it_waits(
    executor: ClusterExecutor[Any],
) -> None:
    said: list[str] = []
    executor._say = said.append
    for nodes in (1, 0, 0, 2):
        executor._count(nodes, nodes)
    assert said == ["! --cluster test has no node left for a run: waiting for one"]
    assert executor.where == "2 nodes, 0 in flight"


def test_a_node_whose_disk_is_full_is_not_the_runs_fault(
    executor: ClusterExecutor[Any], home: Path, tmp_path: Path
) -> None:
    [token] = home.glob(".probe-*")
    token.unlink()
    executor.submit("full", full_disk, tmp_path / "note")
    death = outcomes(executor)["full"]
    assert isinstance(death, Death)
    assert re.search(r"^it was lost 3 times.*No space left on device on node", death.reason("", 1))
    assert (tmp_path / "note").read_bytes() == b"xxx"


def test_short_runs_are_sent_in_bundles(executor: ClusterExecutor[Any]) -> None:
    for number in range(60):
        executor.submit(number, abs, -number)
    assert executor.busy == 60
    assert executor.where == "2 nodes, 2 in flight"  # nothing is known yet of how long they take
    most = 0
    came: dict[object, int] = {}
    while executor.busy:
        came.update(executor.finished(1.0))
        most = max(most, int(executor.where.split()[2]))
    assert came == {number: number for number in range(60)}
    assert most > 4  # two nodes with one bundle each, and one that waits for each


def test_a_node_that_cannot_make_the_environment_is_refused_with_the_way_out() -> None:
    with pytest.raises(ArgumentError) as refused:
        cluster(None, Need("nobody_wrote_it:Env-v0"))
    assert re.search(
        r"^node \S+ cannot make 'nobody_wrote_it:Env-v0': .*nobody_wrote_it.*; install what it "
        r"needs there, or let --py-modules DIR ship the package in which it is written; ",
        str(refused.value),
    )


def test_a_node_without_ppo_lab_or_with_another_one_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way_out = r': python -m pip install "ppo-lab\[ray\]==9\.9\.9" on the node$'
    on_node = _entry()  # as Ray calls it there
    kind, said = on_node("inspect", "9.9.9")
    assert kind == "unfit"
    there = re.escape(ppo_lab.__version__)
    assert re.search(rf"^node \S+ has ppo_lab {there}, and this command 9\.9\.9{way_out}", said)
    monkeypatch.setitem(sys.modules, "ppo_lab", None)  # as where it is not installed
    kind, said = on_node("inspect", "9.9.9")
    assert kind == "unfit"
    assert re.search(rf"^node \S+ lacks ppo_lab or what it needs \(.*\){way_out}", said)


@pytest.mark.parametrize(
    ("mean_seconds", "waiting", "slots", "size"),
    [
        (None, 1000, 4, 1),  # nothing is known
        (5.0, 1000, 4, 1),
        (2.0, 1000, 4, 3),  # 5 s / 2 s, rounded up
        (0.01, 10_000, 10, 200),  # 5 s / 10 ms would be 500: the most
        (0.01, 100, 10, 5),  # 100 / (2 · 10): the last ones are shared by all
        (0.01, 0, 10, 1),
        (0.0, 10_000, 1, 200),
    ],
)
def test_a_bundle_takes_about_five_seconds(
    mean_seconds: float | None, waiting: int, slots: int, size: int
) -> None:
    assert bundle_size(mean_seconds, waiting, slots) == size


def test_where_handing_out_is_the_bottleneck_is_told_by_what_a_run_and_a_task_cost() -> None:
    # 10 ms a run one by one, 1.09 ms in hundreds: a task is (10 − 1.09) / (1 − 1 / 100) = 9 ms.
    single, large = Cost(100, 100, 0.0, 1.0, 0.0, 0.0), Cost(100, 1, 0.0, 0.109, 0.0, 0.0)
    assert per_run(single, large, 3) == pytest.approx(0.001 + 0.009 / 3)
    # 500 cores with runs of a second leave 2 ms for each: 1 ms of it for 9 ms of a task.
    assert least_bundle(0.001, 0.009, 1.0, 500) == 9
    assert least_bundle(0.001, 0.009, 1.0, 10) == 1
    assert least_bundle(0.001, 0.009, 1.0, 1_000) is None
