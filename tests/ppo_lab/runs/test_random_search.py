"""ARS as a run: sb3-contrib's numbers, its steps seen, and what was loaded goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from torch.nn.utils import parameters_to_vector

from envs.gridworld import GridWorld
from ppo_lab.commands.comparison import run_groups
from ppo_lab.commands.settings_source import SettingsSource
from ppo_lab.errors import ArgumentError
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import check_run, execute_run
from ppo_lab.runs.random_search import ARS
from ppo_lab.train import main as train

SMALL: dict[str, Any] = {"n_delta": 2, "seed": 3}
GRID = "ppo_lab/GridWorld-v0"


class _Broken(GridWorld):
    """Its rewards are no numbers."""

    def step(self, action: Any) -> Any:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float("nan"), terminated, truncated, info


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register("Broken-v0", entry_point=_Broken, max_episode_steps=20)
    yield
    del gym.registry["Broken-v0"]


class _Seen(BaseCallback):
    """The sum of the rewards that a callback is told of."""

    total, steps = 0.0, 0

    def _on_step(self) -> bool:
        self.total += float(self.locals["rewards"].sum())
        self.steps += len(self.locals["rewards"])
        assert self.locals["new_obs"].shape == (1, 3)
        return True


def search(kind: Any, **more: Any) -> Any:
    env = make_vec_env("Pendulum-v1", 1, seed=3)
    return kind("LinearPolicy", env, **SMALL, **more)


def test_it_learns_what_sb3_contribs_does_bit_for_bit_and_its_steps_are_seen() -> None:
    seen = _Seen()
    theirs = search(sb3_contrib.ARS).learn(1600)
    ours = search(ARS).learn(1600, seen)  # after the other: torch has one generator for both
    np.testing.assert_array_equal(theirs.weights.numpy(), ours.weights.numpy())
    assert bool((ours.weights != 0).any())
    # Two updates of 2 · n_delta = 4 episodes of 200 steps.
    assert seen.steps == ours.num_timesteps == 1600
    returns = [info["r"] for info in ours.ep_info_buffer]
    assert len(returns) == 4
    assert seen.total < sum(returns) < 0


def test_what_is_loaded_goes_on_from_its_own_weights(tmp_path: Path) -> None:
    model = search(ARS, learning_rate=0.0, zero_policy=False)
    model.policy.load_from_vector(np.array([0.5, -0.25, 0.125], np.float32))
    model.save(tmp_path / "model.zip")
    kept = {}
    for kind in (sb3_contrib.ARS, ARS):
        loaded = kind.load(tmp_path / "model.zip", env=make_vec_env("Pendulum-v1"))
        loaded.learn(800)  # without a step size
        kept[kind] = parameters_to_vector(loaded.policy.parameters()).tolist()
    assert kept[ARS] == [0.5, -0.25, 0.125]
    # sb3-contrib's own forgets them: it goes on from a policy that was just drawn.
    assert kept[sb3_contrib.ARS] != kept[ARS]


def configuration(env: str, **changes: Any) -> RunConfig:
    words = {"seed": 0, "timesteps": 50, "n_envs": 1, "policy": "MlpPolicy", **changes}
    return RunConfig(
        algo="ars",
        env=env,
        hyperparameters={"n_delta": 1},
        evaluation=Evaluation(1, 0),
        **words,
    )


def test_a_reward_that_is_no_number_fails_the_run(tmp_path: Path) -> None:
    result = execute_run(configuration("Broken-v0"), tmp_path / "run")
    assert result.reason is not None
    assert "reward is nan at step 1 in environment 0" in result.reason


def test_several_environments_are_refused_and_a_comparison_gives_it_one() -> None:
    with pytest.raises(ArgumentError, match=r"ars is trained in one environment, and n_envs is 2"):
        check_run(configuration(GRID, n_envs=2))
    source = SettingsSource("default", n_envs=2)
    [group] = run_groups(["ars"], [GRID], source, 50, Evaluation(1, 0))
    assert group.run.n_envs == 1


def test_a_run_goes_on_from_the_policy_that_it_ended_with(tmp_path: Path) -> None:
    once = ["--algo", "ars", "--env", "Pendulum-v1", "--eval-episodes", "1", "--eval-freq", "400"]
    words = ["n_delta:1", "learning_rate:0.0", "zero_policy:False"]
    logs = ["--log-folder", str(tmp_path)]
    assert train([*once, "--timesteps", "400", "-P", *words, *logs]) == 0
    first = tmp_path / "ars" / "Pendulum-v1_1"
    assert train(["--resume", str(first), "--timesteps", "800", *logs]) == 0
    before, after = (
        np.load(folder / "evaluations.npz")["results"]
        for folder in (first, first.with_name("Pendulum-v1_2"))
    )
    # Without a step size it stays the policy that it was.
    assert before[-1] == after[0] == after[-1]
