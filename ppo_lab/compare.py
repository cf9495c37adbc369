"""``python -m ppo_lab.compare``: algorithms × environments × seeds, and a report."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ppo_lab  # registers the environments
from ppo_lab.commands.shared import (
    CommandParser,
    checked_jobs,
    checked_run_timeout,
    make_console,
    run_command,
    spent,
    writable_folder,
)
from ppo_lab.errors import CommandError

if TYPE_CHECKING:
    from ppo_lab.commands.comparison import Cell, Matrix, Source

__all__ = ["main"]

PROGRAM = "ppo_lab.compare"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f"python -m {PROGRAM}",
        description="Train every algorithm on every environment with every seed, and report the "
        "comparison. The same command goes on where it was stopped; more --seeds add to what is "
        "there.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--algos",
        nargs="+",
        default=["spec_ppo", "ppo"],
        metavar="NAME",
        help="spec_ppo, ppo, a2c, dqn, trpo, ppo_lstm, ppo_mask, q_learning, optimal",
    )
    add("--envs", nargs="+", required=True, metavar="ENV", help="Gymnasium's ids, or module:id")
    add("--seeds", type=int, default=10, help="test seeds of each algorithm and environment")
    add("--timesteps", type=int, required=True, help="environment steps of each run")
    add("--seed", type=int, default=0, help="decides every other seed")
    add("--jobs", type=int, default=None, help="processes, one core each; None: all cores")
    add(
        "--run-timeout",
        type=float,
        default=None,
        metavar="SECONDS",
        help="end a run that takes longer, which counts as failed; None: no limit",
    )
    add("--n-envs", type=int, default=None, help="environments of each run; None: the settings'")
    add("--episodes", type=int, default=100, help="evaluation episodes behind each score")
    add("--points", type=int, default=5, help="evaluations over each run; 1: the final one alone")
    add(
        "--settings",
        choices=("zoo", "committed", "default"),
        default="zoo",
        help="hyperparameters: RL Zoo's where rl_zoo3 is installed; PPO Lab's file for spec_ppo "
        "and the zoo's for others; or each algorithm's defaults",
    )
    add(
        "--conf",
        nargs="+",
        default=[],
        metavar="[NAME=]FILE",
        help="hyperparameters of all algorithms, or of NAME, from YAML in RL Zoo's format",
    )
    add("--preset", default=None, help="named settings for spec_ppo on top: recommended, sb3")
    add(
        "--baseline",
        default=None,
        metavar="NAME",
        help="the others' opponent; None: ppo, or the first",
    )
    add("--name", default=None, help="the comparison's folder; None: made from the environment")
    add("--log-folder", type=Path, default=Path("logs"), help="where that folder goes")
    add("--version", action="version", version=ppo_lab.__version__)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line without the program; None: ``sys.argv``.

    Returns:
        The exit code: 0 done, 1 failure (a run failed, too), 2 usage, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    return run_command(PROGRAM, partial(_compare, options))


def _compare(options: argparse.Namespace) -> None:
    # Heavy imports after the parser: --help and a mistyped flag answer at once.
    from ppo_lab.commands.comparison import Matrix, cells, check_folders
    from ppo_lab.runs.config import Evaluation
    from ppo_lab.runs.folder_lock import folder_lock
    from ppo_lab.runs.leftovers import sweep
    from ppo_lab.runs.workers import check_survives
    from tuning.protocol import TuningProtocol

    started = time.perf_counter()
    algos, envs = _checked_names(options)
    protocol = TuningProtocol("", "", options.timesteps, seeds=options.seeds, seed=options.seed)
    jobs = checked_jobs(options.jobs)
    run_timeout = checked_run_timeout(options.run_timeout)
    for env in envs:
        check_survives(env, {}, run_timeout)
    source = _source(options, algos)
    evaluation_seeds = tuple(protocol.judge_evaluation_seeds)
    evaluation = Evaluation(options.episodes, evaluation_seeds[0], options.points)
    made = cells(algos, envs, source, options.timesteps, evaluation)
    folder = writable_folder(options.log_folder, options.name or _default_name(envs), "--name")
    matrix = Matrix(made, tuple(protocol.judge_seeds), evaluation_seeds, folder / "runs")
    check_folders(matrix)
    with folder_lock(folder):
        sweep(folder)
        _run(options, matrix, jobs, folder, started)


def _run(
    options: argparse.Namespace, matrix: "Matrix", jobs: int, folder: Path, started: float
) -> None:
    run_timeout = options.run_timeout
    from ppo_lab.commands.comparison import execute, notes, with_references
    from ppo_lab.commands.progress import StageProgress
    from reports.report import write_report

    made, envs = matrix.cells, list(dict.fromkeys(cell.run.env for cell in matrix.cells))
    console = make_console()
    matrix = with_references(matrix, console.print)
    console.print(
        f"Comparing {', '.join(dict.fromkeys(cell.label for cell in made))} on {', '.join(envs)}: "
        f"{len(matrix.runs)} runs with {jobs} processes, into {folder}/"
    )
    progress = StageProgress(console)
    with progress.stage("train", len(matrix.runs)):
        results = list(execute(matrix, jobs, progress.advance, run_timeout, progress.waiting))
    failed = [result.reason for _, result in results if result.reason]
    if len(failed) == len(results):
        raise CommandError(f"all {len(failed)} runs failed, the first: {failed[0]}")
    said = notes(matrix, results, options.seed)
    report = write_report(
        matrix.folder, folder, baseline=_baseline(options, made), seed=options.seed, notes=said
    )
    console.print(report.table.rich())
    for note in said:
        console.print(note)
    console.print(f"Report: {folder / 'report.html'} ({spent(started)})")
    if failed:
        raise CommandError(f"{len(failed)} of {len(results)} runs failed, the first: {failed[0]}")


def _checked_names(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The algorithms and environments, each once; what argparse cannot check.

    Raises:
        ArgumentError: says what was given and what was expected.
    """
    from ppo_lab.errors import ArgumentError
    from ppo_lab.registry import known_algorithm

    algos = [known_algorithm(name) for name in dict.fromkeys(options.algos)]
    if options.baseline is not None and known_algorithm(options.baseline) not in algos:
        raise ArgumentError(f"--baseline {options.baseline}: it is none of the --algos")
    for flag in ("episodes", "points", "n_envs"):
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise ArgumentError(f"--{flag.replace('_', '-')} {value}: expected at least 1")
    return algos, list(dict.fromkeys(options.envs))


