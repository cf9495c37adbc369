"""Scores without an evaluation error: expected returns where the environment is a finite MDP."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit, TransformReward
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from envs.finite import finite_task
from envs.gridworld import GridWorld
from envs.planning import optimal_return, policy_return
from ppo_lab.exact import model_policy
from ppo_lab.registry import algorithm_class
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.environments import inspect_environment
from ppo_lab.runs.exact_evaluation import can_solve, is_small
from ppo_lab.runs.execution import execute_run
from ppo_lab.vec_env import make_native_vec_env
from reports.logs.loading import load_runs

GRID, NOISY = "ppo_lab/GridWorld-v0", "ppo_lab/NoisyGridWorld-v0"
SETTINGS: dict[str, dict[str, Any]] = {
    "spec_ppo": {"n_steps": 64, "batch_size": 64, "n_epochs": 4, "learning_rate": 3e-3},
    "ppo": {"n_steps": 64, "batch_size": 64, "n_epochs": 4, "learning_rate": 3e-3},
    "a2c": {},
    "trpo": {"n_steps": 64, "batch_size": 64},
    "dqn": {"learning_starts": 20, "buffer_size": 200, "policy_kwargs": "dict(net_arch=[8])"},
    "q_learning": {},
    "optimal": {},
    "ppo_lstm": {
        "n_steps": 32,
        "batch_size": 32,
        "n_epochs": 1,
        "policy_kwargs": "dict(lstm_hidden_size=8)",
    },
}


class Dear(GridWorld):
    """Pays one more a step than its tables say."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward + 1.0, *rest


def twice(**kwargs: Any) -> gym.Env[Any, Any]:
    """A grid in a wrapper that pays double."""
    return TransformReward(GridWorld(**kwargs), lambda reward: 2.0 * reward)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register("Dear-v0", entry_point=Dear, max_episode_steps=20)
    gym.register("Twice-v0", entry_point=twice, max_episode_steps=20)
    yield
    del gym.registry["Dear-v0"], gym.registry["Twice-v0"]


def configuration(algo: str, env: str = NOISY, **changes: Any) -> RunConfig:
    kwargs = changes.get("env_kwargs", {})
    config = RunConfig(
        algo=algo,
        env=env,
        seed=400,
        timesteps=256,
        n_envs=1,
        policy=inspect_environment(env, kwargs, algo),
        hyperparameters=SETTINGS[algo],
        evaluation=Evaluation(episodes=7, seed=7000, points=3),
    )
    return replace(config, **changes)


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(
    ("algo", "env_kwargs", "normalize"),
    [
        ("spec_ppo", {}, False),
        ("spec_ppo", {"observation": "coordinates"}, True),
        ("ppo", {"observation": "coordinates"}, False),
        ("a2c", {}, False),
        ("trpo", {}, False),
    ],
)
def test_the_score_is_the_planners_value_of_the_saved_policy(
    tmp_path: Path, algo: str, env_kwargs: dict[str, Any], normalize: bool, deterministic: bool
) -> None:
    config = configuration(algo, env_kwargs=env_kwargs, normalize=normalize)
    evaluation = replace(config.evaluation, deterministic=deterministic)
    result = execute_run(replace(config, evaluation=evaluation), tmp_path / "run")
    assert record(tmp_path / "run")["score_source"] == "exact"
    single = gym.make(NOISY, **env_kwargs)
    env = make_vec_env(lambda: gym.make(NOISY, **env_kwargs), 1)
    if normalize:
        file = tmp_path / "run" / "ppo_lab-NoisyGridWorld-v0" / "vecnormalize.pkl"
        env = VecNormalize.load(str(file), env)
    name = "ppo_lab-NoisyGridWorld-v0.zip"
    model = algorithm_class(algo).load(tmp_path / "run" / name, env=env, device="cpu")
    task = finite_task(single)
    assert task is not None
    policy = model_policy(model, single, deterministic)
    assert result.score == pytest.approx(policy_return(task.mdp, policy, 100), abs=1e-9)


def test_dqns_greedy_policy_is_valued_and_its_exploration_is_played(tmp_path: Path) -> None:
    config = configuration("dqn")
    execute_run(config, tmp_path / "greedy")
    assert record(tmp_path / "greedy")["score_source"] == "exact"
    exploring = replace(config.evaluation, deterministic=False)
    execute_run(replace(config, evaluation=exploring), tmp_path / "exploring")
    assert record(tmp_path / "exploring")["score_source"] == "episodes"


def test_the_file_keeps_its_layout_and_means_the_score(tmp_path: Path) -> None:
    config = configuration("spec_ppo")
    result = execute_run(config, tmp_path / "run")
    with np.load(tmp_path / "run" / "evaluations.npz") as archive:
        assert archive["timesteps"].tolist() == [0, 128, 256]
        assert archive["results"].shape == archive["ep_lengths"].shape == (3, 7)
        assert archive["results"][-1].mean() == result.score
        assert (np.ptp(archive["results"], axis=1) == 0).all()
        assert (archive["ep_lengths"] <= 100).all()
    [run] = load_runs(tmp_path).runs
    assert run.measure == "exact expected return of the final policy"
    assert (run.evaluation_episodes, run.evaluation_seed) == (0, None)


