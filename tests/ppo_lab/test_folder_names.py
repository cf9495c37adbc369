"""Ids that fold to one folder name stay apart, and a folder may have any name."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

from ppo_lab.commands.comparison import run_groups
from ppo_lab.commands.settings_source import SettingsSource
from ppo_lab.compare import main as compare
from ppo_lab.errors import ArgumentError
from ppo_lab.evaluate import main as evaluate
from ppo_lab.runs.config import Evaluation
from ppo_lab.train import main as train
from ppo_lab.tune import main as tune
from tuning.storage import file_url, open_storage

ODD = ["{c}", "per%cent#?&=", "a b", ":memory:", "ünï", "two\nlines", "-dash", "[bold]x",
       ":bug:", "*[a]?", "name=value"]  # fmt: skip
LIMITS = ["--timesteps", "32", "-P", "n_steps:32", "batch_size:32", "n_epochs:1", "--algo", "ppo"]


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def _like_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three environments whose folders would have one name: of 3, 5 and 7 steps of reward 1."""
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    monkeypatch.setattr(gym, "registry", gym.envs.registration.registry)
    for name, steps in (("x/y-v0", 3), ("x-y-v0", 5), ("X-Y-v0", 7)):
        gym.register(name, "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=steps)


@pytest.mark.parametrize(
    "envs", [("x/y-v0", "x-y-v0"), ("x/y-v0", "X-Y-v0"), ("json:x/y-v0", "x/y-v0")]
)
def test_two_of_one_name_are_refused_in_one_comparison(envs: tuple[str, str]) -> None:
    with pytest.raises(ArgumentError, match=r"would both have run folders .*another --name"):
        run_groups(["ppo"], envs, SettingsSource("default"), 64, Evaluation(1, 0))


def test_second_comparison_of_a_like_name_is_refused_though_the_first_one_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "compare-x-y-v0" / "runs" / "a2c-default" / "x-y-v0_9"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"env": "x/y-v0", "status": "failed"}))
    flags = ["--envs", "x-y-v0", "--algos", "ppo", "--settings", "default", "--seeds", "1",
             "--timesteps", "64", "--log-folder", str(tmp_path)]  # fmt: skip
    assert compare(flags) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert f"{run} holds a run of 'x/y-v0', whose folders have the names" in errors


def test_train_keeps_them_apart_and_evaluate_plays_each_runs_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = {"x/y-v0": 3, "x-y-v0": 5, "X-Y-v0": 7}
    for number, (env, steps) in enumerate(lengths.items(), 1):
        assert train([*LIMITS, "--env", env, "--log-folder", str(tmp_path)]) == 0
        (run,) = (tmp_path / "ppo").glob(f"*_{number}")
        capsys.readouterr()
        assert evaluate([str(run), "--episodes", "1"]) == 0
        printed = capsys.readouterr().out
        assert f"ppo on {env}," in printed
        assert f"mean length {steps}.0 steps" in printed
    shutil.rmtree(tmp_path)


def test_study_of_a_like_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--algo", "ppo", "--trials", "1", "--timesteps", "64", "--n-envs", "1"]
    from tuning.protocol import TuningProtocol
    from tuning.spaces import SPACES, fit_to_budget
    from tuning.storage import open_study
    from tuning.study import study_settings

    name, logs = "tune-x-y-v0", tmp_path / "{c} %41#?&="
    (logs / name).mkdir(parents=True)
    storage = open_storage(file_url(logs / name / "study.db"))
    protocol = TuningProtocol("x/y-v0", "MlpPolicy", 64, n_envs=1)
    space = fit_to_budget(SPACES["core"]["ppo"], 1, 64)
    open_study(f"{name}-ppo", storage, "", study_settings("ppo", protocol, space))
    storage.engine.dispose()  # type: ignore[attr-defined]
    assert tune([*small, "--env", "x-y-v0", "--log-folder", str(logs)]) == 2
    errors = capsys.readouterr().err
    assert "env 'x/y-v0' there, 'x-y-v0' here" in errors
    assert "--study-name" in errors


@pytest.mark.parametrize("name", ODD)
def test_database_goes_where_the_folder_is(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    open_storage(file_url(folder / "study.db")).engine.dispose()  # type: ignore[attr-defined]
    assert (folder / "study.db").stat().st_size > 0
    assert list(tmp_path.iterdir()) == [folder]
    assert [path.name for path in folder.iterdir()] == ["study.db"]


def test_run_goes_into_a_folder_of_any_name_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "-{c} [b]%s#?&=*\n:bug:"
    flags = [*LIMITS, "--env", "x/y-v0", f"--log-folder={name}"]
    assert train(flags) == 0
    assert [path.name for path in Path(name, "ppo").iterdir()] == ["x-y-v0_1"]
    capsys.readouterr()
    assert train(flags) == 0
    assert "is this run, finished" in capsys.readouterr().out
    assert evaluate(["--episodes", "1", "--", f"{name}/ppo/x-y-v0_1"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
