"""What two vector environments return step by step, compared: SB3's DummyVecEnv is the oracle."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

EVERY_ENVS = ("TimeLimit.truncated", "terminal_observation", "episode")
"""What is in infos whatever the environment; the others are the environment's own."""


def random_actions(space: spaces.Space[Any], n_envs: int, rng: np.random.Generator) -> Any:
    """Actions that reach goals and bounds now and then."""
    if isinstance(space, spaces.Box):
        actions = rng.normal(size=(n_envs, *space.shape)) * space.high
        return np.clip(actions, space.low, space.high).astype(np.float32)
    assert isinstance(space, spaces.Discrete)
    return rng.integers(space.n, size=n_envs)


def assert_same_infos(
    infos: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float
) -> None:
    """Compare what SB3 puts into infos; statistics to the digits that Monitor rounds to."""
    for info, other in zip(infos, expected, strict=True):
        assert info.keys() & EVERY_ENVS == other.keys() & EVERY_ENVS
        assert info["TimeLimit.truncated"] is other["TimeLimit.truncated"]
        if "terminal_observation" in other:
            last, expected_last = info["terminal_observation"], other["terminal_observation"]
            np.testing.assert_allclose(last, expected_last, rtol=0.0, atol=tolerance)
        if "episode" in other:
            assert info["episode"]["r"] == pytest.approx(other["episode"]["r"], abs=2e-6)
            assert info["episode"]["l"] == other["episode"]["l"]
            assert 0.0 <= info["episode"]["t"] < 600.0


def assert_same_step(
    ours: VecEnv, theirs: VecEnv, actions: Any, tolerance: float = 0.0
) -> list[dict[str, Any]]:
    """Step both and compare all that they return; the infos of the episodes that ended."""
    (*arrays, infos), (*expected, their_infos) = ours.step(actions), theirs.step(actions)
    for array, other in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(array, other, rtol=0.0, atol=tolerance)
        assert array.dtype == other.dtype
    assert_same_infos(infos, their_infos, tolerance)
    return [info for info in infos if "terminal_observation" in info]
