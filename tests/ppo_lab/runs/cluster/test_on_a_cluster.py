"""A Ray cluster of real processes on loopback: two nodes of one core, which are killed on the way.

The log folder of a command would be seen by every node here: where a run folder is to come back as
bytes, the file is removed by which nodes know it.
"""

import importlib.util
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import ppo_lab
from benchmarks.ray_cluster import HOME, RayCluster, ray_cluster
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.cluster.driver import ClusterSettings
from ppo_lab.runs.cluster.executor import ClusterExecutor
from ppo_lab.runs.cluster.orders import needs_of
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import RunResult, finished_run
from ppo_lab.runs.workers import execute_runs
from tests.ppo_lab.runs.cluster.commands import (
    REPORT,
    command,
    end,
    node_at_work,
    records,
    slow,
    traces,
    wait_for,
)

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)
pytestmark = pytest.mark.slow


def grid(logs: Path, conf: str, *more: str) -> list[str]:
    words = ["--algos", "spec_ppo", "ppo", "optimal", "--envs", "ppo_lab/GridWorld-v0"]
    words += ["--seeds", "2", "--timesteps", "64", "--episodes", "5", "--points", "2"]
    return [*words, "--conf", f"spec_ppo={conf}", f"ppo={conf}", "--log-folder", str(logs), *more]


def settings(cluster: RayCluster, version: str = ppo_lab.__version__) -> ClusterSettings:
    return ClusterSettings(cluster.address, 1.0, 0.0, (), version)


def runs(folder: Path, count: int) -> dict[Path, RunConfig]:
    evaluation = Evaluation(episodes=2, seed=7)
    return {
        folder / "ppo" / f"CartPole-v1_{seed}": RunConfig(
            algo="ppo",
            env="CartPole-v1",
            seed=seed,
            timesteps=32,
            n_envs=1,
            policy="MlpPolicy",
            hyperparameters={"n_steps": 32, "n_epochs": 1},
            evaluation=evaluation,
        )
        for seed in range(1, count + 1)
    }


def test_the_report_of_two_nodes_is_that_of_one_machine_byte_for_byte(
    cluster: RayCluster, conf: str, tmp_path: Path
) -> None:
    end(command(*grid(tmp_path / "alone", conf)))
    output, _ = end(command(*grid(tmp_path / "many", conf, "--cluster", cluster.address)))
    assert "train: 6 runs in" in output
    for file in REPORT:
        alone = (tmp_path / "alone" / "compare-ppo_lab-GridWorld-v0" / file).read_bytes()
        assert (tmp_path / "many" / "compare-ppo_lab-GridWorld-v0" / file).read_bytes() == alone
    # As the user gave it, and nothing of Ray's own command line, which has its secrets.
    commands = {str(record["command"]) for record in records(tmp_path / "many")}
    assert len(commands) == 1
    assert commands.pop().startswith("compare.py --algos spec_ppo ppo optimal ")
    assert list((tmp_path / "many").glob("*/.probe-*")) == []


def test_run_folders_come_back_as_bytes_and_are_not_made_again(
    cluster: RayCluster, tmp_path: Path
) -> None:
    home, alone = tmp_path / "home", tmp_path / "alone"
    home.mkdir()
    wanted = runs(home, 3)
    executor: ClusterExecutor[RunResult] = ClusterExecutor(
        settings(cluster), home, needs_of(wanted.values())
    )
    [token] = home.glob(".probe-*")
    token.unlink()
    made = dict(execute_runs(wanted, 1, executor=executor))
    executor.close()
    here = dict(execute_runs(runs(alone, 3), 1))
    for (folder, result), (beside, expected) in zip(
        sorted(made.items()), sorted(here.items()), strict=True
    ):
        assert result.score == expected.score
        names = {path.relative_to(folder) for path in folder.rglob("*")}
        assert names == {path.relative_to(beside) for path in beside.rglob("*")}
        assert finished_run(wanted[folder], folder) is not None
        results = (folder / "evaluations.npz").read_bytes()
        assert results == (beside / "evaluations.npz").read_bytes()
    assert [path.name for path in home.iterdir()] == ["ppo"]
    again = dict(execute_runs(wanted, 1, executor=executor))  # a closed one: nothing is sent
    assert all(result.reused for result in again.values())


