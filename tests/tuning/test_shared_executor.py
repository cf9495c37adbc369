"""Runs that machines share: what another has done counts here, and nothing is done twice."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.executor import Death, as_completed
from ppo_lab.runs.workers import execute_run_within, execute_runs
from tests.ppo_lab.runs.executors import InThisProcess
from tuning.shared_executor import SharedExecutor, share

GRID = "ppo_lab/GridWorld-v0"
Machine = Callable[[str], SharedExecutor[RunResult]]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Name → an executor that shares one storage with the others, and has a folder of its own."""
    made: list[SharedExecutor[RunResult]] = []

    def new(name: str) -> SharedExecutor[RunResult]:
        home = tmp_path / name / "compare"
        home.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{tmp_path}/runs.db"
        made.append(share(InThisProcess[RunResult], url, home, 4, lambda _: None))
        return made[-1]

    yield new
    for executor in made:
        executor.close()
        executor._work_list.storage.engine.dispose()  # type: ignore[attr-defined]


def optimum(tmp_path: Path, name: str, count: int = 2) -> dict[Path, RunConfig]:
    config = RunConfig(
        algo="optimal",
        env=GRID,
        seed=0,
        timesteps=64,
        n_envs=1,
        policy="table",
        hyperparameters={},
        evaluation=Evaluation(episodes=2, seed=3),
    )
    runs = tmp_path / name / "compare" / "runs" / "optimal-exact"
    return {
        runs / f"ppo_lab-GridWorld-v0_{seed}": replace(config, seed=seed)
        for seed in range(1, count + 1)
    }


def test_what_another_machine_has_made_comes_back_with_its_folder(
    machine: Machine, tmp_path: Path
) -> None:
    first = dict(execute_runs(optimum(tmp_path, "a"), 1, executor=machine("a")))
    second = dict(execute_runs(optimum(tmp_path, "b"), 1, executor=machine("b")))
    assert [result.elsewhere for result in first.values()] == [False, False]
    assert [result.elsewhere for result in second.values()] == [True, True]
    assert [r.score for r in second.values()] == [r.score for r in first.values()]
    for one, other in zip(first, second, strict=True):
        record = json.loads((one / "run.json").read_text())
        restored = json.loads((other / "run.json").read_text())
        assert restored == {**record, "restored": True}
        for name in ("timesteps", "results"):
            with (
                np.load(one / "evaluations.npz") as mine,
                np.load(other / "evaluations.npz") as its,
            ):
                assert mine[name].tolist() == its[name].tolist()


def test_each_run_is_made_once_where_both_want_more_and_more_of_them(
    machine: Machine, tmp_path: Path
) -> None:
    one, other = machine("a"), machine("b")
    dict(execute_runs(optimum(tmp_path, "a"), 1, executor=one))
    results = dict(execute_runs(optimum(tmp_path, "b", 3), 1, executor=other))
    assert [result.elsewhere for result in results.values()] == [True, True, False]
    results = dict(execute_runs(optimum(tmp_path, "a", 3), 1, executor=one))
    assert [result.reused for result in results.values()] == [True, True, False]
    assert [result.elsewhere for result in results.values()] == [False, False, True]


def test_another_run_of_that_name_is_refused(machine: Machine, tmp_path: Path) -> None:
    dict(execute_runs(optimum(tmp_path, "a"), 1, executor=machine("a")))
    others = {f: replace(run, timesteps=65) for f, run in optimum(tmp_path, "b").items()}
    with pytest.raises(ArgumentError, match=r"another run of runs/.*differs in timesteps.*--name"):
        dict(execute_runs(others, 1, executor=machine("b")))


def test_a_run_that_took_too_long_is_not_another_one_of_its_name(
    machine: Machine, tmp_path: Path
) -> None:
    """Of a run that was ended nothing is known but whose it was."""
    one, other = machine("a"), machine("b")
    one.run_timeout = 5.0
    [(folder, config)] = optimum(tmp_path, "a", 1).items()
    one.submit(folder, overdue, None, config, folder)
    assert dict(as_completed(one)) == {folder: Death("SIGALRM", overdue=True)}
    same = dict(execute_runs(optimum(tmp_path, "b", 1), 1, executor=other))
    reason = f"{GRID} did not finish within 5 s (--run-timeout)"
    assert [(result.score, result.reason) for result in same.values()] == [(None, reason)]
    others = {f: replace(run, timesteps=65) for f, run in optimum(tmp_path, "c", 1).items()}
    with pytest.raises(ArgumentError, match=r"another run of runs/.*differs in timesteps"):
        dict(execute_runs(others, 1, executor=machine("c")))


def overdue(_: None, config: RunConfig, folder: Path) -> Death:
    """What a worker pool says of a run that it ended."""
    return Death("SIGALRM", overdue=True)


def test_a_run_that_was_taken_for_lost_meanwhile_is_written_down_once_and_not_made_again(
    machine: Machine, tmp_path: Path
) -> None:
    executor = machine("a")
    [(folder, config)] = optimum(tmp_path, "a", 1).items()
    executor.submit(folder, execute_run_within, None, config, folder)
    work_list = executor._work_list
    work_list.refresh()
    [(_, trial)] = work_list._running()
    work_list._fail_and_retry(trial)  # as another machine does that has not heard of this one
    [(key, result)] = as_completed(executor)
    assert key == folder
    assert isinstance(result, RunResult)
    assert (result.reused, result.elsewhere) == (True, False)  # the second attempt found it made
    trials = work_list.study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.FAIL, TrialState.COMPLETE]
    assert trials[1].value == result.score


def test_a_damaged_folder_is_made_again_here(machine: Machine, tmp_path: Path) -> None:
    runs = optimum(tmp_path, "a", 1)
    dict(execute_runs(runs, 1, executor=machine("a")))
    [folder] = runs
    (folder / "evaluations.npz").write_bytes(b"")
    [result] = dict(execute_runs(runs, 1, executor=machine("a"))).values()
    assert not result.elsewhere
    assert (folder / "evaluations.npz").stat().st_size > 0


def test_what_is_closed_is_given_back(machine: Machine, tmp_path: Path) -> None:
    executor = machine("a")
    [(folder, config), *_] = optimum(tmp_path, "a").items()
    executor.submit(folder, execute_run_within, None, config, folder)
    work_list = executor._work_list
    work_list.refresh()
    assert work_list.running() == 1
    executor.close()
    states = [trial.state for trial in work_list.study.get_trials()]
    assert states == [TrialState.FAIL, TrialState.WAITING]
