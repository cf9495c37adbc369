"""What each addition to PPO is worth: one change at a time, on six environments, many seeds.

    python -m benchmarks.additions --seeds 2 --scale 0.05      # a smoke test, minutes
    python -m benchmarks.additions --write docs/additions.md   # in full; goes on where it stopped

The runs are run folders below ``--log-folder`` and are not made again.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ppo_lab
from ppo_lab.commands.progress import StageProgress
from ppo_lab.commands.shared import CommandParser, checked_jobs, make_console, run_command
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.hyperparams.presets import preset
from ppo_lab.runs.config import Evaluation, RunConfig, environment_folder_name
from ppo_lab.runs.execution import check_run
from ppo_lab.runs.references import ReferenceScores, as_record, reference_scores
from ppo_lab.runs.workers import execute_runs
from reports.logs.references import known_references
from reports.statistics.aggregates import aggregates
from reports.statistics.improvement import improvements
from reports.statistics.intervals import Estimate
from reports.statistics.pairing import PairedTest, paired_test
from reports.statistics.power import ALPHA
from reports.statistics.significance import holm
from tuning.protocol import TuningProtocol

PROGRAM = "benchmarks.additions"
SEED = 57
"""Of the protocol: its test seeds meet no other benchmark's and no study's of small seeds."""
EPISODES = 50
DRAWS = 2_000
DEFAULT = "default"

Settings = Mapping[str, Any]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """An environment, its budget, and the settings that every row starts from.

    Attributes:
        env: Gymnasium's id.
        timesteps: of a run.
        n_envs: of a run.
        settings: of the row ``default``; all else is SB3's default.
        high: the score that normalises to 1 and why; None: what the environment states or solves.
        normalize: the zoo's keyword.
    """

    env: str
    timesteps: int
    n_envs: int
    settings: Settings
    high: tuple[float, str] | None = None
    normalize: bool = False


TASKS = (
    Task(
        "ppo_lab/GridWorld-v0",
        2_048,
        8,
        {"n_steps": 64, "batch_size": 128, "learning_rate": 1e-3},
    ),
    # Episodes are 100 steps: rollouts are whole ones. Entropy keeps the first gait from being last.
    Task(
        "ppo_lab/Crawler-v0",
        48_000,
        32,
        {"n_steps": 100, "batch_size": 800, "learning_rate": 3e-3, "ent_coef": 0.1},
    ),
    Task(
        "CartPole-v1",
        30_000,
        8,
        {"n_steps": 256, "batch_size": 256, "learning_rate": 3e-4},
        high=(500.0, "the time limit, which is the optimum"),
    ),
    Task(
        "Acrobot-v1",
        60_000,
        8,
        {"n_steps": 256, "batch_size": 256, "learning_rate": 3e-4},
    ),
    Task(
        "Pendulum-v1",
        100_000,
        4,
        {"n_steps": 1024, "batch_size": 64, "gamma": 0.9, "learning_rate": 1e-3},
    ),
    # A discount near 1, since the goal is hundreds of steps away; entropy keeps the search going.
    Task(
        "MountainCarContinuous-v0",
        96_000,
        16,
        {
            "n_steps": 500,
            "batch_size": 1000,
            "gamma": 0.9999,
            "gae_lambda": 0.98,
            "learning_rate": 3e-3,
            "ent_coef": 0.1,
        },
    ),
)

ADDITIONS: Mapping[str, Callable[[Settings], Settings]] = {
    DEFAULT: lambda _: {},
    "separate learning rates": lambda base: {"critic_learning_rate": 3 * base["learning_rate"]},
    "separate clipping": lambda base: {"critic_max_grad_norm": 10 * base.get("max_grad_norm", 0.5)},
    "rollout-wide normalisation": lambda _: {"normalize_advantage_over": "rollout"},
    "adaptive ε": lambda base: {
        "adaptive_clip_range": [base.get("clip_range", 0.2) / 4, 2 * base.get("clip_range", 0.2)]
    },
    "KL stop": lambda _: {"target_kl": 0.01},
    "adaptive KL penalty": lambda _: {"objective": "adaptive_kl"},
    "value clipping": lambda _: {"clip_range_vf": 0.2},
    "Monte Carlo advantages": lambda _: {"advantage_estimator": "mc"},
    "TD(0) advantages": lambda _: {"advantage_estimator": "td0"},
    "5-step advantages": lambda _: {"advantage_estimator": "nstep", "n_step": 5},
}
"""Name → what it adds to a task's settings."""


