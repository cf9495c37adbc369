"""Playing what a run folder holds: each model with its own statistics, and without a pickle."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab.evaluate import main as evaluate
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import execute_run
from ppo_lab.runs.saved_model import find_saved_run, load_model, make_environments
from ppo_lab.runs.session import statistics_of
from ppo_lab.train import main as train
from tests.ppo_lab.test_model_files import set_trap


class Follow(gym.Env[np.ndarray, np.ndarray]):
    """Reward: minus the distance of the action to what is seen, so that any other input shows."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gym.spaces.Box(-2, 2, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, Any]:
        super().reset(seed=seed)
        self.t = 0
        self.seen = self.np_random.normal(3, 2, 1).astype(np.float32)
        return self.seen, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, Any]:
        self.t += 1
        reward = -abs(float(action[0]) - float(np.sin(self.seen[0])))
        self.seen = self.np_random.normal(3, 2, 1).astype(np.float32)
        return self.seen, reward, False, self.t == 20, {}


class Choose(Follow):
    """The same with three actions and masks."""

    action_space = gym.spaces.Discrete(3)  # type: ignore[assignment]

    def action_masks(self) -> np.ndarray:
        return np.ones(3, bool)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, Any]:
        return super().step(np.array([action - 1.0]))


gym.register("Follow-v0", Follow)
gym.register("Choose-v0", Choose)


@pytest.fixture(autouse=True)
def _keep_signal_handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def finished(folder: Path, **changes: Any) -> RunConfig:
    """Make a small normalised run whose best evaluation is not its last."""
    given: dict[str, Any] = {
        "algo": "spec_ppo", "env": "Follow-v0", "seed": 1, "timesteps": 640, "n_envs": 1,
        "policy": "MlpPolicy", "evaluation": Evaluation(3, 7, 11), "normalize": True,
        "hyperparameters": {"n_steps": 64, "batch_size": 32, "n_epochs": 4, "learning_rate": 0.05},
    }  # fmt: skip
    config = RunConfig(**{**given, **changes})
    assert execute_run(config, folder).reason is None
    return config