def test_the_best_model_is_the_one_of_the_best_expectation(tmp_path: Path) -> None:
    execute_run(configuration("spec_ppo"), tmp_path / "run")
    with np.load(tmp_path / "run" / "evaluations.npz") as archive:
        best = archive["results"].mean(axis=1).max()
    model = algorithm_class("spec_ppo").load(tmp_path / "run" / "best_model.zip", device="cpu")
    env = gym.make(NOISY)
    task = finite_task(env)
    assert task is not None
    assert policy_return(task.mdp, model_policy(model, env), 100) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize(("env", "optimum"), [(GRID, 1.0), (NOISY, 0.9999998789564287)])
def test_the_optimums_score_is_the_exact_optimum(tmp_path: Path, env: str, optimum: float) -> None:
    result = execute_run(configuration("optimal", env), tmp_path / "run")
    task = finite_task(gym.make(env))
    assert task is not None
    assert optimal_return(task.mdp, 100) == pytest.approx(optimum, abs=1e-12)
    assert result.score == pytest.approx(optimum, abs=1e-12)
    assert record(tmp_path / "run")["score_source"] == "exact"


def test_q_learning_is_valued_as_its_table_acts(tmp_path: Path) -> None:
    result = execute_run(configuration("q_learning", timesteps=2000), tmp_path / "run")
    with np.load(tmp_path / "run" / "ppo_lab-NoisyGridWorld-v0.npz") as table:
        greedy = np.eye(4)[table["q_values"].argmax(axis=1)]
    task = finite_task(gym.make(NOISY))
    assert task is not None
    assert result.score == pytest.approx(policy_return(task.mdp, greedy, 100), abs=1e-9)


@pytest.mark.parametrize("env", ["Dear-v0", "Twice-v0"])
@pytest.mark.parametrize("algo", ["spec_ppo", "q_learning", "optimal"])
def test_an_environment_that_is_more_than_its_tables_is_played(
    tmp_path: Path, algo: str, env: str
) -> None:
    result = execute_run(configuration(algo, env), tmp_path / "run")
    written = record(tmp_path / "run")
    assert written["score_source"] == "episodes"
    assert written.get("exact_return") is None
    if algo == "optimal":
        # The tables' optimum is 1. It is paid twice, or has at least 6 steps of 1 more.
        assert result.score == 2.0 if env == "Twice-v0" else result.score >= 7.0


def test_a_recurrent_policy_is_played(tmp_path: Path) -> None:
    execute_run(configuration("ppo_lstm", GRID, timesteps=32), tmp_path / "run")
    assert record(tmp_path / "run")["score_source"] == "episodes"


def test_training_is_the_same_however_it_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration("dqn")  # which draws from numpy's global generator
    execute_run(config, tmp_path / "exact")
    monkeypatch.setattr("ppo_lab.runs.sb3_training.can_solve", lambda *_args, **_kwargs: False)
    execute_run(config, tmp_path / "played")
    assert record(tmp_path / "played")["score_source"] == "episodes"
    weights = [
        algorithm_class("dqn")
        .load(tmp_path / name / "ppo_lab-NoisyGridWorld-v0.zip", device="cpu")
        .policy.state_dict()
        for name in ("exact", "played")
    ]
    for name, tensor in weights[0].items():
        np.testing.assert_array_equal(tensor.numpy(), weights[1][name].numpy())


def test_played_episodes_approach_the_score(tmp_path: Path) -> None:
    result = execute_run(configuration("spec_ppo"), tmp_path / "run")
    name = "ppo_lab-NoisyGridWorld-v0.zip"
    model = algorithm_class("spec_ppo").load(tmp_path / "run" / name, device="cpu")
    env = make_native_vec_env(NOISY, 50, seed=1)
    returns, _ = evaluate_policy(model, env, 1000, return_episode_rewards=True)
    error = np.std(returns) / np.sqrt(1000)
    assert abs(np.mean(returns) - result.score) < 4 * error + 1e-6


def test_what_would_cost_more_than_playing_is_played() -> None:
    small = finite_task(gym.make(NOISY))
    assert small is not None
    assert is_small(small)
    assert can_solve("ppo", small, normalized=True, deterministic=True)
    assert not can_solve("ppo_mask", small, normalized=False, deterministic=True)
    pictures = finite_task(gym.make(NOISY, observation="image"))
    assert pictures is not None
    assert not can_solve("ppo", pictures, normalized=True, deterministic=True)
    field = "\n".join(["S" + "." * 68 + "+", *["." * 70] * 69])
    # 4,900 pictures of 70 · 70 · 3 numbers are 72 million; their indices 4,900.
    for observation, small_enough in (("image", False), ("index", True)):
        large = finite_task(TimeLimit(GridWorld(field, observation=observation), 200))
        assert large is not None
        assert is_small(large) == small_enough
