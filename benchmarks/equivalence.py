"""Do both backends learn alike? Final scores of many seeds, tested for equivalence.

    python -m benchmarks.equivalence                            # 20 seeds, four environments
    python -m benchmarks.equivalence --write docs/equivalence.md

For each environment two one-sided Welch tests (TOST) ask whether the mean normalised scores of the
torch and of the compiled path differ by less than the margin. The exit code is 1 where they are
not shown to. Runs are run folders, and are not made again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ppo_lab.commands.progress import StageProgress
from ppo_lab.commands.shared import CommandParser, checked_jobs, make_console, run_command
from ppo_lab.errors import CommandError
from ppo_lab.runs.config import Evaluation, RunConfig, environment_folder_name
from ppo_lab.runs.references import stated_reference
from ppo_lab.runs.workers import execute_runs
from reports.statistics.significance import PairTest, pair_tests
from tuning.protocol import TuningProtocol

PROGRAM = "benchmarks.equivalence"
SEED = 61
"""Of the protocol: its test seeds meet no other benchmark's."""
MARGIN = 0.1
"""A tenth of the way from the random policy to the reference."""
LEVEL = 0.05
BACKENDS = ("torch", "compiled")


@dataclass(frozen=True)
class Task:
    """An environment and a budget that solves it nearly always, so that noise hides little."""

    env: str
    timesteps: int
    n_envs: int
    settings: Mapping[str, Any]


TASKS = (
    Task(
        "ppo_lab/NoisyGridWorld-v0",
        8_192,
        8,
        {"n_steps": 64, "batch_size": 128, "learning_rate": 1e-3},
    ),
    Task(
        "ppo_lab/Crawler-v0",
        64_000,
        32,
        {"n_steps": 100, "batch_size": 800, "learning_rate": 3e-3, "ent_coef": 0.1},
    ),
    Task(
        # Annealed as RL Zoo's settings are: with a constant rate a run may end in a collapse, and
        # 20 seeds of such scores resolve no tenth.
        "CartPole-v1",
        61_440,
        8,
        {
            "n_steps": 32,
            "batch_size": 256,
            "n_epochs": 20,
            "gamma": 0.98,
            "gae_lambda": 0.8,
            "learning_rate": "lin_0.001",
            "clip_range": "lin_0.2",
        },
    ),
    Task(
        "Pendulum-v1",
        81_920,
        8,
        {"n_steps": 256, "batch_size": 256, "gamma": 0.9, "learning_rate": 1e-3},
    ),
)


def runs_of(tasks: Sequence[Task], seeds: int, folder: Path) -> dict[Path, RunConfig]:
    """Run folder → run; a seed of everything before the next."""
    protocol = TuningProtocol("", "", seeds=seeds, seed=SEED)
    return {
        folder / backend / f"{environment_folder_name(task.env)}_{number}": RunConfig(
            algo="spec_ppo",
            env=task.env,
            seed=seed,
            timesteps=task.timesteps,
            n_envs=task.n_envs,
            policy="MlpPolicy",
            hyperparameters={**task.settings, "backend": backend},
            evaluation=Evaluation(50, evaluation_seed),
            settings=backend,
            stage="judge",
        )
        for number, (seed, evaluation_seed) in enumerate(
            zip(protocol.judge_seeds, protocol.judge_evaluation_seeds, strict=True), 1
        )
        for task in tasks
        for backend in BACKENDS
    }


def normalised(env: str, scores: Sequence[float]) -> np.ndarray:
    """0: the random policy, 1: the optimum or the reference."""
    known = stated_reference(env, {})
    assert known is not None
    assert known.high is not None
    return (np.array(scores) - known.low) / (known.high - known.low)


def compare(tasks: Sequence[Task], seeds: int, jobs: int, folder: Path) -> tuple[PairTest, ...]:
    """Make the runs that are missing, and test every environment.

    Raises:
        CommandError: a run failed.
    """
    runs = runs_of(tasks, seeds, folder)
    scores: dict[str, dict[str, list[float]]] = {b: {} for b in BACKENDS}
    progress = StageProgress(make_console())
    results = {}
    with progress.stage("train", len(runs)):
        for place, result in execute_runs(runs, jobs):
            progress.advance(result)
            results[place] = result
    for place, config in runs.items():
        score = results[place].score
        if score is None:
            raise CommandError(f"{place.name} failed: {results[place].reason}")
        scores[config.settings].setdefault(config.env, []).append(score)
    names = [task.env for task in tasks]
    samples = {b: [normalised(env, scores[b][env]) for env in names] for b in BACKENDS}
    return pair_tests(samples, names, seed=SEED, margin=MARGIN)


def page(tests: Sequence[PairTest], seeds: int, tasks: Sequence[Task]) -> str:
    """The table, and what stands behind it."""
    budgets = "; ".join(f"{task.env} {task.timesteps:,} steps" for task in tasks)
    lines = [
        "# Both backends learn alike\n",
        f"Made by `python -m {PROGRAM}`. Final scores of {seeds} seeds a side, normalised (0: "
        "random policy, 1: optimum or reference). Two one-sided Welch tests: the means differ by "
        f"less than {MARGIN} where p < {LEVEL}. The seeds are the same on both sides, but the "
        f"paths draw differently from them, so the runs are independent. {budgets}.\n",
        "| environment | torch − compiled | 95 % interval | p of equivalence | equivalent |",
        "|:--|--:|--:|--:|:--|",
    ]
    for test in tests:
        span = "–" if test.low is None else f"[{test.low:z.3f}, {test.high:z.3f}]"
        p = "–" if test.tost_p is None else f"{test.tost_p:.2g}"
        verdict = "yes" if equivalent(test) else "not shown"
        lines.append(f"| {test.task} | {test.difference:z.3f} | {span} | {p} | {verdict} |")
    return "\n".join(lines) + "\n"


def equivalent(test: PairTest) -> bool:
    """Shown to differ by less than the margin; equal constants are."""
    if test.tost_p is None:
        return test.difference == 0
    return test.tost_p < LEVEL


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print, write if asked; the exit code."""
    parser = CommandParser(prog=f"python -m {PROGRAM}", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs a side and environment")
    parser.add_argument("--jobs", type=int, default=None, help="processes; all cores if not given")
    parser.add_argument("--envs", default="", help="only the environments with this in their name")
    parser.add_argument("--log-folder", type=Path, default=Path("logs"), help="where the runs go")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    return run_command(PROGRAM, partial(_run, parser.parse_args(arguments)))


def _run(options: argparse.Namespace) -> None:
    tasks = [task for task in TASKS if options.envs in task.env]
    folder = options.log_folder / "equivalence"
    tests = compare(tasks, options.seeds, checked_jobs(options.jobs), folder)
    text = page(tests, options.seeds, tasks)
    print(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")
    if not all(map(equivalent, tests)):
        raise CommandError("an environment's scores are not shown to be equivalent")


if __name__ == "__main__":
    sys.exit(main())
