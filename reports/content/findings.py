"""The report's words: what was found, and what the numbers rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.content.arrangement import GRID_POINTS, Arrangement
from reports.content.document import ReportSettings
from reports.content.kinds import listed
from reports.content.numbers import percent, scale_end, shown
from reports.content.rows import Aggregate, Interval
from reports.content.verdicts import Verdict
from reports.logs.records import LoadedRuns
from reports.statistics.failures import Failures
from reports.statistics.summaries import ENOUGH_RUNS
from reports.text import counted, ranges

_MOST_SCALES = 12
"""Of so many tasks the footer states what normalises them; each task's own table does."""


@dataclass(frozen=True)
class Finding:
    """The main result: a headline without numbers, and the numbers behind it as sentences."""

    headline: str
    detail: str


def find(
    rows: Sequence[Aggregate],
    baseline: str,
    judged: Mapping[str, Verdict],
    failed: Mapping[str, Failures],
) -> Finding:
    """Say which label leads, and whether the runs tell it from the baseline.

    The baseline meets the label with the highest IQM among the others. The two are told apart
    where the stratified rank test's p is at most 0.05 after Holm's correction over all those that
    could have been the best; the probability of improvement describes.

    Args:
        rows: one per label; none where no task was run by every label.
        baseline: the label that ``improvement`` is over.
        judged: every other label against the baseline.
        failed: every label's failed runs.
    """
    if not rows:
        return Finding(
            "No task was run by every label",
            "So nothing can be said across tasks; the tables of the single tasks follow.",
        )
    ranked = _ranked(rows)
    lead = ranked[0]
    if len(rows) == 1:
        detail = f"Its IQM is {shown(lead.iqm)} over {counted(lead.runs, 'run')} per environment."
        return Finding(f"{lead.label} stands alone", detail)
    detail, best = leading(rows, baseline)
    challenger = next(row for row in ranked if row.label == best)
    improvement = challenger.improvement
    if improvement is None:
        raise ValueError(f"{challenger.label} was not compared with {baseline}")
    pair, verdict = (challenger.label, baseline), judged[challenger.label]
    told = _told(verdict, improvement)
    sentences = [detail, *_described(pair, improvement, told=told), _tested(verdict, told=told)]
    return Finding(
        _headline(pair, verdict, told=told), " ".join([*sentences, *failed_sentences(pair, failed)])
    )


def headline_pair(rows: Sequence[Aggregate], baseline: str) -> tuple[str, str] | None:
    """The two labels that the headline is about, the baseline last; None where it is about none."""
    others = [row for row in rows if row.label != baseline]
    if not others or len(others) == len(rows):
        return None
    return max(others, key=_iqm).label, baseline


def leading(rows: Sequence[Aggregate], baseline: str) -> tuple[str, str]:
    """Who has the highest IQM, as a sentence, and the label that meets the baseline.

    Args:
        rows: at least two.
        baseline: the label that the best of the others meets.
    """
    ranked = _ranked(rows)
    level = [row.label for row in ranked if _iqm(row) == _iqm(ranked[0])]
    verb = "has" if len(level) == 1 else "share"
    sentence = f"{_listed(level)} {verb} the highest IQM, {shown(ranked[0].iqm)}."
    return sentence, next(row.label for row in ranked if row.label != baseline)


def footer(
    arrangement: Arrangement, loaded: LoadedRuns, settings: ReportSettings, until_clear: str = ""
) -> tuple[str, ...]:
    """List what the numbers rest on: runs, tasks, seeds, episodes, scale, draws.

    Args:
        arrangement: the runs.
        loaded: what the logs held.
        settings: the report's.
        until_clear: what decided in place of the rank test, as sentences; empty: it decides.
    """
    runs, tasks = arrangement.runs, arrangement.shared_tasks
    names = listed(arrangement.tasks)
    shared = "" if len(tasks) == len(arrangement.tasks) else f", {len(tasks)} of them run by all"
    lines = [
        f"{counted(len(runs), 'run')} of {counted(len(arrangement.labels), 'label')} on "
        f"{counted(len(arrangement.tasks), 'task')}{shared}: {names}. The column counts runs per "
        "task.",
        *_measures(arrangement, settings),
        "Mean, IQM and optimality gap are of the normalised score (score − low)/(high − "
        f"low); {'; '.join(_scales(arrangement))}.",
        *_seeds(arrangement),
        f"[…, …] are {percent(settings.level)} {settings.interval_method}: "
        f"{settings.table_draws:,} draws for the main table, {settings.curve_draws:,} for the "
        f"others, the curves and the pairs, seed {settings.seed}.",
        "P(better than …) is the probability that a run of the row scores above a run of the "
        "baseline, ties counting half.",
        until_clear
        or "p is that of the exact rank test over the tasks against the baseline, after Holm's "
        "correction over the labels; it asks whether the runs of both have one distribution.",
        "Two labels count as practically equal on a task where means within ± "
        f"{settings.equivalence_margin:g} of its normalised scale are shown, and failures not seen "
        "cannot make up that much.",
        f"A run failed below {settings.failed_below:g} of its label's upper quartile on the task, "
        "normalised.",
    ]
    if any(len(run.evaluation_steps) > GRID_POINTS for run in runs):
        lines.append(
            f"Of a curve with more evaluation points than {GRID_POINTS}, that many are shown, "
            "evenly spread, the first and the last among them."
        )
    if loaded.tuning_runs:
        lines.append(
            f"{counted(loaded.tuning_runs, 'tuning run')} left out: seeds that chose "
            "hyperparameters never judge them."
        )
    return (*lines, *(loaded.sources if len(loaded.sources) > 1 else ()))


