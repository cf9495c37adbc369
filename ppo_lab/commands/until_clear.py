"""``--until-clear``: its flags, a comparison's looks, and those of one that only adds seeds."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ppo_lab.commands.parsing import whole
from ppo_lab.errors import ArgumentError, CommandError

if TYPE_CHECKING:
    from ppo_lab.commands.comparison import ComparisonPlan
    from ppo_lab.commands.options import UntilClearOptions
    from ppo_lab.runs.config import RunConfig
    from ppo_lab.runs.execution import RunResult
    from ppo_lab.runs.until_clear import Scores
    from reports.logs.looks import Looks
    from reports.statistics.sequential import UntilClear

    Results = list[tuple[RunConfig, RunResult]]

__all__ = [
    "add_until_clear_flags",
    "checked_design",
    "count_look",
    "execute_until_clear",
    "looks_before",
    "plan_record",
]

_DEFAULTS = {"max_seeds": 30, "first": 5, "step": 5, "error": 0.05, "futility": 0.1}


def add_until_clear_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of :class:`~ppo_lab.commands.options.UntilClearOptions`."""
    group = parser.add_argument_group("seeds until it is clear")
    group.add_argument(
        "--until-clear",
        action="store_true",
        help="add seeds until every two labels are told apart or given up, in place of --seeds; "
        "the plan is fixed before the first run",
    )
    meanings = {
        "max_seeds": "of each label and environment, at most",
        "first": "seeds at the first look, 3 or more",
        "step": "further seeds to each next look",
        "error": "probability that any two labels are told apart wrongly at any look",
        "futility": "two labels are given up where the probability of telling them apart with "
        "--max-seeds is below; 0: never",
    }
    for name, meaning in meanings.items():
        default = _DEFAULTS[name]
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=whole if isinstance(default, int) else float,
            default=None,
            metavar="N" if isinstance(default, int) else "P",
            help=f"{meaning} (default: {default:g})",
        )


def checked_design(options: "UntilClearOptions", seeds: int | None) -> "UntilClear | None":
    """The plan that the flags ask for; None without ``--until-clear``.

    Args:
        options: the command's.
        seeds: as given by ``--seeds``; None: it was not.

    Raises:
        ArgumentError: a flag of the plan without ``--until-clear``, ``--seeds`` with it, or a
            value out of its range.
    """
    from reports.statistics.samples import ScoresError
    from reports.statistics.sequential import UntilClear

    given = {name: getattr(options, name) for name in _DEFAULTS}
    given = {name: value for name, value in given.items() if value is not None}
    if not options.until_clear:
        for name in given:
            raise ArgumentError(f"--{name.replace('_', '-')} belongs to --until-clear: give both")
        return None
    if seeds is not None:
        raise ArgumentError(
            f"--seeds {seeds} with --until-clear, which decides the number: use --max-seeds"
        )
    try:
        return UntilClear(**{**_DEFAULTS, **given})
    except ScoresError as error:
        name, _, rest = str(error).partition("=")
        raise ArgumentError(f"--{name.replace('_', '-')} {rest}") from None


def execute_until_clear(
    plan: "ComparisonPlan",
    design: "UntilClear",
    seed: int,
    make: "Callable[[ComparisonPlan], Results]",
    say: Callable[[str], None],
) -> "Results":
    """Make the runs of one look after the other, until every two labels are decided.

    Args:
        plan: with ``design.max_seeds`` seeds.
        design: the plan of looks.
        seed: of the comparison.
        make: makes the runs of a part of the plan that are not made yet.
        say: told what each look decided.

    Returns:
        Each run with its result, as ``make`` gives them.

    Raises:
        ArgumentError: the folder holds another plan, or runs that were made without this one.
        CommandError: all runs up to a look failed.
    """
    from ppo_lab.runs.until_clear import look_until_clear
    from reports.logs.looks_file import LOOKS

    runs = _LookedAt(plan, make)
    record = plan_record(plan, design, seed)
    look_until_clear(runs, design, plan.folder / LOOKS, record, say)
    return runs.results


