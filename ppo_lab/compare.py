"""``python -m ppo_lab.compare``: algorithms × environments × seeds, and a report."""

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ppo_lab  # registers the environments
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
from ppo_lab.errors import CommandError
from reports.text import duration

if TYPE_CHECKING:
    from ppo_lab.commands.comparison import ComparisonPlan

__all__ = ["main"]

PROGRAM = "ppo_lab.compare"


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
    add_environment_flags(parser)
    parser.add_argument("--version", action="version", version=ppo_lab.__version__)
    return parser


def _add_runs(parser: CommandParser) -> None:
    add = parser.add_argument_group("the runs").add_argument
    add(
        "--algos",
        nargs="+",
        default=["spec_ppo", "ppo"],
        metavar="NAME",
        help="spec_ppo, ppo, a2c, dqn, trpo, ppo_lstm, ppo_mask, q_learning, optimal (default: "
        "spec_ppo ppo)",
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
        default=10,
        metavar="N",
        help="test seeds of each algorithm and environment (default: 10)",
    )
    add(
        "--timesteps",
        type=whole,
        required=True,
        metavar="N",
        help="environment steps of each run, such as 1e5",
    )
    add("--seed", type=whole, default=0, help="decides every other seed (default: 0)")
    add(
        "--n-envs",
        type=whole,
        metavar="N",
        help="parallel environments of each run (default: the settings')",
    )
    add(
        "--episodes",
        type=whole,
        default=100,
        metavar="N",
        help="evaluation episodes behind each score (default: 100)",
    )
    add(
        "--points",
        type=whole,
        default=5,
        metavar="N",
        help="evaluations over each run; 1: the final one alone (default: 5)",
    )


def _add_settings(parser: CommandParser) -> None:
    add = parser.add_argument_group("their settings").add_argument
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
    add("--preset", metavar="NAME", help="named settings of spec_ppo on top: recommended, sb3")
    add(
        "-P",
        "--hyperparams",
        nargs="+",
        metavar="[ALGO.]NAME:VALUE",
        help="single ones on top of all, for every algorithm or for one; no code is run",
    )


def _add_making(parser: CommandParser) -> None:
    add = parser.add_argument_group("how they are made").add_argument
    add(
        "--jobs",
        type=whole,
        metavar="N",
        help="processes, one core each (default: all cores)",
    )
    add(
        "--run-timeout",
        type=float,
        metavar="SECONDS",
        help="end a run that takes longer, which counts as failed (default: no limit)",
    )


def _add_report(parser: CommandParser) -> None:
    add = parser.add_argument_group("the report").add_argument
    add(
        "--baseline",
        metavar="NAME",
        help="the others' opponent (default: ppo, or the first)",
    )
    add(
        "--explain",
        action="store_true",
        help="print all numbers, every caution, and what each column means",
    )
    add("--name", help="the comparison's folder (default: made from the environment)")
    add(
        "--log-folder",
        type=Path,
        default=Path("logs"),
        metavar="DIR",
        help="where that folder goes (default: logs)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), CompareOptions, arguments)
    return run_command(PROGRAM, partial(_compare, options))


def _compare(options: CompareOptions) -> None:
    check_least(options, {"episodes": 1, "points": 1, "n_envs": 1})
    options = with_compare_names(options)
    jobs = checked_jobs(options.jobs)
    checked_run_timeout(options.run_timeout)
    # Heavy imports after the names: --help, a mistyped flag or id answers at once.
    from ppo_lab.commands.comparison import plan_comparison
    from ppo_lab.runs.folder_lock import folder_lock
    from ppo_lab.runs.leftovers import sweep
    from tuning.protocol import TuningProtocol

    started = time.perf_counter()
    protocol = TuningProtocol("", "", options.timesteps, seeds=options.seeds, seed=options.seed)
    plan = plan_comparison(options, protocol.judge_seeds, protocol.judge_evaluation_seeds)
    folder = plan.folder.parent
    with folder_lock(folder):
        sweep(folder)
        _run(options, plan, jobs, folder, started)


def _run(
    options: CompareOptions, plan: "ComparisonPlan", jobs: int, folder: Path, started: float
) -> None:
    from ppo_lab.commands.comparison import execute, notes, with_references
    from ppo_lab.commands.progress import StageProgress
    from reports.report import write_report

    console = make_console()
    plan = with_references(plan, console.print)
    labels = dict.fromkeys(group.label for group in plan.groups)
    console.print(
        f"Comparing {', '.join(labels)} on {', '.join(plan.envs)}: {len(plan.runs)} runs with "
        f"{jobs} processes, into {folder}/",
        soft_wrap=True,
    )
    results = execute(plan, jobs, options.run_timeout, StageProgress(console))
    failed = [result.reason for _, result in results if result.reason]
    if len(failed) == len(results):
        raise CommandError(f"all {len(failed)} runs failed, the first: {failed[0]}")
    said = notes(plan, results, options.seed)
    baseline = plan.baseline(options.baseline)
    report = write_report(plan.folder, folder, baseline=baseline, seed=options.seed, notes=said)
    console.print(report.table.rich(options.explain))
    took = duration(time.perf_counter() - started)
    console.print(f"Report: {folder / 'report.html'} ({took})", soft_wrap=True)
    if failed:
        raise CommandError(f"{len(failed)} of {len(results)} runs failed, the first: {failed[0]}")


if __name__ == "__main__":
    sys.exit(main())
