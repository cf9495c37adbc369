"""Scores of real runs, many of one kind, from which the simulations of verdicts draw.

    python -m benchmarks.score_pools     # minutes; goes on where it stopped

Every pool is one algorithm with its default settings on one environment, a budget so short that
runs end far apart. The scores are kept in ``benchmarks/records/score_pools.json``.
"""

import json
import sys
from pathlib import Path

import numpy as np

from ppo_lab.compare import main as compare
from reports.logs.loading import load_runs
from reports.logs.reading import read_json
from reports.statistics.samples import Floats
from reports.whole_files import write_whole

POOLS = {"ppo_lab/GridWorld-v0": 2_000, "CartPole-v1": 8_000, "Acrobot-v1": 8_000}
"""Environment → environment steps of a run."""
RUNS = 60
FILE = Path(__file__).parent / "records" / "score_pools.json"


def pools() -> dict[str, Floats]:
    """Environment → (60,) scores, at mean 0 and standard deviation 1."""
    stored = read_json(FILE)
    standard = {}
    for env, scores in stored.items():
        values = np.array(scores, dtype=np.float64)
        standard[env] = (values - values.mean()) / values.std()
    return standard


def make(log_folder: Path) -> int:
    """Make the runs that are not made yet and keep their scores; the exit code."""
    kept = {}
    for env, steps in POOLS.items():
        name = f"pool-{env.replace('/', '-')}"
        flags = ["--algos", "spec_ppo", "--envs", env, "--timesteps", str(steps), "--jobs", "2"]
        flags += ["--seeds", str(RUNS), "--settings", "default", "--points", "1", "--name", name]
        code = compare([*flags, "--log-folder", str(log_folder)])
        if code:
            return code
        kept[env] = [run.score for run in load_runs(log_folder / name / "runs").runs]
    write_whole(FILE, json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(make(Path("logs")))
