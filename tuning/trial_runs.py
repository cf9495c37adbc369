"""A trial's runs, in a worker process."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution

from ppo_lab.runs.execution import RunConfig, RunResult, Watcher
from ppo_lab.runs.workers import execute_run_within
from tuning.proposals import Hindsight, Watch
from tuning.protocol import CURVE_PRUNERS, TuningProtocol

__all__ = ["ExecuteRun", "TrialResult", "TrialRuns", "run_trial"]

ExecuteRun = Callable[[float | None, RunConfig, Path, Watcher | None], RunResult]
"""What a worker does for one run, as :func:`execute_run_within` does."""


@dataclass(frozen=True)
class TrialRuns:
    """The runs of a trial, one after another.

    Attributes:
        runs: (run folder, run), at least one, a seed each.
        hindsight: by which the trial may be stopped; None: it is not.
        params: what was suggested, where there is hindsight.
        distributions: from what.
    """

    runs: tuple[tuple[Path, RunConfig], ...]
    hindsight: Hindsight | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    distributions: Mapping[str, BaseDistribution] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to.

    Attributes:
        scores: of the final policies, a seed each, as far as they were trained.
        reason: why it failed or was stopped, one line; None if neither.
        stopped: by the pruner.
        seconds: of its runs.
        steps: environment steps of its runs.
        points: step → intermediate score, as Optuna's pruners read them.
        system_attrs: what the pruner wants to find again.
        record: ``run.json`` of its last run.
        evaluations: that run's (timesteps, returns of every episode).
        reused: an earlier call left its runs on disk.
    """

    scores: tuple[float, ...] = ()
    reason: str | None = None
    stopped: bool = False
    seconds: float = 0.0
    steps: int = 0
    points: Mapping[int, float] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None
    evaluations: tuple[list[int], list[list[float]]] | None = None
    reused: bool = False

    @property
    def score(self) -> float | None:
        """The mean over its seeds; of a stopped trial the last that was heard of it."""
        if self.stopped:
            return self.points[max(self.points)]
        return None if self.reason else float(np.mean(self.scores))


def run_trial(
    trial: TrialRuns, run_timeout: float | None = None, execute_run: ExecuteRun = execute_run_within
) -> TrialResult:
    """Train and score a trial's runs; in a worker process.

    Args:
        trial: what to run.
        run_timeout: seconds after which a run ends this process; None: no limit.
        execute_run: what is done for each.

    Raises:
        ArgumentError: a run folder holds a finished run of another configuration.
        OSError: a run folder cannot be written.
    """
    spectator = _Spectator(trial)
    scores: list[float] = []
    seconds, steps, reused = 0.0, 0, True
    result = RunResult(None, "no run", 0.0)
    for index, (folder, config) in enumerate(trial.runs):
        watcher = spectator.on_curve(index, config)
        result = execute_run(run_timeout, config, folder, watcher)
        seconds, steps = seconds + result.seconds, steps + result.steps
        reused = reused and result.reused
        if result.score is None or result.stopped:
            break
        scores.append(result.score)
        if result.reused:
            spectator.catch_up(index, config, evaluations_of(folder))
        reason = spectator.after_seed(index, len(trial.runs), result.score)
        if reason:
            result = RunResult(result.score, reason, 0.0, stopped=True)
            break
    folder = trial.runs[-1][0]
    return TrialResult(
        scores=tuple(scores),
        reason=result.reason,
        stopped=result.stopped,
        seconds=seconds,
        steps=steps,
        points=spectator.points,
        system_attrs=spectator.system_attrs,
        record=record_of(folder),
        evaluations=evaluations_of(folder),
        reused=reused,
    )


class _Spectator:
    """Passes a trial's intermediate scores to its pruner."""

    def __init__(self, trial: TrialRuns) -> None:
        self.points: dict[int, float] = {}
        self._hindsight = trial.hindsight
        self._watch: Watch | None = None
        if trial.hindsight is not None:
            self._watch = trial.hindsight.watch(trial.params, trial.distributions)

    @property
    def system_attrs(self) -> dict[str, Any]:
        return self._watch.system_attrs if self._watch else {}

    def on_curve(self, index: int, config: RunConfig) -> Watcher | None:
        """What a run calls after each evaluation: the curve of the first seed decides."""
        if self._hindsight is None or index > 0:
            return None
        protocol = self._hindsight.protocol
        if protocol.pruner not in CURVE_PRUNERS:
            return None
        return partial(self._after_evaluation, protocol, config.timesteps)

    def catch_up(
        self, index: int, config: RunConfig, evaluations: tuple[list[int], list[list[float]]] | None
    ) -> None:
        """Hear of the curve of a run that an earlier call finished."""
        curve = self.on_curve(index, config)
        if curve is not None and evaluations is not None:
            for steps, returns in zip(*evaluations, strict=True):
                curve(steps, float(np.mean(returns)))

    def after_seed(self, index: int, seeds: int, score: float) -> str | None:
        """Why the trial is stopped before its next seed; None if it is not."""
        if self._hindsight is None or self._hindsight.protocol.pruner in CURVE_PRUNERS:
            return None
        if self._hears(index, score) and index + 1 < seeds:
            return f"stopped by wilcoxon after seed {index + 1} of {seeds}"
        return None

    def _after_evaluation(
        self, protocol: TuningProtocol, timesteps: int, steps: int, score: float
    ) -> str | None:
        rung = min(protocol.rungs, steps * protocol.rungs // timesteps)
        if rung < 1 or rung in self.points:
            return None
        # A trial that is at its end has nothing left to be spared.
        if self._hears(rung, score) and rung < protocol.rungs:
            return f"stopped by {protocol.pruner} at step {steps} with {score:.4g}"
        return None

    def _hears(self, step: int, score: float) -> bool:
        assert self._watch is not None
        self.points[step] = score
        return self._watch.stops(step, score)


def record_of(folder: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record


def evaluations_of(folder: Path) -> tuple[list[int], list[list[float]]] | None:
    try:
        with np.load(folder / "evaluations.npz", allow_pickle=False) as archive:
            return archive["timesteps"].tolist(), archive["results"].tolist()
    except (OSError, ValueError, KeyError):
        return None