def _listed(labels: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(labels[:-1]), labels[-1])))


def _ranked(rows: Sequence[Aggregate]) -> list[Aggregate]:
    return sorted(rows, key=lambda row: -_iqm(row))


def _iqm(row: Aggregate) -> float:
    return -float("inf") if row.iqm.value is None else row.iqm.value


def _headline(pair: tuple[str, str], verdict: Verdict, *, told: bool) -> str:
    label, baseline = pair
    if told:
        better, worse = (label, baseline) if verdict.higher else (baseline, label)
        verb = "seems to score" if min(verdict.runs) < ENOUGH_RUNS else "scores"
        return f"{better} {verb} higher than {worse}"
    undecided = f"These runs do not tell {label} from {baseline}"
    if verdict.remedy:
        return f"{undecided}: so few never could, {verdict.remedy} might"
    return undecided


def _told(verdict: Verdict, improvement: Interval) -> bool:
    """Whether test and estimate say the same of the two, and the test is significant.

    With unequal numbers of runs the tasks weigh differently in the two.
    """
    rate = improvement.value
    return verdict.told and rate not in (None, 0.5) and ((rate or 0.0) > 0.5) == verdict.higher


def _described(pair: tuple[str, str], improvement: Interval, *, told: bool) -> list[str]:
    label, baseline = pair
    probability = f"with probability {shown(improvement)}."
    sentences = [f"A run of {label} scores above a run of {baseline} {probability}"]
    low, high = improvement.low, improvement.high
    if told and low is not None and high is not None and low <= 0.5 <= high:
        sentences.append(
            "The interval of the probability is wider than the test and only describes."
        )
    return sentences


def _tested(verdict: Verdict, *, told: bool) -> str:
    """What the rank test says, and what it would need where it does not tell the two apart."""
    name = "The exact rank test" if verdict.test.exact else "The rank test, by its normal limit,"
    corrected = ""
    if verdict.pairs > 1:
        corrected = f" after Holm's correction over {verdict.pairs} labels"
    sentence = f"{name} gives p {_p(verdict.p)}{corrected}"
    if verdict.remedy:
        return (
            f"{sentence}; with so few runs no scores could give less than "
            f"{shown(verdict.least, 'p')}. At least {verdict.remedy} would be needed. "
            f"{verdict.seeds.sentence}"
        )
    return f"{sentence}." if told else f"{sentence}. {verdict.seeds.sentence}"


def _p(p: float) -> str:
    text = shown(p, "p")
    return text if text.startswith("<") else f"= {text}"


def failed_sentences(labels: Sequence[str], failed: Mapping[str, Failures]) -> list[str]:
    """How many runs of these labels failed, and how many may."""
    known = [(label, failed[label]) for label in labels if failed[label].runs]
    if not known:
        return []
    listed = "; ".join(
        f"{label}: {found.failed} of {found.runs}, up to {100 * found.bound:.0f} % may"
        for label, found in known
    )
    return [f"Failed runs of {listed}."]


def _measures(arrangement: Arrangement, settings: ReportSettings) -> list[str]:
    runs = arrangement.runs
    measures = sorted({run.measure for run in runs})
    episodes = sorted({run.evaluation_episodes for run in runs if run.evaluation_episodes})
    if len(measures) > 1:
        return [f"A score is, by run: {'; '.join(measures)}."]
    over = f", over {_few(episodes)} episodes" if episodes else ""
    if settings.best_checkpoints:
        return [f"A score is the highest mean return of any of a run's evaluations{over}."]
    return [f"A score is the {measures[0]}{over}."]


def _few(numbers: Sequence[int]) -> str:
    if len(numbers) > 6:
        return f"{numbers[0]:,} to {numbers[-1]:,}"
    return " or ".join(map(str, numbers))


def _scales(arrangement: Arrangement) -> list[str]:
    scales = sorted(
        {
            f"in {run.task}, low {scale_end(run.low)} and high {scale_end(run.high)} ({run.source})"
            for run in arrangement.runs
        }
    )
    if len(scales) > _MOST_SCALES:
        return [*scales[:_MOST_SCALES], f"of {len(scales) - _MOST_SCALES} more, in their tables"]
    return scales


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
    alike: dict[str, list[str]] = {}
    for label, text in zip(seeds, stated, strict=True):
        alike.setdefault(text or "unknown", []).append(label)
    return [f"Seeds of {listed(labels)}: {text}." for text, labels in alike.items()]
