"""What every source of logs is read into: one typed record per run, whatever wrote it."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reports.logs.looks import Looks
from reports.text import clean, one_line, shortened

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]
LogKind = Literal[
    "ppo_lab", "rl_zoo", "zoo_benchmark", "sb3", "tensorboard", "wandb", "openrlbenchmark", "scores"
]
"""Our run folder; RL Zoo's run folder, and its benchmark's; any other folder with SB3's logs;
TensorBoard's event files; W&B's file or its export; openrlbenchmark's cache; rows of a CSV file."""

EVALUATION = "mean return of the last evaluation"
EXACT = "exact expected return of the final policy"
TRAINING = "training return, not evaluation"
GIVEN = "as given in the table of scores"
UNKNOWN = "unknown"

MAX_RETURN = 1e100
"""Beyond this a number is no return: scores, and the references that normalise them."""
_SMALLEST_SPAN = 1e-12
_LEAST_SPAN = 1e-9
"""Relative to the larger score: a smaller one would make noise of every normalised score."""

MAX_NAME = 10_000
"""Characters of an algorithm's, settings' or task's name."""
MAX_RUNS = 20_000
"""Runs of a report."""
MAX_REASON = 2_000
"""Characters of the reason why something was set aside, and of any other text that is shown."""
MAX_STEPS = 2**53
"""Steps beyond this are no count; up to it they are exact as floating-point numbers too."""


class NoRunsError(ValueError):
    """Not one usable run was found; the message is one sentence."""


class UnusableError(ValueError):
    """Why one file or folder cannot be used, in words that name no absolute path."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        folder: where it lies, relative to what was searched, with ``/``; for a row of a CSV file,
            the file's name and the run's first line.
        algo: the algorithm's name, or the folder's name where no log states one.
        settings: where its hyperparameters come from: ``tuned``, ``default``, …; empty if unknown.
        task: the environment id, followed by its keyword arguments as JSON where there are any.
        seed: None where no log states it.
        steps: environment steps taken, at least 0; where unstated, those of the last evaluation.
        score: mean return of the last evaluation, finite, or its expectation; see ``measure``.
        evaluation_steps: (P,) int64, environment steps of each evaluation, ascending, P ≥ 1.
        evaluation_returns: (P,) float64, mean return of each evaluation; the last is ``score``.
        must_agree: what must agree between the runs of one task for a fair comparison, as
            (what, value) pairs; the same whats in every run.
        low: the score that normalises to 0; NaN where none is stated.
        high: the score that normalises to 1, above ``low``; NaN where none is stated. Both are
            filled by :func:`reports.logs.references.fill_references`.
        source: where ``low`` and ``high`` come from, in words; empty where they are NaN.
        evaluation_episodes: episodes behind the last evaluation, at least 1; 0 if unknown, or
            none were played because the score is exact.
        hyperparameters: canonical JSON, so that equal settings are equal texts; empty if unknown.
        kind: what wrote the logs.
        measure: what ``score`` is: ``EVALUATION``, ``EXACT``, ``TRAINING`` or ``GIVEN``.
        budget: environment steps that the run was given; None if unknown.
        success_rate: share of the last evaluation's episodes that succeeded; None if unlogged.
        tuning: what tuning the hyperparameters had received, in words.
        versions: (package, version) pairs, as logged.
        circumstances: further (what, value) pairs worth showing: device, seconds, commit, ….
        evaluation_seed: what the evaluation episodes were drawn from; None if unknown or exact.
        remarks: what was odd in reading it and is no reason to set it aside, as sentences.
        decisive: (what, value) pairs of all that was chosen and decides the result, beside
            algorithm, task and seed; see :func:`reports.logs.identity.decisive`. Empty if unknown.
        distinction: what sets it apart from runs of the same algorithm and settings, in few
            words; empty where nothing does. See :func:`reports.logs.identity.with_telling_labels`.
        distinction_in_full: the same, where the words of the label only number it.
        resumed_from: the model that the run went on from, as ``run.json`` states it; empty: none.
        resumed_at: environment steps that were taken then; None if unknown.
    """

    folder: str
    algo: str
    settings: str
    task: str
    seed: int | None
    steps: int
    score: float
    evaluation_steps: Steps
    evaluation_returns: Floats
    must_agree: tuple[tuple[str, str], ...]
    low: float = math.nan
    high: float = math.nan
    source: str = ""
    evaluation_episodes: int = 0
    hyperparameters: str = ""
    kind: LogKind = "ppo_lab"
    measure: str = EVALUATION
    budget: int | None = None
    success_rate: float | None = None
    tuning: str = UNKNOWN
    versions: tuple[tuple[str, str], ...] = ()
    circumstances: tuple[tuple[str, str], ...] = ()
    evaluation_seed: int | None = None
    remarks: tuple[str, ...] = ()
    decisive: tuple[tuple[str, str], ...] = ()
    distinction: str = ""
    distinction_in_full: str = ""
    resumed_from: str = ""
    resumed_at: int | None = None

    @property
    def label(self) -> str:
        """The name of the run's row in every table."""
        words = ", ".join(filter(None, (self.settings, self.distinction)))
        return f"{self.algo} ({words})" if words else self.algo

    @property
    def best_score(self) -> float:
        """The highest mean return of any evaluation: what the best checkpoint was kept for.

        A maximum over P noisy means: it flatters, and the more so the larger P is.
        """
        return float(self.evaluation_returns.max())

    @property
    def normalised_returns(self) -> Floats:
        """(P,) float64: (evaluation_returns − low) / (high − low)."""
        return (self.evaluation_returns - self.low) / (self.high - self.low)

    @property
    def normalised_score(self) -> float:
        """(score − low) / (high − low): the final policy's entry of ``normalised_returns``."""
        return float(self.normalised_returns[-1])

    @property
    def normalised_best_score(self) -> float:
        """(best_score − low) / (high − low)."""
        return float(self.normalised_returns.max())


