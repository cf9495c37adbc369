"""What a run costs the machine that hands it to a Ray cluster, measured on loopback.

    python -m benchmarks.cluster --write docs/many_machines.md

A head and two nodes of one core each, as processes of this machine, and runs that do nothing but
leave a run folder of the usual size, which comes back as bytes. Printed is the CPU time of the
command and of its driver, which is what limits how many cores one command keeps busy; the nodes'
own share is in the wall-clock time. Then a node is killed while it works, and a head.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import ppo_lab
from benchmarks.machine import described
from benchmarks.page_marks import Printed
from benchmarks.ray_cluster import RayCluster, ray_cluster
from ppo_lab.commands.progress import StageProgress
from ppo_lab.errors import CommandError
from ppo_lab.runs.cluster import executor as production
from ppo_lab.runs.cluster.driver import ClusterSettings
from ppo_lab.runs.execution import RunResult

MARK = "cluster"
FOLDER_BYTES = 120_000
"""A run folder of PPO's with a network of 64 × 64, and its two models."""
BUNDLES = (1, 10, 100)
RUN_SECONDS = (0.1, 1.0, 5.0, 60.0, 3600.0)
CORES = (1_000, 10_000)
TICK = os.sysconf("SC_CLK_TCK")
Executor = production.ClusterExecutor[Any]


def trivial(folder: Path) -> RunResult:
    """Leave a run folder, and nothing else."""
    folder.mkdir(parents=True)
    (folder / "model.zip").write_bytes(os.urandom(FOLDER_BYTES))
    (folder / "run.json").write_text(json.dumps({"status": "completed"}))
    return RunResult(1.0, None, 0.0)


@contextmanager
def executor_of(address: str, home: Path) -> Iterator[Executor]:
    """Production's, where no node sees the folder: all comes back as bytes."""
    executor: Executor = production.ClusterExecutor(
        ClusterSettings(address, 1.0, 0.0, (), ppo_lab.__version__), home
    )
    for token in home.glob(".probe-*"):
        token.unlink()
    try:
        yield executor
    finally:
        executor.close()


def submit(executor: Executor, home: Path, numbers: range) -> None:
    """Hand trivial runs of these numbers out."""
    from benchmarks.cluster import trivial  # by this name on the nodes, not as __main__'s

    for number in numbers:
        executor.submit(number, trivial, home / f"run_{number}")


@dataclass(frozen=True)
class Cost:
    """Of many runs in bundles of one size.

    Attributes:
        runs: how many.
        tasks: Ray's tasks that they were sent in.
        wall: seconds.
        cpu: seconds of the command and its driver.
        command: mebibytes of the command at the end.
        driver: the most mebibytes that its driver had.
    """

    runs: int
    tasks: int
    wall: float
    cpu: float
    command: float
    driver: float


def measured(address: str, count: int, bundle: int | None) -> Cost:
    """Send so many runs; a bundle of None is production's choice."""
    chosen = production.bundle_size
    with (
        tempfile.TemporaryDirectory() as name,
        executor_of(address, home := Path(name)) as executor,
    ):
        if bundle is not None:
            production.bundle_size = lambda *_: bundle  # type: ignore[assignment]
        try:
            began, cpu = time.perf_counter(), _cpu(executor)
            submit(executor, home, range(count))
            while executor.busy:
                executor.finished(1.0)
            spent = time.perf_counter() - began, _cpu(executor) - cpu
        finally:
            production.bundle_size = chosen
        command = _memory(os.getpid(), "VmRSS")
        return Cost(
            count, executor._numbers, *spent, command, _memory(executor._process.pid, "VmHWM")
        )


