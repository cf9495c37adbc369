"""What was decided while the runs were made, and what looking at them again costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reports.content.arrangement import Arrangement
from reports.content.document import ReportSettings
from reports.content.findings import Finding, failed_sentences, leading
from reports.content.numbers import percent, shown
from reports.content.rows import Aggregate, Interval, LookRow, Pair
from reports.logs.looks import Looks, NotedPair, counted_looks
from reports.logs.records import LoadedRuns
from reports.statistics.failures import Failures
from reports.statistics.power import ALPHA
from reports.statistics.spending import error_of_looks
from reports.text import counted


@dataclass(frozen=True)
class UntilClearRuns:
    """A comparison whose runs stopped where it was clear, and which is all of the report.

    Attributes:
        looks: its plan and decisions.
        labels: the report's.
        tasks: how many.
    """

    looks: Looks
    labels: tuple[str, ...]
    tasks: int

    def pair(self, x: str, y: str) -> NotedPair | None:
        """What became of two labels, x first; None: it is not decided yet."""
        for pair in self.looks.decided:
            if (pair.x, pair.y) == (x, y):
                return pair
            if (pair.x, pair.y) == (y, x):
                return _turned(pair)
        return None

    @property
    def pairs(self) -> int:
        """How many pairs of labels the plan has."""
        labels = len(self._plan["labels"])
        return labels * (labels - 1) // 2

    @property
    def runs(self) -> tuple[int, int]:
        """Runs that were asked for, and that were spared."""
        spent = self.tasks * sum(self.looks.seeds.values())
        most = self.tasks * len(self._plan["labels"]) * int(self._plan["max_seeds"])
        return spent, most - spent

    @property
    def _plan(self) -> Mapping[str, Any]:
        return self.looks.plan or {}

    @property
    def words(self) -> str:
        """The plan and what it spared, as sentences."""
        plan, (spent, saved) = self._plan, self.runs
        futility = plan["futility"]
        given_up = (
            f"from the second look on a pair is given up whose conditional power is below "
            f"{futility:g}"
            if futility
            else "no pair is given up before the last look"
        )
        return (
            f"Seeds until it is clear: looks with {plan['first']}, then every {plan['step']} more, "
            f"up to {plan['max_seeds']} seeds of each label and task, by a plan that was fixed "
            f"before the first run; {given_up}. The probability that any of the "
            f"{counted(self.pairs, 'pair')} is told apart wrongly at any look is at most "
            f"{plan['error']:g}: Welch's test stratified by task, Lan and DeMets's spending of "
            f"Pocock's kind, Holm's method over the pairs. {counted(spent, 'run')} asked for, "
            f"{saved:,} spared."
        )


def until_clear_runs(
    arrangement: Arrangement, loaded: LoadedRuns, settings: ReportSettings
) -> UntilClearRuns | None:
    """The comparison until clear that the report's runs are, if they are one and nothing else.

    Else its decisions do not speak of them; see :func:`on_looks` for what is said then.
    """
    planned = [looks for looks in loaded.looks if looks.plan is not None]
    if len(planned) != 1 or settings.best_checkpoints:
        return None
    (looks,) = planned
    plan = looks.plan or {}
    try:
        labels, tasks = list(plan["labels"]), list(plan["tasks"])
        numbers = [plan[name] for name in ("first", "step", "max_seeds", "error", "futility")]
    except (KeyError, TypeError):
        return None
    if not all(isinstance(number, int | float) for number in numbers):
        return None
    counts = arrangement.coverage().items()
    beyond = any(
        runs > looks.seeds.get(label, 0) for label, of_label in counts for runs in of_label.values()
    )
    if beyond or not set(arrangement.labels) <= set(labels) or len(arrangement.labels) < 2:
        return None
    if len(tasks) != len(arrangement.tasks):
        return None
    return UntilClearRuns(looks, arrangement.labels, len(tasks))


def look_rows(clear: UntilClearRuns | None) -> tuple[LookRow, ...]:
    """One row a decided pair, the higher label first where it was told apart."""
    if clear is None:
        return ()
    rows = []
    for noted in clear.looks.decided:
        pair = _turned(noted) if noted.verdict == "lower" else noted
        rows.append(
            LookRow(
                label=pair.x,
                other=pair.y,
                verdict=pair.verdict,
                seeds=pair.seeds,
                difference=Interval(pair.difference, pair.low, pair.high),
                welch=pair.p,
                level=pair.level,
            )
        )
    return tuple(rows)


def clear_pairs(pairs: Sequence[Pair], clear: UntilClearRuns | None) -> tuple[Pair, ...]:
    """The pairs, told apart by the looks' decisions and not by a test of fixed size."""
    if clear is None:
        return tuple(pairs)
    rows = []
    for pair in pairs:
        noted = clear.pair(pair.label, pair.other)
        told = noted is not None and noted.told
        rows.append(replace(pair, rank_p=None, rank_p_holm=None, told_until_clear=told))
    return tuple(rows)