@dataclass(frozen=True)
class Experiment:
    """What is run.

    Attributes:
        tasks: environments.
        additions: names of rows; the default is among them.
        seeds: test seeds of each.
        scale: of every budget.
        folder: where the runs go.
        seed: of the protocol.
    """

    tasks: tuple[Task, ...]
    additions: tuple[str, ...]
    seeds: int
    scale: float
    folder: Path
    seed: int = SEED

    def steps(self, task: Task) -> int:
        """The budget of a run; at least one rollout."""
        rollout: int = task.n_envs * task.settings["n_steps"]
        return max(round(self.scale * task.timesteps), rollout)

    def runs(self, references: Mapping[str, ReferenceScores]) -> dict[Path, RunConfig]:
        """Run folder → run; one seed of everything before the next."""
        protocol = TuningProtocol("", "", seeds=self.seeds, seed=self.seed)
        return {
            self._place(task, name, number): self._run(
                task, name, seed, evaluation_seed, references[task.env]
            )
            for number, (seed, evaluation_seed) in enumerate(
                zip(protocol.judge_seeds, protocol.judge_evaluation_seeds, strict=True), 1
            )
            for task in self.tasks
            for name in self.additions
        }

    def _run(
        self, task: Task, name: str, seed: int, evaluation_seed: int, reference: ReferenceScores
    ) -> RunConfig:
        return RunConfig(
            algo="spec_ppo",
            env=task.env,
            seed=seed,
            timesteps=self.steps(task),
            n_envs=task.n_envs,
            policy="MlpPolicy",
            hyperparameters={**task.settings, **_added(name, task.settings)},
            evaluation=Evaluation(EPISODES, evaluation_seed),
            settings=name,
            stage="judge",
            reference=as_record(reference),
            normalize=task.normalize,
        )

    def _place(self, task: Task, name: str, number: int) -> Path:
        words = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        return self.folder / words / f"{environment_folder_name(task.env)}_{number}"


def _added(name: str, settings: Settings) -> Settings:
    return ADDITIONS[name](settings) if name in ADDITIONS else preset(name)


def reference_of(task: Task) -> ReferenceScores:
    """What normalises a task's scores: exact, the stated high, or the table's."""
    if task.env in known_references() and task.high is None:
        known = known_references()[task.env]
        return ReferenceScores(known.low, known.high, known.source)
    found = reference_scores(task.env, {})
    if found is None:
        raise CommandError(f"no random policy's score for {task.env}")
    if task.high is None:
        return found
    high, why = task.high
    return ReferenceScores(found.low, high, f"{found.source.partition(';')[0]}; high: {why}")


@dataclass(frozen=True)
class Measured:
    """Normalised scores, and what they are made of.

    Attributes:
        scores: addition → environment → training seed → score of a run that finished.
        failures: sentences.
        seconds: the runs' own time together.
    """

    scores: Mapping[str, Mapping[str, Mapping[int, float]]]
    failures: Sequence[str]
    seconds: float

    def matrix(self, addition: str, envs: Sequence[str]) -> Matrix:
        """(R, T): the first R finished runs of each environment, R those of the fewest."""
        columns = [list(self.scores[addition][env].values()) for env in envs]
        fewest = min(map(len, columns))
        return np.array([column[:fewest] for column in columns]).T

    def paired(self, addition: str, envs: Sequence[str]) -> PairedTest:
        """A row against the default, seed by seed: the rule of ``reports.statistics.pairing``."""
        rows = [[self.scores[name][env] for env in envs] for name in (addition, DEFAULT)]
        return paired_test(*rows)


