"""Seeds until it is clear: a group-sequential comparison of every two labels.

Looking at the runs again and again and stopping where a test of fixed size rejects claims too much
(Spec 16.1). Here the looks are fixed beforehand and share the error between them:

- the statistic is Welch's (1947) t of the mean over tasks of the differences of means, each task a
  stratum, turned into the normal quantile z of the same p;
- of two labels, after the share t of the most seeds, as much of the error is spent as Lan and
  DeMets's (1983) function of Pocock's (1977) kind says, error · ln(1 + (e − 1) t); the levels of
  the looks follow by integrating over the walk of z (Armitage, McPherson and Rowe 1969);
- over pairs Holm's (1979) method: of M pairs, each has error/M, and what a pair that is told apart
  had is divided among the others (Maurer and Bretz 2013). So the probability that any pair is
  wrongly told apart at any look is at most the error;
- from the second look on a pair may be given up that would hardly be told apart with the most
  seeds if it goes on as so far, by its conditional power (Lan and Wittes 1988). That spends no
  error, heeded or not;
- an interval is a repeated confidence interval (Jennison and Turnbull 1989): its quantile is that
  of the look, so that it holds wherever the runs stop.

Mathieu et al. (2023) do the same with permutations, which ask for equal distributions; Welch's
statistic asks for equal means alone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from reports.statistics.ranks import least_p
from reports.statistics.samples import Floats, ScoresError, constant
from reports.statistics.spending import nominal_levels

LEAST_FIRST = 3
"""Seeds of the first look: of two runs a spread is hardly known."""
MOST_LOOKS = 200

Verdict = Literal["higher", "lower", "given up", "not told"]
"""Of the first label against the second; ``not told`` at the last look."""


@dataclass(frozen=True)
class UntilClear:
    """The plan of a comparison that ends where it is clear, fixed before its first run.

    Attributes:
        max_seeds: of a label and task, at most.
        first: seeds at the first look, at least 3.
        step: further seeds to every next look, at least 1.
        error: of wrongly telling any two labels apart at any look, in (0, 0.5).
        futility: a pair is given up where its conditional power is below, in [0, 1); 0: never.

    Raises:
        ScoresError: one of them is out of its range; says which.
    """

    max_seeds: int = 30
    first: int = 5
    step: int = 5
    error: float = 0.05
    futility: float = 0.1

    def __post_init__(self) -> None:
        if self.first < LEAST_FIRST:
            raise ScoresError(f"first={self.first}: expected at least {LEAST_FIRST} seeds")
        if self.step < 1:
            raise ScoresError(f"step={self.step}: expected at least 1 seed")
        if self.max_seeds < self.first:
            raise ScoresError(
                f"max_seeds={self.max_seeds} is below first={self.first}: expected at least as many"
            )
        if len(self.looks) > MOST_LOOKS:
            raise ScoresError(
                f"step={self.step} makes {len(self.looks)} looks: expected at most {MOST_LOOKS}"
            )
        if not 0 < self.error < 0.5:
            raise ScoresError(f"error={self.error:g}: expected a number between 0 and 0.5")
        if not 0 <= self.futility < 1:
            raise ScoresError(f"futility={self.futility:g}: expected at least 0 and less than 1")

    @property
    def looks(self) -> tuple[int, ...]:
        """Seeds of a label and task at every look; the last is ``max_seeds``."""
        return (*range(self.first, self.max_seeds, self.step), self.max_seeds)

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of ``max_seeds`` at every look."""
        return tuple(seeds / self.max_seeds for seeds in self.looks)


@dataclass(frozen=True)
class Decision:
    """What became of two labels, and at which look.

    Attributes:
        x: the first label.
        y: the second.
        verdict: ``higher`` and ``lower``: x's mean is told from y's.
        seeds: of each label and task at that look.
        p: two-sided p of Welch's test there, plain; None where it is undefined.
        level: what ``p`` had to be at most.
        difference: mean over tasks of mean x − mean y; None where a task has no two runs of both.
        low: lower end of the interval, which holds whichever look was the last, together with all
            other pairs' (by Bonferroni, so it is wider than the test and may hold 0 where the pair
            was told apart by what another pair had left).
        high: its upper end.
    """

    x: str
    y: str
    verdict: Verdict
    seeds: int
    p: float | None
    level: float
    difference: float | None
    low: float | None
    high: float | None

    @property
    def told(self) -> bool:
        """Whether the two are told apart."""
        return self.verdict in ("higher", "lower")


