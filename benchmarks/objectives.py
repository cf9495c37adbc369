"""How each objective and estimator of SpecPPO learns: scores beside the random policy's (Spec 3–7).

    python -m benchmarks.objectives                            # a quarter of an hour on two cores
    python -m benchmarks.objectives --write docs/learning.md   # keeps the table as a page

Exits with 1 unless every row beats the random policy with its whole 95 % interval.
"""

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from scipy import stats

from envs.finite import finite_task
from envs.planning import random_return
from ppo_lab.cores import usable_cores
from ppo_lab.runs.execution import Evaluation, RunConfig
from ppo_lab.runs.references import play_randomly
from ppo_lab.runs.workers import execute_runs

SEEDS = range(2_000, 2_500, 100)
"""Five that no setting below was chosen on; a run's environments take those that follow its own."""
EPISODES = 50
EVALUATION_SEEDS = 10_000
"""Added to a run's seed for its evaluation: seeds lie 100 apart, so no two share an episode."""
N_ENVS, SINGLE_ENVS = 8, 32


@dataclass(frozen=True)
class Task:
    """An environment, its budget, and the settings that every row starts from.

    Attributes:
        env: Gymnasium's id.
        timesteps: of the rows with several epochs.
        single_timesteps: of the rows with one epoch, whose steps are cheap and many.
        settings: of every row.
        single: on top of them, of the rows with one epoch.
        reinforce: on top of those, of REINFORCE, whose returns vary more than advantages.
    """

    env: str
    timesteps: int
    single_timesteps: int
    settings: Mapping[str, Any]
    single: Mapping[str, Any]
    reinforce: Mapping[str, Any]


TASKS = (
    Task(
        "CartPole-v1",
        20_000,
        60_000,
        {"n_steps": 64, "batch_size": 128, "gamma": 0.98, "learning_rate": 1e-3},
        {"batch_size": 64, "learning_rate": "lin_0.001", "critic_learning_rate": 5e-3},
        {"batch_size": 256, "learning_rate": "lin_0.003"},
    ),
    Task(
        "Pendulum-v1",
        60_000,
        600_000,
        {
            "n_steps": 128,
            "batch_size": 256,
            "gamma": 0.9,
            "learning_rate": 1e-3,
            # Returns of −80 next to advantages of 1: see Spec 6.5.
            "critic_learning_rate": 3e-3,
            "critic_max_grad_norm": 5.0,
        },
        {
            "batch_size": 32,
            "learning_rate": 5e-4,
            "ent_coef": 0.01,
            # Wide actions: what one does is small in the return, and without a baseline nothing
            # else tells it from the noise.
            "policy_kwargs": {"log_std_init": 0.7},
        },
        {"batch_size": 256, "learning_rate": "lin_0.001", "ent_coef": 0.0},
    ),
    Task(
        "ppo_lab/NoisyGridWorld-v0",
        8_000,
        20_000,
        {"n_steps": 64, "batch_size": 128, "gamma": 0.9, "learning_rate": 1e-3},
        {},
        {"batch_size": 256, "learning_rate": "lin_0.003"},
    ),
)
# Small rollouts of many environments: what is one epoch old is nearly on-policy.
SINGLE: Mapping[str, Any] = {"n_steps": 8, "batch_size": 256, "learning_rate": 3e-3}

REINFORCE = "REINFORCE (vanilla, mc, no baseline)"
ROWS: Mapping[str, Mapping[str, Any]] = {
    "clip, gae, clipped together (SB3's PPO)": {
        "critic_max_grad_norm": None,
        "critic_learning_rate": None,
    },
    "clip, mc": {"advantage_estimator": "mc"},
    "clip, td0": {"advantage_estimator": "td0"},
    "clip, nstep, n = 5": {"advantage_estimator": "nstep", "n_step": 5},
    "clip, adaptive ε": {"adaptive_clip_range": (0.05, 0.4)},
    "clip, gae, clipped apart": {"critic_max_grad_norm": 5.0, "critic_learning_rate": 3e-3},
    "kl, β = 1": {"objective": "kl"},
    "adaptive_kl": {"objective": "adaptive_kl"},
    "vanilla, gae": {"objective": "vanilla", "n_epochs": 1},
    REINFORCE: {
        "objective": "vanilla",
        "advantage_estimator": "mc",
        "use_baseline": False,
        "n_epochs": 1,
    },
    "A2C of one epoch (vanilla, td0)": {
        "objective": "vanilla",
        "advantage_estimator": "td0",
        "n_epochs": 1,
    },
}


