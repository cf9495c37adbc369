"""What a run costs the machine that hands it to a Ray cluster, measured on loopback.

    python -m benchmarks.cluster

A head and two nodes of one core each, as processes of this machine, and runs that do nothing but
leave a run folder of the usual size, which comes back as bytes. Printed is the CPU time of the
command and of its driver, which is what limits how many cores one command keeps busy; the nodes'
own share is in the wall-clock time.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import ppo_lab
from benchmarks.ray_cluster import ray_cluster
from ppo_lab.commands.progress import StageProgress
from ppo_lab.runs.cluster import executor as production
from ppo_lab.runs.cluster.driver import ClusterSettings
from ppo_lab.runs.execution import RunResult

FOLDER_BYTES = 120_000
"""A run folder of PPO's with a network of 64 × 64, and its two models."""
RUN_SECONDS = (0.1, 1.0, 5.0, 60.0, 3600.0)
CORES = (1_000, 10_000)
TICK = os.sysconf("SC_CLK_TCK")


def trivial(folder: Path) -> RunResult:
    """Leave a run folder, and nothing else."""
    folder.mkdir(parents=True)
    (folder / "model.zip").write_bytes(os.urandom(FOLDER_BYTES))
    (folder / "run.json").write_text(json.dumps({"status": "completed"}))
    return RunResult(1.0, None, 0.0)


@dataclass(frozen=True)
class Cost:
    """Of many runs in bundles of one size.

    Attributes:
        runs: how many.
        tasks: Ray's tasks that they were sent in.
        wall: seconds.
        cpu: seconds of the command and its driver.
        memory: mebibytes of both at the end.
    """

    runs: int
    tasks: int
    wall: float
    cpu: float
    memory: float


def measured(address: str, count: int, bundle: int | None) -> Cost:
    """Send so many runs; a bundle of None is production's choice."""
    from benchmarks.cluster import trivial  # by this name on the nodes, not as __main__'s

    chosen = production.bundle_size
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        settings = ClusterSettings(address, 1.0, 0.0, (), ppo_lab.__version__)
        executor: production.ClusterExecutor[Any] = production.ClusterExecutor(settings, home)
        for token in home.glob(".probe-*"):
            token.unlink()  # no node sees the folder: all comes back as bytes
        if bundle is not None:
            production.bundle_size = lambda *_: bundle  # type: ignore[assignment]
        try:
            began, cpu = time.perf_counter(), _cpu(executor)
            for number in range(count):
                executor.submit(number, trivial, home / f"run_{number}")
            while executor.busy:
                executor.finished(1.0)
            spent = time.perf_counter() - began, _cpu(executor) - cpu
            memory = sum(_memory(pid) for pid in (os.getpid(), executor._process.pid))
            return Cost(count, executor._numbers, *spent, memory)
        finally:
            production.bundle_size = chosen
            executor.close()


def _cpu(executor: Any) -> float:
    fields = Path(f"/proc/{executor._process.pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / TICK


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def display_seconds(count: int, terminal: bool) -> float:
    """CPU seconds that the progress display takes for so many results."""
    with Path(os.devnull).open("w") as sink:
        progress = StageProgress(Console(file=sink, force_terminal=terminal))
        began = time.process_time()
        with progress.stage("train", count):
            for _ in range(count):
                progress.advance(RunResult(1.0, None, 1.0))
        return time.process_time() - began


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--fixed", type=int, default=1_000, help="runs of each fixed bundle size")
    options = parser.parse_args()
    costs: dict[str, Cost] = {}
    with ray_cluster(nodes=2) as cluster:
        for bundle in (1, 10, 100):
            costs[str(bundle)] = measured(cluster.address, options.fixed, bundle)
        costs["as chosen"] = measured(cluster.address, options.runs, None)
    print("| bundle | runs | Ray tasks | wall, ms a run | CPU, ms a run | memory, MiB |")
    print("|---|---|---|---|---|---|")
    for name, cost in costs.items():
        wall, cpu = (1000 * spent / cost.runs for spent in (cost.wall, cost.cpu))
        print(f"| {name} | {cost.runs:,} | {cost.tasks:,} | {wall:.1f} | {cpu:.2f} "
              f"| {cost.memory:.0f} |")  # fmt: skip
    for terminal in (False, True):
        spent = 1e6 * display_seconds(options.runs, terminal) / options.runs
        print(f"Progress {'in a terminal' if terminal else 'as lines'}: {spent:.0f} µs a run.")
    _print_limits(lambda size: _per_run(costs, size))


def _per_run(costs: dict[str, Cost], size: int) -> float:
    """CPU seconds a run in bundles of a size: what a run takes, and its share of a task."""
    single, large = costs["1"], costs["100"]
    one, hundredth = single.cpu / single.runs, large.cpu / large.runs
    task = max(0.0, (one - hundredth) / (1 - large.tasks / large.runs))
    return one - task + task / size


def _print_limits(per_run: Callable[[int], float]) -> None:
    print(f"A run costs {1000 * per_run(10**9):.2f} ms and a task of Ray's "
          f"{1000 * (per_run(1) - per_run(10**9)):.2f} ms of CPU beside it.")  # fmt: skip
    heads = " | ".join(f"{cores:,} cores: share of one core" for cores in CORES)
    print(f"| a run takes | bundle | {heads} | cores that one command keeps busy |")
    print("|---|---|---|---|---|")
    for seconds in RUN_SECONDS:
        size = production.bundle_size(seconds, 10**9, 1)
        for bundle in dict.fromkeys((1, size)):
            loads = " | ".join(
                f"{100 * cores * per_run(bundle) / seconds:.1f} %" for cores in CORES
            )
            most = seconds / per_run(bundle)
            print(f"| {seconds:g} s | {bundle} | {loads} | {most:,.0f} |")


if __name__ == "__main__":
    main()
