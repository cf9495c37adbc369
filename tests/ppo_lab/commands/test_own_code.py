"""A user's own code: environments in a file, classes that settings name; runs know them again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch as th
from stable_baselines3.common.save_util import load_from_zip_file

from ppo_lab.compare import main as compare
from ppo_lab.errors import ArgumentError
from ppo_lab.evaluate import main as evaluate
from ppo_lab.train import main as train
from ppo_lab.vec_env import make_native_vec_env

WALK = """
import gymnasium as gym
import numpy as np
from beside import SIZE


class Walk(gym.Env):
    def __init__(self, pay=1.0):
        self.observation_space = gym.spaces.Box(-9, 9, (SIZE,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.pay = pay

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 5
        return np.zeros(SIZE, np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.full(SIZE, self.left, np.float32), self.pay, False, self.left == 0, {}


class Doubled(gym.RewardWrapper):
    def reward(self, reward):
        return 2 * reward


NOTHING = 3
"""
NETS = """
from torch import nn
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor


class Four(BaseFeaturesExtractor):
    def __init__(self, space):
        super().__init__(space, 4)
        self.linear = nn.Linear(space.shape[0], 4)

    def forward(self, observations):
        return self.linear(observations)


class Own(ActorCriticPolicy):
    pass
"""
SMALL = ["--timesteps", "64", "-P", "n_steps:32", "batch_size:32", "--eval-freq", "0"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "walk_env.py").write_text(WALK)
    (tmp_path / "beside.py").write_text("SIZE = 2\n")
    (tmp_path / "own_nets.py").write_text(NETS)


def record(run: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "run.json").read_text())
    return content


def test_a_class_in_a_file_is_trained_in_and_its_run_knows_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*SMALL, "--env", "./walk_env.py:Walk", "--env-kwargs", "pay:2.0"]
    assert train([*command, "--wrapper", "walk_env:Doubled"]) == 0
    run = "logs/spec_ppo/Walk_1"
    stored = record(run)
    assert stored["env"] == "walk_env.py:Walk"
    assert stored["env_file"] == (tmp_path / "walk_env.py").as_posix()
    assert stored["score"] == 10.0  # five steps of 2: the monitor counts what the wrapper doubles
    assert train([*command[:-2], "--env-kwargs", "pay:2.0", "--wrapper", "walk_env:Doubled"]) == 0
    assert "is this run, finished" in capsys.readouterr().out
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert evaluate([f"../{run}", "--episodes", "2"]) == 0
    assert "mean return 10" in capsys.readouterr().out


def test_a_file_that_has_changed_or_gone_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train([*SMALL, "--env", "walk_env.py:Walk"]) == 0
    file, run = tmp_path / "walk_env.py", "logs/spec_ppo/Walk_1"
    file.write_text(WALK.replace("self.left = 5", "self.left = 7"))
    capsys.readouterr()
    assert evaluate([run, "--episodes", "2"]) == 2
    assert "has changed since the run was made" in capsys.readouterr().err
    assert train(["--resume", run, "--timesteps", "128"]) == 2
    assert "has changed since the run was made" in capsys.readouterr().err
    assert evaluate([run, "--episodes", "2", "--env", "./walk_env.py:Walk"]) == 0
    assert "mean return 7" in capsys.readouterr().out
    # What was trained in another file is another run.
    assert train([*SMALL, "--env", "walk_env.py:Walk"]) == 0
    assert record("logs/spec_ppo/Walk_2")["score"] == 7.0
    file.unlink()
    assert evaluate([run, "--episodes", "2"]) == 2
    said = capsys.readouterr().err
    assert "is not here; it was" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("how", ["vector", "auto"])
@pytest.mark.parametrize("env", ["./walk_env.py:Walk", "walk_env:Walk"])
def test_a_class_that_nobody_registered_is_stepped_in_every_way(env: str, how: str) -> None:
    assert train([*SMALL, "--env", env, "--vec-env", how, "--n-envs", "2"]) == 0
    assert record("logs/spec_ppo/Walk_1")["score"] == 5.0


@pytest.mark.parametrize("env", ["./walk_env.py:Walk", "walk_env:Walk"])
def test_copies_in_arrays_are_refused_for_a_class_that_has_no_such_form(env: str) -> None:
    with pytest.raises(ArgumentError, match=r"Walk' cannot be made as 2 native copies"):
        make_native_vec_env(env, 2)


def test_a_class_in_a_module_is_an_environment_too() -> None:
    assert train([*SMALL, "--env", "walk_env:Walk"]) == 0
    assert record("logs/spec_ppo/Walk_1")["score"] == 5.0


@pytest.mark.slow
@pytest.mark.parametrize("env", ["./walk_env.py:Walk", "walk_env:Walk"])
def test_workers_of_compare_know_a_class_that_nobody_registered(
    env: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--envs", env, "--algos", "ppo", "--timesteps", "64", "--seeds", "1", "--jobs", "1"]
    command += ["--settings", "default", "--points", "1", "--episodes", "2", "--name", "own"]
    Path("conf.yml").write_text("default: {n_steps: 32, batch_size: 32}\n")
    assert compare([*command, "--conf", "conf.yml"]) == 0
    (run,) = Path("logs/own/runs").glob("*/Walk_1")
    assert (record(str(run))["status"], record(str(run))["score"]) == ("completed", 5.0)
    # The random policy's five steps; kept, should the comparison be stopped and go on.
    (kept,) = json.loads(Path("logs/own/measured-references.json").read_text()).values()
    assert kept["low"] == 5.0


def test_classes_that_settings_name_are_built_saved_and_loaded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "dict(optimizer_class=th.optim.AdamW, features_extractor_class=own_nets.Four, "
    words += "activation_fn=nn.ELU, net_arch=[8])"
    command = [*SMALL[:2], "-P", "n_steps:32", "batch_size:32", f"policy_kwargs:{words}"]
    assert train([*command, "--eval-freq", "0"]) == 2
    assert "--env-packages own_nets lets settings import from it" in capsys.readouterr().err
    assert train([*command, "--eval-freq", "0", "--env-packages", "own_nets"]) == 0
    run = "logs/spec_ppo/CartPole-v1_1"
    data, parameters, _ = load_from_zip_file(f"{run}/CartPole-v1.zip")
    assert data is not None
    assert data["policy_kwargs"]["optimizer_class"] is th.optim.AdamW
    assert parameters["policy"]["features_extractor.linear.weight"].shape == (4, 4)
    assert train(["--resume", run, "--timesteps", "96", "--eval-freq", "0"]) == 0
    capsys.readouterr()
    means = []
    for flags in ([], ["--no-pickle", "--env-packages", "own_nets"]):
        assert evaluate([run, "--episodes", "3", *flags]) == 0
        means.append([line for line in capsys.readouterr().out.splitlines() if "return" in line])
    assert means[0] == means[1]
    assert evaluate([run, "--episodes", "3", "--no-pickle"]) == 2
    assert "code of the package 'own_nets'" in capsys.readouterr().err


def test_a_policy_of_a_users_own_is_named_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("conf.yml").write_text(
        "default: {n_steps: 32, batch_size: 32}\n"
        "CartPole-v1: {n_steps: 32, batch_size: 32, policy: own_nets.Own}\n"
    )
    flags = ["--conf", "conf.yml", "--timesteps", "64", "--eval-freq", "0", "--algo", "ppo"]
    assert train(flags) == 2
    assert "policy 'own_nets.Own' is code of the package" in capsys.readouterr().err
    assert train([*flags, "--env-packages", "own_nets"]) == 0
    data, _, _ = load_from_zip_file("logs/ppo/CartPole-v1_1/CartPole-v1.zip")
    assert data is not None
    assert data["policy_class"].__name__ == "Own"
    # What the layers of a class of one's own are called is its own affair.
    named = ["-P", "policy_kwargs:dict(net_arch=dict(pi=[8], mine=[8]))"]
    assert train([*flags, *named, "--env-packages", "own_nets"]) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--env", "walk_env.py:Run"], "its environments: Walk, Doubled"),
        (["--env", "walk_env.py:NOTHING"], "expected the name of a gymnasium.Env"),
        (["--env", "walk_env:NOTHING"], "expected the name of a gymnasium.Env"),
        (["--env", "no_env.py:Walk"], "no_env.py cannot be read: No such file"),
        (["--env", "broken.py:Walk"], "broken.py cannot be loaded: ZeroDivisionError"),
        (["-P", "policy_kwargs:dict(optimizer_class=os.system)"], "code of the package 'os'"),
        (["-P", "policy_kwargs:{'activation_fn':'os.ReLU'}"], "code of the package 'os'"),
        (["-P", "policy_kwargs:dict(activation_fn=torch.load)"], "expected a class of Module"),
        (["-P", "policy_kwargs:dict(optimizer_class=nn.Linear)"], "expected a class of Optimizer"),
        (["-P", "policy_kwargs:dict(a=open('x'))"], "expected dict(…)"),
        (["--device", "gpu"], "--device gpu: expected auto, cpu, cuda"),
        (["-P", "device:cpu"], "device is no hyperparameter; give --device"),
    ],
)
def test_what_is_no_such_class_is_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.py").write_text("1 / 0\n")
    assert train(["--timesteps", "64", *flags]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(Path().rglob("run.json"))
