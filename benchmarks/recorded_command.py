"""The command line that the benchmarks with records share."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.page_marks import write_between_marks
from benchmarks.recorded_page import sections
from benchmarks.recorded_runs import Benchmark, Choice, make_records, missing, runs_of
from benchmarks.recorded_tables import read_entries
from ppo_lab.commands.shared import CommandParser, checked_jobs, run_command
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.leftovers import sweep

RECORDS = Path("benchmarks/records")
PUBLISHED = Path(__file__).parent / "records" / "published.yml"


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
    add("--jobs", "--n-jobs", type=int, default=1, help="processes")
    add("--log-folder", type=Path, default=Path("logs"), help="where the run folders go")
    add("--table", action="store_true", help="print the tables of the records, run nothing")
    add("--write", type=Path, metavar="PAGE", help="put the tables between the page's marks")
    add("--records", type=Path, default=RECORDS, help="where the records are and go")
    return parser


def _run(benchmark: Benchmark, options: argparse.Namespace) -> None:
    if not options.table:
        _make_missing(benchmark, _checked(options), options)
    if options.table or options.write is not None:
        records = options.records / benchmark.name
        text = sections(benchmark, read_entries(records), PUBLISHED)
        if not text:
            raise CommandError(f"{records} holds no record")
        print(text)
        if options.write is not None:
            write_between_marks(options.write, benchmark.name, text)


def _checked(options: argparse.Namespace) -> Choice:
    """What the flags ask for.

    Raises:
        ArgumentError: a number is too small.
    """
    for name in ("seeds", "other_seeds"):
        if getattr(options, name) < 0:
            flag = name.replace("_", "-")
            raise ArgumentError(f"--{flag} {getattr(options, name)}: expected 0 or above")
    if options.budget is not None and options.budget < 1:
        raise ArgumentError(f"--budget {options.budget}: expected at least 1")
    return Choice(
        options.tasks, options.settings, options.seeds, options.other_seeds, options.budget
    )


def _make_missing(benchmark: Benchmark, choice: Choice, options: argparse.Namespace) -> None:
    jobs = checked_jobs(options.jobs)
    places = options.records / benchmark.name, options.log_folder / benchmark.name
    for place in places:
        sweep(place)
    runs = runs_of(benchmark, choice)
    left = missing(runs, places[0])
    print(f"{len(runs) - len(left)} of {len(runs)} runs have a record", flush=True)
    failed = []
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
