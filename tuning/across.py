"""Several environments' studies side by side: one setting for all, and what tuning each buys.

As Adkins, Bowling and White (2024, "A method for evaluating hyperparameter sensitivity in
reinforcement learning") measure it: an algorithm's sensitivity is what it scores with a setting
tuned for each environment less what it scores with the one setting that is best across them, scores
being normalised by the 5th and the 95th percentile of all settings tried on the environment. (They
judge by the runs that chose; here fresh seeds choose and others judge, see docs/protocol.md.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from reports.statistics.intervals import LEVEL
from reports.statistics.sequential import stratified_welch
from tuning.finalists import same_settings
from tuning.plots import study_of, why_not
from tuning.proposals import quiet

__all__ = ["Bought", "Scale", "bought", "importances", "ranked_across", "scale_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """What an environment's scores are measured by.

    Attributes:
        low: the 5th percentile of the trials' scores.
        span: the 95th percentile less that; 1 where all are the same.
    """

    low: float
    span: float

    def normalised(self, scores: Floats) -> Floats:
        """(score − low) / span."""
        return (scores - self.low) / self.span


def scale_of(trials: Sequence[FrozenTrial]) -> Scale:
    """The scale of an environment, from its completed trials of screening, at least one."""
    scores = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    low, high = np.percentile(np.array(scores, dtype=np.float64), [5, 95])
    return Scale(float(low), float(high - low) or 1.0)


def ranked_across(trials: Mapping[str, Sequence[FrozenTrial]]) -> list[tuple[int, float]]:
    """The settings that every environment's study tried, by their mean normalised score.

    Args:
        trials: environment → its trials of screening, by their numbers.

    Returns:
        (number, mean over environments), the best first, of equals the earlier; those that failed
        or were stopped anywhere are left out, and so are numbers under which the studies tried
        different settings.
    """
    scales = {env: scale_of(of_env) for env, of_env in trials.items()}
    means = {}
    for number, column in enumerate(zip(*trials.values(), strict=False)):
        settings = [trial.user_attrs.get("hyperparameters", {}) for trial in column]
        if any(trial.state != TrialState.COMPLETE for trial in column):
            continue
        if not all(same_settings(settings[0], other) for other in settings[1:]):
            continue
        scores = [
            scale.normalised(np.array([trial.value]))[0]
            for scale, trial in zip(scales.values(), column, strict=True)
        ]
        means[number] = float(np.mean(scores))
    return sorted(means.items(), key=lambda each: (-each[1], each[0]))


@dataclass(frozen=True)
class Bought:
    """What tuning for each environment buys over one setting for all, on one or over all of them.

    Attributes:
        env: the environment; empty: the mean over all.
        default: mean normalised test score of the default settings.
        one: of the one setting for all.
        tuned: of the setting tuned for the environment; None where none was.
        difference: tuned − one.
        low: lower end of its 95 % interval, Welch's, stratified by environment.
        high: its upper end.
    """

    env: str
    default: float
    one: float
    tuned: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


def bought(
    scores: Mapping[str, Mapping[str, Floats]], scales: Mapping[str, Scale]
) -> tuple[Bought, ...]:
    """What tuning buys on each environment, and last over all.

    Args:
        scores: environment → ``default``, ``one`` and, where environments were tuned, ``tuned`` →
            (R,) judged scores, at least one.
        scales: environment → its scale.
    """
    normalised = {
        env: {name: scales[env].normalised(values) for name, values in of_env.items()}
        for env, of_env in scores.items()
    }
    rows = [_row(env, {env: of_env}) for env, of_env in normalised.items()]
    return (*rows, _row("", normalised))


def _row(name: str, scores: Mapping[str, Mapping[str, Floats]]) -> Bought:
    columns = {
        which: [of_env[which] for of_env in scores.values()]
        for which in ("default", "one", "tuned")
        if all(which in of_env for of_env in scores.values())
    }
    means = {which: float(np.mean([s.mean() for s in column])) for which, column in columns.items()}
    if "tuned" not in columns:
        return Bought(name, means["default"], means["one"], None)
    # Where the one setting is the environment's own, the runs are the same: nothing is bought.
    same = all(np.array_equal(a, b) for a, b in zip(columns["tuned"], columns["one"], strict=True))
    test = None if same else stratified_welch(columns["tuned"], columns["one"])
    ends = None if test is None else test.ends(1 - LEVEL)
    low, high = ends or (None, None)
    difference = means["tuned"] - means["one"]
    return Bought(name, means["default"], means["one"], means["tuned"], difference, low, high)


def importances(trials: Mapping[str, Sequence[FrozenTrial]]) -> dict[str, dict[str, float]]:
    """Environment → hyperparameter → its share in what makes a trial one of the better ones.

    PED-ANOVA's (Watanabe, Bansal and Hutter 2023) over the trials of screening; an environment of
    whose trials nothing can be said is left out.
    """
    found: dict[str, dict[str, float]] = {}
    for env, of_env in trials.items():
        if why_not("importances", of_env) is not None:
            continue
        told = [trial for trial in of_env if trial.params]
        with quiet():
            shares = get_param_importances(
                study_of(env, told), evaluator=PedAnovaImportanceEvaluator()
            )
        found[env] = dict(sorted(shares.items()))
    return found
