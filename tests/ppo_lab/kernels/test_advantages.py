"""The compiled estimators are those of the rollout buffer, to the last bit."""

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from ppo_lab.kernels.advantages import estimate_advantages
from ppo_lab.kernels.typing import Trajectories
from ppo_lab.ppo.buffers import SpecRolloutBuffer


@pytest.mark.parametrize("estimator", ["gae", "mc", "td0", "nstep"])
@given(
    st.integers(1, 12), st.integers(1, 4), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**6)
)
def test_estimators_are_the_buffers(
    estimator: Any, n_steps: int, n_envs: int, gamma: float, gae_lambda: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (n_steps, n_envs)
    buffer = SpecRolloutBuffer(
        n_steps,
        spaces.Box(-1, 1, (1,)),
        spaces.Discrete(2),
        gamma=gamma,
        gae_lambda=gae_lambda,
        n_envs=n_envs,
    )
    buffer.advantage_estimator, buffer.n_step = estimator, 3
    buffer.rewards = rng.standard_normal(shape).astype(np.float32)
    buffer.values = rng.standard_normal(shape).astype(np.float32)
    buffer.episode_starts = (rng.random(shape) < 0.3).astype(np.float32)
    last, dones = rng.standard_normal(n_envs).astype(np.float32), rng.random(n_envs) < 0.5
    buffer.compute_returns_and_advantage(th.as_tensor(last), dones)

    trajectories = Trajectories(
        buffer.rewards, buffer.values, last, buffer.episode_starts, dones.astype("f4")
    )
    advantages, returns = np.empty(shape, np.float32), np.empty(shape, np.float32)
    estimate_advantages(estimator, trajectories, gamma, gae_lambda, 3, advantages, returns)
    np.testing.assert_array_equal(advantages, buffer.advantages)
    np.testing.assert_array_equal(returns, buffer.returns)
