"""Run folders: what is in them, that they are whole or absent, that they repeat."""

import json
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import load_results

from envs.gridworld import GridWorld
from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import stop_signals
from ppo_lab.runs.config import Trained
from ppo_lab.runs.execution import Evaluation, RunConfig, execute_run, finished_run
from ppo_lab.runs.resumable import find_folder
from ppo_lab.runs.workers import execute_runs

CONFIG = RunConfig(
    algo="spec_ppo",
    env="ppo_lab/NoisyGridWorld-v0",
    seed=300,
    timesteps=256,
    n_envs=4,
    policy="MlpPolicy",
    hyperparameters={"n_steps": 32, "batch_size": 32, "n_epochs": 2, "learning_rate": 0.001},
    evaluation=Evaluation(episodes=5, seed=7000, points=3),
    settings="tuned",
    stage="judge",
)


RAISED: dict[str, BaseException] = {
    "exit": SystemExit(),
    "exit 0": SystemExit(0),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit("gone"),
}


class _Played(GridWorld):
    """Its own class of steps, which is not taken for its tables; noise as in NoisyGridWorld."""

    def __init__(self) -> None:
        super().__init__(noise=0.2)

    def step(self, action: Any) -> Any:
        return super().step(action)


class _Faulty(gym.Env[Any, Any]):
    """Ten steps of reward 1, one of them spoilt."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        reward = 1.0
        if self._steps == 6:
            if self.fault == "nan":
                reward = float("nan")
            elif self.fault == "crash":
                raise RuntimeError("the simulator\nblew up")
            elif self.fault in RAISED:
                raise RAISED[self.fault]
        return np.zeros(2, np.float32), reward, self._steps == 10, False, {}


@pytest.fixture
def faulty() -> Any:
    """Registered in this process; a worker process registers it by ``module:id``."""
    gym.register("FaultyRun-v0", entry_point=_Faulty)
    yield "FaultyRun-v0"
    del gym.registry["FaultyRun-v0"]


def test_run_folder_has_the_zoos_files_and_everything_to_repeat_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "judge" / "ppo_lab-NoisyGridWorld-v0_1"
    result = execute_run(CONFIG, folder)
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["score"] == result.score
    assert record["steps"] == 256
    for key in ("algo", "env", "seed", "timesteps", "n_envs", "policy", "settings", "stage"):
        assert record[key] == getattr(CONFIG, key)
    assert record["hyperparameters"] == CONFIG.hyperparameters
    assert {"torch", "stable-baselines3", "ppo-lab", "python"} <= set(record["versions"])
    assert {path.name for path in folder.iterdir()} == {
        *(f"{i}.monitor.csv" for i in range(4)),
        "best_model.zip",
        "evaluations.npz",
        "ppo_lab-NoisyGridWorld-v0",
        "ppo_lab-NoisyGridWorld-v0.zip",
        "run.json",
    }
    config = yaml.safe_load((folder / "ppo_lab-NoisyGridWorld-v0" / "config.yml").read_text())
    assert config["n_timesteps"] == 256
    assert config["learning_rate"] == 0.001
    assert list(tmp_path.glob("**/.*")) == []
    assert len(load_results(str(folder))) > 0


def test_last_evaluation_is_of_the_saved_final_policy(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # Played: NoisyGridWorld itself is scored by dynamic programming (test_exact_evaluation.py).
    gym.register("Played-v0", entry_point=_Played, max_episode_steps=100)
    result = execute_run(replace(CONFIG, env="Played-v0"), folder)
    with np.load(folder / "evaluations.npz") as archive:
        steps, results = archive["timesteps"], archive["results"]
    # Three points of 256 steps in rollouts of 128: untrained, half-way, and after the last update.
    assert steps.tolist() == [0, 128, 256]
    assert results.shape == (3, 5)
    assert results[-1].mean() == result.score
    model = SpecPPO.load(folder / "Played-v0.zip", device="cpu")
    env = make_vec_env(lambda: gym.make("Played-v0"), 5)
    del gym.registry["Played-v0"]
    env.seed(7000)
    returns, _ = evaluate_policy(model, env, 5, return_episode_rewards=True)
    assert returns == results[-1].tolist()


def test_same_configuration_gives_the_same_scores(tmp_path: Path) -> None:
    first, second = (execute_run(CONFIG, tmp_path / name) for name in "ab")
    assert first.score == second.score
    curves = [np.load(tmp_path / name / "evaluations.npz")["results"] for name in "ab"]
    np.testing.assert_array_equal(*curves)


def test_reference_ppo_and_spec_ppo_with_its_settings_score_the_same(tmp_path: Path) -> None:
    by_torch = {**CONFIG.hyperparameters, "backend": "torch"}
    ours = execute_run(replace(CONFIG, hyperparameters=by_torch), tmp_path / "ours")
    reference = execute_run(replace(CONFIG, algo="ppo"), tmp_path / "reference")
    assert ours.score == reference.score
    PPO.load(tmp_path / "reference" / "ppo_lab-NoisyGridWorld-v0.zip", device="cpu")


def test_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = execute_run(CONFIG, tmp_path / "run")
    stamp = (tmp_path / "run" / "run.json").stat().st_mtime_ns
    again = execute_run(CONFIG, tmp_path / "run")
    assert again.reused
    assert again.score == first.score
    assert (tmp_path / "run" / "run.json").stat().st_mtime_ns == stamp


def test_what_a_run_is_normalised_by_does_not_make_it_another_run(tmp_path: Path) -> None:
    """An environment without seeds has another random policy's score each time it is measured."""
    first, second = (
        replace(CONFIG, reference={"low": low, "high": None, "source": "measured"})
        for low in (0.1, 0.2)
    )
    assert first == second
    result = execute_run(first, tmp_path / "spec_ppo" / "ppo_lab-NoisyGridWorld-v0_1")
    again = execute_run(second, tmp_path / "spec_ppo" / "ppo_lab-NoisyGridWorld-v0_1")
    assert again.reused
    assert again.score == result.score
    assert find_folder(second, tmp_path).finished is not None
    record = tmp_path / "spec_ppo" / "ppo_lab-NoisyGridWorld-v0_1" / "run.json"
    record.write_text(record.read_text().replace('"completed"', '"failed"'))
    assert find_folder(second, tmp_path).folder == record.parent  # it is tried again there


