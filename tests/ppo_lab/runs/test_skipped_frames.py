"""Frames that a game and a wrapper around it skip, told by an entry point: ale_py is not needed."""

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest

from ppo_lab.runs import sb3_training
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.recipe import EnvironmentRecipe
from ppo_lab.runs.skipped_frames import warn_if_frames_are_skipped_twice

WRAPPERS = "stable_baselines3.common.atari_wrappers"
ATARI, MAX_AND_SKIP = f"{WRAPPERS}.AtariWrapper", f"{WRAPPERS}.MaxAndSkipEnv"
V5, NO_SKIP = "Skipping-v5", "NoSkipping-v4"


@pytest.fixture(autouse=True)
def games() -> Iterator[None]:
    gym.register(V5, "ale_py.env:AtariEnv", kwargs={"game": "pong", "frameskip": 4})
    gym.register(NO_SKIP, "ale_py.env:AtariEnv", kwargs={"game": "pong", "frameskip": 1})
    yield
    for name in (V5, NO_SKIP):
        del gym.registry[name]


def said(env: str, *wrappers: Any, **env_kwargs: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_frames_are_skipped_twice(
            EnvironmentRecipe(env, env_wrapper=wrappers, env_kwargs=env_kwargs)
        )
    return [str(each.message) for each in caught]


@pytest.mark.parametrize(
    ("wrapper", "times"),
    [
        (ATARI, 4),
        (MAX_AND_SKIP, 4),
        ({ATARI: {"frame_skip": 2}}, 2),
        ({MAX_AND_SKIP: {"skip": 3}}, 3),
    ],
)
def test_frames_skipped_by_both_are_said(wrapper: Any, times: int) -> None:
    (line,) = said(V5, wrapper)
    assert f"{V5} takes 4 frames an action and the wrapper around it {times} of these" in line
    assert "--env-kwargs frameskip:1" in line


def test_an_argument_of_ones_own_counts() -> None:
    (line,) = said(NO_SKIP, ATARI, frameskip=2)
    assert "takes 2 frames an action" in line


@pytest.mark.parametrize(
    ("env", "wrappers", "env_kwargs"),
    [
        (NO_SKIP, (ATARI,), {}),
        (V5, (ATARI,), {"frameskip": 1}),
        (V5, (), {}),
        (V5, ({ATARI: {"frame_skip": 1}},), {}),
        (V5, (f"{WRAPPERS}.ClipRewardEnv",), {}),
        ("CartPole-v1", (ATARI,), {}),
        ("Missing-v0", (), {}),
    ],
)
def test_nothing_is_said_of_what_skips_once_or_is_no_game(
    env: str, wrappers: Any, env_kwargs: Any
) -> None:
    assert said(env, *wrappers, **env_kwargs) == []


def test_every_run_is_looked_at_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[EnvironmentRecipe] = []
    monkeypatch.setattr(sb3_training, "warn_if_frames_are_skipped_twice", seen.append)
    sb3_training.check(
        RunConfig(
            env="CartPole-v1",
            algo="ppo",
            settings="",
            timesteps=64,
            n_envs=1,
            policy="MlpPolicy",
            hyperparameters={},
            seed=0,
            evaluation=Evaluation(1, 0),
        )
    )
    assert [recipe.env for recipe in seen] == ["CartPole-v1"]
