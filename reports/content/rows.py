"""The rows of a document's tables, as frozen records; a number that does not exist is None."""

from dataclasses import dataclass

from reports.statistics.intervals import Estimate
from reports.statistics.power import ALPHA


@dataclass(frozen=True)
class Interval:
    """A number with its interval; the ends are None where the runs allow none."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, estimate: Estimate) -> "Interval":
        """Make one of what the statistics estimated."""
        return cls(estimate.value, estimate.low, estimate.high)


@dataclass(frozen=True)
class TaskRow:
    """One environment with the scores that normalise it.

    Attributes:
        name: the environment id, with its arguments where it has any.
        compared: whether it enters the aggregates over tasks.
        low: the score that normalises to 0.
        high: the score that normalises to 1.
        source: where ``low`` and ``high`` come from.
    """

    name: str
    compared: bool
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class Aggregate:
    """One label over all compared tasks: a row of the main table.

    Attributes:
        label: ``algo (settings)``.
        runs: runs per task, the fewest of any task.
        score: mean score in the environment's own units; None with several tasks.
        mean: mean of the normalised scores.
        iqm: interquartile mean of the normalised scores.
        optimality_gap: 1 − mean(min(normalised score, 1)).
        improvement: P(a run scores above a run of the baseline); None for the baseline.
        rank_p: p of the rank test against the baseline, after Holm's correction over the labels;
            None for the baseline, and where the runs stopped when it was clear.
        best_checkpoint: IQM of the best evaluation of each run, an optimistic number.
        area: IQM of the mean height of the learning curve, normalised.
    """

    label: str
    runs: int
    score: float | None
    mean: Interval
    iqm: Interval
    optimality_gap: Interval
    improvement: Interval | None
    rank_p: float | None
    best_checkpoint: Interval | None
    area: Interval | None


@dataclass(frozen=True)
class TaskScore:
    """One label on one task, in the environment's own units.

    Attributes:
        interval: the mean with its interval.
        success_rate: share of runs (or episodes, where recorded) that succeeded, in [0, 1].
        best_checkpoint: mean of the runs' best evaluations.
        area: IQM over runs of the mean height of the normalised learning curve.
        reached: share of runs whose return passed the threshold; None without shared steps.
        median_steps: steps by which half of the runs had; None where fewer did.
        mean_steps: mean of min(steps to the threshold, horizon).
        horizon: steps for which every run of the task was watched.
        scores: every run's score, by seed.
    """

    task: str
    label: str
    runs: int
    mean: Interval
    iqm: Interval
    std: float | None
    minimum: float | None
    maximum: float | None
    success_rate: float | None
    best_checkpoint: float | None
    area: Interval | None
    reached: Interval | None
    median_steps: float | None
    mean_steps: Interval | None
    horizon: int | None
    scores: tuple[float, ...]


@dataclass(frozen=True)
class TaskTest:
    """Two labels on one task.

    Attributes:
        difference: mean of ``label`` minus mean of ``other``, own units, with its interval.
        welch: p-value of Welch's t test; ``welch_holm`` after Holm's correction.
        permutation: p-value of the permutation test; ``permutation_holm`` after the correction.
        effect: standardised difference (Hedges' g).
        superiority: P(a run of ``label`` scores above one of ``other``), ties counting half.
        equivalence: p-value of the two one-sided tests at ``margin``, or that of unseen failures
            that would make it up if it is larger; ``equivalence_holm`` after the correction.
        equal: whether the two are practically equal: ``equivalence_holm`` is at most 0.05.
        margin: the equivalence margin in the task's own units.
        seeds_low: runs of each that the rank test needs on this task to tell the two apart four
            times in five, if they are as far apart as the runs allow; None: more than 1,000.
        seeds_high: runs that are enough with 80 % assurance; None where no number is.
        seeds_sentence: the same in words, with what it rests on.
    """

    task: str
    label: str
    other: str
    difference: Interval
    welch: float | None
    welch_holm: float | None
    permutation: float | None
    permutation_holm: float | None
    effect: float | None
    superiority: float | None
    equivalence: float | None
    equivalence_holm: float | None
    equal: bool
    margin: float
    seeds_low: int | None
    seeds_high: int | None
    seeds_sentence: str


@dataclass(frozen=True)
class Pair:
    """P(a run of ``label`` scores above a run of ``other``), averaged over the tasks of all.

    Attributes:
        rank_p: p of the rank test over those tasks; None where the runs stopped when it was clear.
        rank_p_holm: the same after Holm's correction over all pairs of the report.
        told_until_clear: whether such runs tell the two apart, see ``LookRow``; None of others.
    """

    label: str
    other: str
    improvement: Interval
    rank_p: float | None
    rank_p_holm: float | None
    told_until_clear: bool | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the two are told apart, with all other pairs looked at."""
        if self.told_until_clear is not None:
            return self.told_until_clear
        return self.rank_p_holm is not None and self.rank_p_holm <= ALPHA


@dataclass(frozen=True)
class LookRow:
    """What a comparison until clear decided of two labels.

    Attributes:
        verdict: ``higher``: ``label`` scores higher than ``other``; ``given up``; ``not told``.
        seeds: of each label and task at the look that decided.
        difference: mean over tasks of the difference of mean scores, normalised by what the first
            look knew, with an interval that holds wherever the runs stop, together with all other
            pairs'.
        welch: p of Welch's test, stratified by task, at that look.
        level: what it had to be at most.
    """

    label: str
    other: str
    verdict: str
    seeds: int
    difference: Interval
    welch: float | None
    level: float


@dataclass(frozen=True)
class FailureRow:
    """How many runs of a label failed on a task, and how many may.

    Attributes:
        threshold: score below which a run failed, own units; None where no run worked.
        failed: how many did; None without a threshold.
        bound: with 95 % confidence at most this share of all possible runs fails.
        worst: the least score, own units.
        worst_seed: the seed of its run.
        above_worst: with 95 % confidence at least this share of all possible runs scores no less.
    """

    task: str
    label: str
    runs: int
    threshold: float | None
    failed: int | None
    bound: float | None
    worst: float
    worst_seed: int | None
    above_worst: float


@dataclass(frozen=True)
class Curve:
    """A value over environment steps.

    Attributes:
        label: the label.
        task: the task, or None for the normalised curve over all compared tasks.
        runs: the fewest runs behind any point.
        steps: ascending.
        value: IQM at each step.
        low: lower end of the pointwise band; empty where there is none.
        high: as ``low``.
    """

    label: str
    task: str | None
    runs: int
    steps: tuple[int, ...]
    value: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class Profile:
    """Share of runs above each normalised score τ (Agarwal et al. 2021, section 4.3)."""

    label: str
    taus: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class ProtocolRow:
    """How one label's runs were made, in words ready to read."""

    label: str
    tuning: str
    tasks: int
    runs: int
    seeds: str
    steps: str
    episodes: str
    hyperparameters: str


@dataclass(frozen=True)
class RunRow:
    """One run that was read; ``source`` is what wrote its logs, ``measure`` what its score is."""

    label: str
    algo: str
    settings: str
    task: str
    seed: int | None
    steps: int
    score: float
    normalised_score: float
    best_checkpoint: float
    episodes: int | None
    source: str
    measure: str
    folder: str
    versions: str
    circumstances: str


@dataclass(frozen=True)
class RuntimeRow:
    """How long a label's runs of a task took, as their own records state it.

    Attributes:
        runs: those that state it.
        seconds: of wall time, evaluations included: the median, the least and the greatest.
        steps_per_second: environment steps by it, likewise.
        machine: where they ran; empty where they do not say.
    """

    task: str
    label: str
    runs: int
    seconds: Interval
    steps_per_second: Interval
    machine: str


@dataclass(frozen=True)
class MadeByRow:
    """The commands that made the runs of some folders, in the order in which they were given.

    Attributes:
        folders: their names; empty for one that is all of the report.
        commands: each as a shell takes it.
    """

    folders: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass(frozen=True)
class SetAsideRow:
    """A file or folder that does not enter the statistics, and why."""

    path: str
    reason: str
