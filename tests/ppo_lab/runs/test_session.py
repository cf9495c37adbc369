"""What a watched run logs, and where."""

import tempfile
from pathlib import Path

import pytest
from stable_baselines3 import A2C

from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.session import Session
from tests.ppo_lab.ppo.test_normalized_space import WHOLE, normalized


def learned(session: Session | None) -> A2C:
    model = A2C("MlpPolicy", "CartPole-v1", n_steps=4, device="cpu")
    if session is not None:
        session.set_logger(model)
    return model.learn(8)


def test_a_run_without_a_log_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    learned(None)
    (left,) = tmp_path.glob("SB3-*")  # as SB3 itself does
    left.rmdir()
    model = learned(Session())
    assert not list(tmp_path.glob("SB3-*"))
    assert model.num_timesteps == 8


def test_at_verbose_1_its_table_is_printed_still(capsys: pytest.CaptureFixture[str]) -> None:
    model = A2C("MlpPolicy", "CartPole-v1", n_steps=4, device="cpu")
    Session(verbose=1).set_logger(model)
    model.learn(8, log_interval=1)
    assert "total_timesteps" in capsys.readouterr().out


def test_a_run_that_stored_normalised_whole_numbers_as_such_goes_on_as_it_was(
    tmp_path: Path,
) -> None:
    env = normalized("uint8", shown=False)
    A2C("MlpPolicy", env, n_steps=4, device="cpu").learn(8).save(tmp_path / "rl_model_8_steps.zip")
    env.save(str(tmp_path / "rl_model_vecnormalize_8_steps.pkl"))
    config = RunConfig("a2c", "CartPole-v1", 0, 16, 1, "MlpPolicy", {}, Evaluation(1, 0))
    going_on = Session(start=tmp_path / "rl_model_8_steps.zip")
    model = going_on.loaded(config, normalized("uint8", shown=True))
    assert model.observation_space == WHOLE
    assert model.num_timesteps == 8
