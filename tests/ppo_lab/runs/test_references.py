"""The scores that normalise: exact, stated, or measured apart from the command, if at all."""

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.atari_wrappers import MaxAndSkipEnv

from envs.gridworld import GridWorld
from ppo_lab.commands.comparison import ComparisonPlan, RunGroup, with_references
from ppo_lab.runs import references
from ppo_lab.runs.config import Evaluation, RunConfig
from ppo_lab.runs.execution import execute_run
from ppo_lab.runs.references import (
    ReferenceScores,
    known_scale,
    measured_reference,
    play_randomly,
    reference_scores,
    stated_reference,
    stored_reference,
)
from ppo_lab.vec_env.random_actions import forbids_actions, has_masks


class Payer(gym.Env[Any, Any]):
    """One step that pays what it is told to, or goes wrong as it is told to."""

    def __init__(self, reward: float = 1.0, fault: str = "", action: Any = None) -> None:
        self.observation_space = spaces.Discrete(2)
        self.action_space = action or spaces.Discrete(4)
        self.reward, self.fault = reward, fault

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.fault == "dies":
            os._exit(9)
        if self.fault == "exits":
            raise SystemExit("the licence has run out")
        if self.fault == "hangs":
            time.sleep(60)
        if self.fault == "fails":
            raise RuntimeError("the simulator blew up")
        return 0, self.reward, self.fault != "endless", False, {}


class Masked(Payer):
    """Pays the action's number; only some actions are possible."""

    def __init__(self, action: Any, flat: Any) -> None:
        super().__init__(action=action)
        self.flat = flat

    def action_masks(self) -> Any:
        return np.array(self.flat, bool)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        parts = {4: [0], 5: [0, 3], 6: [0, 2, 4]}[len(self.flat)]  # where each action's mask begins
        assert all(self.flat[at + value] for at, value in zip(parts, np.ravel(action), strict=True))
        return 0, float(np.dot(np.ravel(action), [1, 10, 100][: np.size(action)])), True, False, {}


