"""The command line that the benchmarks with records share."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.recorded_runs import Benchmark, Choice, make_records, missing, runs_of
from ppo_lab.commands.shared import CommandParser, checked_jobs, run_command
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.execution import RunResult

RECORDS = Path("benchmarks/records")


@dataclass(frozen=True)
class Plan:
    """What a benchmark's command runs where no flag says otherwise.

    Attributes:
        tasks: environments.
        settings: words.
        seeds: runs of SpecPPO.
        other_seeds: runs of the others.
    """

    tasks: tuple[str, ...]
    settings: tuple[str, ...]
    seeds: int
    other_seeds: int


def run_benchmark(
    benchmark: Benchmark, plan: Plan, description: str, arguments: Sequence[str] | None = None
) -> int:
    """A benchmark's command; the exit codes are ``run_command``'s."""
    program = f"benchmarks.{benchmark.name}"
    options = _parser(program, benchmark, plan, description).parse_args(arguments)
    return run_command(program, partial(_run, benchmark, options))


def _parser(program: str, benchmark: Benchmark, plan: Plan, description: str) -> CommandParser:
    parser = CommandParser(
        prog=f"python -m {program}",
        description=description.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    tasks, settings = tuple(benchmark.budgets), tuple(benchmark.settings)
    add("--tasks", nargs="+", choices=tasks, default=plan.tasks, metavar="ENV", help="of "
        f"{', '.join(tasks)}")  # fmt: skip
    add("--settings", nargs="+", choices=settings, default=plan.settings, metavar="WORD", help="of "
        f"{', '.join(settings)}")  # fmt: skip
    add("--seeds", type=int, default=plan.seeds, help="runs of spec_ppo a task and settings")
    add("--other-seeds", type=int, default=plan.other_seeds, help="runs of SB3's own ppo likewise")
    add("--budget", type=int, metavar="STEPS", help="of a run; None: the benchmark's")
    add("--n-jobs", type=int, default=1, help="processes")
    add("--log-folder", type=Path, default=Path("logs"), help="where the run folders go")
    add("--records", type=Path, default=RECORDS, help="where the records are and go")
    return parser


def _run(benchmark: Benchmark, options: argparse.Namespace) -> None:
    for name in ("seeds", "other_seeds"):
        if getattr(options, name) < 0:
            flag = name.replace("_", "-")
            raise ArgumentError(f"--{flag} {getattr(options, name)}: expected 0 or above")
    if options.budget is not None and options.budget < 1:
        raise ArgumentError(f"--budget {options.budget}: expected at least 1")
    jobs = checked_jobs(options.n_jobs)
    choice = Choice(
        options.tasks, options.settings, options.seeds, options.other_seeds, options.budget
    )
    _make_missing(benchmark, choice, options.records, options.log_folder, jobs)


def _make_missing(
    benchmark: Benchmark, choice: Choice, records: Path, log_folder: Path, jobs: int
) -> None:
    runs = runs_of(benchmark, choice)
    left = missing(runs, records / benchmark.name)
    print(f"{len(runs) - len(left)} of {len(runs)} runs have a record", flush=True)
    failed = []
    places = records / benchmark.name, log_folder / benchmark.name
    for number, (run, result) in enumerate(make_records(left, *places, jobs), 1):
        print(f"{number} of {len(left)}: {_in_words(run, result)}", flush=True)
        if result.score is None:
            failed.append(result.reason)
    if failed:
        raise CommandError(f"{len(failed)} of {len(left)} runs failed, the first: {failed[0]}")


def _in_words(run: RunConfig, result: RunResult) -> str:
    outcome = f"failed: {result.reason}" if result.score is None else f"{result.score:.1f}"
    return (
        f"{run.algo} ({run.settings}) {run.env} seed {run.seed}: {outcome}, {result.seconds:.0f} s"
    )