@dataclass(frozen=True)
class StratifiedWelch:
    """Welch's test of the mean over tasks of the differences.

    Attributes:
        difference: (1/T) Σ_t (x̄_t − ȳ_t).
        error: its standard error, (1/T) √Σ_t (s²_x,t/R_x,t + s²_y,t/R_y,t).
        freedom: Satterthwaite's ν over the 2 T samples; 0 where no score varies.
        p: two-sided. Where no score varies the statistic is undefined; then 1 where the means are
            equal, else the least p that a rank test of as many runs can have.
    """

    difference: float
    error: float
    freedom: float
    p: float

    @property
    def z(self) -> float:
        """The normal quantile with the same p and the difference's sign."""
        return math.copysign(float(-special.ndtri(self.p / 2)), self.difference)

    def ends(self, level: float) -> tuple[float, float] | None:
        """The interval of this two-sided level; None where no score varies."""
        if self.freedom == 0:
            return None
        half = float(special.stdtrit(self.freedom, 1 - level / 2)) * self.error
        return self.difference - half, self.difference + half


def stratified_welch(
    x: Sequence[ArrayLike] | Floats, y: Sequence[ArrayLike] | Floats
) -> StratifiedWelch | None:
    """Test whether the means over tasks are equal; None where a task has no two runs of each.

    Args:
        x: T arrays (R_t,) of one label's scores, on one scale.
        y: T arrays of the other's, tasks in the same order; numbers of runs may differ.
    """
    ours, theirs = _arrays(x), _arrays(y)
    if len(ours) != len(theirs) or not ours:
        raise ScoresError(f"the labels must share their tasks; {len(ours)} and {len(theirs)}")
    samples = [*ours, *theirs]
    if min(map(len, samples)) < 2:
        return None
    tasks = len(ours)
    difference = float(np.mean([a.mean() - b.mean() for a, b in zip(ours, theirs, strict=True)]))
    parts = np.array([0.0 if constant(s) else s.var(ddof=1) / len(s) for s in samples])
    total = parts.sum()
    if total == 0:
        runs = [[len(sample) for sample in side] for side in (ours, theirs)]
        alike = constant(np.array([0.0, difference])) or abs(difference) <= 1e-12 * max(
            float(np.abs(sample).max()) for sample in samples
        )
        return StratifiedWelch(difference, 0.0, 0.0, 1.0 if alike else least_p(*runs))
    shares = parts / total
    freedom = float(1 / (shares**2 / (np.array([len(s) for s in samples]) - 1)).sum())
    error = float(np.sqrt(total)) / tasks
    p = float(2 * special.stdtr(freedom, -abs(difference) / error))
    # Below the least normal float a quantile would be infinite.
    return StratifiedWelch(difference, error, freedom, max(p, 1e-300))


def decide(
    design: UntilClear,
    number: int,
    samples: Mapping[str, Sequence[ArrayLike] | Floats],
    decided: Sequence[Decision] = (),
) -> tuple[Decision, ...]:
    """Look at the runs and decide what is clear; a pure function of scores and earlier decisions.

    Args:
        design: the plan.
        number: of the look, from 1.
        samples: every label's scores of T tasks, on one scale (as the report normalises them): the
            first ``design.looks[number - 1]`` runs, those that failed left out. Of a label without
            undecided pairs whatever there is.
        decided: all decisions of earlier looks.

    Returns:
        The decisions of this look; at the last every pair has one.

    Raises:
        ScoresError: fewer than two labels, no such look, or numbers of tasks that differ.
    """
    if len(samples) < 2:
        raise ScoresError(f"{len(samples)} label: expected at least two to compare")
    if not 1 <= number <= len(design.looks):
        raise ScoresError(f"look {number}: expected 1 to {len(design.looks)}")
    tests = {
        (x, y): stratified_welch(samples[x], samples[y]) for x, y in open_pairs(samples, decided)
    }
    pairs = len(samples) * (len(samples) - 1) // 2
    left = pairs - sum(decision.told for decision in decided)
    level, told = _told_apart(design, number, tests, left)
    found = []
    for pair, test in tests.items():
        verdict = _verdict(design, number, test, told.get(pair), left - len(told))
        if verdict is not None:
            reached = told.get(pair, level)
            found.append(_decision(design, number, pair, test, verdict, reached, pairs))
    return tuple(found)


