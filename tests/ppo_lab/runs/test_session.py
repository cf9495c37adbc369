"""What a watched run logs, and where."""

import tempfile
from pathlib import Path

import pytest
from stable_baselines3 import A2C

from ppo_lab.runs.session import Session


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
