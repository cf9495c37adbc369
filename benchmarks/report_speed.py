"""How long a whole report of many runs takes, and how much memory.

``python -m benchmarks.report_speed`` writes synthetic run folders into a temporary folder, builds
the report of them in a process of its own, and prints seconds, peak memory and file sizes. Exits
with 1 if a goal is missed: 60 seconds, 2 GB, for 2,000 runs of 100 evaluations.
"""

from benchmarks import before_numpy  # noqa: F401 - first

# isort: split

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import described
from reports.report import write_report

GOAL_SECONDS, GOAL_GIGABYTES = 60, 2.0
EPISODES = 20


def write_runs(root: Path, labels: int, tasks: int, seeds: int, points: int) -> int:
    """Write labels × tasks × seeds run folders; return how many."""
    generator = np.random.default_rng(0)
    steps = np.arange(1, points + 1) * 1000
    for label in range(labels):
        for task in range(tasks):
            for seed in range(seeds):
                folder = root / f"algo_{label}_tuned" / f"Task{task:02}-v0_{seed}"
                folder.mkdir(parents=True)
                best = 0.5 + 0.05 * label + 0.1 * generator.standard_normal()
                means = best * (1 - np.exp(-5 * steps / steps[-1]))
                results = means[:, None] + 0.1 * generator.standard_normal((points, EPISODES))
                np.savez(
                    folder / "evaluations.npz",
                    timesteps=steps,
                    results=results,
                    ep_lengths=np.full((points, EPISODES), 100),
                )
                record = {
                    "format": 1,
                    "algo": f"algo_{label}",
                    "settings": "tuned",
                    "stage": "judge",
                    "env": f"Task{task:02}-v0",
                    "env_kwargs": {},
                    "seed": seed,
                    "timesteps": int(steps[-1]),
                    "steps": int(steps[-1]),
                    "n_envs": 1,
                    "hyperparameters": {"learning_rate": 3e-4},
                    "evaluation": {"episodes": EPISODES},
                    "score": float(results[-1].mean()),
                    "reference": {"low": 0.0, "high": 1.0, "source": "synthetic"},
                    "versions": {},
                    "git_commit": None,
                    "device": "cpu",
                    "status": "completed",
                    "reason": None,
                    "seconds": 1.0,
                }
                (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return labels * tasks * seeds


def build(logs: Path, out: Path) -> None:
    """Build the report in this process and print its cost as JSON."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    report = write_report(logs, out)
    cost = {
        "seconds": time.perf_counter() - begin,
        "cpu": time.process_time() - begin_cpu,
        # Linux counts in KiB.
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "megabytes": {path.name: path.stat().st_size / 1e6 for path in report.files[-3:]},
    }
    print(json.dumps(cost))


def main() -> int:
    """Run the measurement; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--build", nargs=2, type=Path, metavar=("LOGS", "OUT"))
    options = parser.parse_args()
    if options.build:
        build(*options.build)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        runs = write_runs(
            root / "logs", options.labels, options.tasks, options.seeds, options.points
        )
        command = (sys.executable, __file__, "--build", str(root / "logs"), str(root / "out"))
        home = str(Path(__file__).resolve().parents[1])
        ran = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": home},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    cost = json.loads(ran.stdout)
    print(*described(), sep="\n")
    print(
        f"{runs:,} runs ({options.labels} labels, {options.tasks} tasks, {options.seeds} seeds) of "
        f"{options.points} evaluations"
    )
    print(
        f"{cost['seconds']:.1f} s (goal {GOAL_SECONDS}; {cost['cpu']:.1f} s of processor), peak "
        f"memory {cost['gigabytes']:.2f} GB (goal {GOAL_GIGABYTES:g})"
    )
    sizes = ", ".join(f"{name} {size:.1f} MB" for name, size in cost["megabytes"].items())
    print(f"files: {sizes}")
    met = cost["seconds"] <= GOAL_SECONDS and cost["gigabytes"] <= GOAL_GIGABYTES
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