def _cpu(executor: Executor) -> float:
    fields = Path(f"/proc/{executor._process.pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / TICK


def _memory(pid: int, entry: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{entry}:")) / 1024


def a_node_is_killed(cluster: RayCluster, count: int) -> str:
    """End a node at once in the middle of so many runs, and say what came of it."""
    with (
        tempfile.TemporaryDirectory() as name,
        executor_of(cluster.address, home := Path(name)) as executor,
    ):
        submit(executor, home, range(count))
        tasks = [
            *executor._queue,
            *(task for each in executor._sent.values() for task in each.tasks),
        ]
        came, killed, noticed = 0, 0.0, 0.0
        while executor.busy:
            came += len(executor.finished(0.2))
            if not killed and came >= count // 2:
                cluster.kill_node(cluster.nodes[-1])
                killed, before = time.perf_counter(), came
            if not noticed and any(task.losses for task in tasks):
                noticed = time.perf_counter()
        again = sum(task.losses > 0 for task in tasks)
        folders = len(list(home.glob("run_*/run.json")))
    told = f" (it was noticed after {noticed - killed:.0f} s)" if noticed else ""
    return (
        f"A node killed after {before:,} of {count:,} runs: {again} of them were made again on the "
        f"other{told}, {came:,} came back, {folders:,} folders."
    )


def the_head_is_restarted(count: int) -> list[str]:
    """Kill the head in the middle of so many runs, start it again, and go on."""
    with tempfile.TemporaryDirectory() as name, ray_cluster(nodes=1) as cluster:
        home, came, said, killed = Path(name), 0, "", 0.0
        try:
            with executor_of(cluster.address, home) as executor:
                submit(executor, home, range(count))
                while executor.busy:
                    came += len(executor.finished(0.2))
                    if not killed and came >= count // 2:
                        cluster.kill_head()
                        killed = time.perf_counter()
        except CommandError as error:
            said = str(error).replace(cluster.address, "HOST:PORT")
        lost = time.perf_counter() - killed
        cluster.start_head()
        cluster.add_node()
        there = {int(path.parent.name[4:]) for path in home.glob("run_*/run.json")}
        with executor_of(cluster.address, home) as executor:
            for number in sorted(set(range(count)) - there):
                submit(executor, home, range(number, number + 1))
            while executor.busy:
                executor.finished(1.0)
        folders = len(list(home.glob("run_*/run.json")))
    return [
        f"The head killed after {came:,} of {count:,} runs: after {lost:.0f} s the command said",
        f"  {said}",
        f"With a head again {count - len(there):,} runs were made: {folders:,} folders.",
    ]


def display_seconds(executor: Executor, count: int, terminal: bool) -> float:
    """CPU seconds that the progress display takes for so many results."""
    with Path(os.devnull).open("w") as sink:
        progress = StageProgress(Console(file=sink, force_terminal=terminal))
        progress.watch(executor)
        began = time.process_time()
        with progress.stage("train", count):
            for _ in range(count):
                progress.advance(RunResult(1.0, None, 1.0))
        return time.process_time() - began


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--fixed", type=int, default=1_000, help="runs of each fixed bundle size")
    parser.add_argument("--lost", type=int, default=1_000, help="runs from which a node is killed")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it on this page too")
    options = parser.parse_args()
    say = Printed()
    for line in described(("ray",)):
        say(line)
    say(
        "\nbundle       runs  Ray's tasks  wall, ms a run  CPU, ms a run  command, MiB  driver, MiB"
    )
    costs: dict[int | None, Cost] = {}
    with ray_cluster(nodes=2) as cluster:
        for bundle in (*BUNDLES, None):
            runs = options.runs if bundle is None else options.fixed
            costs[bundle] = cost = measured(cluster.address, runs, bundle)
            wall, cpu = (1000 * spent / cost.runs for spent in (cost.wall, cost.cpu))
            say(f"{bundle or 'as chosen':<9}  {cost.runs:6,}  {cost.tasks:11,}  {wall:14.1f}  "
                f"{cpu:13.2f}  {cost.command:12.0f}  {cost.driver:11.0f}")  # fmt: skip
        say()
        with (
            tempfile.TemporaryDirectory() as name,
            executor_of(cluster.address, Path(name)) as executor,
        ):
            for terminal in (False, True):
                spent = 1e6 * display_seconds(executor, options.runs, terminal) / options.runs
                say(
                    f"Progress {'in a terminal' if terminal else 'as lines'}: {spent:.0f} µs a run."
                )
        say()
        say(a_node_is_killed(cluster, options.lost))
    for line in the_head_is_restarted(options.lost):
        say(line)
    _say_limits(say, lambda size: per_run(costs[BUNDLES[0]], costs[None], size))
    say.write(options.write, MARK)


def per_run(single: Cost, large: Cost, size: int) -> float:
    """CPU seconds a run in bundles of a size: what a run takes, and its share of a task.

    Args:
        single: of runs that were sent one by one.
        large: of many runs that were sent in bundles.
        size: of the bundle.
    """
    one, in_large = single.cpu / single.runs, large.cpu / large.runs
    task = max(0.0, (one - in_large) / (1 - large.tasks / large.runs))
    return one - task + task / size


def least_bundle(run: float, task: float, seconds: float, cores: int) -> int | None:
    """The smallest bundle with which handing out takes no more than one core; None: none does.

    Args:
        run: CPU seconds of handing a run out.
        task: and of a task of Ray's beside it, which a bundle shares.
        seconds: that a run takes on its node.
        cores: that are to be kept busy.
    """
    left = seconds / cores - run
    return None if left <= 0 else max(1, math.ceil(task / left))


def _say_limits(say: Printed, cost: Callable[[int], float]) -> None:
    run, task = cost(10**9), cost(1) - cost(10**9)
    say()
    say(f"A run costs {1000 * run:.2f} ms of CPU, and a task of Ray's {1000 * task:.2f} ms beside.")
    say("How many cores one command keeps busy; of how much of its core so many cores ask; and the")
    say("smallest bundle with which that is one core at most:")
    heads = "  ".join(f"{f'{cores:,} cores':>12}  {'least':>6}" for cores in CORES)
    say(f"a run takes  bundle  keeps busy  {heads}")
    for seconds in RUN_SECONDS:
        least = [least_bundle(run, task, seconds, cores) for cores in CORES]
        for bundle in dict.fromkeys((1, production.bundle_size(seconds, 10**9, 1))):
            loads = [f"{100 * cores * cost(bundle) / seconds:.2f} %" for cores in CORES]
            asked = "  ".join(
                f"{load:>12}  {size or 'none':>6}" for load, size in zip(loads, least, strict=True)
            )
            say(f"{seconds:9,g} s  {bundle:6}  {seconds / cost(bundle):10,.0f}  {asked}")


if __name__ == "__main__":
    main()
