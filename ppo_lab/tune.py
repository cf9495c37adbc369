"""``python -m ppo_lab.tune``: tune, retrain on fresh seeds, compare with SB3's PPO, report."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ppo_lab.commands.executors import (
    SHORTEST_GRACE,
    check_cluster,
    make_executor,
)
from ppo_lab.commands.names import with_tune_names
from ppo_lab.commands.optional_packages import require
from ppo_lab.commands.options import TuneOptions
from ppo_lab.commands.population import STRATEGY, as_many_trials
from ppo_lab.commands.shared import (
    check_least,
    checked_jobs,
    checked_run_timeout,
    make_console,
    parse,
    run_command,
    writable_folder,
)
from ppo_lab.commands.tune_flags import DEFAULT_ENV, PROGRAM
from ppo_lab.commands.tune_flags import tune_parser as _parser
from ppo_lab.errors import ArgumentError, CommandError
from reports.text import duration

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from rich.console import Console

    from ppo_lab.hyperparams.sources import TrainingSettings
    from reports.logs.records import Command
    from tuning.base import Base
    from tuning.population import Population
    from tuning.population_stages import PopulationOutcome
    from tuning.protocol import Pruner, Sampler, TuningProtocol
    from tuning.run_study import Outcome
    from tuning.spaces import Space

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default ``sys.argv``'s; the exit codes are ``run_command``'s."""
    parser = _parser()
    options = parse(parser, TuneOptions, arguments)
    return run_command(PROGRAM, partial(_guarded, options, parser.command))


def _guarded(options: TuneOptions, command: "Command") -> None:
    options = as_many_trials(options)
    check_cluster(options)  # lets --py-modules be imported
    options = with_tune_names(options)
    check_least(options, {"grace": SHORTEST_GRACE})
    checked_run_timeout(options.run_timeout)
    checked_jobs(options.jobs)
    # Heavy imports after the names: --help, a mistyped flag or id answers at once.
    from tuning.stages import StudyError
    from tuning.storage_failures import storage_failures

    try:
        with storage_failures(options.storage):
            if options.envs is None:
                _tune(options, command)
            else:
                from ppo_lab.tune_across import tune_across

                if options.env != DEFAULT_ENV:
                    raise ArgumentError(f"--env {options.env} with --envs: name it among --envs")
                tune_across(options, _checked, command)
    except StudyError as error:
        raise CommandError(str(error)) from error


def _tune(options: TuneOptions, command: "Command") -> None:
    from ppo_lab.runs.execution import environment_folder_name
    from ppo_lab.runs.folder_lock import folder_lock
    from ppo_lab.runs.leftovers import sweep
    from tuning.storage import is_shared

    started = time.perf_counter()
    if options.one_setting:
        raise ArgumentError("--one-setting: expected --envs with two or more environments")
    protocols, spaces = _checked(options)
    name = options.study_name or f"tune-{environment_folder_name(options.env)}"
    folder = writable_folder(options.log_folder, name, "--study-name")
    populations: dict[str, Population] = {}
    if options.strategy == STRATEGY:
        from tuning.population_stages import planned_populations

        populations = planned_populations(
            protocols, spaces, folder, options.population, options.generations
        )
    # Machines that share a database may share the folder too; a file is one command's at a time.
    many = options.storage is not None and is_shared(options.storage)
    with folder_lock(folder, shared=many):
        sweep(folder)
        _run(options, protocols, spaces, populations, folder, started, command)


