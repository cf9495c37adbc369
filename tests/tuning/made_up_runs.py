"""What workers do in place of training; in a file of its own, which is quick to import."""

import os
from pathlib import Path

from ppo_lab.runs.execution import RunConfig, RunResult, Watcher
from ppo_lab.runs.worker_pool import time_limit


def number_of(folder: Path) -> int:
    """A trial's or a seed's number, from 1."""
    return int(folder.name.rpartition("_")[2])


def dying_run(
    limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
) -> RunResult:
    """The second trial's worker dies; its folder's neighbour counts how often."""
    with time_limit(limit):
        if number_of(folder) != 2:
            return RunResult(1.0 / number_of(folder), None, 1.0, steps=3000)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / "tries").open("ab") as file:
            file.write(b"x")
        os._exit(3)


def watched_run(
    limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
) -> RunResult:
    """Each trial is worse than the one before it, at every evaluation."""
    score = -float(number_of(folder))
    for steps in (750, 1500, 2250, 3000):
        reason = watcher(steps, score) if watcher else None
        if reason:
            return RunResult(score, reason, 1.0, steps=steps, stopped=True)
    return RunResult(score, None, 1.0, steps=3000)


def run_with_a_failed_replica(
    limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
) -> RunResult:
    """The first trial is the best everywhere, and fails on its second fresh seed."""
    first = folder.parent.name == "trial_1" or (config.stage, number_of(folder)) == ("screen", 1)
    if first and config.stage == "replicate" and number_of(folder) == 2:
        return RunResult(None, "NonFiniteError: reward is nan", 1.0)
    return RunResult(9.0 if first else 1.0 / (1 + config.hyperparameters["clip_range"]), None, 1.0)
