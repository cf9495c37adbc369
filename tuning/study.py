"""One algorithm's Optuna study: opened, gone on with, asked and told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ppo_lab.errors import ArgumentError
from ppo_lab.runs import RunResult
from tuning.protocol import Protocol
from tuning.spaces import SPACES, defaults, suggest

__all__ = ["AlgorithmStudy", "open_study"]

_FINISHED = (TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)


@dataclass(frozen=True)
class AlgorithmStudy:
    """An algorithm's study under a protocol.

    Attributes:
        algo: the algorithm's name.
        protocol: written into the study.
        study: Optuna's.
    """

    algo: str
    protocol: Protocol
    study: optuna.Study

    def unfinished_batches(self) -> Iterator[list[Trial]]:
        """Propose trials, a batch at a time, until the protocol's number of them is finished.

        A batch is proposed whole before any of it is run, each trial with a sampler seeded by
        the study's seed and the trial's number: the proposals depend on nothing else than the
        scores of earlier batches, however many workers there are and wherever a call was cut
        off. A trial that an earlier call left running is proposed again as it was.

        Yields:
            The trials of a batch that have no result yet.
        """
        for start in range(0, self.protocol.trials, self.protocol.batch):
            numbers = range(start, min(start + self.protocol.batch, self.protocol.trials))
            batch = [self._propose(number) for number in numbers]
            unfinished = [trial for trial in batch if trial is not None]
            if unfinished:
                yield unfinished

    def _propose(self, number: int) -> Trial | None:
        self.study.sampler = _sampler(self.protocol.seed, number)
        trials = self.study.get_trials(deepcopy=False)
        known = trials[number] if number < len(trials) else None
        if known is not None and known.state in _FINISHED:
            return None
        if known is not None and known.state == TrialState.RUNNING:
            trial = Trial(self.study, known._trial_id)
        else:
            trial = self.study.ask()
        trial.set_user_attr("hyperparameters", suggest(trial, SPACES[self.algo]))
        return trial

    def tell(self, trial: Trial, result: RunResult, seed: int) -> None:
        """Record a trial's result: its score, or failed with the reason; never pruned."""
        trial.set_user_attr("seed", seed)
        trial.set_user_attr("seconds", result.seconds)
        if result.score is None:
            trial.set_user_attr("reason", result.reason)
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, result.score)

    def failures(self) -> list[FrozenTrial]:
        """The protocol's trials that failed."""
        return [t for t in self._trials() if t.state == TrialState.FAIL]

    def best(self, count: int) -> list[FrozenTrial]:
        """The finished trials of the highest scores, the earlier of equals first."""
        finished = [t for t in self._trials() if t.state == TrialState.COMPLETE]
        return sorted(finished, key=lambda t: (-(t.value or 0.0), t.number))[:count]

    def finished(self) -> int:
        """How many of the protocol's trials have a result."""
        return sum(t.state in _FINISHED for t in self._trials())

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)[: self.protocol.trials]


def open_study(name: str, storage: str, algo: str, protocol: Protocol) -> AlgorithmStudy:
    """Create an algorithm's study, or go on with the one of that name.

    Args:
        name: the study's name; the algorithm's is added.
        storage: Optuna's storage URL.
        algo: the algorithm's name.
        protocol: must agree with the one in the study, but for the number of test seeds.

    Raises:
        ArgumentError: the storage cannot be opened, or the study has another protocol.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=f"{name}-{algo}",
            storage=storage,
            direction="maximize",
            load_if_exists=True,
        )
        fixed = json.loads(json.dumps(protocol.fixed()))
        stored = study.user_attrs.get("protocol")
        if stored is None:
            study.set_user_attr("protocol", fixed)
            study.enqueue_trial(defaults(SPACES[algo]), skip_if_exists=True)
    except Exception as error:  # SQLAlchemy, drivers and Optuna each have their own
        reason = " ".join(str(error).split())
        raise ArgumentError(
            f"the study's storage cannot be used: {type(error).__name__}: {reason[:200]}"
        ) from error
    if stored is not None and stored != fixed:
        differing = [
            f"{key} {stored.get(key)!r} there, {fixed.get(key)!r} here"
            for key in sorted({*stored, *fixed})
            if stored.get(key) != fixed.get(key)
        ]
        raise ArgumentError(
            f"study {name!r} exists with other settings ({'; '.join(differing)}); "
            "choose another --study-name or --log-folder"
        )
    return AlgorithmStudy(algo, protocol, study)


def _sampler(seed: int, number: int) -> optuna.samplers.BaseSampler:
    """TPE, from a generator of this trial's own (Bergstra et al. 2011)."""
    return optuna.samplers.TPESampler(seed=seed * 100_000 + number, multivariate=True)
