"""``python -m ppo_lab.compare``: algorithms × environments × seeds, and a report."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ppo_lab.commands.executors import (
    SHORTEST_GRACE,
    add_cluster_flags,
    add_storage_flags,
    check_cluster,
    make_executor,
)
from ppo_lab.commands.names import with_compare_names
from ppo_lab.commands.options import CompareOptions
from ppo_lab.commands.parsing import any_case, whole
from ppo_lab.commands.shared import (
    CommandParser,
    add_environment_flags,
    check_least,
    checked_jobs,
    checked_run_timeout,
    make_console,
    parse,
    run_command,
)
from ppo_lab.commands.shared_flags import add_shared, add_version
from ppo_lab.commands.until_clear import add_until_clear_flags
from ppo_lab.errors import ArgumentError, CommandError
from reports.text import duration

if TYPE_CHECKING:
    from ppo_lab.commands.comparison import ComparisonPlan
    from ppo_lab.runs.config import RunConfig
    from ppo_lab.runs.execution import RunResult
    from ppo_lab.runs.executor import Executor
    from reports.logs.records import Command
    from reports.statistics.sequential import UntilClear

    Results = list[tuple[RunConfig, RunResult]]

__all__ = ["main"]

PROGRAM = "ppo_lab.compare"
SEEDS = 10


def _parser() -> CommandParser:
    parser = CommandParser(
        CompareOptions,
        prog=f"python -m {PROGRAM}",
        description="Train every algorithm on every environment with every seed, and report the "
        "comparison. The same command goes on where it was stopped; more --seeds add to what is "
        "there.",
        examples=(
            (
                "SpecPPO and SB3's PPO, ten seeds each",
                f"python -m {PROGRAM} --envs CartPole-v1 --timesteps 5e4 --settings default",
            ),
            (
                "three algorithms with RL Zoo's settings on two tasks",
                f"python -m {PROGRAM} --algos spec_ppo ppo a2c --envs CartPole Acrobot -n 1e5",
            ),
        ),
    )
    _add_runs(parser)
    _add_settings(parser)
    _add_making(parser)
    _add_report(parser)
    add_until_clear_flags(parser)
    add_environment_flags(parser)
    add_cluster_flags(parser)
    add_storage_flags(parser)
    add_version(parser)
    return parser


def _add_runs(parser: CommandParser) -> None:
    group = parser.add_argument_group("the runs")
    add = group.add_argument
    add(
        "--algos",
        nargs="+",
        default=["spec_ppo", "ppo"],
        metavar="NAME",
        help="spec_ppo, ppo, a2c, trpo, ppo_lstm, ppo_mask, dqn, qrdqn, sac, td3, ddpg, tqc, "
        "crossq, ars, q_learning, optimal (default: spec_ppo ppo)",
    )
    add(
        "--envs",
        nargs="+",
        required=True,
        metavar="ENV",
        help="Gymnasium's ids, module:id, file.py:Class",
    )
    add(
        "--seeds",
        type=whole,
        metavar="N",
        help="test seeds of each algorithm and environment (default: 10, or as --until-clear "
        "finds)",
    )
    add_shared(group, "--timesteps", required=True)
    add_shared(group, "--seed", default=0)
    add_shared(group, "--n-envs", "the settings'")
    add_shared(group, "--episodes", default=100)
    add(
        "--points",
        type=whole,
        default=5,
        metavar="N",
        help="evaluations over each run; 1: the final one alone (default: 5)",
    )


def _add_settings(parser: CommandParser) -> None:
    group = parser.add_argument_group("their settings")
    add = group.add_argument
    add(
        "--settings",
        type=any_case,
        choices=("zoo", "committed", "default"),
        default="zoo",
        help="hyperparameters: RL Zoo's, which need rl_zoo3; PPO Lab's for spec_ppo, which ppo, "
        "ppo_lstm and ppo_mask take too; or each algorithm's defaults (default: zoo)",
    )
    add(
        "--conf",
        nargs="+",
        default=[],
        metavar="[NAME=]FILE",
        help="hyperparameters of all algorithms, or of NAME, from YAML in RL Zoo's format",
    )
    add_shared(group, "--preset")
    add_shared(group, "-P", metavar="[ALGO.]NAME:VALUE")


def _add_making(parser: CommandParser) -> None:
    group = parser.add_argument_group("how they are made")
    add_shared(group, "--jobs", "all cores")
    add_shared(group, "--run-timeout", "no limit")


def _add_report(parser: CommandParser) -> None:
    group = parser.add_argument_group("the report")
    add = group.add_argument
    add(
        "--baseline",
        metavar="NAME",
        help="the others' opponent (default: ppo, or the first)",
    )
    add_shared(group, "--explain")
    add("--name", help="the comparison's folder (default: made from the environment)")
    add_shared(group, "--log-folder")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    parser = _parser()
    options = parse(parser, CompareOptions, arguments)
    return run_command(PROGRAM, partial(_compare, options, parser.command))


def _compare(options: CompareOptions, command: "Command") -> None:
    check_least(options, {"episodes": 1, "points": 1, "n_envs": 1, "grace": SHORTEST_GRACE})
    check_cluster(options)  # lets --py-modules be imported
    options = with_compare_names(options)
    jobs = checked_jobs(options.jobs)
    checked_run_timeout(options.run_timeout)
    # Heavy imports after the names: --help, a mistyped flag or id answers at once.
    from ppo_lab.commands.comparison import plan_comparison
    from ppo_lab.commands.until_clear import checked_design
    from ppo_lab.runs.folder_lock import folder_lock
    from ppo_lab.runs.leftovers import sweep
    from tuning.protocol import TuningProtocol

    started = time.perf_counter()
    design = checked_design(options, options.seeds)
    seeds = SEEDS if options.seeds is None else options.seeds
    seeds = seeds if design is None else design.max_seeds
    protocol = TuningProtocol("", "", options.timesteps, seeds=seeds, seed=options.seed)
    plan = plan_comparison(options, protocol.judge_seeds, protocol.judge_evaluation_seeds)
    if design is not None and len(plan.labels) < 2:
        raise ArgumentError(
            f"--until-clear with {', '.join(plan.labels)} alone: expected at least two --algos to "
            "tell apart"
        )
    folder = plan.folder.parent
    with _sharing(options.storage) as many, folder_lock(folder, shared=many):
        sweep(folder)
        _run(options, plan, design, jobs, folder, started, command)


@contextmanager
def _sharing(url: str | None) -> Iterator[bool]:
    """Whether other machines may be at work in the folder too; a storage's failure is one line."""
    if url is None:
        yield False
        return
    from tuning.storage import is_shared  # Optuna, which no other comparison needs
    from tuning.storage_failures import storage_failures

    with storage_failures(url):
        yield is_shared(url)