def test_runs_of_a_node_that_is_killed_are_made_on_another(
    cluster: RayCluster, conf: str, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    process = command(*slow(logs, conf, "--cluster", cluster.address, seconds=0.1))
    # Whichever works first; the command itself has left a trace too, of its random episodes.
    wait_for(lambda: node_at_work(cluster, traces(logs)), process)
    busy = node_at_work(cluster, traces(logs))
    assert busy is not None
    cluster.kill_node(busy)
    output, _ = end(process)
    assert "train: 4 runs in" in output
    assert [record["status"] for record in records(logs)] == ["completed"] * 4
    cluster.add_node()


def test_a_run_that_loses_its_worker_three_times_is_recorded_as_failed(
    cluster: RayCluster, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    executor: ClusterExecutor[int] = ClusterExecutor(settings(cluster), None)
    executor.submit("dies", die, note)
    executor.submit("lives", len, "four")
    outcomes: dict[object, object] = {}
    while executor.busy:
        outcomes.update(executor.finished(1.0))
    executor.close()
    assert outcomes["lives"] == 4
    death = outcomes["dies"]
    assert death.reason("env", None) == (  # type: ignore[attr-defined]
        "it was lost 3 times, with its worker or its node, the last time: exit code 3"
    )
    assert note.read_bytes() == b"xxx"


def die(note: Path) -> int:
    with note.open("ab") as file:
        file.write(b"x")
    os._exit(3)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_ends_leaves_no_task_and_the_same_command_goes_on(
    cluster: RayCluster, conf: str, tmp_path: Path, sent: signal.Signals
) -> None:
    logs = tmp_path / "logs"
    words = slow(logs, conf, "--cluster", cluster.address, seconds=0.1)
    process = command(*words)
    wait_for(lambda: len(records(logs)) >= 1, process)
    process.send_signal(sent)
    _, errors = end(process, code=-9 if sent == signal.SIGKILL else 130)
    if sent != signal.SIGKILL:
        assert errors == "ppo_lab.compare: stopped; the same command goes on from here\n"
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in traces(logs)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    made = len(records(logs))
    assert 0 < made < 4
    output, _ = end(command(*words))
    assert f"{made} of them from an earlier call" in output


def test_a_head_that_is_restarted_is_one_line_and_the_same_command_goes_on(
    conf: str, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    with ray_cluster(nodes=1) as cluster:
        words = slow(logs, conf, "--cluster", cluster.address, seconds=0.1)
        process = command(*words)
        wait_for(lambda: len(records(logs)) >= 1, process)
        cluster.kill_head()
        cluster.start_head()
        _, errors = end(process, code=1)
        assert errors.count("\n") == 1
        assert re.search(r"^ppo_lab.compare: --cluster 127.* is lost: .*goes on from here$", errors)
        made = len(records(logs))
        assert made >= 1
        cluster.add_node()
        output, _ = end(command(*words))
        assert f"{made} of them from an earlier call" in output


def test_rays_client_is_a_driver_like_any_other(
    cluster: RayCluster, conf: str, tmp_path: Path
) -> None:
    output, _ = end(command(*grid(tmp_path, conf, "--cluster", cluster.client_address)))
    assert "train: 6 runs in" in output


def test_address_where_nothing_is_is_one_line(conf: str, tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        _, errors = end(command(*grid(tmp_path, conf, "--cluster", address)), code=2)
        assert errors.count("\n") == 1
        assert errors.startswith(f"ppo_lab.compare: --cluster {address} cannot be used: ")


def test_node_with_another_version_is_refused_with_the_line_that_installs_it(
    cluster: RayCluster,
) -> None:
    with pytest.raises(ArgumentError, match=r"this command 9\.9\.9: python -m pip install") as at:
        ClusterExecutor(settings(cluster, "9.9.9"), None)
    assert f"has ppo_lab {ppo_lab.__version__}" in str(at.value)
    assert '"ppo-lab[ray]==9.9.9" on the node' in str(at.value)


def test_node_without_the_environments_package_is_refused_and_py_modules_ships_it(
    cluster: RayCluster, conf: str, tmp_path: Path
) -> None:
    package = tmp_path / "here" / "only_here"
    package.mkdir(parents=True)
    text = Path(__file__).with_name("slow_env.py").read_text()
    (package / "__init__.py").write_text(text)
    words = ["--algos", "ppo", "--envs", "only_here:SlowEnv", "--seeds", "1", "--timesteps", "32"]
    words += ["--conf", conf, "--log-folder", str(tmp_path), "--cluster", cluster.address]
    words += ["--episodes", "1", "--points", "1"]
    more = {"PYTHONPATH": f"{HOME}:{package.parent}"}
    _, errors = end(command(*words, more=more), code=2)
    assert errors.count("\n") == 1
    assert "cannot make 'only_here:SlowEnv'" in errors
    assert "--py-modules DIR" in errors
    output, _ = end(command(*words, "--py-modules", str(package)))
    assert "train: 1 runs in" in output


def test_more_cpus_than_any_node_has_is_one_line(
    cluster: RayCluster, conf: str, tmp_path: Path
) -> None:
    words = grid(tmp_path, conf, "--cluster", cluster.address, "--cpus-per-run", "64")
    _, errors = end(command(*words), code=2)
    assert errors.count("\n") == 1
    assert "no node of the cluster has 64 CPUs" in errors
    assert "the largest has 1 CPUs" in errors


def test_run_that_needs_more_memory_than_the_node_has_is_recorded(
    conf: str, tmp_path: Path
) -> None:
    psutil = pytest.importorskip("psutil")
    memory, margin, held = psutil.virtual_memory(), 2 * 2**30, 250
    if memory.available < 40 * (held << 20):
        pytest.skip("this machine has not so much memory to spare")
    with ray_cluster(nodes=0) as cluster:
        # Ray's own watch over a node's memory, which ends a worker where more than this is in use.
        most = (in_use(memory) + margin) / memory.total
        cluster.add_node(
            RAY_memory_usage_threshold=f"{most:.3f}",
            RAY_memory_monitor_refresh_ms="50",
            HELD_MEGABYTES=str(held),
        )
        words = slow(tmp_path / "logs", conf, "--cluster", cluster.address, seconds=0.5)
        _, errors = end(command(*words, "--seeds", "1"), code=1)
    assert errors.count("\n") == 1
    assert "about to be out of memory" in errors
    [record] = records(tmp_path / "logs")
    assert record["status"] == "failed"
    assert "about to be out of memory" in str(record["reason"])


def in_use(memory: Any) -> int:
    """Bytes, as Ray counts them: of the control group, with its files that are in active use."""
    for usage, inactive in (
        ("memory.current", "inactive_file"),
        ("memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        if (file := Path("/sys/fs/cgroup") / usage).is_file():
            entries = map(str.split, (file.parent / "memory.stat").read_text().splitlines())
            return int(file.read_text()) - int(dict(entries)[inactive])
    return int(memory.total - memory.available)
