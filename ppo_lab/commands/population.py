"""What ``ppo_lab.tune --strategy pbt`` can and cannot be asked for."""

from dataclasses import replace

from ppo_lab.commands.options import TuneOptions
from ppo_lab.errors import ArgumentError

__all__ = ["STRATEGY", "as_many_trials"]

STRATEGY = "pbt"
DEFAULT_TRIALS = 24
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
        return options
    if options.trials not in (DEFAULT_TRIALS, options.population):
        raise ArgumentError(
            f"--trials {options.trials} with --strategy {STRATEGY}: constant settings get as many "
            f"trials as the population has members, {options.population}; leave --trials out"
        )
    for name, why in ELSEWHERE.items():
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise ArgumentError(f"{flag} with --strategy {STRATEGY}: {why}; leave {flag} out")
    return replace(options, trials=max(1, options.population))