def _run(
    options: CompareOptions,
    plan: "ComparisonPlan",
    design: "UntilClear | None",
    jobs: int,
    folder: Path,
    started: float,
    command: "Command",
) -> None:
    from ppo_lab.commands.comparison import execute, note_maker, with_references
    from ppo_lab.commands.progress import StageProgress
    from ppo_lab.commands.until_clear import (
        count_look,
        execute_until_clear,
        looks_before,
        plan_record,
    )
    from ppo_lab.runs.until_clear import kept_looks
    from reports.logs.looks_file import LOOKS

    console = make_console()
    progress = StageProgress(console)
    if design is None:
        looks = looks_before(plan)
    else:
        looks = kept_looks(plan.folder / LOOKS, plan_record(plan, design, options.seed))
    plan = with_references(plan, console.print)
    note_maker(plan, command)
    most = "" if design is None else "at most "
    where = f"with {jobs} processes" if options.cluster is None else "on a cluster"
    console.print(
        f"Comparing {', '.join(plan.labels)} on {', '.join(plan.envs)}: {most}{len(plan.runs)} "
        f"runs {where}, into {folder}/",
        soft_wrap=True,
    )
    with closing(_executor(options, plan, folder, console.print)) as executor:

        def make(part: "ComparisonPlan") -> "Results":
            return execute(part, jobs, options.run_timeout, progress, executor)

        if design is None:
            results = make(plan)
        else:
            results = execute_until_clear(plan, design, options.seed, make, console.print)
        with _turn(executor, options.storage):
            if design is None:
                count_look(plan, looks)
            _report(options, plan, design, results, folder, started)


def _report(
    options: CompareOptions,
    plan: "ComparisonPlan",
    design: "UntilClear | None",
    results: "Results",
    folder: Path,
    started: float,
) -> None:
    from ppo_lab.commands.comparison_notes import notes
    from ppo_lab.runs.cpu import cpus_of_runs, differing_cpus
    from reports.report import write_report

    failed = [result.reason for _, result in results if result.reason]
    if len(failed) == len(results):
        raise CommandError(f"all {len(failed)} runs failed, the first: {failed[0]}")
    console, page = make_console(), folder / "report.html"
    took = time.perf_counter() - started
    if options.storage and _is_newer(page, plan.runs, _now_in(folder) - took):
        console.print(
            f"Report: {page}, which another process of this comparison has written",
            soft_wrap=True,
        )
    else:
        said = notes(plan, results, options.seed, until_clear=design is not None)
        baseline = plan.baseline(options.baseline)
        report = write_report(plan.folder, folder, baseline=baseline, seed=options.seed, notes=said)
        console.print(report.table.rich(options.explain))
        if warning := differing_cpus(cpus_of_runs(plan.runs)):
            console.print(warning)
        took = time.perf_counter() - started
        console.print(f"Report: {page} ({duration(took)})", soft_wrap=True)
    if failed:
        raise CommandError(f"{len(failed)} of {len(results)} runs failed, the first: {failed[0]}")


def _now_in(folder: Path) -> float:
    """The time there, in seconds since 1970: a file server's clock may differ from this one."""
    from ppo_lab.runs.leftovers import own_mark

    probe = folder / f".probe-{own_mark()}"
    probe.touch()
    now = probe.stat().st_mtime
    probe.unlink()
    return now


def _is_newer(page: Path, runs: Iterable[Path], began: float) -> bool:
    """Whether a page was written since then, after the last of these runs that was made."""
    records = (run / "run.json" for run in runs)
    made = [record.stat().st_mtime for record in records if record.exists()]
    return page.exists() and page.stat().st_mtime >= max([began, *made])


def _turn(executor: "Executor[RunResult]", url: str | None) -> AbstractContextManager[None]:
    """Of many that share a comparison, the first that finds all done writes the report."""
    if url is None:
        return nullcontext()
    from tuning.shared_executor import SharedExecutor

    assert isinstance(executor, SharedExecutor)
    return executor.turn("report")


def _executor(
    options: CompareOptions, plan: "ComparisonPlan", folder: Path, say: Callable[[str], None]
) -> "Executor[RunResult]":
    """This machine's workers or a cluster's; shared, where there is a storage."""
    runs = [group.run for group in plan.groups]
    make = partial(make_executor, options, folder, runs, options.jobs, options.run_timeout, say)
    if options.storage is None:
        return make()
    from tuning.shared_executor import share

    return share(make, options.storage, folder, options.grace, say)


if __name__ == "__main__":
    sys.exit(main())