@dataclass(frozen=True)
class SetAside:
    """A folder, file or row that does not enter the statistics, and why.

    Attributes:
        folder: its name, relative to what was searched.
        reason: one line.
    """

    folder: str
    reason: str


Command = tuple[str, ...]
"""The words of a command line: ``("python", "-m", "ppo_lab.compare", …)``."""


@dataclass(frozen=True)
class MadeBy:
    """What made the runs below a folder.

    Attributes:
        folder: its name in the report; empty for the folder that was searched itself.
        commands: in the order in which they were given.
    """

    folder: str
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class LoadedRuns:
    """What the logs held.

    Attributes:
        runs: usable runs, at least one, by source and folder.
        set_aside: what could not be used, by source and name.
        tuning_runs: how many runs belong to tuning and were left out on principle.
        sources: the name of each source and how many runs of which kind it gave, as sentences.
        given: the sources as a command line names them, ``NAME`` or ``LABEL=NAME``.
        looks: what comparisons noted of their looks, see :mod:`reports.logs.looks`.
        made_by: the commands that made the runs, see :mod:`reports.logs.made_by`.
        references: the file of reference scores that the caller gave; empty: none.
    """

    runs: tuple[Run, ...]
    set_aside: tuple[SetAside, ...]
    tuning_runs: int
    sources: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    looks: tuple[Looks, ...] = ()
    made_by: tuple[MadeBy, ...] = ()
    references: str = ""


def brief(value: object) -> str:
    """A value as a text to show: without lone surrogates, and no longer than ``MAX_REASON``."""
    return shortened(clean(str(value)), MAX_REASON)


def named(text: str, otherwise: str) -> str:
    """A name that is there: without lone surrogates, not empty; what shows it makes it safe.

    Raises:
        UnusableError: it is longer than ``MAX_NAME``.
    """
    name = clean(text).strip() or otherwise
    if len(name) > MAX_NAME:
        raise UnusableError(f"a name of {len(name):,} characters: {name[:40]}…")
    return name


def spans(low: float, high: float) -> bool:
    """Whether two scores are far enough apart, ``low`` below, to normalise others by them."""
    return high - low > max(_LEAST_SPAN * max(abs(low), abs(high)), _SMALLEST_SPAN)


def reason_of(error: Exception) -> str:
    """Why something was set aside, in one line: every exception of a reader ends here."""
    if isinstance(error, UnusableError):
        return shortened(one_line(clean(str(error))), MAX_REASON)
    return f"it cannot be read ({type(error).__name__})"
