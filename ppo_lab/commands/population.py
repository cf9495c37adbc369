"""``ppo_lab.tune --strategy pbt``: populations beside the constant settings."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ppo_lab.commands.options import TuneOptions
from ppo_lab.commands.progress import StageProgress
from ppo_lab.commands.shared import checked_jobs
from ppo_lab.errors import ArgumentError
from tuning.population import Population, rollouts
from tuning.population_stages import PopulationOutcome, run_population
from tuning.protocol import TuningProtocol
from tuning.run_study import Outcome
from tuning.search import Search
from tuning.spaces import Space, fit_to_budget

__all__ = ["as_many_trials", "check_populations", "run_populations"]

STRATEGY = "pbt"
DEFAULT_TRIALS = 24
MOST_GENERATIONS = 10
"""Where none are asked for; fewer where a training has fewer rollouts."""


def as_many_trials(options: TuneOptions) -> TuneOptions:
    """The options with as many trials of constant settings as a population has members.

    Raises:
        ArgumentError: another number was asked for, or a storage or cluster, which
            populations cannot use.
    """
    if options.strategy != STRATEGY:
        return options
    if options.trials not in (DEFAULT_TRIALS, options.population):
        raise ArgumentError(
            f"--trials {options.trials} with --strategy {STRATEGY}: constant settings get as many "
            f"trials as the population has members, {options.population}; leave --trials out"
        )
    if options.storage is not None:
        raise ArgumentError(
            f"--storage with --strategy {STRATEGY}: a population goes on from the study's folder, "
            "on one machine; leave --storage out"
        )
    if options.cluster is not None:
        raise ArgumentError(
            f"--cluster with --strategy {STRATEGY}: a population's members go on from each other's "
            "files, on one machine; leave --cluster out"
        )
    return replace(options, trials=max(1, options.population))


def check_populations(
    options: TuneOptions,
    protocols: Mapping[str, TuningProtocol],
    spaces: Mapping[str, Space],
    folder: Path,
) -> None:
    """Check, before anything runs, that populations can be trained where they are asked for.

    Raises:
        ArgumentError: they cannot; says why.
    """
    if options.strategy == STRATEGY:
        for algo in protocols:
            _population(options, algo, protocols[algo], spaces[algo], folder)


def run_populations(
    options: TuneOptions,
    protocols: Mapping[str, TuningProtocol],
    spaces: Mapping[str, Space],
    folder: Path,
    outcome: Outcome,
    console: Console,
) -> list[PopulationOutcome]:
    """Train and judge a population of every algorithm, where that is the strategy.

    Args:
        options: the command's.
        protocols: algorithm → its protocol.
        spaces: algorithm → what is searched.
        folder: the study's.
        outcome: of the constant settings, judged there.
        console: where progress is shown.
    """
    if options.strategy != STRATEGY:
        return []
    constant = {tuned.algo: tuned for tuned in outcome.tuned}
    return [
        run_population(
            _population(options, algo, protocols[algo], spaces[algo], folder),
            constant[algo],
            jobs=checked_jobs(options.jobs),
            progress=StageProgress(console),
            run_timeout=options.run_timeout,
        )
        for algo in protocols
    ]


def _population(
    options: TuneOptions, algo: str, protocol: TuningProtocol, space: Space, folder: Path
) -> Population:
    fitted = fit_to_budget(space, protocol.n_envs, protocol.timesteps)
    search = Search(algo, protocol, fitted)
    generations = options.generations
    if generations is None:
        generations = max(2, min(MOST_GENERATIONS, rollouts(search)))
    return Population(search, folder, options.population, generations)