def test_folder_of_another_run_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    execute_run(CONFIG, tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(ArgumentError, match=r"differs in seed.*another --log-folder"):
        execute_run(replace(CONFIG, seed=301), tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"status": "completed"}', b"\xff\xfe"])
def test_damaged_run_json_counts_as_no_run(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    assert finished_run(CONFIG, tmp_path) is None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("nan", "NonFiniteError: reward is nan at step 24 in environment 0"),
        ("crash", "RuntimeError: the simulator blew up"),
    ],
)
@pytest.mark.parametrize("algo", ["spec_ppo", "ppo"])
def test_failed_run_is_recorded_with_its_reason_in_one_line(
    tmp_path: Path, faulty: str, algo: str, fault: str, reason: str
) -> None:
    config = replace(CONFIG, algo=algo, env=faulty, env_kwargs={"fault": fault})
    config = replace(config, evaluation=replace(config.evaluation, points=1))
    result = execute_run(config, tmp_path / "run")
    assert result.score is None
    assert result.reason is not None
    assert result.reason.startswith(reason)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["reason"]) == ("failed", result.reason)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("exit", "SystemExit: sys.exit() was called"),
        ("exit 0", "SystemExit: sys.exit(0) was called"),
        ("interrupt", "KeyboardInterrupt: raised without Ctrl-C"),
        ("generator", "GeneratorExit: gone"),
    ],
)
def test_whatever_an_environment_raises_fails_its_run_alone(
    tmp_path: Path, faulty: str, fault: str, reason: str
) -> None:
    config = replace(CONFIG, algo="ppo", env=faulty, env_kwargs={"fault": fault})
    with stop_signals():
        result = execute_run(config, tmp_path / "run")
    assert result.reason == reason
    assert json.loads((tmp_path / "run" / "run.json").read_text())["reason"] == reason


@pytest.mark.parametrize("caught", [None, "as an exit", "as an error"])
def test_ctrl_c_is_the_users_whatever_an_environment_makes_of_it(
    tmp_path: Path, caught: str | None
) -> None:
    def trainer(config: RunConfig, folder: Path) -> Any:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if caught == "as an exit":
                sys.exit(0)
            if caught == "as an error":
                raise RuntimeError("stopped?") from None
            raise

    with stop_signals(), pytest.raises(KeyboardInterrupt):
        execute_run(CONFIG, tmp_path / "run", trainer=trainer)
    assert not (tmp_path / "run").exists()


