"""``tune --base``: the study starts from the zoo's settings, from ours, or from a file's."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import yaml

from ppo_lab.tune import main

pytest.importorskip("rl_zoo3", reason="the package rl_zoo3 is missing")
ENV = "CartPole-v1"
SMALL = ["--trials", "2", "--window", "1", "--seeds", "1", "--finalists", "1", "--replicas", "1"]
SMALL += ["--episodes", "2", "--jobs", "1"]
STUDY = f"tune-{ENV}"
FILE = {
    "n_envs": 2,
    "n_timesteps": 64,
    "policy": "MlpPolicy",
    "normalize": "dict(norm_reward=False)",
    "frame_stack": 2,
    "env_wrapper": ["rl_zoo3.wrappers.TimeFeatureWrapper"],
    "n_steps": 16,
    "batch_size": 16,
    "n_epochs": 2,
    "learning_rate": "lin_0.001",
    "policy_kwargs": "dict(net_arch=[8], activation_fn=nn.ReLU)",
}


def zoos(name: str, env_id: str) -> dict[str, Any]:
    """The entry as rl_zoo3 itself reads it."""
    exp_manager = pytest.importorskip("rl_zoo3.exp_manager")
    file = Path(exp_manager.__file__).parent / "hyperparams" / f"{name}.yml"
    entries: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())
    return entries[env_id]


def records(study: Path, stage: str) -> list[dict[str, Any]]:
    files = sorted(study.glob(f"{stage}/**/run.json"))
    return [json.loads(file.read_text()) for file in files]


def base_file(folder: Path, **changes: Any) -> str:
    file = folder / "mine.yml"
    file.write_text(yaml.safe_dump({ENV: {**FILE, **changes}}))
    return str(file)


@pytest.fixture(scope="module")
def from_zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    command = [*SMALL, "--env", ENV, "--base", "zoo", "--algo", "ppo", "--timesteps", "256"]
    assert main([*command, "--log-folder", str(logs)]) == 0
    return logs / STUDY


@pytest.fixture(scope="module")
def from_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    command = [*SMALL, "--env", ENV, "--base", base_file(logs), "--algo", "ppo", "ppo_lstm"]
    assert main([*command, "--set", "vf_coef=0.4", "--log-folder", str(logs)]) == 0
    return logs / STUDY


def test_trial_1_and_the_base_rows_are_the_zoos_entry(from_zoo: Path) -> None:
    entry = zoos("ppo", ENV)
    first, _ = records(from_zoo, "screen/ppo")
    (judged,) = records(from_zoo, "judge/ppo-zoo")
    for run in (first, judged):
        given = {**run["hyperparameters"], "n_envs": run["n_envs"], "policy": run["policy"]}
        assert given == {name: entry[name] for name in entry if name != "n_timesteps"}
    assert judged["settings"] == "zoo"
    assert re.fullmatch(r"rl_zoo3 [\d.]+'s ppo.yml, CartPole-v1", judged["origin"])


def test_the_report_says_which_base(from_zoo: Path) -> None:
    table = pd.read_csv(from_zoo / "tables" / "table.csv")
    assert table["label"].tolist() == ["ppo (tuned)", "ppo (zoo)"]
    page = (from_zoo / "report.md").read_text().replace("\\", "")
    assert re.search(r"Base of ppo \(zoo\): rl_zoo3 [\d.]+'s ppo.yml, CartPole-v1; tuning: ", page)
    assert (
        "the search, which cannot express clip_range lin_0.2, learning_rate lin_0.001, is " in page
    )
    study = optuna.load_study(study_name=f"{STUDY}-ppo", storage=f"sqlite:///{from_zoo}/study.db")
    assert study.trials[0].params == {}
    assert set(study.trials[1].params) == {"clip_range", "gae_lambda", "learning_rate"}
    assert study.user_attrs["protocol"]["base"]["hyperparameters"]["learning_rate"] == "lin_0.001"
    second = study.trials[1].user_attrs["hyperparameters"]
    assert (second["n_steps"], second["gamma"], second["n_epochs"]) == (32, 0.98, 20)


def test_the_same_command_goes_on_and_another_base_is_refused(
    from_zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (from_zoo / "report.html").read_bytes()
    command = [*SMALL, "--env", ENV, "--algo", "ppo", "--log-folder", str(from_zoo.parent)]
    command += ["--timesteps", "256"]
    assert main([*command, "--base", "zoo"]) == 0
    assert "2 of 2 trials are finished" in capsys.readouterr().out
    for base in ([], ["--base", base_file(tmp_path)]):
        assert main([*command, *base]) == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1
        assert re.search(r"exists with other settings \(base rl_zoo3 [\d.]+'s ppo.yml, Car", errors)
    assert (from_zoo / "report.html").read_bytes() == before


def test_one_file_is_the_base_of_ppo_and_of_the_recurrent_one(from_file: Path) -> None:
    hyperparameters = {key: FILE[key] for key in list(FILE)[6:]} | {"vf_coef": 0.4}
    for algo, policy in (("ppo", "MlpPolicy"), ("ppo_lstm", "MlpLstmPolicy")):
        (judged,) = records(from_file, f"judge/{algo}-given")
        assert judged["policy"] == policy
        assert judged["hyperparameters"] == hyperparameters
        for run in records(from_file, f"*/{algo}*"):
            assert (run["n_envs"], run["timesteps"], run["status"]) == (2, 64, "completed")
            assert run["normalize"] == {"norm_reward": False}
            assert (run["frame_stack"], run["env_wrapper"]) == (2, FILE["env_wrapper"])
        # What it leaves is a whole file of the zoo's again, and a base of its own.
        (entry,) = yaml.safe_load((from_file / f"{algo}.yml").read_text()).values()
        assert entry["env_wrapper"] == FILE["env_wrapper"]
        assert "mine.yml, CartPole-v1" in (from_file / f"{algo}.yml").read_text()


def test_a_file_that_has_changed_is_noticed(
    from_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*SMALL, "--env", ENV, "--algo", "ppo", "ppo_lstm", "--set", "vf_coef=0.4"]
    command += ["--log-folder", str(from_file.parent), "--base"]
    assert main([*command, base_file(from_file.parent, n_epochs=3)]) == 2
    assert "base hyperparameters n_epochs 2 there, 3 here" in capsys.readouterr().err
    assert main([*command, base_file(from_file.parent)]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "zo"], r"--base zo: expected default, zoo, committed, or a file"),
        (
            ["--base", "zoo", "--env", "ppo_lab/GridWorld-v0"],
            r"--base zoo: RL Zoo lists no settings",
        ),
        (["--base", "committed"], r"no settings of 'spec_ppo' come with 'CartPole-v1'"),
        (["--base", "committed", "--algo", "a2c"], r"there are no settings of 'a2c'; leave it out"),
        (
            ["--base", "zoo", "--algo", "ppo", "a2c"],
            r"different budgets \(ppo 100000, a2c 500000\)",
        ),
        (["--base", "zoo", "--timesteps", "255"], r"n_steps 32 × 8 env.*raise --timesteps to 256"),
        (["--base", "zoo", "--timesteps", "0"], r"timesteps=0: expected at least 1"),
        (["--base", "zoo", "--n-envs", "0"], r"n_envs=0: expected at least 1"),
        (
            ["--base", "FILE", "--env", "Acrobot-v1"],
            r"has no settings for 'Acrobot-v1' and no 'def",
        ),
        (
            ["--base", "FILE", "--algo", "a2c"],
            r"a2c on CartPole-v1 cannot be built: ArgumentError: unknown hyper",
        ),
        (["--base", "FILE", "--normalize", "maybe"], r"normalize='maybe': expected dict\("),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_base_that_cannot_be_is_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [base_file(tmp_path) if word == "FILE" else word for word in arguments]
    logs = tmp_path / "logs"
    assert main([*SMALL, "--env", ENV, *given, "--log-folder", str(logs)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert re.search(message, errors)
    assert not logs.exists()


def test_without_rl_zoo3_the_zoo_is_no_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rl_zoo3", None)
    assert main([*SMALL, "--env", ENV, "--base", "zoo", "--log-folder", str(tmp_path)]) == 2
    assert 'pip install "ppo-lab[zoo]" brings it; --base default needs' in capsys.readouterr().err
