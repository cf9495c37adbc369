"""What every executor of tasks keeps to, with the further tries that production gives a task.

Worker processes of this machine, a storage that is shared, a cluster without Ray, a cluster of
Ray's real processes (slow), and one that is no more than the contract.
"""

import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ray_cluster import RayCluster, ray_cluster
from ppo_lab.runs.executor import Death, Executor, Retrying
from ppo_lab.runs.worker_pool import WorkerPool, time_limit
from tests.ppo_lab.runs.executors import ProcessPerTask, light_worker

MOST_SECONDS = 120.0
RUN_TIMEOUT = 0.5
LONG_SECONDS = {"ray": 12.0}
"""Longer than a worker needs to start, which on a cluster's node imports torch; else 2."""

ALONE = ("worker pool", "process per task")
"""Those whose second try is alone; a cluster's third one is wherever there is room."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with ray_cluster(nodes=2) as made:
        yield made


@pytest.fixture(
    params=[*ALONE, "shared storage", "cluster", pytest.param("ray", marks=pytest.mark.slow)]
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def executor(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Executor[Any]]:
    # Imported here: every worker process imports this file, and need not wait for torch.
    from tests.ppo_lab.runs.many_machines import on_a_cluster, sharing, without_ray

    makers: dict[str, Callable[[], AbstractContextManager[Executor[Any]]]] = {
        "worker pool": lambda: nullcontext(Retrying(WorkerPool(2, RUN_TIMEOUT, light_worker))),
        "process per task": lambda: nullcontext(Retrying(ProcessPerTask(2, RUN_TIMEOUT))),
        "shared storage": lambda: sharing(tmp_path_factory.mktemp("storage"), RUN_TIMEOUT),
        "cluster": lambda: without_ray(RUN_TIMEOUT),
        "ray": lambda: on_a_cluster(request.getfixturevalue("cluster"), RUN_TIMEOUT),
    }
    with makers[kind]() as made:
        yield made
        made.close()


def outcomes(executor: Executor[Any]) -> list[tuple[Any, Any]]:
    """(key, outcome) of everything that was submitted, sorted by key."""
    return sorted(arrivals(executor))


def arrivals(executor: Executor[Any]) -> list[tuple[Any, Any]]:
    """(key, outcome) of everything that was submitted, as it came."""
    arrived: list[tuple[Any, Any]] = []
    deadline = time.monotonic() + MOST_SECONDS
    while executor.busy:
        assert time.monotonic() < deadline
        arrived += executor.finished(1.0)
    return arrived


def payload(number: int) -> bytes:
    return bytes([number]) * 300_000


def die(how: str, note: Path) -> int:
    """Leaves a byte each time it is tried."""
    with note.open("ab") as file:
        file.write(b"x")
    if how == "once" and note.stat().st_size > 1:
        return 7
    if how == "late":
        with time_limit(RUN_TIMEOUT):
            time.sleep(MOST_SECONDS)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


def in_time() -> int:
    with time_limit(RUN_TIMEOUT):
        pass
    time.sleep(RUN_TIMEOUT + 0.2)
    return 1


def company(folder: Path, name: str, seconds: float) -> int:
    """How many were at work at most when this one began and when it ended."""
    (folder / name).touch()
    at_first = len(list(folder.iterdir()))
    time.sleep(seconds)
    at_last = len(list(folder.iterdir()))
    (folder / name).unlink()
    return max(at_first, at_last)


def die_or_count(folder: Path, note: Path) -> int:
    """Dies the first time; the second time it counts who else is at work."""
    if not note.exists():
        note.touch()
        os._exit(1)
    return company(folder, "again", 0.3)


def refuse() -> None:
    raise ValueError("not this one")


def hold(folder: Path) -> None:
    """Leaves its process's number, and stays."""
    (folder / str(os.getpid())).touch()
    time.sleep(MOST_SECONDS)


def processes(folder: Path, count: int) -> list[int]:
    """The numbers of so many processes that hold."""
    deadline = time.monotonic() + MOST_SECONDS
    while len(names := sorted(path.name for path in folder.iterdir())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(name) for name in names]


