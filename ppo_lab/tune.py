"""``python -m ppo_lab.tune``: tune, retrain on fresh seeds, compare with SB3's PPO, report."""

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import ppo_lab  # registers the environments
from ppo_lab.command import (
    CommandError,
    CommandParser,
    checked_jobs,
    make_console,
    run_command,
    spent,
    writable_folder,
)

__all__ = ["main"]

PROGRAM = "ppo_lab.tune"
DEFAULT_ENV = "ppo_lab/NoisyGridWorld-v0"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m ppo_lab.tune",
        description="Tune each algorithm, judge the tuned and the default settings on seeds that "
        "no tuning run used, and report the comparison. The same command goes on where it was "
        "stopped; the same --seed gives the same table.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--env", default=DEFAULT_ENV, help="Gymnasium's id, or module:id")
    parser.add_argument(
        "--algo",
        nargs="+",
        default=["spec_ppo", "ppo"],
        metavar="NAME",
        help="algorithms to compare: spec_ppo, ppo",
    )
    parser.add_argument(
        "--trials", type=int, default=24, help="settings that Optuna proposes, per algorithm"
    )
    parser.add_argument(
        "--timesteps", type=int, default=3000, help="environment steps of each training run"
    )
    parser.add_argument(
        "--seeds", type=int, default=10, help="test seeds behind each row of the table"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides every seed of the study")
    parser.add_argument(
        "--jobs", type=int, default=None, help="processes, one core each; None: all cores"
    )
    parser.add_argument(
        "--storage",
        default=None,
        metavar="URL",
        help="Optuna's storage; None: an SQLite file in the study's folder",
    )
    parser.add_argument(
        "--study-name", default=None, help="folder and study; None: made from the environment"
    )
    parser.add_argument(
        "--log-folder", type=Path, default=Path("logs"), help="where the study's folder goes"
    )
    parser.add_argument("--version", action="version", version=ppo_lab.__version__)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line without the program; None: ``sys.argv``.

    Returns:
        The exit code: 0 done, 1 failure, 2 usage, 130 interrupted.
    """
    options = _parser().parse_args(arguments)
    return run_command(PROGRAM, partial(_guarded, options))


def _guarded(options: argparse.Namespace) -> None:
    # Heavy imports after the parser: --help and a mistyped flag answer at once.
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    from tuning.stages import StudyError

    try:
        _tune(options)
    except StudyError as error:
        raise CommandError(str(error)) from error
    except (OptunaError, SQLAlchemyError) as error:
        raise CommandError(
            f"the study's storage failed: {type(error).__name__}: {error}"
        ) from error


def _tune(options: argparse.Namespace) -> None:
    from ppo_lab.algorithms import known_algorithm
    from ppo_lab.environments import inspect_environment
    from ppo_lab.errors import ArgumentError
    from ppo_lab.progress import StageProgress
    from ppo_lab.runs import environment_folder_name
    from reports.report import write_report
    from tuning.protocol import Protocol
    from tuning.spaces import SPACES
    from tuning.whole import run_study

    started = time.perf_counter()
    algos = [known_algorithm(name) for name in dict.fromkeys(options.algo)]
    for name in algos:
        if name not in SPACES:
            raise ArgumentError(
                f"--algo {name}: no search space comes with it; those with one: {', '.join(SPACES)}"
            )
    protocol = Protocol(
        env=options.env,
        policy=inspect_environment(options.env, {}),
        timesteps=options.timesteps,
        trials=options.trials,
        seeds=options.seeds,
        seed=options.seed,
    )
    jobs = checked_jobs(options.jobs)
    name = options.study_name or f"tune-{environment_folder_name(options.env)}"
    folder = writable_folder(options.log_folder, name, "--study-name")
    console = make_console()
    console.print(
        f"Tuning {' and '.join(algos)} on {options.env} with {jobs} processes, into {folder}/",
    )
    outcome = run_study(
        protocol,
        algos,
        folder,
        storage=options.storage,
        jobs=jobs,
        progress=StageProgress(console),
        say=console.print,
    )
    report = write_report(outcome.judged, folder, seed=options.seed, notes=outcome.notes)
    console.print(report.table.rich())
    for note in outcome.notes:
        console.print(note)
    console.print(f"Report: {folder / 'report.md'} ({spent(started)})")


if __name__ == "__main__":
    sys.exit(main())
