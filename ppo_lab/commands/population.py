"""What ``ppo_lab.tune --strategy pbt`` can and cannot be asked for."""

from dataclasses import replace

from ppo_lab.commands.options import TuneOptions
from ppo_lab.errors import ArgumentError

__all__ = ["STRATEGY", "as_many_trials"]

STRATEGY = "pbt"
DEFAULT_TRIALS, DEFAULT_POPULATION = 24, 8
ONE_MACHINE = "a population's members go on from each other's files, on one machine"
ELSEWHERE = {
    "storage": ONE_MACHINE,
    "cluster": ONE_MACHINE,
    "until_clear": "a schedule is judged on as many seeds as the constant settings beside it",
}
"""Flags that populations cannot go with, and why."""


def as_many_trials(options: TuneOptions) -> TuneOptions:
    """The options with as many trials of constant settings as a population has members.

    Raises:
        ArgumentError: another number was asked for, or a flag that populations cannot go with.
    """
    if options.strategy != STRATEGY:
        _check_alone(options)
        return options
    if options.trials not in (DEFAULT_TRIALS, options.population):
        raise ArgumentError(
            f"--trials {options.trials} with --strategy {STRATEGY}: constant settings get as many "
            f"trials as the population has members, {options.population}; leave --trials out"
        )
    for flag, given, usual in (
        ("--pruner", options.pruner, "none"),
        ("--screen-seeds", options.screen_seeds, 1),
    ):
        if given != usual:
            raise ArgumentError(
                f"{flag} {given} with --strategy {STRATEGY}: constant settings get just the steps "
                f"that the population has; leave {flag} out"
            )
    for name, why in ELSEWHERE.items():
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise ArgumentError(f"{flag} with --strategy {STRATEGY}: {why}; leave {flag} out")
    return replace(options, trials=max(1, options.population))


def _check_alone(options: TuneOptions) -> None:
    """Flags that would change nothing without a population are not passed over."""
    for flag, given, usual in (
        ("--population", options.population, DEFAULT_POPULATION),
        ("--generations", options.generations, None),
    ):
        if given != usual:
            raise ArgumentError(
                f"{flag} {given} without --strategy {STRATEGY}: there is no population; add "
                f"--strategy {STRATEGY} or leave {flag} out"
            )
