"""``python -m ppo_lab.tune --envs A B C``: one setting for all, and what tuning each buys."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ppo_lab.commands.options import TuneOptions
from ppo_lab.commands.shared import checked_jobs, make_console, writable_folder
from ppo_lab.errors import ArgumentError, CommandError
from reports.text import duration

if TYPE_CHECKING:
    from reports.logs.records import Command, LoadedRuns
    from tuning.protocol import TuningProtocol
    from tuning.run_across import AcrossOutcome
    from tuning.sensitivity import Rows, Shares
    from tuning.spaces import Space

__all__ = ["tune_across"]

Checked = Callable[[TuneOptions], "tuple[Mapping[str, TuningProtocol], Mapping[str, Space]]"]


def tune_across(options: TuneOptions, checked: Checked, command: "Command") -> None:
    """Run the command.

    Args:
        options: with ``--envs``.
        checked: the protocols and spaces of one environment's options.
        command: as given, for the report.

    Raises:
        ArgumentError: the options cannot work.
        CommandError: judged runs failed.
    """
    from ppo_lab.commands.progress import StageProgress
    from ppo_lab.runs.folder_lock import folder_lock
    from ppo_lab.runs.leftovers import sweep
    from ppo_lab.runs.made_by import note_command, noted_commands
    from tuning.run_across import run_across

    started = time.perf_counter()
    _check(options)
    options = replace(options, sampler=options.sampler or "qmc")
    envs = list(options.envs or ())
    of_env = {env: checked(replace(options, env=env)) for env in envs}
    jobs = checked_jobs(options.jobs)
    folder = writable_folder(
        options.log_folder, options.study_name or "tune-across", "--study-name"
    )
    console = make_console()
    with folder_lock(folder):
        sweep(folder)
        console.print(
            f"Tuning across {', '.join(envs)} with {jobs} processes, into {folder}/",
            soft_wrap=True,
        )
        outcome = run_across(
            {env: protocols for env, (protocols, _) in of_env.items()},
            {env: spaces for env, (_, spaces) in of_env.items()},
            folder,
            jobs=jobs,
            progress=StageProgress(console),
            say=partial(console.print, soft_wrap=True),
            each=not options.one_setting,
            run_timeout=options.run_timeout,
        )
        for judged in outcome.judged:
            note_command(judged, command, noted_commands(judged))
        _report(options, outcome, folder, started)


def _check(options: TuneOptions) -> None:
    envs = options.envs or ()
    if len(envs) < 2:
        raise ArgumentError(f"--envs {' '.join(envs)}: expected two or more; --env tunes for one")
    for flag, given in (
        ("--until-clear", options.until_clear),
        ("--storage", options.storage is not None),
        ("--cluster", options.cluster is not None),
        (f"--strategy {options.strategy}", options.strategy == "pbt"),
        ("--plots", options.plots),
        (f"--base {options.base}", options.base != "default"),
    ):
        if given:
            raise ArgumentError(f"{flag} with --envs: it is for a study of one environment (--env)")
    if options.sampler not in (None, "qmc", "random"):
        raise ArgumentError(
            f"--sampler {options.sampler} proposes for each environment what did well there: "
            "expected qmc or random with --envs, so that all try the same settings"
        )


def _report(options: TuneOptions, outcome: "AcrossOutcome", folder: Path, started: float) -> None:
    from reports.logs.loading import load_runs
    from reports.report import write_report
    from tuning.run_across import notes_across
    from tuning.sensitivity import sentences, write_sensitivity

    console = make_console()
    loaded = load_runs(*outcome.judged)
    rows, shares = _sensitivity(options.envs or (), outcome, loaded, not options.one_setting)
    said = sentences(rows, shares) if rows else []
    files = write_sensitivity(rows, shares, folder) if rows else []
    notes = [*said, *notes_across(outcome, not options.one_setting)]
    report = write_report(loaded, folder, seed=options.seed, notes=notes)
    console.print(report.table.rich(options.explain))
    for sentence in () if options.explain else said:  # what tuning each one buys
        console.print(sentence)
    if files:
        names = ", ".join(file.name for file in files)
        console.print(f"Sensitivity: {names} in {folder}/", soft_wrap=True)
    took = duration(time.perf_counter() - started)
    console.print(f"Report: {folder / 'report.html'} ({took})", soft_wrap=True)
    if outcome.failed:
        raise CommandError(
            f"{len(outcome.failed)} judged runs failed, the first: {outcome.failed[0]}"
        )


def _sensitivity(
    envs: Sequence[str], outcome: "AcrossOutcome", loaded: "LoadedRuns", each: bool
) -> "tuple[Rows, Shares]":
    """The tables; an algorithm all of whose judged runs of an environment failed has no row."""
    from tuning.across import bought, importances
    from tuning.one_setting import judged_scores

    runs: dict[tuple[str, str], list[float]] = {}
    for run in loaded.runs:
        runs.setdefault((run.label, run.task.partition(" {")[0]), []).append(run.score)
    rows, shares = {}, {}
    for one in outcome.ones:
        scores = judged_scores(runs, one.algo, envs, each)
        if len(scores) == len(envs):
            rows[one.algo] = bought(scores, outcome.scales[one.algo])
            shares[one.algo] = importances(outcome.trials[one.algo])
    return rows, shares
