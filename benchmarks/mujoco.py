"""PPO on MuJoCo beside SB3's own: scores, equivalence, seconds; a record of every run is kept.

    python -m benchmarks.mujoco                                # what has no record yet
    python -m benchmarks.mujoco --settings zoo recommended     # further settings
    python -m benchmarks.mujoco --table                        # the tables alone
    python -m benchmarks.mujoco --table --write docs/benchmark_mujoco.md

Stated before any run: two labels count as equivalent on a task where two one-sided Welch tests
(TOST, level 0.05) show that their mean final scores differ by less than 15 % of the way from the
random policy's score to the mean of SB3's runs with the same settings. A final score is the mean
return of the policy after its last update over 20 episodes of Gymnasium's environment, rewards not
normalised, likeliest actions. What a record holds: ``benchmarks/recorded_runs.py``.
"""

import sys
from collections.abc import Sequence

from benchmarks.recorded_command import Plan, run_benchmark
from benchmarks.recorded_runs import Benchmark, Settings
from ppo_lab.commands.settings_source import OURS

FIRST = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")
OTHERS = ("Ant-v5", "Swimmer-v5", "Reacher-v5", "InvertedDoublePendulum-v5")
STEPS = 1_000_000
CRITIC_RATE = 9e-4
"""Three times the actor's, as in docs/additions.md."""

MUJOCO = Benchmark(
    name="mujoco",
    title="MuJoCo",
    budgets=dict.fromkeys((*FIRST, *OTHERS), STEPS),
    settings={
        "default": Settings("default"),
        "zoo": Settings("zoo"),
        "recommended": Settings("default", (OURS,), preset="recommended"),
        "recommended-rates": Settings(
            "default", (OURS,), preset="recommended", given={"critic_learning_rate": CRITIC_RATE}
        ),
    },
    backend="compiled",
    seed=67,
)
PLAN = Plan(FIRST, ("default",), seeds=10, other_seeds=5)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what has no record yet, or print the tables; the exit code."""
    return run_benchmark(MUJOCO, PLAN, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
