"""The report's words: what was found, what the numbers rest on, and the page around them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reports.cautions import ENOUGH_RUNS, counted
from reports.comparison import Comparison
from reports.runs import LoadedRuns
from reports.statistics import Draws, Estimate, LabelStatistics
from reports.tables import ScoreTable, shown
from reports.text import markdown, one_line, shortened

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Finding:
    """The main result: a headline without numbers, and the numbers behind it as sentences."""

    headline: str
    detail: str


def find(rows: Sequence[LabelStatistics], baseline: str) -> Finding:
    """Say which label leads, and whether the runs tell it from the baseline.

    The baseline meets the label with the highest IQM among the others. The two are told apart
    where the interval of the probability of improvement leaves out one half.

    Args:
        rows: one per label, at least one.
        baseline: the label that ``improvement`` is over.
    """
    ranked = sorted(rows, key=lambda row: -row.iqm.value)
    level = [row.label for row in ranked if row.iqm.value == ranked[0].iqm.value]
    verb = "has" if len(level) == 1 else "share"
    detail = f"{' and '.join(level)} {verb} the highest IQM, {shown(ranked[0].iqm)}."
    if len(rows) == 1:
        lead = ranked[0]
        detail = f"Its IQM is {shown(lead.iqm)} over {counted(lead.runs, 'run')} per environment."
        return Finding(f"{lead.label} stands alone", detail)
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


def _headline(challenger: str, baseline: str, improvement: Estimate, fewest: int) -> str:
    low, high = improvement.low, improvement.high
    if low is None or high is None or low <= 0.5 <= high:
        return f"These runs do not tell {challenger} from {baseline}"
    better, worse = (challenger, baseline) if low > 0.5 else (baseline, challenger)
    verb = "seems to score" if fewest < ENOUGH_RUNS else "scores"
    return f"{better} {verb} higher than {worse}"


def footer(comparison: Comparison, loaded: LoadedRuns, draws: Draws) -> tuple[str, ...]:
    """List what the numbers rest on: runs, tasks, seeds, episodes, scale, draws."""
    tasks = comparison.tasks
    episodes = sorted({run.evaluation_episodes for run in comparison.runs})
    scales = sorted(
        {
            f"in {run.task}, low {run.low:.6g} and high {run.high:.6g} ({run.source})"
            for run in comparison.runs
        }
    )
    lines = [
        f"{counted(len(comparison.runs), 'run')} of {counted(len(comparison.labels), 'label')} on "
        f"{counted(len(tasks), 'task')}: {', '.join(tasks)}. The column counts runs per task.",
        "A score is the mean return of the final policy over "
        f"{' or '.join(map(str, episodes))} evaluation episodes.",
        "Mean, IQM, median and optimality gap are of the normalised score (score − low)/(high − "
        f"low); {'; '.join(scales)}.",
        *_seeds(comparison),
        f"[…, …] are 95 % stratified-bootstrap percentile intervals (rliable): {draws.table:,} "
        f"draws for the table, {draws.curve:,} for the learning curves, seed {draws.seed}.",
        "P(better than …) is the probability that a run of the row scores above a run of the "
        "baseline, ties counting half.",
    ]
    if len(tasks) == 1:
        lines.append("The median is over tasks, so with one task it equals the mean.")
    if loaded.tuning_runs:
        lines.append(
            f"{counted(loaded.tuning_runs, 'tuning run')} left out: seeds that chose "
            "hyperparameters never judge them."
        )
    return tuple(lines)


def compose(table: ScoreTable, found: Finding, notes: Sequence[str], loaded: LoadedRuns) -> str:
    """Return the Markdown page: finding, table, figures, notes, footer, folders set aside."""
    parts = [
        f"# {markdown(found.headline)}\n",
        f"{markdown(found.detail)}\n",
        table.markdown(),
        _bullets(table.footer),
    ]
    if table.cautions:
        parts += ["## Read with care\n", _bullets(table.cautions)]
    if notes:
        parts += ["## Notes\n", _bullets(notes)]
    parts += [
        "## Figures\n",
        "![IQM of the normalised return over environment steps](learning_curves.png)\n",
        "![Point estimates and intervals of every label](intervals.png)\n",
        "Numbers: [every run's score](scores.csv), [the table](table.csv).\n",
    ]
    if loaded.set_aside:
        lines = [
            f"{aside.folder}: {shortened(one_line(aside.reason), _LONGEST_REASON)}"
            for aside in loaded.set_aside
        ]
        parts += ["## Run folders set aside\n", _bullets(lines)]
    return "\n".join(parts)


def _seeds(comparison: Comparison) -> list[str]:
    labels_of = Counter(scores.seeds for scores in comparison.labels)
    if len(labels_of) == 1:
        return [f"Seeds of every label: {ranges(comparison.labels[0].seeds)}."]
    return [f"Seeds of {scores.label}: {ranges(scores.seeds)}." for scores in comparison.labels]


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending distinct whole numbers as ``1–3, 7``."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans)


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {markdown(line)}\n" for line in lines)
