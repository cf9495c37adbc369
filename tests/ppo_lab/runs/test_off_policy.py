"""Runs with a replay buffer: noise, what does not fit, checkpoints, going on, evaluation."""

import pickle
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import BitFlippingEnv, IdentityEnvBox
from stable_baselines3.common.monitor import load_results
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her import HerReplayBuffer

from ppo_lab.commands.comparison import run_groups
from ppo_lab.commands.settings_source import SettingsSource
from ppo_lab.errors import ArgumentError
from ppo_lab.evaluate import main as evaluate
from ppo_lab.hyperparams.sources import file_settings, zoo_settings
from ppo_lab.registry import ALGORITHMS
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.environments import inspect_environment
from ppo_lab.runs.execution import check_run, execute_run
from ppo_lab.runs.off_policy import with_action_noise
from ppo_lab.train import main as train

SMALL: dict[str, Any] = {
    "learning_starts": 40,
    "batch_size": 4,
    "buffer_size": 500,
    "policy_kwargs": "dict(net_arch=[8])",
}
WORDS = [
    "learning_starts:40",
    "batch_size:4",
    "buffer_size:500",
    "policy_kwargs:dict(net_arch=[8])",
]
PENDULUM = ["--algo", "sac", "--env", "Pendulum-v1", "--eval-episodes", "1", "-P", *WORDS]


class _Deaf(IdentityEnvBox):
    """It does not look at what is done."""

    def step(self, action: Any) -> Any:
        return super().step(np.zeros_like(action))


class _OneNumber(gym.Env[Any, Any]):
    """One number is seen, so that a stack of four would take an unstacked one without a word."""

    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.asarray(action, np.float32), 0.0, False, False, {}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register("OneNumber-v0", entry_point=_OneNumber, max_episode_steps=20)
    gym.register("Deaf-v0", entry_point=_Deaf)
    gym.register("Goals-v0", entry_point=BitFlippingEnv, kwargs={"n_bits": 3, "max_steps": 3})
    yield
    for name in ("OneNumber-v0", "Deaf-v0", "Goals-v0"):
        del gym.registry[name]


def configuration(algo: str, env: str, more: dict[str, Any], **changes: Any) -> RunConfig:
    config = RunConfig(
        algo=algo,
        env=env,
        seed=5,
        timesteps=60,
        n_envs=1,
        policy=inspect_environment(env, {}, algo),
        hyperparameters={**SMALL, **more},
        evaluation=Evaluation(episodes=1, seed=7000),
    )
    return replace(config, **changes)


def model_of(folder: Path, env: str, kind: Any = SAC) -> Any:
    return kind.load(folder / f"{env}.zip", device="cpu")


def test_the_zoos_noise_is_sb3s_with_its_size_on_every_action() -> None:
    actions = spaces.Box(-2.0, 2.0, (3,))
    for name, kind in (
        ("normal", NormalActionNoise),
        (" ornstein-uhlenbeck ", OrnsteinUhlenbeckActionNoise),
    ):
        given = {"gamma": 0.9, "noise_type": name, "noise_std": 0.5}
        made = with_action_noise("td3", given, actions)
        assert set(made) == {"gamma", "action_noise"}
        assert type(made["action_noise"]) is kind
        np.testing.assert_array_equal(made["action_noise"]._sigma, [0.5, 0.5, 0.5])
        np.testing.assert_array_equal(made["action_noise"]._mu, [0.0, 0.0, 0.0])
    assert with_action_noise("td3", {"noise_type": None, "noise_std": None}, actions) == {}