def measure(experiment: Experiment, jobs: int, progress: StageProgress) -> Measured:
    """Make the runs that are not made yet and normalise their scores.

    Raises:
        ArgumentError: a row cannot be built, or the folder holds runs of another kind.
        CommandError: all runs of a row on an environment failed.
    """
    references = {task.env: reference_of(task) for task in experiment.tasks}
    runs = experiment.runs(references)
    for config in list(runs.values())[: len(experiment.tasks) * len(experiment.additions)]:
        check_run(config)
    results = {}
    with progress.stage("train", len(runs)):
        for folder, result in execute_runs(runs, jobs):
            progress.advance(result)
            results[folder] = result
    scores: dict[str, dict[str, dict[int, float]]] = {}
    failures = []
    for folder, config in runs.items():
        of_row = scores.setdefault(config.settings, {}).setdefault(config.env, {})
        result, reference = results[folder], references[config.env]
        if result.score is None:
            failures.append(f"{config.settings}, {config.env}, seed {config.seed}: {result.reason}")
            continue
        high = reference.high
        assert high is not None, f"{config.env} has no high score"
        of_row[config.seed] = (result.score - reference.low) / (high - reference.low)
    for name, of_name in scores.items():
        for env, of_env in of_name.items():
            if not of_env:
                raise CommandError(f"every run of {name} on {env} failed: {failures[0]}")
    return Measured(scores, failures, sum(result.seconds for result in results.values()))


def shown(found: Estimate) -> str:
    """``0.953 [0.941, 0.962]``: an estimate with its 95 % interval."""
    if found.low is None or found.high is None:
        return f"{found.value:z.3f}"
    return f"{found.value:z.3f} [{found.low:z.3f}, {found.high:z.3f}]"