def replayed(folder: Path, checkpoint: str, episodes: int = 3) -> float:
    """The mean return of a model with what ``evaluate`` takes for its statistics."""
    run = find_saved_run(folder)
    statistics, _ = run.statistics(checkpoint)
    env = make_environments(run, episodes, 7, statistics)
    model = load_model(run, env, run.model_file(checkpoint))
    env.seed(7)
    play: Any = evaluate_policy
    if run.masks:
        from sb3_contrib.common.maskable.evaluation import evaluate_policy as play
    mean, _ = play(model, env, n_eval_episodes=episodes)
    return float(mean)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"algo": "ppo"},
        {"algo": "ppo_mask", "env": "Choose-v0"},
        {
            "env": "Choose-v0",
            "hyperparameters": {"n_steps": 64, "batch_size": 32, "n_epochs": 4,
                                "learning_rate": 0.05, "mask_actions": True},
        },
    ],
    ids=["spec_ppo", "ppo", "ppo_mask", "spec_ppo masked"],
)  # fmt: skip
def test_best_model_is_played_with_the_statistics_that_it_was_chosen_with(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    finished(tmp_path / "run", **changes)
    returns = np.load(tmp_path / "run" / "evaluations.npz")["results"].mean(axis=1)
    assert returns.argmax() < len(returns) - 1
    assert replayed(tmp_path / "run", "best") == pytest.approx(returns.max(), abs=1e-9)
    assert replayed(tmp_path / "run", "final") == pytest.approx(returns[-1], abs=1e-9)
    names = ("best_vecnormalize.pkl", f"{find_saved_run(tmp_path / 'run').name}/vecnormalize.pkl")
    env = make_environments(find_saved_run(tmp_path / "run"), 1, 0, None)
    counts = [VecNormalize.load(str(tmp_path / "run" / n), env).obs_rms.count for n in names]  # type: ignore[union-attr]
    assert counts[0] < counts[1]


def test_one_evaluation_makes_the_final_model_and_its_statistics_the_best(tmp_path: Path) -> None:
    finished(tmp_path / "run", evaluation=Evaluation(3, 7, 1), timesteps=64)
    final = tmp_path / "run" / "Follow-v0" / "vecnormalize.pkl"
    best = tmp_path / "run" / "best_vecnormalize.pkl"
    assert final.read_bytes() == best.read_bytes()


def test_statistics_of_another_moment_stand_in_only_where_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    finished(folder, timesteps=128)
    (folder / "best_vecnormalize.pkl").unlink()
    assert evaluate([str(folder), "--episodes", "2", "--checkpoint", "best"]) == 0
    trusted, stand_in = capsys.readouterr().err.splitlines()
    assert "best_model.zip is unpickled, which can run any code: only from a source" in trusted
    assert "saved without its VecNormalize statistics, as RL Zoo does: those of the end" in stand_in
    (folder / "Follow-v0" / "vecnormalize.pkl").unlink()
    for checkpoint in ("final", "best"):
        assert evaluate([str(folder), "--episodes", "2", "--checkpoint", checkpoint]) == 2
        errors = capsys.readouterr().err
        assert errors.count("\n") == 1
        assert "its statistics, Follow-v0/vecnormalize.pkl, are missing" in errors
    assert statistics_of(folder / "rl_model_64_steps.zip") is None


# ------------------------------------------------------------------ without a pickle


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that is not normalised."""
    folder = tmp_path_factory.mktemp("plain") / "Follow-v0_1"
    finished(
        folder,
        normalize=False,
        timesteps=128,
        hyperparameters={
            "n_steps": 64, "n_epochs": 1, "use_sde": True,
            "policy_kwargs": "dict(net_arch=dict(pi=[8], vf=[4]), activation_fn=nn.ReLU)",
        },
    )  # fmt: skip
    return folder


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / run.name))


@pytest.mark.parametrize("how", ["--deterministic", "--stochastic"])
def test_the_same_episodes_are_played_without_a_pickle(
    how: str, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--episodes", "4", "--seed", "3", how]
    assert evaluate([str(plain), *command]) == 0
    out, err = capsys.readouterr()
    assert "Follow-v0.zip is unpickled, which can run any code" in err
    hostile = copied(plain, tmp_path)
    set_trap(hostile / "Follow-v0.zip", tmp_path / "sprung")
    assert evaluate([str(hostile), *command, "--no-pickle"]) == 0
    again, err = capsys.readouterr()
    assert again == out.replace(str(plain), str(hostile))
    assert err == ""
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.yml", {"normalize": True}, "is normalised, and the statistics of VecNormalize"),
        ("config.yml", {"policy": "CnnPolicy"}, "has the policy 'CnnPolicy'; only MlpPolicy"),
        ("config.yml", {"policy_kwargs": "__import__('os')"}, "policy_kwargs=.*expected dict"),
        ("config.yml", {"policy_kwargs": "dict(net_arch=[9])"}, "does not fit the policy that"),
        ("args.yml", {"env": "os:Follow-v0"}, "whose module would be imported; --env os:Follow"),
        ("args.yml", {"env": "Pendulum-v1"}, "trained on other spaces than the environment has"),
        ("args.yml", {"algo": "a2c"}, "is damaged or no model of 'a2c': it is of SpecPPO"),
    ],
)
def test_what_cannot_be_played_without_a_pickle_is_refused_in_one_line(
    file: str, changes: dict[str, Any], message: str, plain: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import re

    import yaml

    folder = copied(plain, tmp_path)
    settings = folder / "Follow-v0" / file
    settings.write_text(yaml.safe_dump({**yaml.safe_load(settings.read_text()), **changes}))
    if changes.get("env") == "Pendulum-v1":
        (folder / "Follow-v0.zip").rename(folder / "Pendulum-v1.zip")
    assert evaluate([str(folder), "--episodes", "1", "--no-pickle"]) != 0
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert re.search(message, errors)


# ------------------------------------------------------------------ bounded readers


@pytest.mark.parametrize(
    "text",
    ["a: !!timestamp x", "a: " + "[" * 20_000, "a: !!bool x", "#" * 5_000_000, "[1]", "a: &b [*b]",
     "a: !!python/object/apply:os.system [touch pwned]"],
    ids=["timestamp", "deep", "bool", "large", "list", "alias", "python"],
)  # fmt: skip
def test_hostile_settings_are_one_line(
    text: str, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(plain, tmp_path)
    (folder / "Follow-v0" / "config.yml").write_text(text)
    assert evaluate([str(folder), "--episodes", "1"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "config.yml cannot be read: config.yml" in errors
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "changes",
    [{"env": 5}, {"steps": "x"}, {"hyperparameters": 3}, {"seed": -1}, {"timesteps": 1.5},
     {"evaluation": {"episodes": 0, "seed": 0}}, {"normalize": "yes"}, None],
    ids=str,
)  # fmt: skip
def test_hostile_record_of_a_run_to_go_on_from_is_one_line(
    changes: dict[str, Any] | None,
    plain: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copied(plain, tmp_path)
    record = json.loads((folder / "run.json").read_text())
    text = "[" * 100_000 if changes is None else json.dumps({**record, **changes})
    (folder / "run.json").write_text(text)
    command = [
        "--resume",
        str(folder),
        "--timesteps",
        "256",
        "--log-folder",
        str(tmp_path / "more"),
    ]
    assert train(command) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "run.json" in errors
    assert not list((tmp_path / "more").rglob("run.json"))


def test_a_damaged_model_to_go_on_from_is_one_line_and_makes_no_run(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(plain, tmp_path)
    (folder / "Follow-v0.zip").write_bytes(b"")
    command = [
        "--resume",
        str(folder),
        "--timesteps",
        "256",
        "--log-folder",
        str(tmp_path / "more"),
    ]
    assert train(command) == 1
    assert "is damaged or no model of 'spec_ppo'" in capsys.readouterr().err
    assert not list((tmp_path / "more").rglob("run.json"))