def _checked(
    options: TuneOptions,
) -> "tuple[dict[str, TuningProtocol], dict[str, Space]]":
    """Algorithm → protocol and → space, of options that can work.

    Raises:
        ArgumentError: they cannot.
    """
    from ppo_lab.commands.base_settings import base_settings
    from ppo_lab.commands.environment_flags import check_mask_flag
    from ppo_lab.commands.until_clear import checked_design
    from ppo_lab.runs.device import check_device
    from tuning.search import Search, check_base, check_game, check_masks
    from tuning.space_files import spaces_for
    from tuning.spaces import fit_to_budget

    if options.plots:
        require("plotly", "--plots")
    checked_design(options, options.seeds)
    algos = options.algo
    check_device(options.device)
    protocols = _protocols(options, base_settings(options, algos))
    check_mask_flag(options, algos)
    masks = ["mask_actions=true"] if options.mask_actions else []
    spaces = spaces_for(algos, options.space, [*options.set, *masks])
    for algo, protocol in protocols.items():
        spaces[algo] = fit_to_budget(spaces[algo], protocol.n_envs, protocol.timesteps)
        search = Search(algo, protocol, spaces[algo])
        check_masks(search)
        check_game(search)
        check_base(search)
    return protocols, spaces


def _protocols(
    options: TuneOptions, settings: "Mapping[str, TrainingSettings]"
) -> "dict[str, TuningProtocol]":
    """The protocol of each algorithm: the same but for what its settings say of a run."""
    from ppo_lab.commands.base_settings import agreed_timesteps, environment_of
    from ppo_lab.runs.recipe import EnvironmentRecipe
    from ppo_lab.runs.workers import check_survives
    from tuning.base import Base
    from tuning.protocol import TuningProtocol

    timesteps = options.timesteps
    if timesteps is None:
        timesteps = agreed_timesteps(settings) or TuningProtocol.timesteps
    n_envs = TuningProtocol.n_envs if options.n_envs is None else options.n_envs
    protocols: dict[str, TuningProtocol] = {}
    for algo, own in settings.items():
        environment = environment_of(own, options)
        alike = [other for other in protocols.values() if other.environment == environment]
        if alike and options.base == "default":
            protocols[algo] = alike[0]
            continue
        if not alike:
            check_survives(options.env, environment.get("env_kwargs", {}), options.run_timeout)
        recipe = EnvironmentRecipe.of_words(options.env, environment)
        is_default = options.base == "default"
        policy = (
            recipe.fitting_policy("ppo") if is_default else recipe.fitting_policy(algo, own.policy)
        )
        recipe.make(1).close()  # an error now rather than one of every trial
        if is_default:
            protocols[algo] = _protocol(options, policy, timesteps, n_envs, environment)
            continue
        protocols[algo] = _protocol(
            options,
            policy,
            timesteps,
            own.n_envs,
            environment,
            Base(own.word, own.origin, own.tuning, own.hyperparameters),
        )
    return protocols


def _protocol(
    options: TuneOptions,
    policy: str,
    timesteps: int,
    n_envs: int,
    environment: Mapping[str, Any],
    base: "Base | None" = None,
) -> "TuningProtocol":
    from ppo_lab.commands.until_clear import checked_design
    from tuning.protocol import TuningProtocol

    design = checked_design(options, options.seeds)
    seeds = TuningProtocol.seeds if options.seeds is None else options.seeds
    return TuningProtocol(
        env=options.env,
        policy=policy,
        timesteps=timesteps,
        trials=options.trials,
        seeds=seeds if design is None else design.max_seeds,
        episodes=options.episodes,
        seed=options.seed,
        n_envs=n_envs,
        screen_seeds=options.screen_seeds,
        finalists=options.finalists,
        replicas=options.replicas,
        window=options.window,
        sampler=cast("Sampler", options.sampler or "tpe"),  # it checks these two
        pruner=cast("Pruner", options.pruner),
        environment=environment,
        base=base,
        until_clear=design,
    )


