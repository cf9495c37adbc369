"""What a training shows and logs beside its table: a bar, TensorBoard, Weights & Biases."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ppo_lab import SpecPPO
from ppo_lab.commands.training_bar import TrainingBar
from ppo_lab.compiled.callback_needs import needs_every_step
from ppo_lab.train import main as train
from reports.logs.loading import load_runs

HOME = Path(__file__).resolve().parents[3]
SMALL = ["--timesteps", "64", "--eval-freq", "32", "--eval-episodes", "2",
         "-P", "n_steps:32", "batch_size:32", "n_epochs:1"]  # fmt: skip


def trained_under_a_bar(console: Console) -> SpecPPO:
    model = SpecPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, seed=0, device="cpu")
    return model.learn(128, TrainingBar(console, 128))


def test_the_bar_decides_nothing_and_needs_no_step() -> None:
    shown = trained_under_a_bar(Console(file=StringIO(), force_terminal=True, width=80))
    plain = SpecPPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, seed=0, device="cpu")
    plain.learn(128)
    for name, value in plain.policy.state_dict().items():
        np.testing.assert_array_equal(shown.policy.state_dict()[name], value)
    assert not needs_every_step(TrainingBar(Console(file=StringIO()), 1))


def test_the_bar_is_a_line_every_tenth_where_there_is_no_terminal() -> None:
    console = Console(file=StringIO(), width=80)
    trained_under_a_bar(console)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    # Before the rollouts that begin at steps 32, 64 and 96: two, five and seven tenths of 128.
    assert [line.split(",")[0] for line in lines if "of 128 steps" in line] == [
        "32 of 128 steps", "64 of 128 steps", "96 of 128 steps",
    ]  # fmt: skip


def test_the_zoos_p_alone_shows_the_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = ["--log-folder", str(tmp_path)]
    assert train([*SMALL, "--seed", "1", *logs]) == 0
    assert "of 64 steps" not in capsys.readouterr().out  # no terminal here
    assert train([*SMALL[:6], "--conf", str(conf(tmp_path)), *logs, "-P"]) == 0
    assert "32 of 64 steps" in capsys.readouterr().out


def conf(folder: Path) -> Path:
    file = folder / "c.yml"
    file.write_text("default: {n_steps: 3.2e1, batch_size: 32, n_epochs: 1, n_timesteps: '1e3'}\n")
    return file


def test_numbers_with_an_exponent_are_whole_in_yaml_too(tmp_path: Path) -> None:
    logs = ["--log-folder", str(tmp_path), "--timesteps", "6.4e1", "--eval-episodes", "1"]
    assert train(["--conf", str(conf(tmp_path)), *logs, "--eval-freq", "0"]) == 0
    record = json.loads((tmp_path / "spec_ppo" / "CartPole-v1_1" / "run.json").read_text())
    assert (record["timesteps"], record["hyperparameters"]["n_steps"]) == (64, 32)
    assert type(record["hyperparameters"]["n_steps"]) is int


def test_a_budget_with_a_fraction_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yml"
    file.write_text("default: {n_timesteps: 1000.5}\n")
    assert train(["--conf", str(file), "--log-folder", str(tmp_path)]) == 2
    assert "n_timesteps must be whole numbers, and 1000.5 is no whole" in capsys.readouterr().err


@pytest.mark.slow  # wandb alone takes half a minute to begin and to end
def test_a_tracked_training_leaves_an_offline_run_and_the_same_scores(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    flags = ["--track", "--wandb-project-name", "mine", "-tags", "a", "-f", "tracked"]
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "ppo_lab.train", *SMALL, *flags],
        env={**os.environ, "PYTHONPATH": str(HOME), "WANDB_MODE": "offline"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    # An offline run of today's wandb is its one file alone; a report reads it.
    (log,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert all(name in log.read_bytes() for name in (b"train/approx_kl", b"time/fps"))
    (logged,) = load_runs(tmp_path / "wandb").runs
    assert (logged.kind, logged.algo, logged.seed) == ("wandb", "spec_ppo", 0)
    assert logged.evaluation_steps.tolist() == [0, 32, 64]
    assert train([*SMALL, "--log-folder", str(tmp_path / "plain")]) == 0
    tracked, plain = (
        np.load(tmp_path / logs / "spec_ppo" / "CartPole-v1_1" / "evaluations.npz")["results"]
        for logs in ("tracked", "plain")
    )
    np.testing.assert_array_equal(tracked, plain)
    np.testing.assert_array_equal(logged.evaluation_returns, plain.mean(axis=1))


def test_without_wandb_track_names_the_line_that_brings_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ppo_lab.commands.optional_packages.find_spec", lambda _: None)
    assert train([*SMALL, "--track", "--log-folder", str(tmp_path)]) == 1
    assert 'pip install "ppo-lab[integrations]"' in capsys.readouterr().err