def find_clear(
    rows: Sequence[Aggregate], baseline: str, clear: UntilClearRuns, failed: Mapping[str, Failures]
) -> Finding:
    """Say what the looks decided of the baseline and the label with the highest IQM among others.

    Args:
        rows: one per label, at least two.
        baseline: the label that it meets.
        clear: the looks.
        failed: every label's failed runs.
    """
    lead, challenger = leading(rows, baseline)
    pair = clear.pair(challenger, baseline)
    told = sum(noted.told for noted in clear.looks.decided)
    sentences = [lead]
    if pair is None:
        headline = f"{challenger} and {baseline} are not decided yet: the same command goes on"
    elif pair.told:
        better, worse = (
            (challenger, baseline) if pair.verdict == "higher" else (baseline, challenger)
        )
        headline = f"{better} scores higher than {worse}: clear after {pair.seeds} seeds"
    else:
        headline = f"{challenger} and {baseline} are not told apart with {pair.seeds} seeds"
        if pair.verdict == "given up":
            headline += ", and hardly would be with more"
    if pair is not None:
        sentences.append(_tested(pair))
    if clear.pairs > 1:
        sentences.append(f"Of {clear.pairs} pairs {told} are told apart.")
    spent, saved = clear.runs
    sentences.append(f"{counted(spent, 'run')} asked for, {saved:,} spared.")
    return Finding(
        headline, " ".join([*sentences, *failed_sentences((challenger, baseline), failed)])
    )


def _tested(pair: NotedPair) -> str:
    interval = Interval(pair.difference, pair.low, pair.high)
    if pair.p is None or pair.difference is None:
        return "Too few of their runs finished for a test."
    p = shown(pair.p, "p")
    return (
        f"Mean normalised score of {pair.x} less that of {pair.y}: {shown(interval)}, an interval "
        f"that holds wherever the runs stop; p {p if p.startswith('<') else f'= {p}'} at that "
        f"look, which asked for {pair.level:.2g}."
    )


def _turned(pair: NotedPair) -> NotedPair:
    turned = {"higher": "lower", "lower": "higher"}
    return replace(
        pair,
        x=pair.y,
        y=pair.x,
        verdict=turned.get(pair.verdict, pair.verdict),
        difference=None if pair.difference is None else -pair.difference,
        low=None if pair.high is None else -pair.high,
        high=None if pair.low is None else -pair.low,
    )


def on_looks(
    arrangement: Arrangement, loaded: LoadedRuns, clear: UntilClearRuns | None
) -> list[str]:
    """What looking at runs before they were all there does to the report's numbers."""
    if clear is not None:
        return [
            "These runs stopped where it was clear, so the plain means, intervals and p-values of "
            "the other tables and figures lean towards a difference: what is told apart, and the "
            "intervals that hold, stand in the table 'Until clear'."
        ]
    sentences = []
    if any(looks.plan is not None and looks.looks for looks in loaded.looks):
        sentences.append(
            "Some of these runs were made by a comparison until clear, which decided by looking at "
            "them how many there are, and others were not, or other scores are judged: its "
            "decisions do not speak of this report, and the tests and intervals here claim too "
            "much."
        )
    for looks in loaded.looks:
        seeds = counted_looks(looks, arrangement.labels) if looks.plan is None else ()
        if len(seeds) > 1:
            error = error_of_looks([number / seeds[-1] for number in seeds], ALPHA)
            listed = f"{', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
            sentences.append(
                f"These runs were looked at {len(seeds)} times, with {listed} seeds: who adds "
                "seeds until a test claims a difference claims a wrong one of two labels in "
                f"{percent(round(100 * error) / 100)} of comparisons, not in {percent(ALPHA)}; "
                "compare --until-clear keeps to that."
            )
    return sentences
