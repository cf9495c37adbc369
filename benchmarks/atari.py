"""Pong with RL Zoo's settings, SpecPPO's torch path beside SB3's PPO.

    python -m benchmarks.atari --jobs 4           # a million steps a run, minutes on a GPU
    python -m benchmarks.atari --budget 10000000 --records long
    python -m benchmarks.atari --table

Both train the same convolutional network by the same torch operations, so a run of one is the
other's, bit for bit, on the same seed and machine. The zoo's own budget is ten million steps;
records of another budget than the page's go into another ``--records``.
"""

import sys
from collections.abc import Sequence

from benchmarks.recorded_command import Plan, run_benchmark
from benchmarks.recorded_runs import Benchmark, Settings

PONG = "ale_py:PongNoFrameskip-v4"

ATARI = Benchmark(
    name="atari",
    title="Pong",
    budgets={PONG: 1_000_000},
    settings={"zoo": Settings("zoo")},
    backend="torch",
    seed=73,
    episodes=10,
    points=3,
    vec_env="subproc",
)
PLAN = Plan((PONG,), ("zoo",), seeds=2, other_seeds=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has no record yet, or print the tables; the exit code."""
    return run_benchmark(ATARI, PLAN, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
