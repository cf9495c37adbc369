"""What a comparison's report says of its protocol, of the settings, and of what failed."""

from collections import Counter
from collections.abc import Sequence

from ppo_lab.commands.comparison import ComparisonPlan, RunGroup
from ppo_lab.runs.config import RunConfig
from ppo_lab.runs.execution import RunResult
from reports.text import counted

__all__ = ["notes"]

OVERSHOOT = 1.05
"""A run that takes more than so many times its budget is named in the report."""


def notes(
    plan: ComparisonPlan,
    results: Sequence[tuple[RunConfig, RunResult]],
    seed: int,
    *,
    until_clear: bool = False,
) -> tuple[str, ...]:
    """What the report says of the protocol, of the settings, and of what failed.

    Args:
        plan: what was run.
        results: each run's.
        seed: of the comparison.
        until_clear: whether the plan's seeds are the most that a label may get.
    """
    run = plan.groups[0].run
    most = "up to " if until_clear else ""
    protocol = (
        f"Every run: a budget of {run.timesteps:,} environment steps and {most}{len(plan.seeds)} "
        "test "
        f"seeds from {plan.seeds[0]} on (--seed {seed}), which no tuning by ppo_lab.tune uses. "
        f"{run.evaluation.in_words}"
    )
    return (
        protocol,
        *_settings_notes(plan.groups),
        *_mask_notes(plan.groups),
        *(f"{g.run.algo} on {g.run.env}: {said}" for g in plan.groups for said in g.warnings),
        *_overshoot_notes(results),
        *_failure_notes(results),
    )


def _settings_notes(groups: Sequence[RunGroup]) -> list[str]:
    lines = []
    for label in dict.fromkeys(group.label for group in groups):
        environments: dict[str, list[str]] = {}
        for group in groups:
            if group.label == label:
                source = f"{group.run.origin}; tuning: {group.tuning}"
                environments.setdefault(source, []).append(group.run.env)
        parts = [f"{source} ({', '.join(envs)})" for source, envs in environments.items()]
        lines.append(f"Settings of {label}: {'; '.join(parts)}.")
    return lines


def _mask_notes(groups: Sequence[RunGroup]) -> list[str]:
    """Who was told which actions are possible, where anybody was."""
    told = dict.fromkeys(group.label for group in groups if group.run.masks)
    others = dict.fromkeys(group.label for group in groups if group.label not in told)
    if not told:
        return []
    rest = f"; {', '.join(others)} may take every action" if others else ""
    return [f"Under the masks of the environments' action_masks(): {', '.join(told)}{rest}."]


def _overshoot_notes(results: Sequence[tuple[RunConfig, RunResult]]) -> list[str]:
    """Rollouts are whole: a budget of less than one, or of a few and a bit, is overrun."""
    steps = {
        (run.algo, run.env): result.steps
        for run, result in results
        if result.steps > OVERSHOOT * run.timesteps
    }
    return [
        f"{algo} took {taken:,} steps on {env}, more than the budget: its rollouts are whole."
        for (algo, env), taken in sorted(steps.items())
    ]


def _failure_notes(results: Sequence[tuple[RunConfig, RunResult]]) -> list[str]:
    failed = Counter((run.algo, run.env) for run, result in results if result.reason)
    reasons = {(run.algo, run.env): result.reason for run, result in results if result.reason}
    return [
        f"{counted(count, 'run')} of {algo} on {env} failed: {reasons[algo, env]}"
        for (algo, env), count in sorted(failed.items())
    ]