class DearGrid(GridWorld):
    """A grid whose step pays one more than its tables say."""

    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward + 1.0, *rest


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    gym.register("Plain-v0", entry_point=Payer)
    gym.register("Threshold-v0", entry_point=Payer, reward_threshold=5.0)
    gym.register("DearGrid-v0", entry_point=DearGrid, max_episode_steps=100)
    yield
    for name in ("Plain-v0", "Threshold-v0", "DearGrid-v0"):
        del gym.registry[name]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measuring itself, without a process: what it does with what comes back."""
    monkeypatch.setattr(
        references,
        "_played_apart",
        lambda spec, wrapper: references._guarded(spec, references.RANDOM_SECONDS, wrapper),
    )


def test_finite_environment_is_normalised_by_dynamic_programming() -> None:
    reference = reference_scores("ppo_lab/GridWorld-v0", {})
    assert reference is not None
    assert reference.high == pytest.approx(1.0)  # the +1 exit is reached without a discount
    assert reference.source.startswith("exact")
    played = play_randomly(gym.make("ppo_lab/GridWorld-v0"), 60.0)
    assert not isinstance(played, str)
    # A return's standard deviation is at most 1.05 here: four standard errors of 100 episodes.
    assert abs(played[0] - reference.low) < 4 * 1.05 / 10


def test_toy_text_is_exact_too() -> None:
    lake = stated_reference("FrozenLake-v1", {"is_slippery": False})
    assert lake is not None
    assert lake.high == 1.0  # without slipping the goal is reached with certainty
    assert 0.0 < lake.low < 0.1


def test_gymnasiums_environments_have_the_tables_scores_and_are_not_played(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "_played_apart", lambda *_: pytest.fail("it was played"))
    reference = reference_scores("CartPole-v1", {}, said.append)
    assert reference is not None
    assert (reference.low, reference.high) == (22.51, 475.0)  # docs/references.md
    assert said == []


def test_an_environment_that_differs_from_its_tables_is_not_taken_for_them() -> None:
    assert stated_reference("DearGrid-v0", {}) is None
    assert stated_reference("ppo_lab/GridWorld-v0", {}) is not None


@pytest.mark.usefixtures("in_process")
def test_stated_reward_threshold_is_the_high_score(said: list[str]) -> None:
    reference = reference_scores("Threshold-v0", {"reward": 2.0}, said.append)
    assert reference == ReferenceScores(
        2.0, 5.0, "low: random policy over 100 episodes; high: Gymnasium's reward_threshold"
    )
    assert said == [
        "Playing 100 random episodes of Threshold-v0, for the 0 of normalised scores (at most 20 s)"
    ]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(("env_id", "reward"), [("Plain-v0", 1.0), ("Threshold-v0", 6.0)])
def test_no_high_score_where_none_is_stated_above_the_random_policys(
    env_id: str, reward: float, said: list[str]
) -> None:
    reference = reference_scores(env_id, {"reward": reward}, said.append)
    assert reference is not None
    assert reference.high is None


def test_nothing_is_measured_where_no_normalised_score_would_be_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(references, "_played_apart", lambda *_: pytest.fail("it was played"))
    assert known_scale("Plain-v0", {}) is None
    with pytest.raises(pytest.fail.Exception, match="it was played"):
        known_scale("Threshold-v0", {})


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({"fault": "exits"}, "SystemExit: the licence has run out"),
        ({"fault": "fails"}, "RuntimeError: the simulator blew up"),
        ({"reward": float("nan")}, "it pays a random policy nan"),
    ],
)
def test_what_goes_wrong_in_the_environment_is_said_and_leaves_no_score(
    kwargs: dict[str, Any], reason: str, said: list[str]
) -> None:
    assert measured_reference("Plain-v0", kwargs, said.append) is None
    assert said[1] == f"! no random policy's score for Plain-v0: {reason}"


def test_it_is_played_in_a_process_of_its_own_which_may_die(said: list[str]) -> None:
    assert measured_reference("Plain-v0", {"fault": "dies"}, said.append) is None
    assert "its process failed" in said[1]
    reference = measured_reference("Plain-v0", {"reward": 3.0}, said.append)
    assert reference == ReferenceScores(3.0, None, "low: random policy over 100 episodes")


def test_a_process_that_hangs_is_ended(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "RANDOM_SECONDS", 0.1)
    monkeypatch.setattr(references, "START_SECONDS", 3.0)
    began = time.monotonic()
    assert measured_reference("Plain-v0", {"fault": "hangs"}, said.append) is None
    assert time.monotonic() - began < 30
    assert "did not answer within 3 s" in said[1]


def test_episodes_that_take_too_long_are_left_out_and_that_is_said(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert play_randomly(gym.make("Plain-v0", fault="endless"), 0.0) == (
        "no random episode ended within 0 s"
    )
    monkeypatch.setattr(references, "_played_apart", lambda *_: (2.0, 37))
    reference = measured_reference("Plain-v0", {}, said.append)
    assert reference is not None
    assert reference.source == "low: random policy over 37 episodes, as many as ended within 20 s"


@pytest.mark.parametrize(
    ("action", "flat", "mean"),
    [
        # Actions 1 and 3: (1 + 3)/2.
        (spaces.Discrete(4), [0, 1, 0, 1], 2.0),
        # The first is 2; the second 0 or 1, ten times as much: 2 + 5.
        (spaces.MultiDiscrete([3, 2]), [0, 0, 1, 1, 1], 7.0),
        # Off, on, and either: 10 + 100/2.
        (spaces.MultiBinary(3), [1, 0, 0, 1, 1, 1], 60.0),
    ],
    ids=str,
)
def test_the_random_policy_takes_possible_actions_alone_and_each_equally(
    action: Any, flat: list[int], mean: float
) -> None:
    played = play_randomly(Masked(action, flat), 60.0)
    assert not isinstance(played, str)
    # Two equally likely values a, b: the mean of 100 has a standard error of |a − b|/20.
    spread = {4: 2.0, 5: 10.0, 6: 100.0}[len(flat)]
    assert abs(played[0] - mean) < 4 * spread / 20
    assert played[0] != mean or spread == 0


def test_an_unmasked_environments_random_policy_is_what_it_was() -> None:
    """The same seeds as ever: CartPole's hundred episodes came to 23.68 (docs/learning.md)."""
    assert play_randomly(gym.make("CartPole-v1"), 60.0) == (23.68, 100)