def open_pairs(labels: Iterable[str], decided: Sequence[Decision]) -> list[tuple[str, str]]:
    """Every two labels that are not decided, in the order of the labels."""
    done = {frozenset((decision.x, decision.y)) for decision in decided}
    return [pair for pair in combinations(labels, 2) if frozenset(pair) not in done]


def open_labels(labels: Sequence[str], decided: Sequence[Decision]) -> list[str]:
    """The labels that need more runs: those of any pair that is not decided."""
    needed = {label for pair in open_pairs(labels, decided) for label in pair}
    return [label for label in labels if label in needed]


def _told_apart(
    design: UntilClear,
    number: int,
    tests: Mapping[tuple[str, str], StratifiedWelch | None],
    left: int,
) -> tuple[float, dict[tuple[str, str], float]]:
    """Holm's steps: the level of those that stay, and of each pair told apart the level it met.

    Args:
        design: the plan.
        number: of the look.
        tests: of the undecided pairs.
        left: pairs that were not told apart before, those given up among them.
    """
    told: dict[tuple[str, str], float] = {}
    for pair, test in sorted(
        ((pair, test) for pair, test in tests.items() if test is not None),
        key=lambda each: each[1].p,
    ):
        level = nominal_levels(design.fractions, design.error / (left - len(told)))[number - 1]
        if test.p > level:
            return level, told
        told[pair] = level
    return nominal_levels(design.fractions, design.error / max(1, left - len(told)))[
        number - 1
    ], told


def _verdict(
    design: UntilClear, number: int, test: StratifiedWelch | None, told: float | None, left: int
) -> Verdict | None:
    if test is not None and told is not None:
        return "higher" if test.difference > 0 else "lower"
    if number == len(design.looks):
        return "not told"
    if test is None or number == 1 or not design.futility:
        return None  # of the first look's few runs no trend is known
    last = nominal_levels(design.fractions, design.error / left)[-1]
    power = conditional_power(test.z, design.fractions[number - 1], last)
    return "given up" if power < design.futility else None


def _decision(
    design: UntilClear,
    number: int,
    pair: tuple[str, str],
    test: StratifiedWelch | None,
    verdict: Verdict,
    level: float,
    pairs: int,
) -> Decision:
    own = nominal_levels(design.fractions, design.error / pairs)[number - 1]
    low, high = (None, None) if test is None else test.ends(own) or (None, None)
    return Decision(
        *pair,
        verdict=verdict,
        seeds=design.looks[number - 1],
        p=None if test is None else test.p,
        level=level,
        difference=None if test is None else test.difference,
        low=low,
        high=high,
    )


def conditional_power(z: float, fraction: float, level: float) -> float:
    """P(|z| is large enough at the end), if the truth is what the runs so far say.

    At the end z is normal about z/√t with variance 1 − t, t being ``fraction``.

    Args:
        z: now.
        fraction: of the most seeds, in (0, 1).
        level: two-sided, of the last look.
    """
    far = float(-special.ndtri(level / 2))
    centre, spread = z / math.sqrt(fraction), math.sqrt(1 - fraction)
    return float(special.ndtr((centre - far) / spread) + special.ndtr((-centre - far) / spread))


def _arrays(scores: Sequence[ArrayLike] | Floats) -> list[Floats]:
    """One array (R_t,) a task; without runs an empty one."""
    columns = scores.T if isinstance(scores, np.ndarray) and scores.ndim == 2 else scores
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    for array in arrays:
        if array.ndim != 1 or not np.isfinite(array).all():
            raise ScoresError("expected one array (runs,) of finite scores for each task")
    return arrays
