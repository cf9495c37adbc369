"""Pong with RL Zoo's settings, SpecPPO's torch path beside SB3's PPO.

    python -m benchmarks.atari                          # 10 million steps a run, days of CPU
    python -m benchmarks.atari --budget 1000000 --seeds 1 --other-seeds 1
    python -m benchmarks.atari --table

Both train the same convolutional network by the same torch operations, so a run of one is the
other's, bit for bit, on the same seed. Records of another budget go into another ``--records``.
"""

import sys
from collections.abc import Sequence

from benchmarks.recorded_command import Plan, run_benchmark
from benchmarks.recorded_runs import Benchmark, Settings

PONG = "ale_py:ALE/Pong-v5"

ATARI = Benchmark(
    name="atari",
    title="Pong",
    budgets={PONG: 10_000_000},
    settings={"zoo": Settings("zoo")},
    backend="torch",
    seed=73,
    episodes=10,
)
PLAN = Plan((PONG,), ("zoo",), seeds=3, other_seeds=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has no record yet, or print the tables; the exit code."""
    return run_benchmark(ATARI, PLAN, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
