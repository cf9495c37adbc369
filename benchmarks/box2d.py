"""PPO with RL Zoo's settings on LunarLander and BipedalWalker, to Gymnasium's thresholds.

    python -m benchmarks.box2d                     # what has no record yet
    python -m benchmarks.box2d --table             # the tables alone

Ten seeds of SpecPPO, five of SB3's PPO, the zoo's budgets. A task is solved by a run whose policy
after its last update has a mean return of Gymnasium's ``reward_threshold`` over 100 episodes (200
and 300). The test of equivalence is that of ``benchmarks/mujoco.py``.
"""

import sys
from collections.abc import Sequence

from benchmarks.recorded_command import Plan, run_benchmark
from benchmarks.recorded_runs import Benchmark, Settings

BOX2D = Benchmark(
    name="box2d",
    title="Box2D, to the thresholds",
    budgets={"LunarLander-v3": 1_000_000, "BipedalWalker-v3": 5_000_000},
    settings={"zoo": Settings("zoo")},
    backend="compiled",
    seed=71,
    episodes=100,
    points=6,
    to_threshold=True,
)
PLAN = Plan(tuple(BOX2D.budgets), ("zoo",), seeds=10, other_seeds=5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has no record yet, or print the tables; the exit code."""
    return run_benchmark(BOX2D, PLAN, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
