"""The study: what is proposed, that it repeats, what is recorded."""

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ppo_lab.errors import ArgumentError
from ppo_lab.runs import RunResult
from tuning.protocol import Protocol
from tuning.spaces import SPACES, defaults
from tuning.study import AlgorithmStudy, open_study

PROTOCOL = Protocol("ppo_lab/GridWorld-v0", "MlpPolicy", trials=20, batch=8, seed=3)


def quality(params: dict[str, float]) -> float:
    """A smooth made-up score, so that TPE has something to follow."""
    return -abs(params["clip_range"] - 0.3) - abs(params["gae_lambda"] - 0.9)


def opened(folder: Path, protocol: Protocol = PROTOCOL, algo: str = "spec_ppo") -> AlgorithmStudy:
    return open_study("study", f"sqlite:///{folder / 'study.db'}", algo, protocol)


def screened(study: AlgorithmStudy, stop_after: int | None = None, backwards: bool = False) -> None:
    told = 0
    for batch in study.unfinished_batches():
        for trial in reversed(batch) if backwards else batch:
            if told == stop_after:
                return
            study.tell(trial, RunResult(quality(trial.params), None, 1.0), seed=5)
            told += 1


def proposals(study: AlgorithmStudy) -> list[dict[str, float]]:
    return [trial.params for trial in study.study.trials]


def test_first_trial_is_the_default(tmp_path: Path) -> None:
    study = opened(tmp_path)
    screened(study)
    assert proposals(study)[0] == defaults(SPACES["spec_ppo"])


def test_defaults_are_sb3s_own() -> None:
    import inspect

    from stable_baselines3 import PPO

    sb3 = inspect.signature(PPO).parameters
    for algo, space in SPACES.items():
        for name, value in defaults(space).items():
            expected = sb3["learning_rate" if name == "critic_learning_rate" else name].default
            assert value == expected, (algo, name)


def test_proposals_lie_in_their_ranges_and_cover_all_that_is_searched(tmp_path: Path) -> None:
    study = opened(tmp_path)
    screened(study)
    assert len(study.study.trials) == 20
    for params in proposals(study):
        assert set(params) == {"clip_range", "gae_lambda", "learning_rate", "critic_learning_rate"}
        for p in SPACES["spec_ppo"]:
            assert p.low <= params[p.name] <= p.high


def test_proposals_repeat_whatever_the_order_of_results_and_wherever_a_call_was_cut_off(
    tmp_path: Path,
) -> None:
    for name in ("plain", "cut", "backwards"):
        (tmp_path / name).mkdir()
    screened(plain := opened(tmp_path / "plain"))
    for stop_after in (3, 6, 4):
        screened(opened(tmp_path / "cut"), stop_after)
    screened(cut := opened(tmp_path / "cut"))
    screened(backwards := opened(tmp_path / "backwards"), backwards=True)
    assert proposals(cut) == proposals(plain)
    assert proposals(backwards) == proposals(plain)


def test_another_seed_proposes_other_settings(tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "other").mkdir()
    screened(study := opened(tmp_path))
    screened(other := opened(tmp_path / "other", replace(PROTOCOL, seed=4)))
    assert proposals(study)[1] != proposals(other)[1]


def test_failed_trial_is_failed_with_its_reason_and_never_pruned(tmp_path: Path) -> None:
    study = opened(tmp_path)
    batch = next(study.unfinished_batches())
    study.tell(batch[0], RunResult(None, "NonFiniteError: reward is nan", 1.0), seed=5)
    trial = study.study.trials[0]
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["reason"] == "NonFiniteError: reward is nan"
    assert [t.number for t in study.failures()] == [0]
    assert study.best(5) == []
    assert study.finished() == 1


def test_best_are_the_highest_scores_the_earlier_of_equals_first(tmp_path: Path) -> None:
    study = opened(tmp_path)
    batch = next(study.unfinished_batches())
    for trial, score in zip(batch, [0.1, 0.5, 0.9, 0.5, 0.2, 0.0, -1.0, 0.4], strict=True):
        study.tell(trial, RunResult(score, None, 1.0), seed=5)
    assert [t.number for t in study.best(3)] == [2, 1, 3]


def test_study_of_other_settings_is_refused_with_the_difference(tmp_path: Path) -> None:
    from dataclasses import replace

    opened(tmp_path)
    with pytest.raises(ArgumentError, match=r"timesteps 3000 there, 99 here.*--study-name"):
        opened(tmp_path, replace(PROTOCOL, timesteps=99))
    assert opened(tmp_path, replace(PROTOCOL, seeds=50)).finished() == 0


@pytest.mark.parametrize("storage", ["nonsense", "foo://bar", "sqlite:////proc/none/study.db"])
def test_storage_that_cannot_be_used_is_one_clear_error(storage: str) -> None:
    with pytest.raises(ArgumentError, match="the study's storage cannot be used") as caught:
        open_study("study", storage, "ppo", PROTOCOL)
    assert "\n" not in str(caught.value)


def test_damaged_study_file_is_one_clear_error_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(ArgumentError, match="the study's storage cannot be used"):
        opened(tmp_path)
    assert file.read_bytes() == b"not a database" * 100


def test_the_study_can_be_read_by_optuna_with_its_protocol(tmp_path: Path) -> None:
    screened(opened(tmp_path))
    study = optuna.load_study(
        study_name="study-spec_ppo", storage=f"sqlite:///{tmp_path / 'study.db'}"
    )
    assert study.user_attrs["protocol"]["env"] == "ppo_lab/GridWorld-v0"
    assert study.trials[0].user_attrs["seed"] == 5
    assert study.best_value == max(quality(t.params) for t in study.trials)
