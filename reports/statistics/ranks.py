"""The exact stratified rank test, from which a report's verdicts come.

Mann and Whitney's (1947) U statistics of the tasks are added, as van Elteren (1960) did for strata,
each with weight one; ties get midranks. Under the hypothesis that the labels of a task's runs are
exchangeable, every split of its pooled ranks is equally likely, tasks apart: the sum's distribution
is the convolution of the tasks', and each of these is counted, not drawn.

The two-sided p is the probability of a sum at least as far from its expectation as the observed
one, on either side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb, prod

import numpy as np
from scipy import special
from scipy.stats import rankdata

from reports.statistics.samples import Floats, Scores, ScoresError, strata

EXACT_WORK = 2**28
"""Multiplications up to which the distribution is counted; beyond, its normal limit serves."""


@dataclass(frozen=True)
class RankTest:
    """Two algorithms' runs by rank, over all tasks.

    Attributes:
        statistic: Σ_t U_t: pairs of runs of one task in which x's is above, ties half.
        expected: Σ_t R_x R_y / 2, its expectation under exchangeable labels.
        p: two-sided p.
        least_p: the smallest p that any scores of as many runs could have had.
        exact: whether ``p`` was counted; else it is of the normal limit with the ties' variance and
            a continuity correction, because counting would take more than ``EXACT_WORK``.
    """

    statistic: float
    expected: float
    p: float
    least_p: float
    exact: bool

    def mirrored(self) -> "RankTest":
        """The same test with x and y exchanged."""
        return RankTest(
            2 * self.expected - self.statistic, self.expected, self.p, self.least_p, self.exact
        )


def rank_tests(
    samples: Mapping[str, Scores], *, over: str | None = None
) -> dict[tuple[str, str], RankTest]:
    """Test every two algorithms over all tasks.

    Args:
        samples: scores of every algorithm on the same T tasks in the same order; numbers of runs
            may differ between algorithms and tasks.
        over: the algorithm that every pair must hold; None: all pairs.

    Returns:
        By (x, y), for every two labels x ≠ y that were compared, in both orders.

    Raises:
        ScoresError: the algorithms have different numbers of tasks, or see
            ``reports.statistics.samples.strata``.
    """
    checked = {label: strata(scores, label) for label, scores in samples.items()}
    tests = {}
    for x, y in combinations(checked, 2):
        if over in (None, x, y):
            tests[x, y] = rank_test(checked[x], checked[y])
            tests[y, x] = tests[x, y].mirrored()
    return tests


def rank_test(x: Scores, y: Scores) -> RankTest:
    """Test whether the runs of each task are exchangeable between x and y, by the sum of U.

    Args:
        x: scores of one algorithm, T tasks.
        y: scores of the other on the same tasks.

    Raises:
        ScoresError: different numbers of tasks, or see ``reports.statistics.samples.strata``.
    """
    ours, theirs = strata(x, "x"), strata(y, "y")
    if len(ours) != len(theirs):
        raise ScoresError(f"the algorithms must share their tasks; {len(ours)} and {len(theirs)}")
    tasks = [_Ranks.of(*pair) for pair in zip(ours, theirs, strict=True)]
    runs_x, runs_y = [len(task) for task in ours], [len(task) for task in theirs]
    distance = sum(task.distance for task in tasks)
    exact = _work(tasks) <= EXACT_WORK
    expected = sum(first * second for first, second in zip(runs_x, runs_y, strict=True)) / 2
    return RankTest(
        statistic=expected + distance / 2,
        expected=expected,
        p=_exact_p(tasks, abs(distance)) if exact else _normal_p(tasks, abs(distance)),
        least_p=least_p(runs_x, runs_y),
        exact=exact,
    )


def least_p(runs_x: Sequence[int], runs_y: Sequence[int]) -> float:
    """The p of runs that all lie apart, 2 / Π_t C(R_x + R_y, R_x): no scores give a smaller one.

    Args:
        runs_x: (T,) runs of one algorithm on every task.
        runs_y: (T,) runs of the other.
    """
    return 2 / prod(comb(x + y, x) for x, y in zip(runs_x, runs_y, strict=True))


def fewest_runs(tasks: int, level: float) -> int:
    """The least number of runs of each algorithm with which ``least_p`` is at most ``level``.

    Args:
        tasks: how many, all with as many runs.
        level: in (0, 1).
    """
    runs = 1
    while least_p([runs] * tasks, [runs] * tasks) > level:
        runs += 1
    return runs


def fewest_tasks(runs_x: int, runs_y: int, level: float) -> int:
    """The least number of tasks with which ``least_p`` is at most ``level``, runs as given."""
    tasks = 1
    while least_p([runs_x] * tasks, [runs_y] * tasks) > level:
        tasks += 1
    return tasks


@dataclass(frozen=True)
class _Ranks:
    """One task's pooled midranks, doubled so that they are whole.

    Attributes:
        doubled: all R_x + R_y of them, ascending.
        runs: of the smaller side.
        sign: 1 where the smaller side is x, else −1.
        distance: x's sum of doubled ranks less its expectation, 2 (U − R_x R_y / 2).
    """

    doubled: tuple[int, ...]
    runs: int
    sign: int
    distance: int

    @classmethod
    def of(cls, x: Floats, y: Floats) -> "_Ranks":
        total = len(x) + len(y)
        doubled = np.rint(2 * rankdata(np.concatenate([x, y]))).astype(int)
        distance = int(doubled[: len(x)].sum()) - len(x) * (total + 1)
        smaller = min(len(x), len(y))
        return cls(
            tuple(sorted(doubled.tolist())), smaller, 1 if smaller == len(x) else -1, distance
        )

    @property
    def farthest(self) -> int:
        """The smaller side's expectation less its least sum, and its greatest sum less the same."""
        return max(self._reach)

    @property
    def _reach(self) -> tuple[int, int]:
        expected = self.runs * (len(self.doubled) + 1)
        low, high = sum(self.doubled[: self.runs]), sum(self.doubled[-self.runs :])
        return expected - low, high - expected

    @property
    def variance(self) -> float:
        """Of ``distance``, of N ranks: R_x R_y / N · their variance with divisor N − 1."""
        total = len(self.doubled)
        ranks = np.array(self.doubled, dtype=np.float64)
        return float(self.runs * (total - self.runs) / total * ranks.var(ddof=1))

    def shares(self) -> Floats:
        """P(distance = d) for d from −farthest to farthest."""
        low, high = self._reach
        counted = _split_sums(self.doubled, self.runs)
        around = np.zeros(2 * self.farthest + 1)
        around[self.farthest - low : self.farthest + high + 1] = counted
        return around if self.sign == 1 else around[::-1]


