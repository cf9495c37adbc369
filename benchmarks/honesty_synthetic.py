"""Whole studies on objectives whose true quality is known, tens of thousands of runs a second.

A run of a configuration scores its true quality plus standard normal seed noise. Everything is in
standard deviations of that noise. Our decisions are made by the project's own functions:
``finalists`` promotes, ``ranked`` chooses, ``Hindsight`` proposes with TPE. The default, trial 0,
is a configuration like any other here: no better than chance.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from loky import get_reusable_executor
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import integrate, stats

from tuning.candidates import Candidate, ranked
from tuning.finalists import finalists
from tuning.parameters import Real
from tuning.proposals import Hindsight, quiet
from tuning.protocol import TuningProtocol
from tuning.spaces import distributions
from tuning.study import AlgorithmStudy

Array = npt.NDArray[np.float64]

DIMENSIONS = 3
FEATURES = 256
LENGTH = 0.2
"""Over this distance in the unit cube a smooth objective forgets itself (a Gaussian kernel's)."""
PROBES = 4096
ZOO_STARTUP_TRIALS = 10
"""``rl_zoo3.train --n-startup-trials``, its default."""

SPACE = tuple(Real(f"x{i}", 0.0, 1.0) for i in range(DIMENSIONS))
KINDS = {
    "independent": "every configuration's true quality is drawn on its own, N(0, 1), and nothing "
    "can be learned from others",
    "smooth, random": f"true quality is a smooth function of {DIMENSIONS} hyperparameters, with "
    "mean 0 and variance 1 over all settings, searched at random",
    "smooth, TPE": "the same, searched by TPE",
}


@dataclass(frozen=True)
class Finding:
    """What a study came to, in standard deviations of the seed noise.

    Attributes:
        quality: the pick's true one.
        promise: the score that chose it.
        tested: its mean over test seeds; NaN where the protocol has none.
    """

    quality: float
    promise: float
    tested: float


@dataclass(frozen=True)
class Budget:
    """What a study of ours spends: trials × 1 seed, (finalists + 1) × replicas, test seeds."""

    trials: int
    finalists: int
    replicas: int
    seeds: int

    @property
    def runs(self) -> int:
        """Of tuning, the default's among them; the test seeds come on top."""
        return self.protocol(0).tuning_runs

    def protocol(self, seed: int) -> TuningProtocol:
        """The project's own."""
        return TuningProtocol(
            env="synthetic",
            policy="MlpPolicy",
            seed=seed,
            trials=self.trials,
            finalists=self.finalists,
            replicas=self.replicas,
            seeds=self.seeds,
            sampler="tpe",
        )


@dataclass
class Finished:
    """Stands where a study's task list stands: the trials' outcomes, without a storage."""

    trials: list[FrozenTrial]

    def outcome(self, task: str) -> FrozenTrial | None:
        """The trial of that number, if it has been."""
        number = int(task)
        return self.trials[number] if number < len(self.trials) else None


class _Synthetic(AlgorithmStudy):
    """A study whose default is trial 0, whatever that is."""

    @property
    def default_hyperparameters(self) -> dict[str, Any]:
        """Trial 0's."""
        return self.settings_of(self.outcomes()[0])


class Objective:
    """A configuration's true quality: over uniform proposals of mean 0 and variance 1.

    ``smooth``: a draw of a Gaussian process by random features (Rahimi and Recht 2007), scaled by
    what it is at random points. Otherwise every configuration draws its own.
    """

    def __init__(self, smooth: bool, rng: np.random.Generator) -> None:
        self._rng, self._smooth = rng, smooth
        self._frequencies = rng.standard_normal((DIMENSIONS, FEATURES)) / LENGTH
        self._phases = rng.uniform(0, 2 * np.pi, FEATURES)
        self._weights = rng.standard_normal(FEATURES)
        if smooth:
            probes = self._raw(rng.random((PROBES, DIMENSIONS)))
            self._mean, self._std = float(probes.mean()), float(probes.std())

    def _raw(self, points: Array) -> Array:
        return np.cos(points @ self._frequencies + self._phases) @ self._weights

    def quality(self, points: Array) -> Array:
        """(n, DIMENSIONS) points → (n,) true qualities."""
        if not self._smooth:
            return self._rng.standard_normal(len(points))
        return (self._raw(points) - self._mean) / self._std


def zoo_study(objective: Objective, runs: int, tpe: bool, rng: np.random.Generator) -> Finding:
    """Every run a configuration of its own; the best single score wins, and is the promise."""
    if tpe:
        points, scores, quality = _zoo_tpe(objective, runs, rng)
    else:
        points = rng.random((runs, DIMENSIONS))
        quality = objective.quality(points)
        scores = quality + rng.standard_normal(runs)
    best = int(np.argmax(scores))
    return Finding(float(quality[best]), float(scores[best]), float("nan"))


def our_study(
    objective: Objective, budget: Budget, tpe: bool, seed: int, rng: np.random.Generator
) -> Finding:
    """Screen, replicate, judge: the project's decisions on the objective's scores."""
    protocol = replace(budget.protocol(seed), sampler="tpe" if tpe else "random")
    quality, trials = np.empty(budget.trials), []
    for number in range(budget.trials):
        params = _proposal(protocol, number, trials, rng) if tpe else _params(rng)
        point = np.array([[params[p.key] for p in SPACE]])
        quality[number] = objective.quality(point)[0]
        trials.append(_trial(params, quality[number] + rng.standard_normal()))
    study = _Synthetic("spec_ppo", protocol, SPACE, Path(), Finished(trials))  # type: ignore[arg-type]
    candidates = []
    for each in finalists(study):
        scores = tuple((quality[each.trial] + rng.standard_normal(protocol.replicas)).tolist())
        candidates.append(Candidate(each.trial, {}, each.screened, scores, each.is_default))
    winner = ranked(candidates)[0]
    assert winner.trial is not None
    truth = float(quality[winner.trial])
    tested = truth + float(rng.standard_normal(protocol.seeds).mean())
    return Finding(truth, winner.mean, tested)


def _params(rng: np.random.Generator) -> dict[str, Any]:
    return dict(zip((p.key for p in SPACE), rng.random(DIMENSIONS).tolist(), strict=True))


def _trial(params: dict[str, Any], value: float) -> FrozenTrial:
    return create_trial(
        params=params,
        distributions=distributions(SPACE),
        value=value,
        state=TrialState.COMPLETE,
        user_attrs={"hyperparameters": params},
    )


def _proposal(
    protocol: TuningProtocol, number: int, trials: list[FrozenTrial], rng: np.random.Generator
) -> dict[str, Any]:
    past = tuple(trials[: max(0, number - protocol.window + 1)])
    hindsight = Hindsight("synthetic", protocol, number, past)
    return dict(hindsight.propose(distributions(SPACE), _params(rng)).params)


def _zoo_tpe(
    objective: Objective, runs: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """The zoo's sampler, one trial after another: TPE sees all that was before."""
    with quiet():
        sampler = optuna.samplers.TPESampler(
            seed=int(rng.integers(2**31)), multivariate=True, n_startup_trials=ZOO_STARTUP_TRIALS
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        points, scores, quality = np.empty((runs, DIMENSIONS)), np.empty(runs), np.empty(runs)
        for number in range(runs):
            trial = study.ask(distributions(SPACE))
            points[number] = [trial.params[p.key] for p in SPACE]
            quality[number] = objective.quality(points[number : number + 1])[0]
            scores[number] = quality[number] + rng.standard_normal()
            study.tell(trial, float(scores[number]))
    return points, scores, quality


def pair_of_studies(kind: str, budget: Budget, zoo_runs: int, seed: int) -> tuple[Finding, Finding]:
    """The zoo's protocol and ours on one objective, from seeds of their own."""
    smooth, tpe = kind != "independent", kind == "smooth, TPE"
    of_objective, of_zoo, of_ours = np.random.default_rng(seed).spawn(3)
    objective = Objective(smooth, of_objective)
    zoo = zoo_study(objective, zoo_runs, tpe, of_zoo)
    return zoo, our_study(objective, budget, tpe, seed % 10_000, of_ours)


def _batch(kind: str, budget: Budget, zoo_runs: int, seeds: range) -> list[tuple[Finding, Finding]]:
    return [pair_of_studies(kind, budget, zoo_runs, seed) for seed in seeds]


def repeat(
    kind: str,
    budget: Budget,
    zoo_runs: int,
    studies: int,
    jobs: int,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[Finding], list[Finding]]:
    """Many studies of both protocols over processes; the same whatever their number.

    Returns:
        The zoo's findings and ours, study by study on the same objective.
    """
    batches = [range(start, min(start + 25, studies)) for start in range(0, studies, 25)]
    pairs: list[tuple[Finding, Finding]] = []
    executor = get_reusable_executor(jobs)
    for done in executor.map(
        _batch, *zip(*((kind, budget, zoo_runs, b) for b in batches), strict=True)
    ):
        pairs += done
        say(f"{kind}: {len(pairs)} of {studies} studies")
    return [zoo for zoo, _ in pairs], [ours for _, ours in pairs]


def best_of(trials: int, seeds: int, studies: int, seed: int) -> list[Finding]:
    """Independent configurations, each on so many seeds; the best mean wins."""
    rng = np.random.default_rng(seed)
    quality = rng.standard_normal((studies, trials))
    scores = quality + rng.standard_normal((studies, trials)) / math.sqrt(seeds)
    rows, best = np.arange(studies), scores.argmax(axis=1)
    pairs = zip(quality[rows, best].tolist(), scores[rows, best].tolist(), strict=True)
    return [Finding(truth, promise, math.nan) for truth, promise in pairs]


def exactly(trials: int, seeds: int) -> tuple[float, float]:
    """What :func:`best_of` tends to: true quality of the pick, and its overstatement.

    A score is N(0, 1 + 1/s), of which quality is the part 1/(1 + 1/s); the best of n is
    ∫ x n φ(x) Φ(x)^(n−1) dx of its standard deviations on average.
    """
    most, _ = integrate.quad(
        lambda x: x * trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1), -10, 10
    )
    variance = 1 + 1 / seeds
    promise = most * math.sqrt(variance)
    return promise / variance, promise * (1 - 1 / variance)
