"""Every compiled world does what the environment that it restates does: Gymnasium's is the oracle.

The worlds are those of ``ppo_lab.worlds.registry``, under every id that Gymnasium has for them.
"""

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from envs.registration import ENVIRONMENTS, register_environments
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.vec_env.world_by_id import world_by_id
from ppo_lab.worlds.registry import RESTATED, TOY_TEXT
from ppo_lab.worlds.rollout import RolloutArrays
from tests.ppo_lab.vec_env.steps_alike import assert_same_step, random_actions
from tests.ppo_lab.worlds.rolling import (
    GAMMA,
    Best,
    buffer_for,
    layout_of,
    noise_for,
    parameters,
    stepped,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*out of date")
register_environments()

K = 3
CLASSES = [kind.__name__ for kind in (*RESTATED, *TOY_TEXT)]
UP_TO_ROUNDING = {"Acrobot-v1": 1e-5}
"""Worlds whose arithmetic is the environment's up to the last bit, and what that comes to after
the few steps of ``LIMITS``."""
LIMITS = {"Acrobot-v1": 15}
LONGEST = 90
VARIANTS = [
    ("CartPole-v1", {"sutton_barto_reward": True}),
    ("Pendulum-v1", {"g": 9.81}),
    ("MountainCarContinuous-v0", {"max_episode_steps": 300}),
    ("ppo_lab/GridWorld-v0", {"living_reward": -0.04}),
    ("ppo_lab/NoisyGridWorld-v0", {"observation": "coordinates"}),
    ("ppo_lab/CliffGrid-v0", {"noise": 0.5}),
    ("ppo_lab/Crawler-v0", {"observation": "coordinates"}),
    ("FrozenLake-v1", {"is_slippery": False}),
    ("Taxi-v4", {"is_rainy": True}),
]


def ids() -> list[str]:
    """Every id of a class that has a world, in the order of the registry of worlds."""
    entries = {
        env_id: spec.entry_point.split(":")[-1]
        for env_id, spec in gym.registry.items()
        if isinstance(spec.entry_point, str)
    }
    gymnasiums = [i for name in CLASSES for i, entry in entries.items() if entry == name]
    every = dict.fromkeys((*gymnasiums, *ENVIRONMENTS))
    return [env_id for env_id in every if "Cost" not in env_id]  # whose infos tell costs


def cases_of_rollouts() -> list[Any]:
    """All ids; slow where a compilation would be spent on a second world of the same spaces."""
    first: dict[tuple[type, type], type] = {}
    cases = []
    for env_id in IDS:
        with warnings.catch_warnings(action="ignore"):
            world = world_by_id(env_id, {}, 1)
        spaces = type(world.env.observation_space), type(world.env.action_space)
        kind = first.setdefault(spaces, type(world.parameters))
        marks = [] if kind is type(world.parameters) else [pytest.mark.slow]
        cases.append(pytest.param(env_id, marks=marks))
    return cases


IDS = ids()
ROLLOUTS = cases_of_rollouts()


def test_every_class_of_the_registry_has_an_id() -> None:
    entries = [str(gym.registry[env_id].entry_point).split(":")[-1] for env_id in IDS]
    assert set(CLASSES) <= {*entries}


class TestWorldContract:
    """Run through by every world."""

    @pytest.mark.parametrize(("env_id", "arguments"), [*((i, {}) for i in IDS), *VARIANTS])
    def test_the_same_seed_gives_what_make_vec_env_gives(
        self, env_id: str, arguments: dict[str, Any]
    ) -> None:
        arguments = {"max_episode_steps": LIMITS.get(env_id, LONGEST), **arguments}
        tolerance = UP_TO_ROUNDING.get(env_id, 0.0)
        ours = CompiledVecEnv(env_id, K, seed=7, **arguments)
        theirs = make_vec_env(env_id, K, seed=7, env_kwargs=arguments)
        assert ours.observation_space == theirs.observation_space
        assert ours.action_space == theirs.action_space
        rng, ended = np.random.default_rng(0), []
        for _ in range(2):  # the second reset in the middle of episodes
            first = [env.reset() for env in (ours, theirs)]
            np.testing.assert_allclose(*first, rtol=0.0, atol=tolerance)
            for step in range(400):
                if step % 4 == 0:  # held for a while, as what reaches goals and bounds
                    actions = random_actions(ours.action_space, K, rng)
                ended += assert_same_step(ours, theirs, actions, tolerance)
        assert len(ended) >= 2 * K

    @pytest.mark.parametrize("limit", [1, 2, 5])
    @pytest.mark.parametrize("env_id", IDS)
    def test_the_time_limit_cuts_where_gymnasiums_does(self, env_id: str, limit: int) -> None:
        ours = CompiledVecEnv(env_id, K, seed=1, max_episode_steps=limit)
        theirs = make_vec_env(env_id, K, seed=1, env_kwargs={"max_episode_steps": limit})
        ours.reset(), theirs.reset()
        ended, rng = [], np.random.default_rng(1)
        for _ in range(3 * limit):
            actions = random_actions(ours.action_space, K, rng)
            ended += assert_same_step(ours, theirs, actions, UP_TO_ROUNDING.get(env_id, 0.0))
        assert sum(info["episode"]["l"] == limit for info in ended) >= K

    @pytest.mark.parametrize("env_id", IDS)
    def test_monitor_files_hold_what_sb3s_hold(self, env_id: str, tmp_path: Path) -> None:
        rows = []
        for name, make in (("ours", CompiledVecEnv), ("theirs", make_vec_env)):
            limit = {"max_episode_steps": 4}
            how = limit if name == "ours" else {"env_kwargs": limit}
            env = make(env_id, K, seed=1, monitor_dir=str(tmp_path / name), **how)  # type: ignore[operator]
            env.reset()
            rng = np.random.default_rng(1)
            for _ in range(9):
                env.step(random_actions(env.action_space, K, rng))
            env.close()
            files = sorted((tmp_path / name).iterdir())
            assert [file.name for file in files] == [f"{copy}.monitor.csv" for copy in range(K)]
            lines = [file.read_text().splitlines() for file in files]
            assert all(f'"env_id": "{env_id}"' in header for header, *_ in lines)
            rows.append([[row.split(",")[:2] for row in rest] for _, *rest in lines])
        for ours, theirs in zip(*rows, strict=True):
            assert ours[0] == theirs[0] == ["r", "l"]
            assert len(ours) >= 3
            np.testing.assert_allclose(
                np.array(ours[1:], float), np.array(theirs[1:], float), rtol=0.0, atol=2e-6
            )

    @pytest.mark.parametrize("n_copies", [1, 6])
    @pytest.mark.parametrize("env_id", ROLLOUTS)
    def test_a_rollout_in_one_call_is_stepping_bit_for_bit(
        self, env_id: str, n_copies: int
    ) -> None:
        n_steps = 60
        ours, theirs = (
            CompiledVecEnv(env_id, n_copies, seed=3, max_episode_steps=12) for _ in range(2)
        )
        layout = layout_of(ours)
        params = parameters(layout)
        present, starts = theirs.reset(), np.ones(n_copies, np.bool_)
        ours.reset()
        expected_starts, truncated = starts, []
        for half in range(2):  # the second goes on where the first ended
            noise = noise_for(layout, n_steps, n_copies, seed=half)
            buffer, expected = buffer_for(ours, n_steps), buffer_for(theirs, n_steps)
            outcome = ours.rollout(layout, params, RolloutArrays.of(buffer), starts, noise, GAMMA)
            present, expected_starts, ended = stepped(
                theirs, layout, params, present, expected_starts, noise, expected
            )
            starts = outcome.dones
            names = RolloutArrays._fields
            for name, ours_of, theirs_of in zip(
                names, RolloutArrays.of(buffer), RolloutArrays.of(expected), strict=True
            ):
                np.testing.assert_array_equal(ours_of, theirs_of, name)
            np.testing.assert_array_equal(outcome.last_observations, present)
            np.testing.assert_array_equal(outcome.dones, expected_starts)
            episodes = [
                (*where, episode["r"], episode["l"], cut)
                for where, episode, cut in zip(
                    outcome.ended_at.tolist(), outcome.episodes, outcome.truncated, strict=True
                )
            ]
            assert episodes == ended
            assert outcome.failure is None
            truncated += outcome.truncated.tolist()
        assert any(truncated)

    @pytest.mark.parametrize("env_id", ROLLOUTS)
    def test_an_evaluation_in_one_call_is_sb3s(self, env_id: str) -> None:
        ours = CompiledVecEnv(env_id, K, seed=6, max_episode_steps=12)
        theirs = make_vec_env(env_id, K, seed=6, env_kwargs={"max_episode_steps": 12})
        layout = layout_of(ours)
        params = parameters(layout)
        returns, lengths = ours.evaluate(layout, params, 10)
        expected, expected_lengths = evaluate_policy(
            Best(ours, layout, params),  # type: ignore[arg-type]  # as much as it uses
            theirs,
            10,
            return_episode_rewards=True,
        )
        assert lengths.tolist() == expected_lengths
        assert returns == pytest.approx(expected, abs=1e-3)
