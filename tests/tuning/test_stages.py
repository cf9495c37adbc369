"""A stage whose workers die: what is lost is no result, and the next call makes it good."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.executor import Death, Executor, Retrying
from ppo_lab.runs.worker_pool import WorkerPool
from tests.ppo_lab.runs.executors import light_worker
from tests.tuning.made_up_runs import dying_run, run_with_a_failed_replica, watched_run
from tests.tuning.test_study import PROTOCOL, opened, proposals, scored
from tuning.candidates import Candidate, Tuned
from tuning.shift import Resources, carry_out
from tuning.stages import StudyError, _set_former_winner_aside, replicate, screen
from tuning.study import AlgorithmStudy, Runs, Screening
from tuning.trial_runs import ExecuteRun, TrialResult, TrialRuns
from tuning.work_list import WorkList

SMALL = replace(PROTOCOL, trials=8, window=3)


class MadeUp:
    """An executor whose trials are done at once, with made-up scores; those of some names die."""

    run_timeout, free = 5.0, 1

    def __init__(
        self,
        dying: set[str],
        death: Death = Death("SIGKILL"),  # noqa: B008
        result: Callable[[TrialRuns], TrialResult] = scored,
    ) -> None:
        self._dying, self._death, self._result = dying, death, result
        self._done: list[tuple[Any, TrialResult | Death]] = []
        self.begun: list[Any] = []

    @property
    def busy(self) -> int:
        return len(self._done)

    def oldest(self) -> None: ...

    def submit(self, key: Any, function: Any, *arguments: Any) -> None:
        self.begun.append(key)
        outcome = self._death if key[1] in self._dying else self._result(arguments[0])
        self._done.append((key, outcome))

    def finished(self, timeout: float) -> list[Any]:
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        self._done.clear()


class Silent:
    @contextmanager
    def stage(self, name: str, total: int) -> Iterator["Silent"]:
        yield self

    def advance(self, result: RunResult, label: str = "", elsewhere: bool = False) -> None: ...
    def running(self, count: int) -> None: ...
    def waiting(self, what: str, seconds: float) -> None: ...


def no_companion(name: str) -> Any:
    raise AssertionError(name)


def made_up(*given: Any, **named: Any) -> Resources:
    return Resources(MadeUp(*given, **named), Silent(), 120, no_companion)


def screened(study: AlgorithmStudy, dying: set[str]) -> dict[tuple[str, str], str]:
    return carry_out(made_up(dying), "screen", {"spec_ppo": Screening(study)})


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


def test_run_that_took_too_long_is_a_failed_one_and_named(tmp_path: Path) -> None:
    study = opened(tmp_path / "late", replace(SMALL, trials=2))
    late = made_up({"1"}, Death("SIGALRM", overdue=True))
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
    made = Runs(study.work_list, runs)
    resources = made_up({"7/1", "7/3"}, result=lambda _: TrialResult(scores=(1.0,)))
    lost = carry_out(resources, "judge", {"spec_ppo": made})
    assert set(lost) == {("spec_ppo", "7/1"), ("spec_ppo", "7/3")}
    assert [made.work_list.outcome(f"7/{i}") is not None for i in range(1, 5)] == [
        *(False, True),
        *(False, True),
    ]


def test_the_algorithm_with_the_fewest_begun_is_next(tmp_path: Path) -> None:
    work = {}
    for algo in ("a", "b"):
        study = opened(tmp_path / algo, SMALL)
        runs = {
            f"{algo}/{i}": (study.place(i, algo), study.run("judge", i, {})) for i in range(1, 4)
        }
        work[algo] = Runs(study.work_list, runs)
    executor = MadeUp(set(), result=lambda _: TrialResult(scores=(1.0,)))
    carry_out(Resources(executor, Silent(), 120, no_companion), "judge", work)
    assert [label for label, _ in executor.begun] == ["a", "b"] * 3


def test_former_winners_runs_leave_the_reports_folder_each_time_that_they_would_be_in_it(
    tmp_path: Path,
) -> None:
    study = replace(opened(tmp_path / "study", SMALL), folder=tmp_path / "judged")
    tuned = study.folder / "judge" / "spec_ppo-tuned"
    first, second = (Candidate(n, {"clip_range": n / 10}, 0.0, (1.0,)) for n in (1, 2))
    for of_whom, then in ((first, second), (second, second), (first, second)):
        outcome = Tuned("spec_ppo", (then,))
        shutil.rmtree(tuned, ignore_errors=True)
        (tuned / "env_1").mkdir(parents=True)
        record = {"hyperparameters": of_whom.hyperparameters}
        (tuned / "env_1" / "run.json").write_text(json.dumps(record))
        _set_former_winner_aside(study, outcome)
        assert tuned.exists() is (of_whom is then)
    (former,) = (study.folder / "former").iterdir()
    record = json.loads((former / "env_1" / "run.json").read_text())
    assert record["hyperparameters"] == first.hyperparameters


def test_trial_that_cannot_be_proposed_is_given_back(tmp_path: Path) -> None:
    class Unproposed(Screening):
        def make(self, claim: Any) -> TrialRuns:
            raise ArgumentError("the sampler cannot be loaded")

    study = opened(tmp_path / "study", SMALL)
    with pytest.raises(ArgumentError):
        carry_out(made_up(set()), "screen", {"spec_ppo": Unproposed(study)})
    study.work_list.refresh()
    assert study.work_list.running() == 0


@pytest.fixture
def pool() -> Iterator[Executor[TrialResult]]:
    """What tune gets its trials done by; its worker imports torch only if a run does."""
    made: Retrying[TrialResult] = Retrying(WorkerPool(1, 5.0, light_worker))
    yield made
    made.close()


def through(pool: Executor[TrialResult], run: ExecuteRun, study: AlgorithmStudy) -> Resources:
    """A stage's resources with that pool and these runs."""

    def companion(name: str) -> WorkList:
        storage = study.work_list.storage
        made = optuna.create_study(study_name=name, storage=storage, load_if_exists=True)
        return WorkList(made, storage, study.work_list.heart)

    return Resources(pool, Silent(), 120, companion, run)


