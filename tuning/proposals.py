"""What a trial may know: the trials up to ``window`` before it, in a study held in memory.

Optuna's samplers and pruners look at whatever the storage holds at that moment, which depends on
how many workers there are and which of them is quicker. Here they are shown a copy that holds
trial 0 … n − window and nothing else, under the numbers that the protocol counts. So a proposal
and a decision to stop are functions of a trial's number and of the results before it, on every
machine alike.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ppo_lab.errors import ArgumentError
from tuning.optuna_internals import own_attributes
from tuning.protocol import TuningProtocol

__all__ = ["Hindsight", "Proposal", "Watch", "quiet"]

REDUCTION = 2
"""Of the trials at a rung, one in this many goes on."""
_NOTHING = create_trial(state=TrialState.FAIL, user_attrs={"reason": "not known yet"})


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's chatter, and its warnings that an interface may change: we test it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


@dataclass(frozen=True)
class Proposal:
    """What a sampler proposes for a trial.

    Attributes:
        params: Optuna's name → value.
        system_attrs: what the sampler wants to find again in later trials (CMA-ES its state).
    """

    params: Mapping[str, Any]
    system_attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Hindsight:
    """The past of one trial.

    Attributes:
        name: the study's, by which Hyperband draws brackets.
        protocol: sampler, pruner, seed and window.
        number: the trial's.
        past: trials 0 … number − window, in their order.
    """

    name: str
    protocol: TuningProtocol
    number: int
    past: tuple[FrozenTrial, ...]

    def propose(
        self, distributions: Mapping[str, BaseDistribution], first: Mapping[str, Any]
    ) -> Proposal:
        """The trial's settings: of trial 0 the given ones, of others the sampler's.

        Args:
            distributions: Optuna's name → what to sample from; may be empty.
            first: trial 0's settings, none where the space cannot suggest them; of other trials
            the nearest to them, which hold trial 0's place in a quasi-random sequence.

        Raises:
            ArgumentError: the sampler's package is not installed.
        """
        if self.number == 0 or not distributions:
            return Proposal(dict(first), {})
        with quiet():
            study = self._study(_sampler(self.protocol, self.number), distributions)
            if self.protocol.sampler == "qmc":
                study = _sequence(study, distributions, first, self.number)
            try:
                trial = study.ask(dict(distributions))
            except ImportError as error:
                raise ArgumentError(
                    f"sampler={self.protocol.sampler!r} cannot be loaded ({error}); "
                    'python -m pip install "ppo-lab[samplers]" adds it'
                ) from error
        return Proposal(trial.params, _attributes_of_last(study))

    def watch(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
    ) -> "Watch":
        """Begin to watch the trial's run, of these settings."""
        with quiet():
            study = self._study(optuna.samplers.RandomSampler(seed=0), {})
            study.enqueue_trial(dict(params))
            return Watch(study, study.ask(dict(distributions)))

    def _study(
        self, sampler: optuna.samplers.BaseSampler, searched: Mapping[str, BaseDistribution]
    ) -> optuna.Study:
        """The past, without trials that nobody could suggest: of a base outside the space."""
        study = optuna.create_study(
            study_name=self.name,
            direction="maximize",
            sampler=sampler,
            pruner=_pruner(self.protocol),
        )
        unknown = self.number - len(self.past)
        known = [t if searched.keys() <= t.params.keys() else _NOTHING for t in self.past]
        study.add_trials([*known, *[_NOTHING] * unknown])
        return study


@dataclass
class Watch:
    """Decides whether a running trial goes on.

    Attributes:
        study: the trial's past, in memory.
        trial: the trial in it.
    """

    study: optuna.Study
    trial: Trial

    def stops(self, step: int, value: float) -> bool:
        """Hear of an intermediate score and say whether the trial is to be stopped.

        Args:
            step: rung of the learning curve, from 1, or index of the seed, from 0.
            value: the score there.
        """
        self.trial.report(value, step)
        with quiet():
            return self.trial.should_prune()

    @property
    def system_attrs(self) -> dict[str, Any]:
        """What the pruner wants to find again in later trials (halving the rungs' scores)."""
        return _attributes_of_last(self.study)


def _attributes_of_last(study: optuna.Study) -> dict[str, Any]:
    return own_attributes(study.get_trials(deepcopy=False)[-1].system_attrs)


def _sequence(
    study: optuna.Study,
    distributions: Mapping[str, BaseDistribution],
    first: Mapping[str, Any],
    number: int,
) -> optuna.Study:
    """A study in which the quasi-random sequence stands just before its ``number``-th point."""
    ahead = optuna.create_study(direction="maximize", sampler=study.sampler)
    trial = create_trial(params=dict(first), distributions=dict(distributions), value=0.0)
    ahead.add_trial(trial)
    for _ in range(number - 1):
        ahead.ask(dict(distributions))
    return ahead


def _sampler(protocol: TuningProtocol, number: int) -> optuna.samplers.BaseSampler:
    """The protocol's sampler, from a generator of this trial's own."""
    seed = protocol.seed * 100_000 + number
    if protocol.sampler == "tpe":  # Bergstra et al. 2011
        return optuna.samplers.TPESampler(seed=seed, multivariate=True)
    if protocol.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
    if protocol.sampler == "cmaes":  # Hansen 2016; choices are drawn at random
        return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    if protocol.sampler == "qmc":  # Sobol', one sequence for the whole study
        return optuna.samplers.QMCSampler(
            scramble=True, seed=protocol.seed, warn_independent_sampling=False
        )
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(protocol: TuningProtocol) -> optuna.pruners.BasePruner:
    if protocol.pruner == "halving":  # Li et al. 2018
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION)
    if protocol.pruner == "hyperband":  # Li et al. 2018
        return optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=protocol.rungs, reduction_factor=REDUCTION
        )
    if protocol.pruner == "wilcoxon":
        return optuna.pruners.WilcoxonPruner(p_threshold=0.1)
    return optuna.pruners.NopPruner()
