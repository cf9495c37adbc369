"""What is read of Gymnasium's own, and what is answered where a name of it is gone."""

import sys
from types import ModuleType
from typing import Any

import gymnasium as gym
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.wrappers import OrderEnforcing, TransformReward

from envs.finite import finite_task
from envs.gridworld import GridWorld
from envs.gymnasium_internals import (
    GYMNASIUMS,
    UnknownLimitError,
    has_generator,
    is_altered_time_limit,
    is_time_limit,
    layers_of,
    pays_as_sutton_and_barto,
    replaced_on_wrapper,
    shortest_time_limit,
    zoos,
)
from ppo_lab.errors import NoWorldError
from ppo_lab.worlds.registry import world_of


@pytest.fixture
def zoos_limit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its class, without what importing it does to Gymnasium for good."""
    pytest.importorskip("rl_zoo3")
    for where in (gym.wrappers, gym.wrappers.common, gym.envs.registration):
        monkeypatch.setattr(where, "TimeLimit", GYMNASIUMS)
    monkeypatch.delitem(sys.modules, "rl_zoo3.gym_patches", raising=False)
    import rl_zoo3.gym_patches as patches

    assert isinstance(patches, ModuleType)
    monkeypatch.setitem(sys.modules, "rl_zoo3.gym_patches", patches)
    return patches.PatchedTimeLimit


def test_the_zoos_limit_ends_episodes_as_gymnasiums_does(zoos_limit: Any) -> None:
    assert zoos() is zoos_limit
    for kind in (GYMNASIUMS, zoos_limit):
        env = kind(CartPoleEnv(), 3)
        assert is_time_limit(env)
        assert not is_altered_time_limit(env)
        env.reset(seed=0)
        assert [env.step(0)[3] for _ in range(3)] == [False, False, True]


def test_a_zoos_limit_that_was_changed_is_none(
    zoos_limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoos_limit, "step", lambda self, action: self.env.step(action))
    env = zoos_limit(CartPoleEnv(), 3)
    assert zoos() is None
    assert is_altered_time_limit(env)
    assert not is_time_limit(env)


def test_another_wrapper_is_none_and_not_altered() -> None:
    env = gym.wrappers.OrderEnforcing(CartPoleEnv())
    assert not is_time_limit(env)
    assert not is_altered_time_limit(env)


@pytest.mark.parametrize(("inner", "outer"), [(30, 50), (50, 30)])
def test_of_two_time_limits_the_shorter_holds(inner: int, outer: int, zoos_limit: Any) -> None:
    for kinds in ((GYMNASIUMS, GYMNASIUMS), (GYMNASIUMS, zoos_limit), (zoos_limit, GYMNASIUMS)):
        env = kinds[1](OrderEnforcing(kinds[0](CartPoleEnv(), inner)), outer)
        assert shortest_time_limit(env) == 30
        env.reset(seed=0)


def test_without_a_time_limit_it_is_zero() -> None:
    assert shortest_time_limit(TransformReward(CartPoleEnv(), lambda reward: reward)) == 0


@pytest.mark.parametrize("steps", [7.5, 0, None, True])
def test_a_time_limit_of_no_number_of_steps_is_refused(steps: Any) -> None:
    env = GYMNASIUMS(CartPoleEnv(), 9)
    env._max_episode_steps = steps  # type: ignore[attr-defined]
    with pytest.raises(UnknownLimitError, match=f"its time limit is {steps}"):
        shortest_time_limit(env)


def test_layers_come_from_outside_in() -> None:
    base = CartPoleEnv()
    inner = OrderEnforcing(base)
    outer = GYMNASIUMS(inner, 9)
    assert layers_of(outer) == [outer, inner, base]
    assert layers_of(base) == [base]


# ---------------------------------------------------------------- names that are gone


def _nameless(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Its time limit has no ``_max_episode_steps``."""
    for layer in layers_of(env):
        if is_time_limit(layer):
            del layer._max_episode_steps  # type: ignore[attr-defined]
    return env


def test_without_the_name_a_time_limit_is_that_of_its_spec() -> None:
    env = gym.make("CartPole-v1", max_episode_steps=77)
    assert env.spec is not None  # which the wrapper keeps from now on
    assert shortest_time_limit(_nameless(env)) == 77
    assert world_of(env).max_episode_steps == 77


def test_without_name_and_spec_nothing_is_solved_or_restated() -> None:
    cart, grid = GYMNASIUMS(CartPoleEnv(), 9), GYMNASIUMS(GridWorld(), 9)
    for env in (cart, grid):
        assert env.spec is None
        _nameless(env)
        with pytest.raises(UnknownLimitError, match="its time limit is None"):
            shortest_time_limit(env)
    assert finite_task(grid) is None
    with pytest.raises(NoWorldError, match="its time limit is None"):
        world_of(cart)


def test_without_its_name_a_generator_counts_as_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    env = CartPoleEnv()
    assert not has_generator(env)
    world_of(env)
    env.reset(seed=0)
    assert has_generator(env)
    monkeypatch.delattr(gym.Env, "_np_random")
    fresh = CartPoleEnv()
    assert has_generator(fresh)


def test_without_its_name_cartpoles_reward_is_left_to_python() -> None:
    assert pays_as_sutton_and_barto(CartPoleEnv(sutton_barto_reward=True)) is True
    env = CartPoleEnv()
    del env._sutton_barto_reward
    assert pays_as_sutton_and_barto(env) is None
    with pytest.raises(NoWorldError, match="sutton_barto_reward is None"):
        world_of(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action_space", spaces.Discrete(2)),
        ("observation_space", spaces.Box(-1, 1, (4,))),
        ("metadata", {"render_modes": []}),
    ],
)
def test_what_a_wrapper_says_for_itself_is_seen(name: str, value: Any) -> None:
    env = OrderEnforcing(CartPoleEnv())
    assert replaced_on_wrapper(env) is None
    setattr(env, name, value)
    assert replaced_on_wrapper(env) == name