@lru_cache(maxsize=256)
def _split_sums(doubled: tuple[int, ...], runs: int) -> Floats:
    """Share of the splits of ascending ranks whose ``runs`` ranks have each sum, least to greatest.

    Counted rank by rank: a table of how many ways k of the ranks so far have the sum s.
    """
    steps = np.array(doubled) - doubled[0]
    unit = max(1, int(np.gcd.reduce(steps)))
    steps = steps // unit
    top = int(steps[-runs:].sum())
    ways = np.zeros((runs + 1, top + 1))
    ways[0, 0] = 1.0
    reach = 0
    for place, step in enumerate(steps.tolist()):
        # Rows from which too few ranks are left are not filled, nor those with too few so far.
        first, last = max(1, runs - (len(steps) - 1 - place)), min(runs, place + 1)
        width = min(reach, top - step) + 1
        ways[first : last + 1, step : step + width] += ways[first - 1 : last, :width]
        reach = min(top, reach + step)
    shares = ways[runs] / comb(len(steps), runs)
    least = int(steps[:runs].sum())
    spread = np.zeros((top - least) * unit + 1)
    spread[::unit] = shares[least:]
    return spread


def _work(tasks: Sequence[_Ranks]) -> float:
    """About how many multiplications counting takes."""
    widths = [2 * task.farthest + 1 for task in tasks]
    counting = sum(
        len(task.doubled) * task.runs * width for task, width in zip(tasks, widths, strict=True)
    )
    return counting + sum(
        sum(half[:place]) * half[place]
        for half in (widths[::2], widths[1::2])
        for place in range(1, len(half))
    )


def _exact_p(tasks: Sequence[_Ranks], distance: int) -> float:
    """P(|Σ distances| ≥ distance): two halves of the tasks convolved, then one tail over both.

    Sums of positive terms alone, so that a small p has as many correct digits as a large one.
    """
    shares = [task.shares() for task in tasks]
    unit = 2 if all(not part[_odd(part)].any() for part in shares) and distance % 2 == 0 else 1
    first, second = (_convolved(half, unit) for half in (shares[::2], shares[1::2]))
    far = distance // unit
    centre = len(second) // 2
    places = np.arange(len(first)) - len(first) // 2
    above = np.append(np.cumsum(second[::-1])[::-1], 0.0)
    below = np.append(0.0, np.cumsum(second))
    least = np.clip(far - places + centre, 0, len(second))
    most = np.clip(-far - places + centre + 1, 0, len(second))
    both = above[least] + below[most] if far > 0 else np.ones(len(first))
    return min(1.0, float(first @ both))


def _odd(shares: Floats) -> slice:
    """The entries at odd distances from the centre."""
    return slice(1 - (len(shares) // 2) % 2, None, 2)


def _convolved(shares: Sequence[Floats], unit: int) -> Floats:
    total = np.ones(1)
    for part in shares:
        centre = len(part) // 2
        total = np.convolve(total, part[centre % unit :: unit])
    return total


def _normal_p(tasks: Sequence[_Ranks], distance: int) -> float:
    """The limit's p; half a step, one doubled rank, is the continuity correction."""
    deviation = np.sqrt(sum(task.variance for task in tasks))
    if deviation == 0:
        return 1.0
    return min(1.0, float(2 * special.ndtr(-max(0.0, distance - 1) / deviation)))
