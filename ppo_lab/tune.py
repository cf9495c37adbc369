"""``python -m ppo_lab.tune``: tune, retrain on fresh seeds, compare with SB3's PPO, report."""

import argparse
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import ppo_lab  # registers the environments

__all__ = ["main"]

PROGRAM = "ppo_lab.tune"
DEFAULT_ENV = "ppo_lab/NoisyGridWorld-v0"
PLAIN_WIDTH = 110
"""Columns where the output goes to a file: the table's own."""


class _Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {message} (--help lists the flags)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return _guarded(options)
    except KeyboardInterrupt:
        return _fail("stopped; the same command goes on from here", 130)


def _guarded(options: argparse.Namespace) -> int:
    # Heavy imports after the parser: --help and a mistyped flag answer at once.
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    from ppo_lab.errors import ArgumentError, NonFiniteError
    from reports.runs import NoRunsError
    from tuning.stages import StudyError

    try:
        _tune(options)
    except ArgumentError as error:
        return _fail(str(error), 2)
    except (StudyError, NonFiniteError, NoRunsError, OSError) as error:
        return _fail(str(error), 1)
    except (OptunaError, SQLAlchemyError) as error:
        return _fail(f"the study's storage failed: {type(error).__name__}: {error}", 1)
    return 0


def _tune(options: argparse.Namespace) -> None:
    from rich.console import Console

    from ppo_lab.algorithms import known_algorithm
    from ppo_lab.environments import inspect_environment
    from ppo_lab.progress import StageProgress
    from ppo_lab.workers import default_jobs
    from reports.report import write_report
    from tuning.protocol import Protocol
    from tuning.whole import run_study

    started = time.perf_counter()
    algos = [known_algorithm(name) for name in dict.fromkeys(options.algo)]
    protocol = Protocol(
        env=options.env,
        policy=inspect_environment(options.env, {}),
        timesteps=options.timesteps,
        trials=options.trials,
        seeds=options.seeds,
        seed=options.seed,
    )
    jobs = default_jobs() if options.jobs is None else options.jobs
    folder = _study_folder(options, jobs)
    # No markup: a reason or a name may hold brackets.
    console = Console(
        width=None if sys.stdout.isatty() else PLAIN_WIDTH, markup=False, highlight=False
    )
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
    minutes, seconds = divmod(round(time.perf_counter() - started), 60)
    console.print(f"Report: {folder / 'report.html'} ({minutes} min {seconds} s)")


def _study_folder(options: argparse.Namespace, jobs: int) -> Path:
    """Check what argparse cannot, and name the study's folder.

    Raises:
        ArgumentError: says what was given and what was expected.
    """
    from ppo_lab.errors import ArgumentError
    from ppo_lab.runs import environment_folder_name
    from tuning.whole import check_writable

    if jobs < 1:
        raise ArgumentError(f"--jobs {jobs}: expected at least 1")
    name = options.study_name or f"tune-{environment_folder_name(options.env)}"
    if not re.fullmatch(r"\w[\w.\- ]*", name):
        raise ArgumentError(
            f"--study-name {name!r}: expected a plain file name of letters, digits, '-', '_', '.'"
        )
    folder: Path = options.log_folder / name
    try:
        check_writable(folder)
    except OSError as error:
        raise ArgumentError(f"--log-folder {options.log_folder}: {error}") from error
    return folder


def _fail(message: str, code: int) -> int:
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
