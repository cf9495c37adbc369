"""The report's words: what was found, and what the numbers rest on."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.content.arrangement import GRID_POINTS, Arrangement
from reports.content.document import Aggregate, Interval, ReportSettings
from reports.content.numbers import percent, scale_end, shown
from reports.logs.records import LoadedRuns
from reports.statistics.summaries import ENOUGH_RUNS
from reports.text import counted, ranges


@dataclass(frozen=True)
class Finding:
    """The main result: a headline without numbers, and the numbers behind it as sentences."""

    headline: str
    detail: str


def find(rows: Sequence[Aggregate], baseline: str) -> Finding:
    """Say which label leads, and whether the runs tell it from the baseline.

    The baseline meets the label with the highest IQM among the others. The two are told apart
    where the interval of the probability of improvement leaves out one half.

    Args:
        rows: one per label; none where no task was run by every label.
        baseline: the label that ``improvement`` is over.
    """
    if not rows:
        return Finding(
            "No task was run by every label",
            "So nothing can be said across tasks; the tables of the single tasks follow.",
        )
    ranked = sorted(rows, key=lambda row: -_iqm(row))
    lead = ranked[0]
    if len(rows) == 1:
        detail = f"Its IQM is {shown(lead.iqm)} over {counted(lead.runs, 'run')} per environment."
        return Finding(f"{lead.label} stands alone", detail)
    level = [row.label for row in ranked if _iqm(row) == _iqm(lead)]
    verb = "has" if len(level) == 1 else "share"
    detail = f"{_listed(level)} {verb} the highest IQM, {shown(lead.iqm)}."
    challenger = next(row for row in ranked if row.label != baseline)
    improvement = challenger.improvement
    if improvement is None:
        raise ValueError(f"{challenger.label} was not compared with {baseline}")
    detail += (
        f" A run of {challenger.label} scores above a run of {baseline} with probability "
        f"{shown(improvement)}."
    )
    fewest = min(row.runs for row in rows if row.label in (challenger.label, baseline))
    return Finding(_headline(challenger.label, baseline, improvement, fewest), detail)


def footer(
    arrangement: Arrangement, loaded: LoadedRuns, settings: ReportSettings
) -> tuple[str, ...]:
    """List what the numbers rest on: runs, tasks, seeds, episodes, scale, draws."""
    runs, tasks = arrangement.runs, arrangement.shared_tasks
    names = ", ".join(arrangement.tasks)
    shared = "" if len(tasks) == len(arrangement.tasks) else f", {len(tasks)} of them run by all"
    lines = [
        f"{counted(len(runs), 'run')} of {counted(len(arrangement.labels), 'label')} on "
        f"{counted(len(arrangement.tasks), 'task')}{shared}: {names}. The column counts runs per "
        "task.",
        *_measures(arrangement, settings),
        "Mean, IQM, median and optimality gap are of the normalised score (score − low)/(high − "
        f"low); {'; '.join(_scales(arrangement))}.",
        *_seeds(arrangement),
        f"[…, …] are {percent(settings.level)} {settings.interval_method}: "
        f"{settings.table_draws:,} draws for the main table, {settings.curve_draws:,} for the "
        f"others, the curves and the pairs, seed {settings.seed}.",
        "P(better than …) is the probability that a run of the row scores above a run of the "
        "baseline, ties counting half.",
        "Two means count as practically equal within ± "
        f"{settings.equivalence_margin:g} of a task's normalised scale.",
    ]
    if any(len(run.evaluation_steps) > GRID_POINTS for run in runs):
        lines.append(
            f"Of a curve with more evaluation points than {GRID_POINTS}, that many are shown, "
            "evenly spread, the first and the last among them."
        )
    if len(tasks) == 1:
        lines.append("The median is over tasks, so with one task it equals the mean.")
    if loaded.tuning_runs:
        lines.append(
            f"{counted(loaded.tuning_runs, 'tuning run')} left out: seeds that chose "
            "hyperparameters never judge them."
        )
    return (*lines, *(loaded.sources if len(loaded.sources) > 1 else ()))


def _listed(labels: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))


def _iqm(row: Aggregate) -> float:
    return -float("inf") if row.iqm.value is None else row.iqm.value


def _headline(challenger: str, baseline: str, improvement: Interval, fewest: int) -> str:
    if not improvement.leaves_out(0.5):
        return f"These runs do not tell {challenger} from {baseline}"
    ahead = improvement.low is not None and improvement.low > 0.5
    better, worse = (challenger, baseline) if ahead else (baseline, challenger)
    verb = "seems to score" if fewest < ENOUGH_RUNS else "scores"
    return f"{better} {verb} higher than {worse}"


def _measures(arrangement: Arrangement, settings: ReportSettings) -> list[str]:
    runs = arrangement.runs
    measures = sorted({run.measure for run in runs})
    episodes = sorted({run.evaluation_episodes for run in runs if run.evaluation_episodes})
    if len(measures) > 1:
        return [f"A score is, by run: {'; '.join(measures)}."]
    over = f", over {' or '.join(map(str, episodes))} episodes" if episodes else ""
    if settings.best_checkpoints:
        return [f"A score is the highest mean return of any of a run's evaluations{over}."]
    return [f"A score is the {measures[0]}{over}."]


def _scales(arrangement: Arrangement) -> list[str]:
    return sorted(
        {
            f"in {run.task}, low {scale_end(run.low)} and high {scale_end(run.high)} ({run.source})"
            for run in arrangement.runs
        }
    )


def _seeds(arrangement: Arrangement) -> list[str]:
    seeds = {
        label: sorted(
            {run.seed for run in arrangement.runs if run.label == label and run.seed is not None}
        )
        for label in arrangement.labels
    }
    stated = list(map(ranges, seeds.values()))
    if len(set(stated)) == 1:
        return [f"Seeds of every label: {stated[0]}."] if stated[0] else []
    return [
        f"Seeds of {label}: {text or 'unknown'}." for label, text in zip(seeds, stated, strict=True)
    ]