def _run(
    options: TuneOptions,
    protocols: "Mapping[str, TuningProtocol]",
    spaces: "Mapping[str, Space]",
    plans: "Mapping[str, Population]",
    folder: Path,
    started: float,
    command: "Command",
) -> None:
    from ppo_lab.commands.progress import StageProgress
    from ppo_lab.runs.made_by import note_command, noted_commands
    from tuning.run_study import run_study
    from tuning.search import Search

    console = make_console()
    jobs = checked_jobs(options.jobs)
    where = f"with {jobs} processes" if options.cluster is None else "on a cluster"
    console.print(
        f"Tuning {' and '.join(protocols)} on {options.env} {where}, into {folder}/",
        soft_wrap=True,
    )
    for algo, protocol in protocols.items():
        if protocol.base is not None:
            console.print(
                f"From {protocol.base.origin}: {algo}, {protocol.timesteps:,} steps a run"
            )
    runs = [
        Search(algo, protocol, spaces[algo]).run("screen", 0, {})
        for algo, protocol in protocols.items()
    ]
    progress = StageProgress(console)
    executor = make_executor(
        options, folder, runs, options.jobs, options.run_timeout, console.print
    )
    progress.watch(executor)
    with closing(executor):
        outcome = run_study(
            protocols,
            folder,
            storage=options.storage,
            jobs=jobs,
            progress=progress,
            say=partial(console.print, soft_wrap=True),
            spaces=spaces,
            grace=options.grace,
            run_timeout=options.run_timeout,
            executor=executor,
        )
    note_command(outcome.judged, command, noted_commands(outcome.judged))
    populations = _populations(options, plans, outcome, jobs, console)
    outcome = replace(
        outcome,
        notes=(*outcome.notes, *(note for each in populations for note in each.notes)),
        failed=(*outcome.failed, *(reason for each in populations for reason in each.failed)),
    )
    _report(options, outcome, populations, folder, started)


def _populations(
    options: TuneOptions,
    plans: "Mapping[str, Population]",
    outcome: "Outcome",
    jobs: int,
    console: "Console",
) -> "list[PopulationOutcome]":
    """The populations that are planned, trained and judged beside the constant settings."""
    if not plans:
        return []
    from ppo_lab.commands.progress import StageProgress
    from tuning.population_stages import run_population

    return [
        run_population(
            plans[tuned.algo],
            tuned,
            jobs=jobs,
            progress=StageProgress(console),
            run_timeout=options.run_timeout,
        )
        for tuned in outcome.tuned
        if tuned.algo in plans
    ]


def _report(
    options: TuneOptions,
    outcome: "Outcome",
    populations: "Sequence[PopulationOutcome]",
    folder: Path,
    started: float,
) -> None:
    from reports.report import write_report  # rliable takes seconds to import

    console = make_console()
    report = write_report(outcome.judged, folder, seed=options.seed, notes=outcome.notes)
    console.print(report.table.rich(options.explain))
    if options.explain:
        console.print(outcome.time)
    for tuned in outcome.tuned:
        what = "Default settings, which were kept," if tuned.keeps_default else "Best settings"
        path = outcome.settings[tuned.algo]
        console.print(f"{what} of {tuned.algo}, for --conf: {path}", soft_wrap=True)
    for each in populations:
        console.print(f"Schedule of {each.algo}, for --conf: {each.settings}", soft_wrap=True)
    if options.plots:
        _draw_plots(outcome.trials, folder / "plots", console.print)
    took = duration(time.perf_counter() - started)
    console.print(f"Report: {folder / 'report.html'} ({took})", soft_wrap=True)
    if outcome.failed:
        raise CommandError(
            f"{len(outcome.failed)} judged runs failed, the first: {outcome.failed[0]}"
        )


def _draw_plots(
    trials: Mapping[str, Sequence["FrozenTrial"]], folder: Path, say: Callable[[str], None]
) -> None:
    """Optuna's plots of each algorithm's trials, and a line on what became of them."""
    from tuning.plots import write_plots

    for algo, its_trials in trials.items():
        plotted = write_plots(algo, its_trials, folder / algo)
        say(f"Plots of {algo}: {len(plotted.files)} files in {folder / algo}/")
        for plot, reason in plotted.left_out.items():
            say(f"! no {plot} of {algo}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
