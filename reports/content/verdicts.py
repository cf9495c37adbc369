"""Whether the runs tell labels apart: the stratified rank test over the tasks of all labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from reports.content.arrangement import Arrangement
from reports.content.document import ReportSettings
from reports.statistics.power import ALPHA, SeedsNeeded, seeds_needed
from reports.statistics.ranks import RankTest, fewest_runs, fewest_tasks, rank_tests
from reports.statistics.significance import holm
from reports.text import counted


@dataclass(frozen=True)
class Verdict:
    """A label against the baseline.

    Attributes:
        test: the rank test, label first.
        p: its p after Holm's correction over every label's pair with the baseline: the headline
            picks the best of them, so it speaks of them all.
        least: the smallest such p that any scores of as many runs could have had.
        pairs: how many pairs the correction is over.
        runs: the fewest runs of any task, of the label and of the baseline.
        seeds: runs needed, with the correction.
    """

    test: RankTest
    p: float
    least: float
    pairs: int
    runs: tuple[int, int]
    seeds: SeedsNeeded

    @property
    def told(self) -> bool:
        """Whether the two are told apart."""
        return self.p <= ALPHA

    @property
    def higher(self) -> bool:
        """Whether the label's ranks are the higher ones."""
        return self.test.statistic > self.test.expected

    @property
    def remedy(self) -> str:
        """What would allow a significant outcome; empty where these runs allow one."""
        if self.least <= ALPHA:
            return ""
        level = ALPHA / self.pairs
        runs, tasks = fewest_runs(self.seeds.tasks, level), fewest_tasks(*self.runs, level)
        return f"{counted(runs, 'run')} of each or {counted(tasks, 'task')}"


def verdicts(arrangement: Arrangement, settings: ReportSettings) -> dict[str, Verdict]:
    """Judge every label against the baseline, over the tasks of all; none without such a task."""
    if not arrangement.shared_tasks:
        return {}
    best, baseline = settings.best_checkpoints, settings.baseline
    scores = {label: arrangement.shared(label, best=best) for label in arrangement.labels}
    tests = rank_tests(scores, over=baseline)
    others = [label for label in arrangement.labels if label != baseline]
    corrected = holm([tests[label, baseline].p for label in others])
    least = holm([tests[label, baseline].least_p for label in others])
    return {
        label: Verdict(
            test=tests[label, baseline],
            p=float(p or 0.0),
            least=float(smallest or 0.0),
            pairs=len(others),
            runs=(min(map(len, scores[label])), min(map(len, scores[baseline]))),
            seeds=seeds_needed(scores[label], scores[baseline], ALPHA / len(others)),
        )
        for label, p, smallest in zip(others, corrected, least, strict=True)
    }


def matrix_p(
    arrangement: Arrangement, settings: ReportSettings, over: str | None
) -> Mapping[tuple[str, str], tuple[float, float]]:
    """Map every ordered pair to its p, plain and after Holm's correction over all pairs.

    Args:
        arrangement: normalised runs with at least one task of all labels.
        settings: the report's.
        over: the label that every pair must hold; None: all pairs.
    """
    scores = {
        label: arrangement.shared(label, best=settings.best_checkpoints)
        for label in arrangement.labels
    }
    tests = rank_tests(scores, over=over)
    unordered = [pair for pair in tests if pair[0] < pair[1]]
    plain = [tests[pair].p for pair in unordered]
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for (x, y), p, corrected in zip(unordered, plain, holm(plain), strict=True):
        found[x, y] = found[y, x] = (p, float(corrected or 0.0))
    return found
