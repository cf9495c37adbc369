"""Runs arranged by label and task, ragged as they are: nothing is cut to fit a rectangle.

Each pair of a label and a task holds the runs there are, and what is uneven is said in sentences.
Statistics per task use every run; statistics across tasks use the tasks that every label ran.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reports.logs.records import EVALUATION, EXACT, Run, Steps
from reports.statistics.samples import Floats

CARRY = 0.05
"""How far past a run's last evaluation its value may stand for the policy, as a share of it."""
GRID_POINTS = 200


@dataclass(frozen=True, eq=False)
class RunGroup:
    """The runs of one label on one task.

    Attributes:
        label: as in :attr:`Run.label`.
        task: as in :attr:`Run.task`.
        runs: by seed, those of unknown seed last; R ≥ 1.
    """

    label: str
    task: str
    runs: tuple[Run, ...]

    @property
    def scores(self) -> Floats:
        """(R,) normalised scores of the final policies."""
        return np.array([run.normalised_score for run in self.runs])

    @property
    def raw_scores(self) -> Floats:
        """(R,) the same in the environment's own units."""
        return np.array([run.score for run in self.runs])

    @property
    def best_scores(self) -> Floats:
        """(R,) normalised scores of the best checkpoints."""
        return np.array([run.normalised_best_score for run in self.runs])

    @property
    def raw_best_scores(self) -> Floats:
        """(R,) the same in the environment's own units."""
        return np.array([run.best_score for run in self.runs])

    @property
    def success_rates(self) -> Floats:
        """(S,) success rates of the runs that logged one, S ≤ R."""
        rates = [run.success_rate for run in self.runs if run.success_rate is not None]
        return np.array(rates, dtype=np.float64)

    def curves(self, grid: Steps) -> Floats:
        """(R, G) normalised returns on a common grid of steps; see :func:`on_grid`."""
        return np.array(
            [on_grid(run.evaluation_steps, run.normalised_returns, grid) for run in self.runs]
        )

    def raw_curves(self, grid: Steps) -> Floats:
        """(R, G) the same in the environment's own units."""
        return np.array(
            [on_grid(run.evaluation_steps, run.evaluation_returns, grid) for run in self.runs]
        )


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Labels by tasks.

    Attributes:
        labels: in alphabetical order, at least one.
        tasks: in alphabetical order, at least one.
        groups: by (label, task); a pair that was never run is missing.
        shared_tasks: the tasks that every label ran; may be empty, and then nothing can be said
            across tasks.
        statements: what is uneven and what that leaves out, as sentences.
    """

    labels: tuple[str, ...]
    tasks: tuple[str, ...]
    groups: Mapping[tuple[str, str], RunGroup]
    shared_tasks: tuple[str, ...]
    statements: tuple[str, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run, by label, task and seed."""
        return tuple(run for group in self.groups.values() for run in group.runs)

    def by_task(self, label: str, *, best: bool = False) -> dict[str, Floats]:
        """Map every task that the label ran to its normalised scores (R_t,).

        Args:
            label: one of ``labels``.
            best: of the best checkpoints in place of the final policies.
        """
        groups = [group for group in self.groups.values() if group.label == label]
        return {group.task: group.best_scores if best else group.scores for group in groups}

    def shared(self, label: str, *, best: bool = False) -> tuple[Floats, ...]:
        """The label's normalised scores on each of ``shared_tasks``: T arrays (R_t,)."""
        scores = self.by_task(label, best=best)
        return tuple(scores[task] for task in self.shared_tasks)

    def coverage(self) -> dict[str, dict[str, int]]:
        """Runs per label and task, 0 where there is none."""
        return {
            label: {
                task: len(self.groups[label, task].runs) if (label, task) in self.groups else 0
                for task in self.tasks
            }
            for label in self.labels
        }

    def on_task(self, task: str) -> tuple[RunGroup, ...]:
        """The groups of one task, by label."""
        return tuple(group for group in self.groups.values() if group.task == task)

    def shared_by(self, label: str) -> tuple[RunGroup, ...]:
        """The label's groups on ``shared_tasks``."""
        return tuple(self.groups[label, task] for task in self.shared_tasks)


def shared_steps(groups: Iterable[RunGroup]) -> Steps:
    """The steps at which every run of these groups has a value; see :func:`common_grid`."""
    return common_grid([run.evaluation_steps for group in groups for run in group.runs])


def on_grid(steps: Steps, values: Floats, grid: Steps) -> Floats:
    """Read one run's curve on a grid: the last evaluation is carried forward.

    At grid step g the value is that of the last evaluation at or before g: it is the latest that
    was known of the policy, and no value is made up between two evaluations. Of several
    evaluations at one step the later counts.

    Args:
        steps: (P,) int64, ascending, P ≥ 1.
        values: (P,) float64.
        grid: (G,) int64.

    Returns:
        (G,) float64; NaN before the first evaluation.
    """
    place = np.searchsorted(steps, grid, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)


def common_grid(curves: Sequence[Steps]) -> Steps:
    """The evaluation steps at which every run has a value.

    All steps at which any run was evaluated, from the latest first evaluation to the earliest
    last one; a last evaluation is carried forward by at most ``CARRY`` of its step, because runs
    of one budget end a few steps apart (rollouts are whole). Of more than ``GRID_POINTS`` steps,
    that many are taken, evenly spread by rank, with the first and the last.

    Args:
        curves: the runs' evaluation steps, each (P,) int64 ascending, P ≥ 1.

    Returns:
        (G,) int64, ascending; empty where the runs share no span.
    """
    if not curves:
        return np.array([], dtype=np.int64)
    first = max(int(steps[0]) for steps in curves)
    last = int(min(int(steps[-1]) for steps in curves) * (1 + CARRY))
    union = np.unique(np.concatenate(curves))
    union = union[(union >= first) & (union <= last)]
    if len(union) <= GRID_POINTS:
        return union
    spread: Steps = union[np.linspace(0, len(union) - 1, GRID_POINTS).round().astype(int)]
    return spread


