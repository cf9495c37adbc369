"""A curriculum (Spec 15.4): when it moves, what it sets, how it goes on, and what cannot work."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from envs.fourrooms import FourRooms
from envs.planning import policy_return
from ppo_lab import Curriculum, SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.exact import model_policy
from ppo_lab.vec_env import make_native_vec_env

SMALL: dict[str, Any] = {"n_steps": 10, "batch_size": 20, "n_epochs": 1, "seed": 0, "device": "cpu"}


class Graded(gym.Env[Any, Any]):
    """Episodes of one step that succeed where ``level`` is at most ``skill``."""

    observation_space, action_space = spaces.Box(-9.0, 9.0, (1,)), spaces.Discrete(2)
    level, skill = 0, 1

    def reset(self, **_: Any) -> Any:
        return np.full(1, self.level, np.float32), {}

    def step(self, _: Any) -> Any:
        succeeded = self.level <= self.skill
        seen = np.full(1, self.level, np.float32)
        return seen, float(succeeded), True, False, {"is_success": succeeded}


def graded(n_envs: int = 2) -> Any:
    return DummyVecEnv([Graded] * n_envs)


def levels_of(env: Any) -> list[int]:
    return list(env.get_attr("level"))


def test_it_rises_with_success_to_where_nothing_succeeds_and_comes_back() -> None:
    env, curriculum = graded(), Curriculum("level", [0, 1, 2, 3], window=20)
    SpecPPO("MlpPolicy", env, **SMALL).learn(120, curriculum)
    # Twenty episodes a rollout: up at 20 and 40 to level 2, which fails; down at 60, and again.
    expected = [(0, 0), (20, 1), (40, 2), (60, 1), (80, 2), (100, 1)]
    assert curriculum.moves == expected
    assert levels_of(env) == [1, 1]


def test_between_the_thresholds_nothing_moves() -> None:
    class Half(Graded):
        def step(self, action: Any) -> Any:
            self.tries = getattr(self, "tries", 0) + 1
            *rest, _ = super().step(action)
            return *rest, {"is_success": self.tries % 2 == 0}

    env = DummyVecEnv([Half, Half])
    at_half = Curriculum("level", [0, 1], raise_at=0.51, lower_at=0.0, window=20)
    SpecPPO("MlpPolicy", env, **SMALL).learn(100, at_half)
    assert at_half.moves == [(0, 0)]
    assert at_half.success_rate == 0.5
    lower = Curriculum("level", [0, 1], raise_at=0.5, lower_at=0.0, window=20)
    SpecPPO("MlpPolicy", DummyVecEnv([Half, Half]), **SMALL).learn(100, lower)
    assert lower.moves == [(0, 0), (20, 1)]


def test_no_two_moves_are_closer_than_a_window_of_episodes() -> None:
    curriculum = Curriculum("level", [0, 1, 2], window=30)
    SpecPPO("MlpPolicy", graded(), **SMALL).learn(100, curriculum)
    # Asked at 20, with 20 episodes, and at 40; then with 20 of the new level at 60, and at 80.
    assert curriculum.moves == [(0, 0), (40, 1), (80, 2)]


def test_the_next_rollout_begins_with_episodes_at_the_new_level() -> None:
    env = VecNormalize(graded(), norm_obs=False)
    model = SpecPPO("MlpPolicy", env, **SMALL)
    model.learn(40, Curriculum("level", [0, 5], window=20))
    assert model.rollout_buffer.observations.min() == 5.0
    assert model.rollout_buffer.episode_starts.all()


def test_a_loaded_model_goes_on_at_its_level_with_what_it_counted(tmp_path: Path) -> None:
    first = Curriculum("level", [0, 1, 2], window=50)
    model = SpecPPO("MlpPolicy", graded(), **SMALL).learn(80, first)
    assert (first.level, first.moves) == (1, [(0, 0), (60, 1)])
    model.save(tmp_path / "model")
    env, second = graded(), Curriculum("level", [0, 1, 2], window=50)
    loaded = SpecPPO.load(tmp_path / "model", env=env, device="cpu")
    loaded.learn(20, second, reset_num_timesteps=False)
    assert levels_of(env) == [1, 1]
    assert second.success_rate == 1.0
    loaded.learn(40, second, reset_num_timesteps=False)
    # Twenty episodes counted before saving, and twenty in each rollout since: 60 at 120.
    assert second.moves == [(0, 0), (60, 1), (120, 2)]


def test_another_curriculum_does_not_go_on_from_its_state() -> None:
    model = SpecPPO("MlpPolicy", graded(), **SMALL).learn(20, Curriculum("level", [0, 1]))
    with pytest.raises(ArgumentError, match=r"moved 'level' over \[0, 1\], this one 'level' over"):
        model.learn(20, Curriculum("level", [0, 9]))


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_it_works_with_algorithms_of_sb3(kind: Any) -> None:
    env, curriculum = graded(1 if kind is DQN else 2), Curriculum("level", [0, 1, 2], window=20)
    options = {"learning_starts": 10} if kind is DQN else {"n_steps": 10, "batch_size": 20}
    kind("MlpPolicy", env, device="cpu", **options).learn(80, curriculum)
    assert curriculum.moves[:3][-1][1] == 2


def test_environments_in_processes_of_their_own_are_moved_too() -> None:
    env = SubprocVecEnv([Graded, Graded], start_method="fork")
    SpecPPO("MlpPolicy", env, **SMALL).learn(40, Curriculum("level", [0, 1], window=20))
    assert levels_of(env) == [1, 1]
    env.close()


def test_rooms_of_another_size_are_those_made_so() -> None:
    env, made = FourRooms(5, noise=0.1, observation="coordinates"), FourRooms(9, noise=0.1)
    env.reset(seed=0)
    env.size = 9
    assert env.size == 9
    assert np.array_equal(env.mdp.next_states, made.mdp.next_states)
    assert np.array_equal(env.mdp.rewards, made.mdp.rewards)
    observation, _ = env.reset()
    assert env.observation_space.contains(observation)
    assert len(env.observations()) == made.mdp.n_states
    with pytest.raises(ValueError, match="size is 4"):
        env.size = 4
    with pytest.raises(ValueError, match="make it with observation='coordinates'"):
        made.size = 11


def test_compiled_copies_cannot_be_moved_and_say_so() -> None:
    kwargs = {"size": 5, "observation": "coordinates"}
    env = make_native_vec_env("ppo_lab/FourRooms-v0", 2, **kwargs)
    with pytest.raises(ArgumentError, match="'set_wrapper_attr' acts on one environment's"):
        SpecPPO("MlpPolicy", env, **SMALL).learn(20, Curriculum("size", [5, 7], success_return=1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"levels": [1]}, r"levels=\[1\]: expected at least two"),
        ({"raise_at": 0.5, "lower_at": 0.5}, "expected 0 ≤ lower_at < raise_at ≤ 1"),
        ({"raise_at": 1.5}, "expected 0 ≤ lower_at < raise_at ≤ 1"),
        ({"window": 0}, "window=0: expected an integer ≥ 1"),
    ],
)
def test_thresholds_that_cannot_work_are_said(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        Curriculum(**{"attribute": "level", "levels": [0, 1], **arguments})


@pytest.mark.parametrize(
    ("attribute", "success_return", "said"),
    [
        ("depth", None, "no attribute 'depth' that can be set in each"),
        ("level", 1.0, r"environment 0 has no info\['episode'\]: put SB3's Monitor"),
    ],
)
def test_what_the_environments_lack_is_said(
    attribute: str, success_return: float | None, said: str
) -> None:
    curriculum = Curriculum(attribute, [0, 1], success_return=success_return)
    with pytest.raises(ArgumentError, match=said):
        SpecPPO("MlpPolicy", graded(), **SMALL).learn(20, curriculum)


def test_episodes_that_do_not_say_whether_they_succeeded_are_refused() -> None:
    env = make_vec_env("ppo_lab/GridWorld-v0", 2)
    with pytest.raises(ArgumentError, match=r"no info\['is_success'\]: give .* success_return"):
        SpecPPO("MlpPolicy", env, **{**SMALL, "n_steps": 100}).learn(
            200, Curriculum("state", [0, 0])
        )


@pytest.mark.slow
def test_growing_rooms_lead_to_an_exit_that_the_largest_alone_does_not() -> None:
    kwargs: dict[str, Any] = {"size": 21, "observation": "coordinates"}
    returns = {}
    for name in ("growing", "largest"):
        env = make_vec_env("ppo_lab/FourRooms-v0", 16, seed=0, env_kwargs=kwargs)
        model = SpecPPO(
            "MlpPolicy",
            env,
            n_steps=128,
            batch_size=512,
            n_epochs=4,
            learning_rate=1e-3,
            ent_coef=0.01,
            seed=0,
            device="cpu",
        )
        growing = Curriculum("size", list(range(5, 22, 2)), success_return=1.0, window=100)
        model.learn(200_000, growing if name == "growing" else None)
        single = gym.make("ppo_lab/FourRooms-v0", **kwargs)
        table = model_policy(model, single, deterministic=False)
        returns[name] = policy_return(single.unwrapped.mdp, table, 100)
    assert returns["largest"] < 0.01
    assert returns["growing"] > 0.9
