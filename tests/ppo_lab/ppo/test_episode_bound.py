"""An evaluation whose episodes do not end fails with its reason; a time limit may be longer."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env

from envs.gridworld import GridWorld
from ppo_lab import evaluate, train
from ppo_lab.ppo import episode_bound
from ppo_lab.ppo.episode_bound import MAX_EPISODE_STEPS, longest_episode
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import execute_run

REASON = (
    "EndlessEpisodeError: an evaluation episode did not end within 30 steps: give the environment "
    "a time limit (max_episode_steps)"
)


class Endless(gym.Env[Any, Any]):
    """Ends after so many steps, or never; every action is possible."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, ends: float = np.inf) -> None:
        self.ends, self.taken = ends, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.taken = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken += 1
        return np.zeros(2, np.float32), 1.0, self.taken >= self.ends, False, {}

    def action_masks(self) -> Any:
        return np.ones(2, bool)


class Walled(GridWorld):
    """A grid whose way out nobody finds: every step leads back."""

    def step(self, action: Any) -> Any:
        super().step(action)
        self.state, self._ended = 7, False
        return 7, 0.0, False, False, {}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(episode_bound, "MAX_EPISODE_STEPS", 30)
    gym.register("Endless-v0", entry_point=Endless)
    gym.register("Limited-v0", entry_point=Endless, max_episode_steps=90)
    gym.register("Walled-v0", entry_point=Walled)
    gym.register("WorldWithoutEnd-v0", entry_point=GridWorld)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    for name in ("Endless-v0", "Limited-v0", "Walled-v0", "WorldWithoutEnd-v0"):
        del gym.registry[name]


def configuration(algo: str, env: str, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {"n_steps": 8, "batch_size": 8, "n_epochs": 1}
    settings = settings if "ppo" in algo else {}
    return RunConfig(algo, env, 0, 16, 1, "MlpPolicy", settings, Evaluation(3, 7000, 2), **changes)


@pytest.mark.parametrize(
    ("algo", "env"),
    [
        ("spec_ppo", "Endless-v0"),
        ("ppo_mask", "Endless-v0"),
        ("q_learning", "Walled-v0"),
        ("optimal", "Walled-v0"),
        # A compiled world without a time limit; its untrained policy walks into a wall.
        ("spec_ppo", "WorldWithoutEnd-v0"),
    ],
)
def test_a_run_whose_evaluation_never_ends_fails_with_its_reason(
    tmp_path: Path, algo: str, env: str
) -> None:
    assert execute_run(configuration(algo, env), tmp_path / "run").reason == REASON


def test_a_longer_time_limit_is_played_to_its_end(tmp_path: Path) -> None:
    result = execute_run(configuration("spec_ppo", "Limited-v0"), tmp_path / "run")
    assert (result.reason, result.score) == (None, 90.0)


def test_an_episode_that_ends_at_the_bound_has_ended(tmp_path: Path) -> None:
    at, beyond = ({"env_kwargs": {"ends": 30 + more}} for more in (0, 1))
    assert execute_run(configuration("ppo", "Endless-v0", **at), tmp_path / "at").score == 30.0
    result = execute_run(configuration("ppo", "Endless-v0", **beyond), tmp_path / "beyond")
    assert result.reason == REASON


def test_commands_say_so_in_a_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--timesteps", "16", "-P", "n_steps:8", "batch_size:8", "n_epochs:1"]
    small += ["--log-folder", str(tmp_path), "--eval-freq", "0", "--eval-episodes", "1"]
    assert train.main(["--env", "Endless-v0", *small]) == 1
    assert REASON in capsys.readouterr().err
    assert train.main(["--env", "Limited-v0", *small]) == 0
    run = str(tmp_path / "spec_ppo" / "Limited-v0_1")
    assert evaluate.main([run, "--env", "Endless-v0", "--episodes", "2"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]  # before it, what is unpickled
    assert said.startswith("ppo_lab.evaluate: Endless-v0: an evaluation episode")


def test_the_bound_is_the_longer_of_the_time_limit_and_the_constant() -> None:
    assert MAX_EPISODE_STEPS == 50_000
    assert longest_episode(make_vec_env(lambda: gym.make("Endless-v0"), 2)) == 30
    assert longest_episode(make_vec_env(lambda: gym.make("Limited-v0"), 2)) == 90


def test_without_the_names_of_limits_it_is_what_the_spec_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(episode_bound, "_LIMITS", ("_gone",))
    assert longest_episode(make_vec_env(lambda: gym.make("Limited-v0"), 2)) == 90
    assert longest_episode(make_vec_env(lambda: gym.make("Endless-v0"), 2)) == 30
    assert longest_episode(make_vec_env(Endless, 2)) == 30