def test_lost_run_leaves_a_folder_with_its_reason_and_the_command_says_that_it_tries_again(
    pool: Executor[TrialResult], tmp_path: Path
) -> None:
    study = opened(tmp_path / "lost", replace(SMALL, trials=4))
    with pytest.raises(StudyError) as caught:
        screen(through(pool, dying_run, study), [study])
    reason = "the worker process died twice (exit code 3)"
    assert str(caught.value) == (
        f"1 task could not be done, the first of spec_ppo: {reason}; the same command tries again"
    )
    lost = study.place(2, "screen", "spec_ppo")
    record = json.loads((lost / "run.json").read_text())
    assert (record["status"], record["reason"]) == ("failed", reason)
    assert (lost.parent / "tries").read_bytes() == b"xx"
    assert {n: trial.value for n, trial in study.outcomes().items()} == {0: 1, 2: 1 / 3, 3: 1 / 4}


def test_stopped_trial_is_pruned_with_its_points_and_its_steps(
    pool: Executor[TrialResult], tmp_path: Path
) -> None:
    protocol = replace(SMALL, trials=3, window=1, pruner="halving")
    study = opened(tmp_path / "stopped", protocol)
    screen(through(pool, watched_run, study), [study])
    trials = [trial for _, trial in sorted(study.outcomes().items())]
    # The first has nobody to be compared with; of two or three at a rung the best one goes on.
    assert [(t.state.name, t.value, t.user_attrs["steps"]) for t in trials] == [
        *(("COMPLETE", -1.0, 3000), ("PRUNED", -2.0, 750), ("PRUNED", -3.0, 750)),
    ]
    assert trials[0].intermediate_values == {1: -1.0, 2: -1.0, 3: -1.0, 4: -1.0}
    assert trials[1].intermediate_values == {1: -2.0}
    assert trials[1].user_attrs["reason"] == "stopped by halving at step 750 with -2"


def test_finalist_that_fails_on_one_fresh_seed_is_none_however_good_on_the_others(
    pool: Executor[TrialResult], tmp_path: Path
) -> None:
    study = opened(tmp_path / "failed", replace(SMALL, trials=3, finalists=2, replicas=3))
    resources = through(pool, run_with_a_failed_replica, study)
    screen(resources, [study])
    assert study.best(1)[0][0] == 0
    (tuned,) = replicate(resources, [study])
    # The default, trial 0, failed: the two others are left.
    assert {(c.trial, len(c.scores)) for c in tuned.candidates} == {(1, 3), (2, 3)}
    alone = replace(study, protocol=replace(study.protocol, trials=1))
    with pytest.raises(StudyError, match=r"no finalist of spec_ppo .* NonFiniteError: reward is"):
        replicate(resources, [alone])