@dataclass(frozen=True)
class Result:
    """One row on one environment; scores of its seeds, NaN where a run failed."""

    env: str
    row: str
    timesteps: int
    random: float
    scores: Sequence[float]

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean score."""
        mean, error = np.mean(self.scores), stats.sem(self.scores)
        half = float(stats.t.ppf(0.975, len(self.scores) - 1) * error)
        return float(mean) - half, float(mean) + half

    @property
    def learns(self) -> bool:
        """Whether the whole interval is above the random policy's score."""
        return self.interval[0] > self.random


def configuration(task: Task, row: str, seed: int) -> RunConfig:
    """The run of one row on one environment with one seed."""
    single = ROWS[row].get("n_epochs") == 1
    return RunConfig(
        algo="spec_ppo",
        env=task.env,
        seed=seed,
        timesteps=task.single_timesteps if single else task.timesteps,
        n_envs=SINGLE_ENVS if single else N_ENVS,
        policy="MlpPolicy",
        hyperparameters={
            **task.settings,
            **({**SINGLE, **task.single} if single else {}),
            **(task.reinforce if row == REINFORCE else {}),
            **ROWS[row],
        },
        evaluation=Evaluation(EPISODES, EVALUATION_SEEDS + seed),
    )


def train(tasks: Iterable[Task], rows: Iterable[str], jobs: int) -> list[Result]:
    """Train everything and collect the scores, in the order of the arguments."""
    rows = list(rows)
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            Path(folder, f"{t}_{r}_{seed}"): (task, row, configuration(task, row, seed))
            for t, task in enumerate(tasks)
            for r, row in enumerate(rows)
            for seed in SEEDS
        }
        scores: dict[tuple[str, str], list[float]] = {}
        for place, run in execute_runs({p: config for p, (_, _, config) in runs.items()}, jobs):
            task, row, config = runs[place]
            if run.reason is not None:
                print(f"{task.env}, {row}, seed {config.seed}: {run.reason}", file=sys.stderr)
            score = float("nan") if run.score is None else run.score
            scores.setdefault((task.env, row), []).append(score)
    random = {task.env: random_score(task.env) for task, _, _ in runs.values()}
    steps = {(task.env, row): config.timesteps for task, row, config in runs.values()}
    return [Result(env, row, n, random[env], scores[env, row]) for (env, row), n in steps.items()]


def random_score(env_id: str) -> float:
    """The random policy's: exact, or the mean over 100 episodes."""
    env = gym.make(env_id)
    try:
        task = finite_task(env)
        if task is not None:
            return random_return(task.mdp, task.horizon)
        played = play_randomly(env, math.inf)
    finally:
        env.close()
    assert not isinstance(played, str)
    return played[0]


def table(results: Iterable[Result]) -> str:
    """The results in Markdown."""
    lines = [
        "| environment | objective and estimator | steps | mean score | 95 % interval "
        "| random policy | beats it |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for result in results:
        low, high = result.interval
        lines.append(
            f"| {result.env} | {result.row} | {result.timesteps:,} | {np.mean(result.scores):.2f} "
            f"| {low:.2f} … {high:.2f} | {result.random:.2f} "
            f"| {'yes' if result.learns else '**no**'} |"
        )
    return "\n".join(lines)


def page(results: Sequence[Result], seconds: float, jobs: int) -> str:
    """The whole page: the table, and what stands behind it."""
    packages = ("stable-baselines3", "gymnasium", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    beaten = sum(result.learns for result in results)
    return f"""# How each objective and estimator learns

Written by `python -m benchmarks.objectives --write docs/learning.md`.

{len(SEEDS)} seeds a row; a score is the mean return of the final policy over
{EPISODES} evaluation episodes of the run's own, on the grid world its exact expectation; actions
deterministic. The interval is Student's for the mean over seeds. A width of zero means that all
seeds reached the same score. The random policy's score is exact for the grid world and a mean over
100 episodes elsewhere. Rows of one epoch take more and smaller rollouts: the settings stand in
`benchmarks/objectives.py`.

{beaten} of {len(results)} rows beat the random policy with their whole interval.

{table(results)}

Python {platform.python_version()}, {versions}; {platform.system()} {platform.machine()},
{os.cpu_count()} cores, {jobs} processes, {seconds:.0f} s.
"""


def main() -> int:
    """Train, print, and write if asked; 0 if every row learns."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="write the page to this file")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="worker processes")
    parser.add_argument("--only", default="", help="only the environments with this in their name")
    parser.add_argument("--rows", default="", help="only the rows with this in their name")
    arguments = parser.parse_args()
    tasks = [task for task in TASKS if arguments.only in task.env]
    rows = [row for row in ROWS if arguments.rows in row]
    started = time.perf_counter()
    results = train(tasks, rows, arguments.jobs)
    text = page(results, time.perf_counter() - started, arguments.jobs)
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text, encoding="utf-8")
    return 0 if all(result.learns for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
