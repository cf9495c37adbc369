"""Pong with RL Zoo's settings, SpecPPO's torch path beside SB3's PPO.

    python -m benchmarks.atari --jobs 2           # minutes on a GPU, and too few steps to learn it
    python -m benchmarks.atari --budget 10000000 --records long    # the zoo's budget
    python -m benchmarks.atari --table

Both train the same convolutional network by the same torch operations, so a run of one is the
other's, bit for bit, on the same seed and machine: few steps show that as well as many. Records of
another budget than the page's go into another ``--records``.
"""

import sys
from collections.abc import Sequence

from benchmarks.recorded_command import Plan, run_benchmark
from benchmarks.recorded_runs import Benchmark, Settings

PONG = "ale_py:PongNoFrameskip-v4"

ATARI = Benchmark(
    name="atari",
    title="Pong",
    budgets={PONG: 150_000},
    settings={"zoo": Settings("zoo")},
    backend="torch",
    seed=73,
    episodes=10,
    points=3,
    vec_env="subproc",
)
PLAN = Plan((PONG,), ("zoo",), seeds=1, other_seeds=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has no record yet, or print the tables; the exit code."""
    return run_benchmark(ATARI, PLAN, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