def test_ctrl_c_without_a_command_is_the_users(tmp_path: Path) -> None:
    def trainer(config: RunConfig, folder: Path) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_run(CONFIG, tmp_path / "run", trainer=trainer)
    assert not (tmp_path / "run").exists()


def test_the_time_a_run_waits_is_no_cpu_time(tmp_path: Path) -> None:
    def trainer(config: RunConfig, folder: Path) -> Trained:
        time.sleep(0.4)
        return Trained(1.0, 256)

    execute_run(CONFIG, tmp_path / "waits", trainer=trainer)
    record = json.loads((tmp_path / "waits" / "run.json").read_text())
    assert record["seconds"] >= 0.4
    assert 0 <= record["cpu_seconds"] < 0.2


@pytest.mark.parametrize("again", [False, True], ids=["gone", "made again by a library"])
def test_folder_that_is_removed_in_mid_run_is_an_error_and_no_result(
    tmp_path: Path, again: bool
) -> None:
    def trainer(config: RunConfig, folder: Path) -> Trained:
        shutil.rmtree(tmp_path / "logs")
        if again:
            folder.mkdir(parents=True)
        return Trained(1.0, 256)

    with pytest.raises(FileNotFoundError, match=r"logs: the run's folder in it was removed"):
        execute_run(CONFIG, tmp_path / "logs" / "run", trainer=trainer)
    assert not (tmp_path / "logs" / "run").exists()


def test_failed_run_is_tried_again(tmp_path: Path, faulty: str) -> None:
    config = replace(CONFIG, env=faulty, env_kwargs={"fault": "crash"})
    execute_run(config, tmp_path / "run")
    assert finished_run(config, tmp_path / "run") is None
    again = execute_run(config, tmp_path / "run")
    assert not again.reused
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_worker_processes_give_the_scores_of_this_process(tmp_path: Path) -> None:
    configs = {tmp_path / "w" / f"run_{i}": replace(CONFIG, seed=100 * i) for i in range(3)}
    results = dict(execute_runs(configs, jobs=2))
    assert set(results) == set(configs)
    here = execute_run(replace(CONFIG, seed=200), tmp_path / "here")
    assert results[tmp_path / "w" / "run_2"].score == here.score


@pytest.mark.slow  # four workers start; test_worker_pool.py has the same
def test_dead_worker_fails_its_own_run_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "faulty_env.py"
    module.write_text(
        "import os\nimport gymnasium as gym\nfrom envs.gridworld import GridWorld\n"
        "class Deadly(GridWorld):\n    def step(self, action):\n        os._exit(9)\n"
        'gym.register("Deadly-v0", entry_point=Deadly, max_episode_steps=5)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    configs = {tmp_path / f"run_{i}": replace(CONFIG, seed=100 * i) for i in range(3)}
    deadly = tmp_path / "run_1"
    configs[deadly] = replace(CONFIG, env="faulty_env:Deadly-v0")
    results = dict(execute_runs(configs, jobs=2))
    assert results[deadly].reason == "the worker process died twice (exit code 9)"
    assert all(results[folder].score is not None for folder in configs if folder != deadly)


def test_run_keeps_its_settings_where_sb3_writes_into_them(tmp_path: Path) -> None:
    # A2C puts its optimiser's class into the policy_kwargs that it is given.
    settings = {"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}
    config = replace(CONFIG, algo="a2c", timesteps=64, hyperparameters=settings)
    assert execute_run(config, tmp_path / "run").reason is None
    assert settings == {"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}


def test_watched_run_stops_where_its_watcher_says(tmp_path: Path) -> None:
    seen: list[int] = []

    def watcher(steps: int, score: float) -> str | None:
        seen.append(steps)
        return "enough" if steps else None

    result = execute_run(CONFIG, tmp_path / "run", watcher=watcher)
    assert (result.stopped, result.reason, result.steps) == (True, "enough", 128)
    assert seen == [0, 128]
    # It is no finished run: a later call makes it anew.
    assert finished_run(CONFIG, tmp_path / "run") is None
