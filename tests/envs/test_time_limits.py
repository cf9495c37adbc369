"""RL Zoo's time limit, which replaces Gymnasium's for a process, is known as what it is."""

import sys
from types import ModuleType
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from envs.time_limits import GYMNASIUMS, is_altered_time_limit, is_time_limit, zoos


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
