"""A stage whose workers die: what is lost is no result, and the next call makes it good."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.worker_pool import Death, WorkerPool
from tests.tuning.test_study import PROTOCOL, opened, proposals, scored
from tuning.stages import Stages, StudyError, carry_out, screen
from tuning.study import AlgorithmStudy, Runs, Screening
from tuning.trial_runs import TaskResult

SMALL = replace(PROTOCOL, trials=8, window=3)


class MadeUpPool(WorkerPool[TaskResult]):
    """Tasks are done at once, with made-up scores; those of some names die."""

    def __init__(self, dying: set[str], death: Death = Death("SIGKILL")) -> None:  # noqa: B008
        super().__init__(2, run_timeout=5)
        self._dying, self._death = dying, death
        self._done: list[tuple[Any, TaskResult | Death]] = []

    @property
    def busy(self) -> int:
        return len(self._done)

    def submit(self, key: Any, function: Any, *arguments: Any) -> None:
        outcome = self._death if key[1] in self._dying else scored(arguments[0])
        self._done.append((key, outcome))

    def finished(self, timeout: float) -> list[Any]:
        done, self._done = self._done, []
        return done


class Silent:
    @contextmanager
    def stage(self, name: str, total: int) -> Iterator["Silent"]:
        yield self

    def advance(self, result: RunResult, label: str = "", elsewhere: bool = False) -> None: ...
    def running(self, count: int) -> None: ...
    def waiting(self, what: str, seconds: float) -> None: ...


def stages(dying: set[str], death: Death = Death("SIGKILL")) -> Stages:  # noqa: B008
    def none(name: str) -> Any:
        raise AssertionError(name)

    return Stages(MadeUpPool(dying, death), Silent(), 120, none)


def screened(study: AlgorithmStudy, dying: set[str]) -> dict[tuple[str, str], str]:
    return carry_out(stages(dying), "screen", {"spec_ppo": Screening(study)})


def test_trials_whose_workers_died_are_made_by_the_next_call_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    assert screened(plain := opened(tmp_path / "plain", SMALL), set()) == {}
    disturbed = opened(tmp_path / "disturbed", SMALL)
    assert set(screened(disturbed, {"1"})) == {("spec_ppo", "1")}
    # Trial n waits for n - 3: those up to 3 could go on, and nothing else.
    assert sorted(disturbed.outcomes()) == [0, 2, 3]
    assert set(screened(disturbed, {"2", "5", "6"})) == {("spec_ppo", "5"), ("spec_ppo", "6")}
    assert screened(disturbed, set()) == {}
    assert proposals(disturbed) == proposals(plain)
    assert {t.state for t in disturbed.outcomes().values()} == {TrialState.COMPLETE}


def test_lost_run_leaves_a_folder_with_its_reason_and_the_command_says_that_it_tries_again(
    tmp_path: Path,
) -> None:
    study = opened(tmp_path / "lost", replace(SMALL, trials=2))
    with pytest.raises(StudyError) as caught:
        screen(stages({"1"}), [study])
    reason = "the worker process died twice (SIGKILL)"
    assert str(caught.value) == (
        f"1 task could not be done, the first of spec_ppo: {reason}; the same command tries again"
    )
    record = json.loads((study.place(2, "screen", "spec_ppo") / "run.json").read_text())
    assert (record["status"], record["reason"]) == ("failed", reason)


def test_run_that_took_too_long_is_a_failed_one_and_named(tmp_path: Path) -> None:
    study = opened(tmp_path / "late", replace(SMALL, trials=2))
    late = stages({"1"}, Death("SIGALRM", overdue=True))
    assert carry_out(late, "screen", {"spec_ppo": Screening(study)}) == {}
    outcome = study.outcomes()[1]
    assert outcome.state == TrialState.FAIL
    assert outcome.user_attrs["reason"] == (
        "ppo_lab/GridWorld-v0 did not finish within 5 s (--run-timeout)"
    )


def test_single_runs_that_are_lost_hold_up_no_other(tmp_path: Path) -> None:
    study = opened(tmp_path / "runs", SMALL)
    runs = {
        f"7/{i}": (study.place(i, "judge", "x"), study.run("judge", i, {"n_steps": 8}))
        for i in range(1, 5)
    }
    made = Runs(study.tasks, runs)
    pool = stages({"7/1", "7/3"})
    pool.pool.submit = _of_any_settings(pool.pool)  # type: ignore[method-assign]
    lost = carry_out(pool, "judge", {"spec_ppo": made})
    assert set(lost) == {("spec_ppo", "7/1"), ("spec_ppo", "7/3")}
    assert [made.tasks.outcome(f"7/{i}") is not None for i in range(1, 5)] == [
        *(False, True),
        *(False, True),
    ]


def _of_any_settings(pool: Any) -> Any:
    def submit(key: Any, function: Any, *arguments: Any) -> None:
        outcome = pool._death if key[1] in pool._dying else TaskResult(scores=(1.0,))
        pool._done.append((key, outcome))

    return submit