def _source(options: argparse.Namespace, algos: Sequence[str]) -> "Source":
    """Where the hyperparameters come from.

    Raises:
        ArgumentError: a file or a preset for an algorithm that is not compared, or an unknown one.
    """
    from ppo_lab.commands.comparison import OURS, Source
    from ppo_lab.errors import ArgumentError
    from ppo_lab.hyperparams.presets import preset

    files: dict[str, Path] = {}
    for given in options.conf:
        name, found, file = given.rpartition("=")
        if found and name not in algos:
            raise ArgumentError(f"--conf {given}: {name!r} is none of the --algos")
        files.update({algo: Path(file) for algo in ([name] if found else algos)})
    if options.preset is not None:
        preset(options.preset)
        if OURS not in algos:
            raise ArgumentError(
                f"--preset {options.preset}: presets are for {OURS}, which is none of the --algos"
            )
    return Source(options.settings, files, options.preset, options.n_envs)


def _default_name(envs: Sequence[str]) -> str:
    from ppo_lab.runs.config import environment_folder_name

    return "compare" + (f"-{environment_folder_name(envs[0])}" if len(envs) == 1 else "")


def _baseline(options: argparse.Namespace, made: "Sequence[Cell]") -> str:
    """The label of the algorithm that the others meet."""
    labels = {cell.run.algo: cell.label for cell in made}
    return labels.get(options.baseline or "ppo", made[0].label)


if __name__ == "__main__":
    sys.exit(main())
