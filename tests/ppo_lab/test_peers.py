"""Peers from SB3, sb3-contrib and tables as runs: what they leave, what they fit, their scores."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv, IdentityEnvMultiDiscrete
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import load_results
from stable_baselines3.common.vec_env import VecNormalize

import ppo_lab
from envs.gridworld import GridWorld
from envs.planning import (
    finite_horizon_policy,
    finite_horizon_values,
    optimal_return,
    q_iteration,
    table_outcome,
    value_iteration,
)
from ppo_lab.arguments import check_policy_kwargs, check_shared_arguments
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import constructor_arguments
from ppo_lab.hyperparams.sources import file_settings
from ppo_lab.registry import ALGORITHMS, algorithm_class
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.environments import exported_mdp, inspect_environment
from ppo_lab.runs.execution import check_run, execute_run
from reports.logs.loading import load_runs

GRID = "ppo_lab/GridWorld-v0"
NOISY = "ppo_lab/NoisyGridWorld-v0"
CONTINUOUS = ("sac", "td3", "ddpg", "tqc", "crossq")
REPLAYING: dict[str, Any] = {
    "learning_starts": 58,
    "batch_size": 8,
    "buffer_size": 200,
    "policy_kwargs": "dict(net_arch=[8])",
}
SMALL: dict[str, dict[str, Any]] = {
    "spec_ppo": {"n_steps": 32, "batch_size": 32, "n_epochs": 1},
    "ppo": {"n_steps": 32, "batch_size": 32, "n_epochs": 1},
    "a2c": {},
    "dqn": {"learning_starts": 20, "buffer_size": 200, "policy_kwargs": "dict(net_arch=[8])"},
    "qrdqn": {"learning_starts": 20, "buffer_size": 200, "policy_kwargs": "dict(net_arch=[8])"},
    "sac": REPLAYING,
    "tqc": REPLAYING,
    "crossq": REPLAYING,
    "td3": {**REPLAYING, "noise_type": "normal", "noise_std": 0.1},
    "ddpg": {**REPLAYING, "noise_type": "ornstein-uhlenbeck", "noise_std": 0.1},
    "ars": {"n_delta": 1, "policy_kwargs": "dict(net_arch=[8])"},
    "trpo": {"n_steps": 32, "batch_size": 32},
    "ppo_lstm": {
        "n_steps": 32,
        "batch_size": 32,
        "n_epochs": 1,
        "policy_kwargs": "dict(lstm_hidden_size=8, activation_fn=nn.ReLU)",
    },
    "ppo_mask": {"n_steps": 32, "batch_size": 32, "n_epochs": 1},
    "q_learning": {},
    "optimal": {},
}


class _Masked(GridWorld):
    """GridWorld where left is never possible."""

    def action_masks(self) -> Any:
        return np.array([True, True, True, False])

    def step(self, action: Any) -> Any:
        assert action != 3
        return super().step(action)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register("Masked-v0", entry_point=_Masked, max_episode_steps=20)
    gym.register("Endless-v0", entry_point=GridWorld)
    gym.register("Several-v0", entry_point=IdentityEnvMultiDiscrete, kwargs={"dim": 2})
    gym.register("Goals-v0", entry_point=BitFlippingEnv, kwargs={"continuous": True})
    yield
    for name in ("Masked-v0", "Endless-v0", "Several-v0", "Goals-v0"):
        del gym.registry[name]


def configuration(algo: str, env: str = GRID, **changes: Any) -> RunConfig:
    config = RunConfig(
        algo=algo,
        env=env,
        seed=400,
        timesteps=64,
        n_envs=1,
        policy=inspect_environment(env, {}, algo),
        hyperparameters=SMALL[algo],
        evaluation=Evaluation(episodes=3, seed=7000, points=3),
        settings="default",
        stage="judge",
    )
    return replace(config, **changes)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_algorithm_leaves_a_run_folder_that_the_report_reads(
    tmp_path: Path, algo: str
) -> None:
    env = {"ppo_mask": "Masked-v0", **dict.fromkeys(CONTINUOUS, "Pendulum-v1")}.get(algo, GRID)
    config = configuration(algo, env)
    check_run(config)
    folder = tmp_path / "run"
    result = execute_run(config, folder)
    assert result.reason is None
    name = env.replace("/", "-")
    files = {path.name for path in folder.iterdir()}
    assert {"run.json", "evaluations.npz", name} <= files
    assert (f"{name}.npz" if ALGORITHMS[algo].tabular else f"{name}.zip") in files
    assert ("0.monitor.csv" in files) == (algo != "optimal")
    assert yaml.safe_load((folder / name / "config.yml").read_text())["n_timesteps"] == 64
    assert yaml.safe_load((folder / name / "args.yml").read_text())["algo"] == algo
    [run] = load_runs(tmp_path).runs
    assert (run.algo, run.seed, run.score) == (algo, 400, result.score)
    # Untrained, after 32 steps, after 64; A2C's rollouts are of 5 steps, Q-learning's an episode,
    # ARS's are here two episodes.
    assert run.evaluation_steps[0] == 0
    if algo == "ars":
        assert run.steps == load_results(str(folder))["l"].sum() > 64
    else:
        assert run.steps == {"a2c": 65, "optimal": 0}.get(algo, 64)
    assert run.evaluation_steps[-1] == (64 if algo == "optimal" else run.steps)


@pytest.mark.parametrize("algo", ["a2c", "dqn", "qrdqn", "ars", "trpo", "ppo_lstm"])
def test_the_score_is_that_of_the_saved_model(tmp_path: Path, algo: str) -> None:
    config = configuration(algo)
    result = execute_run(config, tmp_path / "run")
    model = algorithm_class(algo).load(tmp_path / "run" / "ppo_lab-GridWorld-v0.zip", device="cpu")
    env = make_vec_env(lambda: gym.make(GRID), 3)
    env.seed(7000)
    assert evaluate_policy(model, env, 3)[0] == result.score


@pytest.mark.parametrize("algo", ["dqn", "qrdqn", "ars", "ppo_lstm", "q_learning", "td3", "ddpg"])
def test_a_peer_repeats_with_its_seed(tmp_path: Path, algo: str) -> None:
    config = configuration(algo, "Pendulum-v1" if algo in CONTINUOUS else NOISY)
    for name in "ab":
        execute_run(config, tmp_path / name)
    curves = [np.load(tmp_path / name / "evaluations.npz")["results"] for name in "ab"]
    np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize(
    ("algo", "env", "message"),
    [
        ("dqn", "Pendulum-v1", r"action space Box.*which DQN cannot use; expected Discrete"),
        ("qrdqn", "Pendulum-v1", r"which QRDQN cannot use; expected Discrete"),
        ("sac", "CartPole-v1", r"action space Discrete.*which SAC cannot use; expected Box"),
        ("td3", "CartPole-v1", r"which TD3 cannot use; expected Box"),
        ("ddpg", "CartPole-v1", r"which DDPG cannot use; expected Box"),
        ("tqc", "CartPole-v1", r"which TQC cannot use; expected Box"),
        ("crossq", "CartPole-v1", r"which CrossQ cannot use; expected Box"),
        ("ars", "Several-v0", r"which ARS cannot use; expected one of Box, Discrete"),
        ("crossq", "Goals-v0", r"shows dictionaries, Dict.*for which CrossQ has no policy"),
        ("ars", "Goals-v0", r"shows dictionaries, Dict.*for which ARS has no policy"),
        ("ppo_mask", "Pendulum-v1", r"which MaskablePPO cannot use; expected one of Discrete"),
        ("ppo_mask", "CartPole-v1", r"no method action_masks\(\), which MaskablePPO .* needs"),
        ("q_learning", "CartPole-v1", r"exports no finite MDP, which Q-learning needs"),
        ("optimal", "Blackjack-v1", r"exports no finite MDP, which dynamic programming needs"),
        ("q_learning", "Pendulum-v1", r"which Q-learning cannot use; expected Discrete"),
        ("nonsense", GRID, r"unknown algorithm 'nonsense'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(algo: str, env: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        inspect_environment(env, {}, algo)


def test_a_table_needs_the_index_of_the_state() -> None:
    with pytest.raises(ArgumentError, match=r"needs the index of its 11 states"):
        inspect_environment(GRID, {"observation": "coordinates"}, "q_learning")


@pytest.mark.parametrize(
    ("algo", "policy"),
    [("ppo_lstm", "MlpLstmPolicy"), ("dqn", "MlpPolicy"), ("optimal", "table")],
)
def test_policy_is_the_algorithms_own(algo: str, policy: str) -> None:
    assert inspect_environment(GRID, {}, algo) == policy


def test_optimal_policy_is_worth_the_finite_horizon_optimum(tmp_path: Path) -> None:
    execute_run(configuration("optimal", NOISY), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    mdp = exported_mdp(gym.make(NOISY))
    assert mdp is not None
    assert record["exact_return"] == pytest.approx(optimal_return(mdp, 100), rel=1e-12)
    assert record["steps"] == 0


@pytest.mark.parametrize("env", [NOISY, "ppo_lab/Crawler-v0", "FrozenLake-v1"])
def test_finite_horizon_policy_reaches_the_optimum_exactly(env: str) -> None:
    mdp = exported_mdp(gym.make(env))
    assert mdp is not None
    values, actions = finite_horizon_policy(mdp, 30)
    np.testing.assert_allclose(values, finite_horizon_values(mdp, 30), rtol=1e-12)
    assert table_outcome(mdp, actions, 30)[0] == pytest.approx(optimal_return(mdp, 30), rel=1e-12)


def test_optimum_of_the_deterministic_grid_is_scored_as_it_is_solved(tmp_path: Path) -> None:
    result = execute_run(configuration("optimal"), tmp_path / "run")
    assert result.score == 1.0  # Spec 10.2: V* of the start is 1, without noise or discount


def test_optimum_without_a_time_limit_is_the_discounted_one(tmp_path: Path) -> None:
    config = configuration("optimal", "Endless-v0", hyperparameters={"gamma": 0.9})
    execute_run(replace(config, reference=None), tmp_path / "run")
    with np.load(tmp_path / "run" / "Endless-v0.npz") as table:
        values, actions = table["values"], table["actions"]
    solved = value_iteration(GridWorld().mdp, 0.9)
    np.testing.assert_array_equal(actions, solved.policy)
    np.testing.assert_array_equal(values, solved.values)


def test_q_learning_reaches_the_exact_values(tmp_path: Path) -> None:
    settings = {"gamma": 0.9, "step_size": 1.0, "epsilon_decay": 1.0}
    config = configuration("q_learning", timesteps=20_000, hyperparameters=settings)
    result = execute_run(config, tmp_path / "run")
    with np.load(tmp_path / "run" / "ppo_lab-GridWorld-v0.npz") as table:
        learned = table["q_values"]
    # With α = 1 in a deterministic MDP, random actions end in Q* to rounding.
    np.testing.assert_allclose(learned, q_iteration(GridWorld().mdp, 0.9), atol=1e-6)
    assert result.score == 1.0
    assert len(load_results(str(tmp_path / "run"))) > 100


def test_q_learning_takes_the_budget_to_the_step(tmp_path: Path) -> None:
    result = execute_run(configuration("q_learning", timesteps=77), tmp_path / "run")
    assert result.steps == 77


def test_masks_hold_in_training_and_in_evaluation(tmp_path: Path) -> None:
    # The environment fails where its mask is not obeyed.
    result = execute_run(configuration("ppo_mask", "Masked-v0"), tmp_path / "run")
    assert result.reason is None


def test_normalised_run_keeps_the_statistics_and_the_true_score(tmp_path: Path) -> None:
    settings = {**SMALL["spec_ppo"], "gamma": 0.9}
    config = configuration("spec_ppo", "Pendulum-v1", hyperparameters=settings, normalize=True)
    result = execute_run(config, tmp_path / "run")
    folder = tmp_path / "run"
    assert yaml.safe_load((folder / "Pendulum-v1" / "config.yml").read_text())["normalize"] is True
    plain = make_vec_env("Pendulum-v1", 3)
    env = VecNormalize.load(str(folder / "Pendulum-v1" / "vecnormalize.pkl"), plain)
    assert env.gamma == 0.9
    assert env.obs_rms.count > 64  # type: ignore[union-attr]
    env.training, env.norm_reward = False, False
    env.seed(7000)
    model = ppo_lab.SpecPPO.load(folder / "Pendulum-v1.zip", device="cpu")
    assert evaluate_policy(model, env, 3)[0] == pytest.approx(result.score)


def test_spec_ppo_equals_ppo_with_normalised_environments_too(tmp_path: Path) -> None:
    def score(algo: str, **settings: Any) -> float | None:
        config = configuration(algo, "Pendulum-v1", normalize={"norm_reward": False})
        hyperparameters = {**config.hyperparameters, **settings}
        return execute_run(replace(config, hyperparameters=hyperparameters), tmp_path / algo).score

    assert score("spec_ppo", backend="torch") == score("ppo")


@pytest.mark.parametrize(
    ("algo", "settings", "message"),
    [
        ("ppo", {"nonsense": 1}, r"ppo on .* cannot be built: .*unknown hyperparameter 'nonsense'"),
        ("spec_ppo", {"gamma": 2.0}, r"cannot be built: ArgumentError: gamma=2.0"),
        ("ppo", {"gamma": 2.0}, r"ppo on .* cannot be built: ArgumentError: gamma=2.0: expected"),
        ("dqn", {"gamma": -0.5}, r"gamma=-0.5: expected a number in 0…1"),
        ("ppo", {"gae_lambda": 5}, r"gae_lambda=5: expected a number in 0…1"),
        ("ppo", {"clip_range": -0.2}, r"clip_range=-0.2: expected a finite number ≥ 0"),
        ("ppo_lstm", {"clip_range": 0}, r"clip_range=0: expected a range > 0"),
        ("ppo", {"normalize_advantage": "false"}, r"normalize_advantage='false': expected True"),
        ("a2c", {"use_rms_prop": "no"}, r"use_rms_prop='no': expected True or False"),
        ("dqn", {"optimize_memory_usage": "no"}, r"optimize_memory_usage='no': expected True"),
        ("ppo", {"n_epochs": 0}, r"n_epochs=0: expected an integer ≥ 1"),
        ("a2c", {"n_steps": 2.5}, r"n_steps=2.5: expected an integer ≥ 1"),
        ("a2c", {"vf_coef": -1}, r"vf_coef=-1: expected a number ≥ 0"),
        ("ppo", {"ent_coef": "abc"}, r"ent_coef='abc': expected a number ≥ 0"),
        ("a2c", {"policy_kwargs": {"net_arch": {"pi": [8], "qf": [8]}}}, r"'vf', the critic"),
        ("dqn", {"policy_kwargs": "dict(normalize_images='no')"}, r"normalize_images='no': exp"),
        ("a2c", {"policy_kwargs": 5}, r"policy_kwargs=5: expected a dictionary"),
        ("dqn", {"policy_kwargs": [64]}, r"policy_kwargs=\[64\]: expected a dictionary"),
        ("dqn", {"tau": 5}, r"tau=5: expected a number in 0…1"),
        ("dqn", {"exploration_final_eps": 1.5}, r"exploration_final_eps=1.5: expected a number"),
        ("dqn", {"buffer_size": 0}, r"buffer_size=0: expected an integer ≥ 1"),
        ("qrdqn", {"target_update_interval": 0}, r"interval=0: expected an integer ≥ 1"),
        ("trpo", {"target_kl": -1}, r"target_kl=-1: expected a number > 0"),
        ("dqn", {"policy_kwargs": "dict(net_arch=open('x'))"}, r"policy_kwargs=.*expected dict"),
        (
            "q_learning",
            {"alpha": 0.1},
            r"unknown hyperparameter 'alpha' of q_learning; closest: .*gamma, step_size",
        ),
        ("q_learning", {"step_size": 2.0}, r"step_size is 2.0"),
        ("optimal", {"alpha": 0.1}, r"unknown hyperparameter 'alpha' of optimal; closest: gamma"),
    ],
)
def test_hyperparameters_that_cannot_work_are_refused_before_a_run(
    algo: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_run(configuration(algo, hyperparameters=settings))


PEERS = [n for n, one in ALGORITHMS.items() if one.settings_of and n != "spec_ppo"]


@pytest.mark.parametrize("algo", PEERS)
def test_nothing_that_the_zoo_gives_an_algorithm_is_refused(algo: str) -> None:
    """Its files hold what people train with, and what SB3 calls the same is checked alike."""
    zoo = pytest.importorskip("rl_zoo3")
    file = Path(zoo.__file__).parent / "hyperparams" / f"{ALGORITHMS[algo].settings_of}.yml"
    entries = yaml.safe_load(file.read_text())
    for entry in entries:
        settings = file_settings(file, entry).hyperparameters
        arguments = constructor_arguments(settings, lambda what, name: object)
        off_policy = ALGORITHMS[algo].off_policy
        check_shared_arguments(algorithm_class(algo), arguments, off_policy)
        check_policy_kwargs(arguments.get("policy_kwargs"), actor_and_critic=not off_policy)
    assert entries


def test_sacs_own_entropy_coefficient_and_layers_are_none_of_ppos() -> None:
    own = {"ent_coef": "auto_0.1", "policy_kwargs": "dict(net_arch=dict(pi=[8], qf=[8]))"}
    check_run(configuration("sac", "Pendulum-v1", hyperparameters={**REPLAYING, **own}))


def test_a_watched_table_is_stopped_and_says_so(tmp_path: Path) -> None:
    config = configuration("q_learning", timesteps=500)
    result = execute_run(
        config, tmp_path / "run", watcher=lambda steps, _: "enough" if steps else None
    )
    assert (result.stopped, result.reason) == (True, "enough")
    assert 0 < result.steps < 500
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "stopped"