@pytest.mark.parametrize(
    ("algo", "env", "more", "changes", "message"),
    [
        ("td3", "Pendulum-v1", {"noise_type": "pink", "noise_std": 0.1}, {}, r"noise_type='pink'"),
        ("td3", "Pendulum-v1", {"noise_std": 0.1}, {}, r"noise_type=None: expected normal or orn"),
        ("td3", "Pendulum-v1", {"noise_type": "normal"}, {}, r"noise_std=None: expected a finite"),
        (
            "qrdqn",
            "CartPole-v1",
            {"noise_type": "normal", "noise_std": 0.1},
            {},
            r"qrdqn takes no noise on its actions",
        ),
        (
            "sac",
            "Pendulum-v1",
            {"train_freq": [1, "episode"]},
            {"n_envs": 2},
            r"train_freq in episodes needs one environment, and n_envs is 2",
        ),
        (
            "sac",
            "OneNumber-v0",
            {},
            {"normalize": True, "frame_stack": 4},
            r"normalize with sac, .* shape \(1,\), and not the .* shape \(4,\): leave out",
        ),
        (
            "sac",
            "Pendulum-v1",
            {"replay_buffer_class": "HerReplayBuffer"},
            {},
            r"HerReplayBuffer needs an environment with goals; this has no observation",
        ),
        (
            "sac",
            "Pendulum-v1",
            {"replay_buffer_class": "torch.nn.Linear"},
            {},
            r"replay_buffer_class 'torch.nn.Linear': expected a class of ReplayBuffer",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "-v" not in value else "",
)
def test_what_cannot_be_stored_or_counted_is_refused_before_a_run(
    algo: str, env: str, more: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_run(configuration(algo, env, more, **changes))


def test_noise_is_each_environments_own_and_its_run_is_sb3s(tmp_path: Path) -> None:
    more = {"noise_type": "normal", "noise_std": 0.2}
    config = configuration("td3", "Pendulum-v1", more, n_envs=2)
    assert execute_run(config, tmp_path / "run").reason is None
    ours = model_of(tmp_path / "run", "Pendulum-v1", TD3)
    assert len(ours.action_noise.noises) == 2
    quiet = configuration("td3", "Pendulum-v1", {"noise_type": "normal", "noise_std": 0.0})
    assert execute_run(quiet, tmp_path / "quiet").reason is None
    other = model_of(tmp_path / "quiet", "Pendulum-v1", TD3)
    assert not np.array_equal(*(m.actor.mu[0].weight.detach().numpy() for m in (ours, other)))


def test_episodes_are_counted_by_a_training_that_asks_for_it(tmp_path: Path) -> None:
    config = configuration("sac", "OneNumber-v0", {"train_freq": [1, "episode"]})
    assert execute_run(config, tmp_path / "run").reason is None
    # Three whole episodes of 20 steps fill the budget of 60; one update of one step after each
    # that ends past learning_starts, 40: SB3 counts the steps before it learns.
    assert model_of(tmp_path / "run", "OneNumber-v0")._n_updates == 1
    assert load_results(str(tmp_path / "run"))["l"].tolist() == [20, 20, 20]


def test_normalised_observations_are_stored_as_they_were(tmp_path: Path) -> None:
    config = configuration("sac", "Pendulum-v1", {}, normalize={"norm_reward": False}, n_envs=2)
    folder = tmp_path / "run"
    assert execute_run(config, folder).reason is None
    plain = make_vec_env("Pendulum-v1")
    statistics = VecNormalize.load(str(folder / "Pendulum-v1" / "vecnormalize.pkl"), plain)
    assert statistics.obs_rms.count > 60  # type: ignore[union-attr]


def test_frames_are_stacked_in_the_buffer_and_in_evaluation(tmp_path: Path) -> None:
    config = configuration("dqn", "CartPole-v1", {}, frame_stack=3)
    folder = tmp_path / "run"
    assert execute_run(config, folder).reason is None
    assert model_of(folder, "CartPole-v1", DQN).observation_space.shape == (12,)


def test_hindsight_replay_comes_from_the_zoos_words(tmp_path: Path) -> None:
    more = {
        "replay_buffer_class": "HerReplayBuffer",
        "replay_buffer_kwargs": "dict(goal_selection_strategy='future', n_sampled_goal=4)",
    }
    config = configuration("dqn", "Goals-v0", more)
    assert execute_run(config, tmp_path / "run").reason is None
    goals = make_vec_env(lambda: BitFlippingEnv(n_bits=3, max_steps=3))
    model = DQN.load(tmp_path / "run" / "Goals-v0.zip", env=goals, device="cpu")
    assert isinstance(model.replay_buffer, HerReplayBuffer)


def test_values_that_diverge_fail_the_run_and_no_action_of_theirs_is_scored(
    tmp_path: Path,
) -> None:
    # Its actions are NaN, which this environment takes, and its returns numbers.
    config = configuration("td3", "Deaf-v0", {"learning_rate": 1e30})
    result = execute_run(config, tmp_path / "run")
    assert result.score is None
    assert result.reason is not None
    assert "are NaN or infinite: training diverged" in result.reason


def test_a_budget_without_an_update_is_said_in_the_report() -> None:
    groups = run_groups(
        ["sac"], ["Pendulum-v1"], SettingsSource("default"), 60, Evaluation(episodes=1, seed=0)
    )
    # SAC's own learning_starts is 100. What building warned of is in the report's notes.
    [said] = groups[0].warnings
    assert said.startswith("learning_starts 100 is not below the budget of 60 steps: nothing is")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_run(configuration("sac", "Pendulum-v1", {}))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs of SAC with a checkpoint each, one of which has kept its buffer."""
    logs = tmp_path_factory.mktemp("logs")
    once = [*PENDULUM, "--timesteps", "60", "--save-freq", "30", "--eval-freq", "0"]
    assert train([*once, "--log-folder", str(logs)]) == 0
    assert train([*once, "--seed", "1", "--save-replay-buffer", "--log-folder", str(logs)]) == 0
    return logs / "sac"


def resumed(source: Path, logs: Path) -> tuple[Any, Any]:
    command = ["--resume", str(source), "--timesteps", "130", "--log-folder", str(logs)]
    assert train([*command, "--save-replay-buffer"]) == 0
    folder = logs / "sac" / "Pendulum-v1_1"
    buffer = pickle.loads((folder / "replay_buffer.pkl").read_bytes())
    return model_of(folder, "Pendulum-v1"), buffer


def test_the_buffer_is_kept_only_where_it_is_asked_for(stopped: Path) -> None:
    kept = stopped / "Pendulum-v1_2"
    assert {path.name for path in kept.glob("*.pkl")} == {
        "replay_buffer.pkl",
        "rl_model_replay_buffer_30_steps.pkl",
    }
    assert pickle.loads((kept / "replay_buffer.pkl").read_bytes()).pos == 60
    assert pickle.loads((kept / "rl_model_replay_buffer_30_steps.pkl").read_bytes()).pos == 30
    assert not list((stopped / "Pendulum-v1_1").glob("*.pkl"))


def test_a_kept_buffer_goes_on(stopped: Path, tmp_path: Path) -> None:
    model, buffer = resumed(stopped / "Pendulum-v1_2", tmp_path)
    assert (model.num_timesteps, buffer.pos) == (130, 130)
    # After each of the 20 steps past 40, and of the 70 that followed.
    assert model._n_updates == 20 + 70


def test_a_buffer_that_was_not_kept_is_filled_again_before_anything_is_learnt(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, buffer = resumed(stopped / "Pendulum-v1_1", tmp_path)
    assert "Its replay buffer was not kept" in capsys.readouterr().out
    assert (model.num_timesteps, buffer.pos) == (130, 70)
    # Twenty updates before; 70 more steps, the first 40 of which fill the buffer.
    assert model._n_updates == 20 + 30


def test_a_model_is_evaluated_without_its_buffer_and_without_its_pickle(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for more in ([], ["--no-pickle"]):
        assert evaluate([str(stopped / "Pendulum-v1_1"), "--episodes", "2", *more]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "2 episodes" in said[0]


@pytest.mark.parametrize("algo", ["ddpg", "tqc"])
def test_another_algorithms_model_is_refused(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], algo: str
) -> None:
    source = stopped / "Pendulum-v1_1"
    folder = tmp_path / "Pendulum-v1_1"
    (folder / "Pendulum-v1").mkdir(parents=True)
    for name in ("Pendulum-v1.zip", "Pendulum-v1/config.yml"):
        (folder / name).write_bytes((source / name).read_bytes())
    arguments = (
        (source / "Pendulum-v1" / "args.yml").read_text().replace("algo: sac", f"algo: {algo}")
    )
    (folder / "Pendulum-v1" / "args.yml").write_text(arguments)
    assert evaluate([str(folder), "--episodes", "1"]) == 1
    assert f"no model of {algo!r}: it is of SAC" in capsys.readouterr().err


def test_only_what_has_a_buffer_keeps_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--algo", "ppo", "--save-replay-buffer", "--log-folder", str(tmp_path)]
    assert train(arguments) == 2
    said = capsys.readouterr().err
    assert "--save-replay-buffer with ppo: only dqn, qrdqn, sac, td3, ddpg, tqc, crossq" in said


@pytest.mark.parametrize(
    ("algo", "env"),
    [
        ("sac", "Pendulum-v1"),
        ("td3", "Pendulum-v1"),
        ("ddpg", "Pendulum-v1"),
        ("tqc", "Pendulum-v1"),
        ("crossq", "Pendulum-v1"),
        ("qrdqn", "CartPole-v1"),
        ("ars", "CartPole-v1"),
    ],
)
def test_the_zoos_settings_are_each_algorithms_own(algo: str, env: str) -> None:
    pytest.importorskip("rl_zoo3", reason="the package rl_zoo3 is missing")
    settings = zoo_settings(algo, env)
    assert settings is not None
    assert settings.word == "zoo"
    assert f"{algo}.yml, {env}" in settings.origin
    check_run(
        configuration(
            algo,
            env,
            {},
            hyperparameters=settings.hyperparameters,
            policy=settings.policy,
            timesteps=10**6,
            normalize=settings.normalize,
        )
    )


def test_noise_and_a_buffers_class_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text("Pendulum-v1: {noise_type: normal, noise_std: 0.1, n_timesteps: 100}\n")
    assert file_settings(file, "Pendulum-v1").hyperparameters == {
        "noise_type": "normal",
        "noise_std": 0.1,
    }


def test_what_has_a_buffer_in_sb3_is_known_to_have_one() -> None:
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

    from ppo_lab.registry import algorithm_class

    known = {name for name, algorithm in ALGORITHMS.items() if algorithm.off_policy}
    found = {
        name
        for name, algorithm in ALGORITHMS.items()
        if not algorithm.tabular and issubclass(algorithm_class(name), OffPolicyAlgorithm)
    }
    assert known == found