class Five(Payer):
    """Five steps that pay 1, 2, 3, 4 and 5."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.taken = 0
        return super().reset(seed=seed)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken += 1
        return 0, float(self.taken), self.taken == 5, False, {}


class LosesLives(gym.Wrapper[Any, Any, Any, Any]):
    """Ends at every step, as Atari's lives do, and begins anew where the game has ended; pays 9."""

    over = True

    def reset(self, **kwargs: Any) -> Any:
        return self.env.reset(**kwargs) if self.over else (0, {})

    def step(self, action: Any) -> Any:
        observation, _, self.over, truncated, info = self.env.step(action)
        return observation, 9.0, True, truncated, info


def test_a_wrapped_environments_returns_are_its_own_rewards_as_the_monitor_counts_them() -> None:
    # 1 + 2 + 3 + 4 + 5, whatever is paid outside and however often an episode seems to end.
    assert play_randomly(Five(), 60.0, LosesLives) == (15.0, 100)
    assert play_randomly(Five(), 60.0) == (15.0, 100)
    skipping = partial(MaxAndSkipEnv, skip=2)
    frames = gym.make("CartPole-v1")
    plain, repeated = play_randomly(frames, 60.0), play_randomly(frames, 60.0, skipping)
    assert plain != repeated  # the random policy acts through the wrapper


def test_what_a_run_folder_states_is_read_back_and_nothing_unusable(tmp_path: Path) -> None:
    def stored(reference: Any) -> ReferenceScores | None:
        (tmp_path / "run.json").write_text(json.dumps({"reference": reference}))
        return stored_reference(tmp_path / "run.json")

    assert stored({"low": 1, "high": 2.5, "source": "x"}) == ReferenceScores(1.0, 2.5, "x")
    assert stored({"low": 1, "high": None, "source": "x"}) == ReferenceScores(1.0, None, "x")
    for bad in (None, 1, {}, {"low": 2, "high": 1, "source": ""}, {"low": 10**400, "high": None}):
        assert stored(bad) is None
    assert stored_reference(tmp_path / "none.json") is None


def test_a_comparison_keeps_what_its_finished_runs_state_and_measures_once_for_the_others(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lows = iter((0.25, 0.5))
    monkeypatch.setattr(references, "_played_apart", lambda *_: (next(lows), 100))
    run = RunConfig("optimal", "DearGrid-v0", 0, 16, 1, "table", {}, Evaluation(2, 0))
    one = ComparisonPlan((RunGroup(run, "none"),), (100,), (300,), tmp_path)
    two = ComparisonPlan((RunGroup(run, "none"),), (100, 200), (300, 400), tmp_path)

    def references_of(plan: ComparisonPlan) -> list[Any]:
        filled = with_references(plan, said.append)
        for folder, config in filled.runs.items():
            assert execute_run(config, folder).reason is None
        return [(config.reference or {})["low"] for config in filled.runs.values()]

    assert references_of(one) == [0.25]
    assert references_of(two) == [0.25, 0.25]  # not measured again
    assert references_of(two) == [0.25, 0.25]
    assert len(said) == 1


def test_a_grids_random_policy_takes_all_moves_whatever_its_masks_say() -> None:
    grid, masked = GridWorld(), Masked(spaces.Discrete(4), [1, 1, 0, 0])
    assert has_masks(grid)
    assert not forbids_actions(grid)
    assert forbids_actions(masked)
    grid.reset(seed=0)
    drawn = {int(references.random_action(grid, forbids_actions(grid))) for _ in range(100)}
    assert drawn == {0, 1, 2, 3}
