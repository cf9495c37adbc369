"""Where networks are trained: what was asked for, or a refusal."""

import json
from pathlib import Path

import pytest
import torch as th

from ppo_lab.compare import main as compare
from ppo_lab.errors import ArgumentError
from ppo_lab.evaluate import main as evaluate
from ppo_lab.runs.device import check_device, training_device
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune

MISSING = f"cuda:{th.cuda.device_count()}"


def test_a_device_that_is_not_there_is_refused_which_sb3_passes_over() -> None:
    for device in ("auto", "cpu", "cpu:0"):
        check_device(device)
    for device in (MISSING, "gpu", "meta", "", "cuda:x"):
        with pytest.raises(ArgumentError, match="--device") as error:
            check_device(device)
        assert "\n" not in str(error.value)


def test_small_networks_are_trained_on_the_cpu_unless_asked_otherwise() -> None:
    for policy in ("MlpPolicy", "MlpLstmPolicy"):
        assert training_device("auto", policy) == "cpu"
        assert training_device("cuda", policy) == "cuda"
    for policy in ("CnnPolicy", "MultiInputPolicy", "acme.Policy"):
        assert training_device("auto", policy) == "auto"


def test_every_command_refuses_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = ["--log-folder", str(tmp_path), "--device", MISSING]
    for command in (
        lambda: train(["--timesteps", "64", *logs]),
        lambda: compare(["--envs", "CartPole-v1", "--timesteps", "64", *logs]),
        lambda: tune(["--env", "CartPole-v1", *logs]),
        lambda: evaluate([str(tmp_path), "--device", MISSING]),
    ):
        assert command() == 2
        said = capsys.readouterr().err
        assert f"--device {MISSING}: this machine or its torch has none" in said
        assert said.count("\n") == 1
    assert not list(tmp_path.rglob("run.json"))


def test_a_run_says_what_was_asked_for_and_what_it_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--timesteps", "64", "-P", "n_steps:32", "batch_size:32", "--eval-freq", "0"]
    logs = ["--log-folder", str(tmp_path)]
    assert train([*small, *logs, "--device", "cpu"]) == 0
    run = tmp_path / "spec_ppo" / "CartPole-v1_1"
    stored = json.loads((run / "run.json").read_text())
    assert (stored["asked_device"], stored["device"]) == ("cpu", "cpu")
    more = ["--resume", str(run), "--timesteps", "96", *logs]
    capsys.readouterr()
    assert train([*more, "--device", MISSING]) == 2
    assert train([*more, "--normalize", "true"]) == 2
    assert "--normalize with --resume: the run has its own" in capsys.readouterr().err
    assert train([*more, "--device", "auto"]) == 0