def plan_record(plan: "ComparisonPlan", design: "UntilClear", seed: int) -> dict[str, Any]:
    """What must not change while a comparison until clear goes on, as JSON has it."""
    run = plan.groups[0].run
    return {
        **asdict(design),
        "labels": plan.labels,
        "tasks": plan.envs,
        "timesteps": run.timesteps,
        "episodes": run.evaluation.episodes,
        "seed": seed,
    }


@dataclass(frozen=True)
class _LookedAt:
    """A comparison's plan as :class:`~ppo_lab.runs.until_clear.LookedAt`."""

    plan: "ComparisonPlan"
    maker: "Callable[[ComparisonPlan], Results]"
    results: "Results" = field(default_factory=list)

    @property
    def labels(self) -> Sequence[str]:
        return self.plan.labels

    def make(self, labels: Sequence[str], after: int, upto: int) -> None:
        part = replace(
            self.plan,
            groups=tuple(group for group in self.plan.groups if group.label in labels),
            seeds=self.plan.seeds[after:upto],
            evaluation_seeds=self.plan.evaluation_seeds[after:upto],
            first_number=after + 1,
        )
        self.results.extend(self.maker(part))
        reasons = [result.reason for _, result in self.results if result.score is None]
        if len(reasons) == len(self.results):
            raise CommandError(f"all {len(reasons)} runs failed, the first: {reasons[0]}")

    def scores(self) -> "Scores":
        import numpy as np

        found: dict[str, dict[str, dict[int, float]]] = {
            label: {env: {} for env in self.plan.envs} for label in self.labels
        }
        for run, result in self.results:
            if result.score is not None:
                found[f"{run.algo} ({run.settings})"][run.env][run.seed] = result.score
        return {
            label: {env: np.array([by[seed] for seed in sorted(by)]) for env, by in tasks.items()}
            for label, tasks in found.items()
        }

    def scales(self, scores: "Scores") -> Mapping[str, float]:
        from ppo_lab.runs.until_clear import task_scale

        return {
            run.env: task_scale(
                run.env,
                run.evaluation_kwargs,
                run.reference,
                [tasks[run.env] for tasks in scores.values()],
            )
            for run in (group.run for group in self.plan.groups)
        }


def looks_before(plan: "ComparisonPlan") -> "Looks":
    """The looks at the runs of a plain comparison before this command.

    Of a folder whose report an earlier version wrote, which noted none, the runs that are there
    count as one.

    Raises:
        ArgumentError: the folder holds a comparison with ``--until-clear``.
    """
    from ppo_lab.runs.until_clear import kept_looks
    from reports.logs.looks import NotedLook
    from reports.logs.looks_file import LOOKS

    looks = kept_looks(plan.folder / LOOKS, None)
    if looks.looks or not (plan.folder.parent / "report.json").exists():
        return looks
    finished = {
        group.label: len(list(plan.folder.glob(f"{group.run.algo}-{group.run.settings}/*_*")))
        // len(plan.envs)
        for group in plan.groups
    }
    seen = {label: seeds for label, seeds in finished.items() if seeds}
    return looks.with_look(NotedLook(seen)) if seen else looks


def count_look(plan: "ComparisonPlan", looks: "Looks") -> None:
    """Note that a plain comparison's runs are about to be looked at.

    Args:
        plan: what was run.
        looks: of :func:`looks_before`.
    """
    from reports.logs.looks import NotedLook
    from reports.logs.looks_file import LOOKS, looks_text
    from reports.whole_files import write_whole

    now = {label: len(plan.seeds) for label in plan.labels}
    if any(seeds > looks.seeds.get(label, 0) for label, seeds in now.items()):
        plan.folder.mkdir(parents=True, exist_ok=True)
        write_whole(plan.folder / LOOKS, looks_text(looks.with_look(NotedLook(now))))