def have_ended(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


class TestExecutor:
    """The contract."""

    def test_results_come_whole_and_each_once(self, executor: Executor[Any]) -> None:
        for number in range(7):
            executor.submit(number, payload, number)
        assert executor.busy == 7
        assert outcomes(executor) == [(number, payload(number)) for number in range(7)]
        assert executor.finished(0.0) == []

    def test_it_takes_a_few_more_than_it_has_workers_and_says_when_it_is_full(
        self, executor: Executor[Any], tmp_path: Path
    ) -> None:
        taken = 0
        assert executor.free >= 2
        while executor.free > 0:
            executor.submit(taken, hold, tmp_path)
            taken += 1
        assert executor.busy == taken <= 4
        processes(tmp_path, 2)
        oldest = executor.oldest()
        assert oldest is not None
        assert oldest[0] in (0, 1)
        assert 0 <= oldest[1] < MOST_SECONDS
        assert executor.finished(0.0) == []

    def test_death_is_its_own_tasks_and_the_others_results_are_kept(
        self, executor: Executor[Any], kind: str, tmp_path: Path
    ) -> None:
        tries = 3 if kind in ("ray", "cluster") else 2
        for how in ("exit", "killed", "once"):
            executor.submit(how, die, how, tmp_path / how)
        for name in ("result 1", "result 2"):
            executor.submit(name, len, name)
        assert outcomes(executor) == [
            ("exit", Death("exit code 3", tries=tries)),
            ("killed", Death("SIGKILL", tries=tries)),
            ("once", 7),
            ("result 1", 8),
            ("result 2", 8),
        ]
        times = {how: len((tmp_path / how).read_bytes()) for how in ("exit", "killed", "once")}
        assert times == {"exit": tries, "killed": tries, "once": 2}

    def test_the_second_try_is_before_what_has_not_begun_and_alone_on_this_machine(
        self, executor: Executor[Any], kind: str, tmp_path: Path
    ) -> None:
        (at_work := tmp_path / "at work").mkdir()
        executor.submit("dies", die_or_count, at_work, tmp_path / "note")
        for name in ("long 1", "long 2", "long 3"):
            executor.submit(name, company, at_work, name, LONG_SECONDS.get(kind, 2.0))
        arrived = arrivals(executor)
        keys = [key for key, _ in arrived]
        assert sorted(keys) == ["dies", "long 1", "long 2", "long 3"]
        assert keys.index("dies") < keys.index("long 3")
        assert dict(arrived)["dies"] == (2 if kind in ("ray", "cluster") else 1)
        assert max(dict(arrived).values()) == 2  # the others ran beside each other

    def test_overdue_task_is_ended_and_not_tried_again(
        self, executor: Executor[Any], tmp_path: Path
    ) -> None:
        executor.submit("late", die, "late", tmp_path / "late")
        executor.submit("timely", in_time)
        assert outcomes(executor) == [("late", Death("SIGALRM", overdue=True)), ("timely", 1)]
        assert len((tmp_path / "late").read_bytes()) == 1

    def test_error_of_a_task_is_raised(self, executor: Executor[Any]) -> None:
        executor.submit("refused", refuse)
        with pytest.raises(ValueError, match="not this one"):
            outcomes(executor)

    def test_closing_early_leaves_no_process_and_nothing_to_do(
        self, executor: Executor[Any], tmp_path: Path
    ) -> None:
        for number in range(5):
            executor.submit(number, hold, tmp_path)
        pids = processes(tmp_path, 2)
        executor.close()
        assert (executor.busy, executor.oldest()) == (0, None)
        assert have_ended(pids)

    def test_ctrl_c_reaches_whoever_waits_and_closing_then_leaves_no_process(
        self, executor: Executor[Any], tmp_path: Path
    ) -> None:
        executor.submit(1, hold, tmp_path)
        pids = processes(tmp_path, 1)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            executor.finished(MOST_SECONDS)
        executor.close()
        assert have_ended(pids)


def test_death_says_how_and_what_it_was() -> None:
    assert Death("Ray's worker process died", tries=3).reason("env", None) == (
        "it was lost 3 times, with its worker or its node, the last time: Ray's worker process died"
    )
    assert Death("SIGKILL").reason("env", None) == "the worker process died twice (SIGKILL)"
    assert Death("").reason("env", None) == (
        "the worker process died twice (killed, or out of memory)"
    )
    assert Death("SIGALRM", overdue=True).reason("env", 2.5) == (
        "env did not finish within 2.5 s (--run-timeout)"
    )
