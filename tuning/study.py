"""One algorithm's study: what is proposed, what is run, what is written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ppo_lab.runs.execution import RunConfig, environment_folder_name
from tuning.proposals import Hindsight
from tuning.protocol import TuningProtocol
from tuning.search import Search
from tuning.spaces import Space, distributions, space_as_data
from tuning.trial_runs import TrialResult, TrialRuns
from tuning.work_list import Claim, WorkList

__all__ = ["AlgorithmStudy", "Runs", "Screening", "reason_of", "study_settings"]


@dataclass(frozen=True)
class AlgorithmStudy(Search):
    """An algorithm's search, where it lies and what it has come to.

    Attributes:
        folder: the study's folder; its name is the study's.
        work_list: the trials.
    """

    folder: Path
    work_list: WorkList

    def settings_of(self, trial: FrozenTrial) -> dict[str, Any]:
        """The algorithm's arguments that a trial was trained with, as they were written down."""
        settings: dict[str, Any] = trial.user_attrs["hyperparameters"]
        return settings

    def place(self, index: int, *parts: str) -> Path:
        """The zoo's place for a run: ``<parts>/<environment>_<index>``, indices from 1."""
        name = environment_folder_name(self.protocol.env)
        return self.folder.joinpath(*parts) / f"{name}_{index}"

    def outcomes(self) -> dict[int, FrozenTrial]:
        """The protocol's finished trials: number → the attempt that counts."""
        trials = {n: self.work_list.outcome(str(n)) for n in range(self.protocol.trials)}
        return {number: trial for number, trial in trials.items() if trial is not None}

    def best(self, count: int) -> list[tuple[int, FrozenTrial]]:
        """The completed trials of the highest scores, the earlier of equals first."""
        completed = [
            (number, trial)
            for number, trial in self.outcomes().items()
            if trial.state == TrialState.COMPLETE
        ]
        return sorted(completed, key=lambda each: (-(each[1].value or 0.0), each[0]))[:count]

    def of_state(self, state: TrialState) -> list[FrozenTrial]:
        """The protocol's trials that ended so."""
        return [trial for trial in self.outcomes().values() if trial.state == state]


def study_settings(algo: str, protocol: TuningProtocol, space: Space) -> dict[str, Any]:
    """All that must not change while a study goes on, as JSON."""
    settings = {**protocol.fixed(), "algorithm": algo, "space": space_as_data(space)}
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial failed or was stopped."""
    return str(trial.user_attrs.get("reason", "no reason is recorded"))


@dataclass(frozen=True)
class Screening:
    """The trials of an algorithm."""

    study: AlgorithmStudy

    @property
    def work_list(self) -> WorkList:
        """The study's."""
        return self.study.work_list

    @property
    def wanted(self) -> list[str]:
        """The protocol's trials."""
        return [str(number) for number in range(self.study.protocol.trials)]

    def ready(self, item: str) -> bool:
        """All that the trial is allowed to know is known."""
        last = int(item) - self.study.protocol.window
        return all(self.work_list.outcome(str(number)) is not None for number in range(last + 1))

    def make(self, claim: Claim) -> TrialRuns:
        """Propose the trial and lay out its runs."""
        study, number = self.study, int(claim.item)
        searched = distributions(study.space)
        hindsight = self._hindsight(number)
        first = study.nearest_suggestion if number else study.first_suggestion
        proposal = hindsight.propose(searched, first)
        hyperparameters = study.hyperparameters(proposal.params)
        seeds = study.protocol.screening_seeds
        attributes = {"number": number, "hyperparameters": hyperparameters, "seeds": seeds}
        told = searched if proposal.params else {}
        self.work_list.describe(claim, proposal.params, told, attributes)
        for key, value in proposal.system_attrs.items():
            self.work_list.storage.set_trial_system_attr(claim.trial_id, key, value)
        return TrialRuns(
            runs=tuple(
                (self._place(number, i), study.run("screen", i, hyperparameters))
                for i in range(len(seeds))
            ),
            hindsight=None if study.protocol.pruner == "none" else hindsight,
            params=proposal.params,
            distributions=searched,
        )

    def conclude(self, claim: Claim, result: TrialResult) -> None:
        """Complete with its score, stopped, or failed with the reason; never both of these."""
        _write_down(self.work_list, claim, result, {"scores": list(result.scores)})

    def _place(self, number: int, seed_index: int) -> Path:
        further = [f"seed_{seed_index + 1}"] if seed_index else []
        return self.study.place(number + 1, "screen", self.study.algo, *further)

    def _hindsight(self, number: int) -> Hindsight:
        protocol = self.study.protocol
        past = []
        for earlier in range(number - protocol.window + 1):
            trial = self.work_list.outcome(str(earlier))
            assert trial is not None
            past.append(trial)
        name = f"{self.study.folder.name}-{self.study.algo}"
        return Hindsight(name, protocol, number, tuple(past))


@dataclass(frozen=True)
class Runs:
    """Single runs, known beforehand: those of replication and judging.

    Attributes:
        work_list: of a companion study.
        runs: item → (run folder, run).
        keep_evaluations: write the curve down too, for a report on another machine.
    """

    work_list: WorkList
    runs: Mapping[str, tuple[Path, RunConfig]]
    keep_evaluations: bool = False

    @property
    def wanted(self) -> list[str]:
        """Every run."""
        return list(self.runs)

    def ready(self, item: str) -> bool:
        """A run waits for nothing."""
        return item in self.runs

    def make(self, claim: Claim) -> TrialRuns:
        """The run."""
        config = self.runs[claim.item][1]
        attributes = {"hyperparameters": dict(config.hyperparameters), "seeds": [config.seed]}
        self.work_list.describe(claim, {}, {}, attributes)
        return TrialRuns(runs=(self.runs[claim.item],))

    def conclude(self, claim: Claim, result: TrialResult) -> None:
        """Its score, or failed with the reason; and what its folder holds."""
        attributes: dict[str, Any] = {"record": result.record}
        if self.keep_evaluations:
            attributes["evaluations"] = result.evaluations
        _write_down(self.work_list, claim, result, attributes)


def _write_down(
    work_list: WorkList, claim: Claim, result: TrialResult, attributes: Mapping[str, Any]
) -> None:
    spent = {"seconds": round(result.seconds, 3), "steps": result.steps}
    reason = {"reason": result.reason} if result.reason else {}
    state = TrialState.PRUNED if result.stopped else TrialState.COMPLETE
    work_list.finish(
        claim,
        TrialState.FAIL if result.score is None else state,
        result.score,
        attributes={**attributes, **spent, **reason},
        system_attributes=result.system_attrs,
        points=result.points,
    )
