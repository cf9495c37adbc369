"""Reading run folders: what is used, what is set aside, and why."""

import json
from pathlib import Path

import numpy as np
import pytest

from reports.logs.loading import NoRunsError, load_runs
from tests.reports.conftest import EPISODES, STEPS, MakeRun


def only_reason(logs: Path) -> str:
    """Load a folder that holds one good run and one bad one, and return the bad one's reason."""
    loaded = load_runs(logs)
    assert [run.folder for run in loaded.runs] == ["good"]
    (aside,) = loaded.set_aside
    assert aside.folder == "bad"
    return aside.reason


def test_score_is_the_mean_of_the_last_evaluation(logs: Path, make_run: MakeRun) -> None:
    make_run(returns=[0.1, 0.9, 0.3, 0.5, 0.45], low=-0.1, high=1.0)
    (run,) = load_runs(logs).runs
    assert run.score == pytest.approx(0.45, abs=1e-12)
    # (0.45 − −0.1) / (1 − −0.1) = 0.55 / 1.1
    assert run.normalised_score == pytest.approx(0.5, abs=1e-12)
    np.testing.assert_array_equal(run.evaluation_steps, STEPS)
    np.testing.assert_allclose(run.evaluation_returns, [0.1, 0.9, 0.3, 0.5, 0.45], atol=1e-12)
    assert run.evaluation_episodes == EPISODES
    assert (run.label, run.seed, run.steps) == ("spec_ppo (tuned)", 200000, 10240)


def test_environment_arguments_make_another_task(logs: Path, make_run: MakeRun) -> None:
    make_run(env_kwargs={"noise": 0.5, "horizon": 3})
    (run,) = load_runs(logs).runs
    assert run.task == 'ppo_lab/NoisyGridWorld-v0 {"horizon": 3, "noise": 0.5}'


def test_tuning_runs_are_counted_and_never_judged(logs: Path, make_run: MakeRun) -> None:
    make_run()
    make_run(seed=1, stage="screen")
    make_run(seed=2, stage="replicate", status="failed")
    make_run(seed=3, stage="something else")
    loaded = load_runs(logs)
    assert {run.seed for run in loaded.runs} == {200000, 3}
    assert loaded.tuning_runs == 2
    assert loaded.set_aside == ()


def test_a_failed_run_is_set_aside_with_its_reason(logs: Path, make_run: MakeRun) -> None:
    make_run(folder="good")
    bad = make_run(folder="bad", status="failed", reason="FloatingPointError: NaN in the loss")
    (bad / "evaluations.npz").unlink()
    assert only_reason(logs) == "failed: FloatingPointError: NaN in the loss"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON (line 1, column 2)"),
        ("", "not valid JSON (line 1, column 1)"),
        ("[1]", "does not hold an object"),
        ("[" * 100_000, "cannot be read (RecursionError)"),
        ('{"format": 2}', "not of format 1"),
        ('{"format": 1}', "status must be a text"),
    ],
)
def test_a_malformed_record_is_set_aside(
    logs: Path, make_run: MakeRun, text: str, reason: str
) -> None:
    make_run(folder="good")
    (make_run(folder="bad") / "run.json").write_text(text)
    assert reason in only_reason(logs)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"algo": 7}, "algo must be a text"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 2**53 + 1}, "seed must be a whole number from 0 to 9007199254740992"),
        ({"steps": 10**400}, "steps must be a whole number from 0 to 9007199254740992"),
        ({"timesteps": 10**999}, "timesteps must be a whole number from 0"),
        ({"timesteps": 10**1000}, "run.json is not read: a number of 1,001 characters"),
        ({"reference": {"low": -1.7e308, "high": 1.7e308}}, "of at most 1e+100"),
        ({"reference": {"low": 0, "high": 1.1e100}}, "high must be a finite number of at most"),
        ({"reference": {"low": 1e99, "high": 1e99 + 1e84}}, "too close to normalise by"),
        ({"reference": {"low": 0, "high": -0.0}}, "low must lie below its high"),
        ({"algo": "a" * 10_001}, "a name of 10,001 characters: aaaa"),
        ({"env_kwargs": {"a": "b" * 20_000}}, "characters: ppo_lab/"),
        ({"hyperparameters": {"a": "b" * 200_000}}, "settings are longer than 100,000"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"score": "high"}, "score must be a number"),
        ({"stage": ["screen"], "env": None}, "env must be a text"),
        ({"reference": {"low": 0, "high": 1e-309, "source": ""}}, "too close to normalise by"),
        ({"score": 10**400}, "score must be a finite number"),
        ({"score": 0.1}, "states a score of 0.1"),
        ({"reference": 1}, "reference must be an object"),
        ({"reference": {"low": 1, "high": 1, "source": ""}}, "low must lie below its high"),
        ({"reference": {"low": float("nan"), "high": 1}}, "low must be a finite number"),
    ],
)
def test_a_record_with_a_wrong_entry_is_set_aside(
    logs: Path, make_run: MakeRun, changes: dict[str, object], reason: str
) -> None:
    make_run(folder="good")
    make_run(folder="bad", record=changes)
    assert reason in only_reason(logs)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"timesteps": np.array([1])}, "cannot be read (KeyError)"),
        ({"timesteps": np.array([1]), "results": np.array([1.0])}, "of shape (P, E)"),
        ({"timesteps": np.array([1]), "results": np.ones((2, 3))}, "of shape (P, E)"),
        ({"timesteps": np.array([1]), "results": np.ones((1, 0))}, "of shape (P, E)"),
        ({"timesteps": np.array(["a"]), "results": np.ones((1, 1))}, "whole timesteps"),
        ({"timesteps": np.array([1]), "results": np.array([[np.nan]])}, "NaN or infinite"),
        ({"timesteps": np.array([1]), "results": np.array([[np.inf]])}, "NaN or infinite"),
    ],
)
def test_evaluations_that_are_none_are_set_aside(
    logs: Path, make_run: MakeRun, arrays: dict[str, np.ndarray], reason: str
) -> None:
    make_run(folder="good")
    np.savez(make_run(folder="bad") / "evaluations.npz", **arrays)  # type: ignore[arg-type]
    assert reason in only_reason(logs)


def test_a_bare_array_or_nothing_in_place_of_the_archive_is_set_aside(
    logs: Path, make_run: MakeRun
) -> None:
    make_run(folder="good")
    archive = make_run(folder="bad") / "evaluations.npz"
    with archive.open("wb") as file:
        np.save(file, np.ones(3))
    assert "not an npz archive" in only_reason(logs)
    archive.unlink()
    assert only_reason(logs) == "evaluations.npz is missing"


def test_a_run_without_a_stated_score_is_used(logs: Path, make_run: MakeRun) -> None:
    make_run(score=0.8)
    (path,) = logs.rglob("run.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "score": None}))
    assert load_runs(logs).runs[0].score == pytest.approx(0.8)


def test_nothing_usable_is_one_clear_error(logs: Path, make_run: MakeRun) -> None:
    with pytest.raises(NoRunsError, match="is not a folder"):
        load_runs(logs / "missing")
    with pytest.raises(NoRunsError, match=r"no run\.json below"):
        load_runs(logs)
    make_run(stage="screen")
    with pytest.raises(NoRunsError, match=r"all 1 runs below .* are tuning runs"):
        load_runs(logs)
    make_run(status="failed", reason="out of memory", folder="b")
    with pytest.raises(NoRunsError, match="the first, b: failed: out of memory"):
        load_runs(logs)
