"""The study: what is proposed, that it repeats, what is recorded, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.seeds import Block
from ppo_lab.runs.storage_url import without_password
from tuning.candidates import Candidate, lower_end, ranked
from tuning.heart import Heart
from tuning.parameters import Real
from tuning.protocol import TuningProtocol
from tuning.spaces import SPACES
from tuning.storage import open_storage, open_study
from tuning.study import AlgorithmStudy, Screening, study_settings
from tuning.trial_runs import TrialResult, TrialRuns
from tuning.work_list import WorkList

PROTOCOL = TuningProtocol("ppo_lab/GridWorld-v0", "MlpPolicy", trials=14, window=4, seed=3)
SPACE = SPACES["core"]["spec_ppo"]


def opened(folder: Path, protocol: TuningProtocol = PROTOCOL, space: Any = SPACE) -> AlgorithmStudy:
    folder.mkdir(exist_ok=True)
    url = f"sqlite:///{folder / 'study.db'}"
    storage = open_storage(url)
    settings = study_settings("spec_ppo", protocol, space)
    study = open_study("study-spec_ppo", storage, url, settings)
    # One name for all: Hyperband draws by it.
    named = folder.parent / "study"
    return AlgorithmStudy(
        "spec_ppo", protocol, space, named, WorkList(study, storage, Heart(storage))
    )


def scored(task: TrialRuns) -> TrialResult:
    """A smooth made-up score, so that TPE has something to follow."""
    params = task.runs[0][1].hyperparameters
    score = -abs(params["clip_range"] - 0.3) - abs(params["gae_lambda"] - 0.9)
    return TrialResult(scores=(score,), seconds=1.0, steps=3000)


def screened(
    study: AlgorithmStudy,
    jobs: int = 1,
    stop_after: int | None = None,
    result: Callable[[TrialRuns], TrialResult] = scored,
) -> None:
    """Screen with ``jobs`` made-up workers, the last begun finishing first."""
    work = Screening(study)
    work.work_list.offer(work.wanted)
    running: list[Any] = []
    told = 0
    while True:
        while len(running) < jobs and (claim := work.work_list.claim(work.wanted, work.ready)):
            running.append((claim, work.make(claim)))
            work.work_list.refresh()
        if not running:
            return
        claim, task = running.pop()
        if told == stop_after:
            for left in (claim, *(c for c, _ in running)):
                work.work_list.release(left)
            return
        work.conclude(claim, result(task))
        work.work_list.refresh()
        told += 1


def proposals(study: AlgorithmStudy) -> list[dict[str, Any]]:
    return [trial.params for _, trial in sorted(study.outcomes().items())]


def test_first_trial_is_the_default(tmp_path: Path) -> None:
    screened(study := opened(tmp_path / "a"))
    trial = study.outcomes()[0]
    assert trial.user_attrs["hyperparameters"] == study.default_hyperparameters


def test_proposals_repeat_whatever_the_number_of_workers_and_wherever_a_call_was_cut_off(
    tmp_path: Path,
) -> None:
    screened(plain := opened(tmp_path / "plain"))
    for stop_after in (3, 6):
        screened(opened(tmp_path / "cut"), stop_after=stop_after)
    screened(cut := opened(tmp_path / "cut"))
    screened(many := opened(tmp_path / "many"), jobs=4)
    assert len(proposals(plain)) == 14
    assert proposals(cut) == proposals(plain)
    assert proposals(many) == proposals(plain)


def test_study_goes_on_with_more_trials_as_if_all_had_been_asked_for_at_once(
    tmp_path: Path,
) -> None:
    screened(opened(tmp_path / "a", replace(PROTOCOL, trials=5)))
    screened(extended := opened(tmp_path / "a"), jobs=3)
    screened(at_once := opened(tmp_path / "b"))
    assert proposals(extended) == proposals(at_once)
    assert extended.best(4)[0][0] == at_once.best(4)[0][0]


def test_no_more_trials_run_at_once_than_the_window_holds(tmp_path: Path) -> None:
    work = Screening(opened(tmp_path / "a"))
    work.work_list.offer(work.wanted)
    begun = 0
    while claim := work.work_list.claim(work.wanted, work.ready):
        work.make(claim)
        work.work_list.refresh()
        begun += 1
    assert begun == PROTOCOL.window


def test_true_settings_and_spending_stand_in_the_trials_attributes(tmp_path: Path) -> None:
    space = (Real("gamma", 0.9, 0.999, "one_minus_log"),)
    study = opened(tmp_path / "a", replace(PROTOCOL, trials=2), space)
    result = TrialResult(scores=(0.5,), seconds=1.0, steps=3000)
    screened(study, result=lambda task: result)
    trial = study.outcomes()[1]
    hyperparameters = trial.user_attrs["hyperparameters"]
    assert hyperparameters["gamma"] == 1 - trial.params["one_minus_gamma"]
    assert hyperparameters["n_steps"] == PROTOCOL.shape["n_steps"]
    assert trial.user_attrs["seeds"] == PROTOCOL.screening_seeds
    assert (trial.user_attrs["steps"], trial.user_attrs["seconds"]) == (3000, 1.0)


def test_failed_trial_is_failed_with_its_reason_and_the_study_goes_on(tmp_path: Path) -> None:
    def result(task: TrialRuns) -> TrialResult:
        first = task.runs[0][0].name.endswith("_1")
        return TrialResult(reason="NonFiniteError: reward is nan") if first else scored(task)

    screened(study := opened(tmp_path / "a"), result=result)
    trial = study.outcomes()[0]
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["reason"] == "NonFiniteError: reward is nan"
    assert len(study.of_state(TrialState.COMPLETE)) == 13
    assert 0 not in [number for number, _ in study.best(14)]


def test_stopped_trial_is_pruned_with_what_it_had_and_never_a_finalist(tmp_path: Path) -> None:
    def result(task: TrialRuns) -> TrialResult:
        if task.runs[0][0].name.endswith("_2"):
            return TrialResult(reason="stopped", stopped=True, points={1: 9.0}, steps=750)
        return scored(task)

    screened(study := opened(tmp_path / "a"), result=result)
    trial = study.outcomes()[1]
    assert (trial.state, trial.value) == (TrialState.PRUNED, 9.0)
    assert trial.intermediate_values == {1: 9.0}
    assert 1 not in [number for number, _ in study.best(14)]


def test_best_are_the_highest_scores_the_earlier_of_equals_first(tmp_path: Path) -> None:
    scores = dict(enumerate([0.1, 0.5, 0.9, 0.5, 0.2, 0.0, -1.0, 0.4], 1))
    study = opened(tmp_path / "a", replace(PROTOCOL, trials=8))
    screened(
        study,
        result=lambda task: TrialResult(
            scores=(scores[int(task.runs[0][0].name.rpartition("_")[2])],)
        ),
    )
    assert [number for number, _ in study.best(3)] == [2, 1, 3]


def candidate(trial: int, *scores: float) -> Candidate:
    return Candidate(trial, {}, 0.0, scores)


def test_best_mean_wins_and_of_equal_means_the_higher_lower_end() -> None:
    wide, narrow, worse = candidate(0, 0.0, 2.0), candidate(5, 0.5, 1.5), candidate(1, 0.9, 0.9)
    assert ranked([worse, wide, narrow]) == (narrow, wide, worse)
    # Mean 1, s = 0.7071, t(0.975, 1) = 12.7062: 1 − 12.7062·0.7071/√2 = −5.3531
    assert lower_end((0.5, 1.5)) == pytest.approx(-5.3531, abs=1e-4)
    assert ranked([candidate(3, 1.0, 1.0), candidate(2, 1.0, 1.0)])[0].trial == 2


def test_study_of_other_settings_is_refused_with_the_difference(tmp_path: Path) -> None:
    opened(tmp_path / "a")
    with pytest.raises(ArgumentError, match=r"timesteps 3000 there, 99 here.*--study-name"):
        opened(tmp_path / "a", replace(PROTOCOL, timesteps=99))
    with pytest.raises(ArgumentError, match=r"space clip_range high 0.5 there, 0.3 here"):
        opened(tmp_path / "a", space=(Real("clip_range", 0.05, 0.3), *SPACE[1:]))
    opened(tmp_path / "a", replace(PROTOCOL, seeds=50, trials=99))


def test_replicas_take_the_seeds_after_those_of_screening_to_be_evaluated_too(
    tmp_path: Path,
) -> None:
    protocol = replace(PROTOCOL, screen_seeds=2)
    study = opened(tmp_path / "a", protocol)
    for stage, index, block_index in (("screen", 1, 1), ("replicate", 0, 2), ("replicate", 1, 3)):
        run = study.run(stage, index, {})
        assert run.seed == protocol.run_seed(Block.TUNING, block_index)
        assert run.evaluation.seed == protocol.run_seed(Block.TUNING_EVALUATION, block_index)


@pytest.mark.parametrize("storage", ["nonsense", "foo://bar", "sqlite:////proc/none/study.db"])
def test_storage_that_cannot_be_used_is_one_clear_error(storage: str) -> None:
    with pytest.raises(ArgumentError, match="the study's storage cannot be used") as caught:
        open_storage(storage)
    assert "\n" not in str(caught.value)


def test_damaged_study_file_is_one_clear_error_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "study.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(ArgumentError, match="the study's storage cannot be used"):
        opened(tmp_path / "a")
    assert file.read_bytes() == b"not a database" * 100


@pytest.mark.parametrize("url", ["postgresql://me:p%40ss@host/x", "postgresql://me:p@ss@host/x"])
def test_no_password_is_shown_as_written_or_as_meant(url: str) -> None:
    shown = without_password(f"cannot reach {url} as me with p@ss", url)
    assert "p%40ss" not in shown
    assert "p@ss" not in shown


def test_the_study_can_be_read_by_optuna_with_its_protocol(tmp_path: Path) -> None:
    screened(made := opened(tmp_path / "a"))
    study = optuna.load_study(
        study_name="study-spec_ppo", storage=f"sqlite:///{tmp_path / 'a' / 'study.db'}"
    )
    assert study.user_attrs["protocol"]["env"] == "ppo_lab/GridWorld-v0"
    assert study.user_attrs["protocol"]["space"]["clip_range"]["high"] == 0.5
    assert study.best_value == made.best(1)[0][1].value
