"""A trial's runs: what its pruner hears, and where it has nothing left to stop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, create_trial

from ppo_lab.runs.execution import Evaluation, RunConfig, RunResult, Watcher
from tests.tuning.test_proposals import FIRST, KNOWN, protocol
from tuning.proposals import Hindsight
from tuning.protocol import TuningProtocol
from tuning.trial_runs import TrialRuns, run_trial

CURVE = [5.0, 5.0, 5.0, 1.0]
"""Good at every rung but the last."""


def runs(count: int) -> tuple[tuple[Path, RunConfig], ...]:
    config = RunConfig(
        "ppo", "CartPole-v1", 0, 4000, 1, "MlpPolicy", {}, evaluation=Evaluation(1, 1)
    )
    return tuple((Path(f"run_{i}"), config) for i in range(1, count + 1))


def trial(used: TuningProtocol, past: list[FrozenTrial], seeds: int = 1) -> TrialRuns:
    hindsight = Hindsight("study", used, len(past), tuple(past))
    return TrialRuns(runs(seeds), hindsight, FIRST, KNOWN)


def past_trial(rungs: dict[int, float], value: float) -> FrozenTrial:
    """One whose scores the pruner finds: at rungs 1, 2, 4 of the curve, or at each seed."""
    attributes = {
        f"completed_rung_{i}": rungs[step] for i, step in enumerate((1, 2, 4)) if step in rungs
    }
    return create_trial(
        params=FIRST,
        distributions=KNOWN,
        value=value,
        intermediate_values=rungs,
        system_attrs=attributes,
    )


def curve_run(
    _limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
) -> RunResult:
    assert watcher is not None
    for i, score in enumerate(CURVE, 1):
        steps = i * config.timesteps // len(CURVE)
        if reason := watcher(steps, score):
            return RunResult(score, reason, 0.0, steps=steps, stopped=True)
    return RunResult(CURVE[-1], None, 0.0, steps=config.timesteps)


def test_trial_is_never_stopped_at_its_last_rung() -> None:
    past = [past_trial({1: 1.0, 2: 1.0, 3: 1.0, 4: last}, last) for last in (7.0, 8.0, 9.0)]
    made = trial(protocol(pruner="halving", window=1), past)
    assert made.hindsight is not None
    watch = made.hindsight.watch(FIRST, KNOWN)
    # Its pruner would: 1 is the worst of four at the last rung, 5 the best at the two before.
    assert [watch.stops(i, score) for i, score in enumerate(CURVE, 1)] == [False] * 3 + [True]
    result = run_trial(made, execute_run=curve_run)
    assert (result.stopped, result.reason, result.score) == (False, None, 1.0)
    assert result.points == dict(enumerate(CURVE, 1))


def test_trial_is_stopped_at_a_rung_before_its_last() -> None:
    past = [past_trial({1: 1.0, 2: high, 3: 1.0, 4: 1.0}, 1.0) for high in (7.0, 8.0, 9.0)]
    result = run_trial(trial(protocol(pruner="halving", window=1), past), execute_run=curve_run)
    assert (result.stopped, result.steps, result.score) == (True, 2000, 5.0)
    assert result.reason == "stopped by halving at step 2000 with 5"
    assert result.scores == ()


def seed_run(
    _limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
) -> RunResult:
    assert watcher is None  # Wilcoxon's test looks at whole runs
    return RunResult(0.5 - 0.01 * int(folder.name[-1]), None, 1.0, steps=100)


@pytest.mark.parametrize(("seeds", "stopped"), [(4, False), (5, True)])
def test_trial_is_stopped_seed_by_seed_but_not_after_the_last(seeds: int, stopped: bool) -> None:
    # p < 0.1 from the fourth seed on: 1/2⁴ = 0.0625, see test_proposals.py.
    past = [past_trial(dict.fromkeys(range(seeds), 1.0), 1.0)]
    used = protocol(pruner="wilcoxon", window=1, screen_seeds=seeds)
    result = run_trial(trial(used, past, seeds), execute_run=seed_run)
    assert (result.stopped, len(result.scores), result.steps) == (stopped, 4, 400)
    if stopped:
        assert result.reason == "stopped by wilcoxon after seed 4 of 5"
        assert result.score == 0.46  # the last that was heard of it
    else:
        assert result.score == pytest.approx((0.49 + 0.48 + 0.47 + 0.46) / 4)


def test_curve_of_a_run_that_an_earlier_call_finished_is_heard_of_too(tmp_path: Path) -> None:
    past = [past_trial({1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}, 1.0)]
    made = trial(protocol(pruner="halving", window=1), past)
    returns = np.array([[score - 1, score + 1] for score in CURVE])
    np.savez(tmp_path / "evaluations.npz", timesteps=[1000, 2000, 3000, 4000], results=returns)

    def run(
        _limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
    ) -> RunResult:
        return RunResult(CURVE[-1], None, 1.0, reused=True, steps=4000)

    there = replace(made, runs=((tmp_path, made.runs[0][1]),))
    result = run_trial(there, execute_run=run)
    assert result.points == dict(enumerate(CURVE, 1))
    assert (result.reused, result.score) == (True, 1.0)
    assert result.evaluations == ([1000, 2000, 3000, 4000], returns.tolist())


def test_trial_ends_with_the_first_of_its_runs_that_fails() -> None:
    made: list[str] = []

    def run(
        _limit: float | None, config: RunConfig, folder: Path, watcher: Watcher | None
    ) -> RunResult:
        made.append(folder.name)
        failed = folder.name == "run_2"
        return RunResult(None if failed else 1.0, "nan" if failed else None, 2.0, steps=10)

    result = run_trial(TrialRuns(runs(3)), execute_run=run)
    assert made == ["run_1", "run_2"]
    assert (result.score, result.reason, result.stopped) == (None, "nan", False)
    assert (result.seconds, result.steps, result.scores) == (4.0, 20, (1.0,))