def table(measured: Measured, envs: Sequence[str]) -> str:
    """Rows of additions: normalised mean, and what the pairs of runs tell of the default."""
    lines = [
        "| addition | runs | normalised score | P(better than the default) | difference, paired "
        "| p, Holm | variance, paired | verdict |",
        "|:--|--:|--:|--:|--:|--:|--:|:--|",
    ]
    default = measured.matrix(DEFAULT, envs)
    added = [name for name in measured.scores if name != DEFAULT]
    tests = {name: measured.paired(name, envs) for name in added}
    corrected = dict(zip(added, holm([tests[name].p for name in added]), strict=True))
    for name in measured.scores:
        scores = measured.matrix(name, envs)
        mean = aggregates(scores, seed=SEED, key=name, draws=DRAWS).mean
        cells = ["–"] * 5
        if name != DEFAULT:
            test, p = tests[name], corrected[name]
            rates = improvements({name: scores, DEFAULT: default}, seed=SEED, draws=DRAWS)
            cells = [
                shown(rates[name, DEFAULT]),
                shown(Estimate(test.difference, test.low, test.high)),
                f"{p:.3f}",
                "–" if test.share is None else f"{test.share:.2f}",
                verdict(test, p or 0.0, len(added)),
            ]
        lines.append(f"| {name} | {scores.size} | {shown(mean)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(test: PairedTest, p: float, rows: int) -> str:
    """Whether the addition is told from the default.

    Args:
        test: of the row.
        p: after Holm's correction over the rows.
        rows: how many.
    """
    if p <= ALPHA:
        return "higher" if test.difference > 0 else "lower"
    return "not told" if test.least_p * rows <= ALPHA else "so few pairs never could"


def page(experiment: Experiment, measured: Measured, command: str) -> str:
    """The whole page: the tables, and what stands behind them."""
    packages = ("stable-baselines3", "gymnasium", "torch", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    envs = [task.env for task in experiment.tasks]
    parts = [
        f"# What each addition is worth\n\nWritten by `{command}`.\n",
        f"{experiment.seeds} seeds a row and environment; each row changes one thing of the "
        "default, which is SB3's PPO with the settings named below. A score is the mean return of "
        f"the policy after its last update over {EPISODES} episodes, normalised: 0 is the random "
        "policy, 1 the high score named below. [ ] are 95 % stretched stratified-bootstrap "
        f"intervals (docs/calibration.md), {DRAWS:,} draws. P(better) is the probability "
        "that a run of the row scores above a run of the default, ties counting half, and only "
        "describes.\n\n"
        "The verdict is of pairs. Every row is SpecPPO with one change, so its runs and the "
        "default's share algorithm, environment and training seed, and with them networks and "
        "starts: their difference is taken seed by seed. p is Wilcoxon's exact signed-rank test's, "
        "summed over the environments and corrected after Holm over the rows of a table; a row is "
        "told from the default where it is at most 0.05. The paired difference has Student's "
        "interval, and the variance beside it is its share of what unpaired runs would have: "
        "below 1, pairing helps. Runs of different algorithms are never paired "
        "(`reports/statistics/pairing.py`).\n",
        f"## All environments\n\n{table(measured, envs)}\n",
    ]
    for task in experiment.tasks:
        reference = reference_of(task)
        settings = ", ".join(f"{name} {value}" for name, value in task.settings.items())
        normalised = ", VecNormalize" if task.normalize else ""
        parts.append(
            f"## {task.env}\n\n{experiment.steps(task):,} steps, {task.n_envs} environments"
            f"{normalised}, {settings}. Low {reference.low:.6g}, high {reference.high:.6g} "
            f"({reference.source}).\n\n{table(measured, [task.env])}\n"
        )
    if measured.failures:
        failures = "\n".join(f"- {failure}" for failure in measured.failures)
        parts.append(f"## Failed runs, left out\n\n{failures}\n")
    parts.append(
        f"ppo-lab {ppo_lab.__version__}, Python {platform.python_version()}, {versions}; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; "
        f"{measured.seconds / 3600:.2f} hours of runs, one core each.\n"
    )
    return "\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=f"python -m {PROGRAM}", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs of each row and environment")
    parser.add_argument("--scale", type=float, default=1.0, help="of every budget of steps")
    parser.add_argument("--jobs", type=int, default=None, help="processes; all cores if not given")
    parser.add_argument("--envs", default="", help="only the environments with this in their name")
    parser.add_argument("--only", default="", help="only the additions with this in their name")
    parser.add_argument(
        "--preset", help="compare this preset alone with the default, on seeds of its own"
    )
    parser.add_argument("--log-folder", type=Path, default=Path("logs"), help="where the runs go")
    parser.add_argument("--write", type=Path, help="write the page to this file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print, and write if asked; the exit code."""
    options = _parser().parse_args(arguments)
    return run_command(PROGRAM, partial(_measure_and_print, options))


def _measure_and_print(options: argparse.Namespace) -> None:
    if not 0 < options.scale <= 1:
        raise ArgumentError(f"--scale {options.scale}: expected a number in (0, 1]")
    tasks = tuple(task for task in TASKS if options.envs in task.env)
    additions = tuple(name for name in ADDITIONS if name == DEFAULT or options.only in name)
    seed = SEED
    if options.preset is not None:
        preset(options.preset)
        # What is in a preset was chosen by the additions' seeds: others judge it.
        additions, seed = (DEFAULT, options.preset), SEED + 1
    if not tasks:
        raise ArgumentError(f"--envs {options.envs}: none of {', '.join(t.env for t in TASKS)}")
    # Smoke tests do not stand in the way of the full run.
    name = "additions" if options.preset is None else f"preset-{options.preset}"
    if options.scale != 1:
        name = f"{name}-{options.scale:g}"
    folder = options.log_folder / name
    experiment = Experiment(tasks, additions, options.seeds, options.scale, folder, seed)
    measured = measure(experiment, checked_jobs(options.jobs), StageProgress(make_console()))
    command = " ".join([f"python -m {PROGRAM}", *sys.argv[1:]])
    text = page(experiment, measured, command)
    print(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
