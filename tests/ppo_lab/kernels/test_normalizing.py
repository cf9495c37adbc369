"""The kernel of ``VecNormalize``: SB3's ``RunningMeanStd`` and NumPy give every bit of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd

from ppo_lab.kernels import normalizing as places
from ppo_lab.kernels.normalizing import MOMENTS, MOST, normalize_step

GAMMA, EPSILON, CLIP_OBS, CLIP_REWARD = 0.97, 1e-8, 3.0, 2.0


class Theirs:
    """SB3's formulas of one step, by SB3's class and NumPy."""

    def __init__(self, k: int, d: int) -> None:
        self.seen, self.paid = RunningMeanStd(shape=(d,)), RunningMeanStd(shape=())
        self.returns = np.zeros(k)

    def step(self, observations: Any, rewards: Any, dones: Any) -> list[NDArray[Any]]:
        self.seen.update(observations)
        shown = (observations - self.seen.mean) / np.sqrt(self.seen.var + EPSILON)
        self.returns = self.returns * GAMMA + rewards
        self.paid.update(self.returns)
        paid = rewards / np.sqrt(self.paid.var + EPSILON)
        self.returns[dones] = 0
        limits = (shown, CLIP_OBS), (paid, CLIP_REWARD)
        return [np.clip(each, -limit, limit).astype(np.float32) for each, limit in limits]

    def numbers(self) -> NDArray[np.float64]:
        seen, paid = self.seen, self.paid
        scalars = [seen.count, float(paid.mean), float(paid.var), paid.count]
        return np.concatenate([scalars, seen.mean, seen.var, self.returns])


def untrained(k: int, d: int) -> NDArray[np.float64]:
    statistics = np.zeros(MOMENTS + 2 * d + k)
    statistics[:7] = [1.0, 1.0, 1.0, GAMMA, EPSILON, CLIP_OBS, CLIP_REWARD]
    statistics[[places.OBS_COUNT, places.RET_COUNT]] = 1e-4
    statistics[places.RET_VAR] = 1.0
    statistics[MOMENTS + d : MOMENTS + 2 * d] = 1.0
    return statistics


def assert_bits(k: int, d: int, steps: list[tuple[Any, Any, Any]]) -> None:
    theirs, statistics = Theirs(k, d), untrained(k, d)
    shown, paid = np.zeros((k, d), np.float32), np.zeros(k, np.float32)
    for observations, rewards, dones in steps:
        with np.errstate(all="ignore"):
            expected = theirs.step(observations, rewards, dones)
        single = observations.dtype == np.float32
        batch = np.zeros((2, d), np.float32 if single else np.float64)
        normalize_step(statistics, observations, rewards, dones, batch, shown, paid)
        np.testing.assert_array_equal(shown, expected[0])
        np.testing.assert_array_equal(paid, expected[1])
        np.testing.assert_array_equal(statistics[places.OBS_COUNT :], theirs.numbers())


@given(
    st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 100, MOST]),
    st.integers(1, 18),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
    st.floats(0.0, 12.0),
)
@settings(max_examples=80, deadline=None)
def test_statistics_are_numpys_in_every_bit(
    k: int, d: int, dtype: Any, seed: int, spread: float
) -> None:
    generator = np.random.default_rng(seed)

    def numbers(*shape: int) -> NDArray[Any]:
        scale = 10 ** generator.uniform(-spread, spread, shape)
        return generator.normal(generator.normal(), 1.0, shape) * scale

    drawn = [
        (numbers(k, d).astype(dtype), numbers(k).astype(np.float32), generator.random(k) < 0.3)
        for _ in range(4)
    ]
    assert_bits(k, d, drawn)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38, -0.0])
@pytest.mark.parametrize("k", [1, 3, 9])
@pytest.mark.parametrize("d", [1, 3])
def test_numbers_that_are_none_are_as_numpys(bad: float, k: int, d: int) -> None:
    steps = []
    for step in range(4):
        observations, rewards = np.full((k, d), 0.5 * step, np.float32), np.ones(k, np.float32)
        if step == 1:
            observations[k // 2, d // 2] = bad
        if step == 2:
            rewards[k - 1] = bad
        steps.append((observations, rewards, np.zeros(k, np.bool_)))
    assert_bits(k, d, steps)