def arrange(runs: Sequence[Run]) -> Arrangement:
    """Arrange runs by label and task.

    Args:
        runs: at least one, normalised (:func:`reports.logs.references.fill_references`).
    """
    gathered: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(runs, key=_order):
        gathered.setdefault((run.label, run.task), []).append(run)
    groups = {key: RunGroup(*key, tuple(members)) for key, members in gathered.items()}
    labels = tuple(sorted({label for label, _ in groups}))
    tasks = tuple(sorted({task for _, task in groups}))
    shared = tuple(task for task in tasks if all((label, task) in groups for label in labels))
    arrangement = Arrangement(labels, tasks, groups, shared, ())
    statements = (*_coverage(arrangement), *_unevenness(arrangement))
    return replace(arrangement, statements=statements)


def _order(run: Run) -> tuple[str, str, bool, int, str]:
    return (run.label, run.task, run.seed is None, run.seed or 0, run.folder)


def _coverage(arrangement: Arrangement) -> list[str]:
    """Which labels lack which tasks, and have more runs of some tasks than of others."""
    sentences = [
        f"{label} has no run of {task}: {task} is left out of everything across tasks, and "
        "stands in its own table. Add its runs."
        for task in arrangement.tasks
        for label in arrangement.labels
        if (label, task) not in arrangement.groups
    ]
    if not arrangement.shared_tasks:
        sentences.append(
            "No task was run by every label, so nothing is said across tasks: read the tables of "
            "the single tasks, or add runs."
        )
    for label, counts in arrangement.coverage().items():
        ran = {task: count for task, count in counts.items() if count}
        if len(set(ran.values())) > 1:
            listed = ", ".join(f"{count} of {task}" for task, count in ran.items())
            sentences.append(
                f"{label} has uneven numbers of runs, all of which enter: {listed}. "
                "Make those that are missing."
            )
    return sentences


def _unevenness(arrangement: Arrangement) -> list[str]:
    sentences: list[str] = []
    for task in arrangement.tasks:
        groups = arrangement.on_task(task)
        sentences += [*_on_budgets(task, groups), *_on_measures(task, groups)]
        for group in groups:
            sentences += _on_evaluations(group)
    unknown = sum(run.seed is None for run in arrangement.runs)
    if unknown:
        sentences.append(
            f"{unknown} of {len(arrangement.runs)} runs state no seed: whether they are "
            "independent, and whether one of them counts twice, cannot be seen. "
            "Look whether a folder stands twice."
        )
    return sentences


def _on_budgets(task: str, groups: Sequence[RunGroup]) -> list[str]:
    of_label = {
        group.label: sorted({run.budget or run.steps for run in group.runs}) for group in groups
    }
    distinct = {budget for budgets in of_label.values() for budget in budgets}
    if max(distinct, default=0) <= min(distinct, default=0) * (1 + CARRY):
        return []
    listed = "; ".join(
        f"{label}: {' or '.join(f'{budget:,}' for budget in budgets)}"
        for label, budgets in of_label.items()
    )
    return [
        f"The runs of {task} had different step budgets ({listed}): not equally "
        "trained. Give all the same steps."
    ]


def _on_measures(task: str, groups: Sequence[RunGroup]) -> list[str]:
    of_measure: dict[str, set[str]] = {}
    for group in groups:
        for run in group.runs:
            of_measure.setdefault(run.measure, set()).add(group.label)
    if len(of_measure) < 2:
        return []
    listed = "; ".join(f"{what}: {', '.join(sorted(who))}" for what, who in of_measure.items())
    if of_measure.keys() == {EVALUATION, EXACT}:
        return [
            f"On {task} scores that are exact stand beside estimates of such ({listed}). "
            "Evaluate them alike."
        ]
    return [
        f"The scores of {task} do not measure the same ({listed}). "
        "Evaluate them alike: python -m ppo_lab.evaluate."
    ]


def _on_evaluations(group: RunGroup) -> list[str]:
    sentences: list[str] = []
    first = group.runs[0].evaluation_steps
    if any(not np.array_equal(run.evaluation_steps, first) for run in group.runs):
        counts = sorted({len(run.evaluation_steps) for run in group.runs})
        points = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        sentences.append(
            f"The runs of {group.label} on {group.task} were evaluated at different steps "
            f"({points} points each): their common curve carries each run's last evaluation "
            "forward. Evaluate all at the same steps."
        )
    grid = shared_steps([group])
    beyond = sum(not len(grid) or run.evaluation_steps[-1] > grid[-1] for run in group.runs)
    if beyond:
        upto = f"after step {grid[-1]:,}" if len(grid) else "at all"
        sentences.append(
            f"The common curve of {group.label} on {group.task} is not shown {upto}, where some "
            f"runs have no evaluation; {beyond} of {len(group.runs)} runs go on."
        )
    short = sum(
        run.budget is not None and run.evaluation_steps[-1] < (1 - 2 * CARRY) * run.budget
        for run in group.runs
    )
    if short:
        sentences.append(
            f"{short} of {len(group.runs)} runs of {group.label} on {group.task} were last "
            "evaluated before nine tenths of their step budget: unfinished, or rarely evaluated. "
            "Finish them, or evaluate the saved models."
        )
    return sentences
