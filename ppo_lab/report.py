"""``python -m ppo_lab.report``: a report on the logs of PPO Lab and of others, or a CSV file."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ppo_lab.commands.options import ReportOptions
from ppo_lab.commands.parsing import any_case, whole
from ppo_lab.commands.shared import CommandParser, make_console, parse, run_command
from ppo_lab.commands.shared_flags import add_shared, add_version

if TYPE_CHECKING:
    from reports.logs.loading import Source
    from reports.report import Report

__all__ = ["main"]

PROGRAM = "ppo_lab.report"
FORMATS = ("html", "md", "csv", "tex")
ENGINES = ("ppo_lab", "rliable")
SHOWN = 10
"""Lines on what was set aside; the report lists all of it."""
LONGEST_LINE = 300


def _parser() -> CommandParser:
    parser = CommandParser(
        ReportOptions,
        prog=f"python -m {PROGRAM}",
        description="Report on runs: statistics, tables, figures, one page. The same logs and the "
        "same --seed give the same bytes.",
        examples=(
            ("all runs under logs/, into report/", f"python -m {PROGRAM} logs"),
            (
                "your runs beside the zoo's",
                f"python -m {PROGRAM} mine=logs zoo=rl-trained-agents --out compared",
            ),
        ),
    )
    _add_read(parser)
    _add_engine(parser)
    _add_written(parser)
    add_version(parser)
    return parser


def _add_read(parser: CommandParser) -> None:
    add = parser.add_argument_group("what is read").add_argument
    add(
        "logs",
        nargs="+",
        metavar="LOGS",
        help="folders of PPO Lab, RL Zoo, SB3, TensorBoard, CleanRL or W&B, searched at any depth, "
        "or a CSV file: W&B's export, or one with the columns algorithm, environment, seed, step, "
        "score; NAME=LOGS puts NAME into the labels "
        "of its runs, so that two sources of one algorithm stay apart",
    )
    add(
        "--references",
        type=Path,
        metavar="FILE",
        help="YAML with the scores that normalise an environment: 'ENV: {low: 0, high: 1, source: "
        "where from}'",
    )
    add(
        "--best",
        action="store_true",
        help="judge the best checkpoints in place of the final policies; flatters, and says so",
    )
    add(
        "--baseline",
        metavar="LABEL",
        help="what the others are compared with: a label, or an algorithm that has one label "
        "(default: ppo, or the first)",
    )
    add("--seed", type=whole, default=0, help="of the bootstrap (default: 0)")


def _add_written(parser: CommandParser) -> None:
    group = parser.add_argument_group("what is written")
    add = group.add_argument
    add(
        "--out",
        type=Path,
        default=Path("report"),
        metavar="DIR",
        help="folder for the report (default: report)",
    )
    add(
        "--format",
        nargs="+",
        type=any_case,
        choices=FORMATS,
        default=list(FORMATS),
        metavar="FORMAT",
        help=f"what to write: {', '.join(FORMATS)} (default: all)",
    )
    add("--title", help="of the page (default: the main result)")
    add_shared(group, "--explain")


def _add_engine(parser: CommandParser) -> None:
    add = parser.add_argument_group("statistics").add_argument
    add(
        "--engine",
        type=any_case,
        choices=ENGINES,
        default=ENGINES[0],
        help="what estimates the numbers over tasks: PPO Lab's statistics, or rliable's metrics, "
        "percentile intervals and plots, which take as many runs of every task (default: "
        f"{ENGINES[0]})",
    )
    add(
        "--verify",
        action="store_true",
        help="compute the points and the percentile intervals again with rliable, and print the "
        "greatest differences; exit code 1 where one is beyond its tolerance",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    options = parse(_parser(), ReportOptions, arguments)
    return run_command(PROGRAM, partial(_report, options))


def _report(options: ReportOptions) -> None:
    from ppo_lab.errors import ArgumentError
    from ppo_lab.runs.leftovers import sweep
    from reports.content.baseline import baseline_label
    from reports.logs.loading import load_runs
    from reports.logs.references import fill_references, load_references
    from reports.statistics.samples import ScoresError
    from reports.text import one_line, shortened

    if options.seed < 0:
        raise ArgumentError(f"--seed {options.seed}: expected 0 or above")
    references = load_references(options.references) if options.references else None
    loaded = load_runs(*map(_source, options.logs))
    loaded = replace(
        loaded,
        runs=fill_references(loaded.runs, references),
        references=options.references.name if options.references else "",
    )
    try:
        baseline = baseline_label(loaded.runs, options.baseline)
    except ValueError as error:
        raise ArgumentError(f"--baseline {options.baseline}: {error}") from error
    from reports.report import write_report  # heavy: what cannot be read is answered before

    for folder in (options.out, options.out / "tables", options.out / "figures"):
        sweep(folder, deep=False)
    try:
        report = write_report(
            loaded,
            options.out,
            baseline=baseline,
            seed=options.seed,
            formats=options.format,
            best=options.best,
            title=options.title,
            engine=options.engine,
            runtime=True,
        )
    except ScoresError as error:
        raise ArgumentError(f"--engine {options.engine}: {error}") from error
    console = make_console()
    console.print(report.table.rich(options.explain))
    for aside in loaded.set_aside[:SHOWN]:
        line = one_line(f"set aside: {aside.folder}: {aside.reason}")
        console.print(shortened(line, LONGEST_LINE), soft_wrap=True)
    if len(loaded.set_aside) > SHOWN:
        console.print(f"and {len(loaded.set_aside) - SHOWN:,} more, each listed in the report")
    console.print(f"Report: {report.files[-1]}", soft_wrap=True)
    if options.verify:
        _verify(report)


def _verify(report: "Report") -> None:
    from ppo_lab.errors import CommandError
    from reports.verify import verify

    verification = verify(report.document)
    if not verification.agrees:
        raise CommandError(f"--verify: {verification.sentence}")
    make_console().print(verification.sentence)


def _source(text: str) -> "Source":
    """``LOGS`` or ``NAME=LOGS``; a path that exists as it stands is no name."""
    from reports.logs.loading import Source

    name, equals, path = text.partition("=")
    if equals and name and "/" not in name and path and not Path(text).exists():
        return Source(path, settings=name)
    return Source(text)


if __name__ == "__main__":
    sys.exit(main())
