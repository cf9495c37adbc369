"""Spec 3 and 4: targets and advantages against literals, closed forms, SB3 and each other."""

from typing import Any

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import RolloutBuffer

from ppo_lab.ppo import advantages as adv

GAMMA, LAMBDA = 0.9, 0.5


def column(*values: float) -> th.Tensor:
    """One environment's numbers over time, (T, 1)."""
    return th.tensor(values, dtype=th.float64).reshape(-1, 1)


@st.composite
def rollouts(draw: st.DrawFn) -> dict[str, th.Tensor]:
    """Random rewards and values, terminations and truncations anywhere, (T, N) float64."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ends = rng.choice(3, size=shape, p=(0.6, 0.2, 0.2))
    return {
        "rewards": th.as_tensor(rng.normal(size=shape)),
        "values": th.as_tensor(rng.normal(size=shape)),
        "next_values": th.as_tensor(rng.normal(size=shape)),
        "terminated": th.as_tensor((ends == 1).astype(np.float64)),
        "done": th.as_tensor((ends > 0).astype(np.float64)),
    }


def consistent(rollout: dict[str, th.Tensor]) -> dict[str, th.Tensor]:
    """Within an episode, the value of the next state is the next step's value."""
    next_values = rollout["next_values"].clone()
    inside = rollout["done"][:-1] == 0
    next_values[:-1] = th.where(inside, rollout["values"][1:], next_values[:-1])
    return rollout | {"next_values": next_values}


def without_values(rollout: dict[str, th.Tensor]) -> dict[str, th.Tensor]:
    return {name: tensor for name, tensor in rollout.items() if name != "values"}


def test_td_residual_is_reward_plus_discounted_next_value_minus_value() -> None:
    deltas = adv.td_residuals(
        column(1.0, 2.0), column(0.5, 4.0), column(4.0, 10.0), column(0.0, 1.0), GAMMA
    )
    # 1 + 0.9·4 − 0.5 = 4.1;   2 + 0.9·10·(1 − 1) − 4 = −2
    th.testing.assert_close(deltas, column(4.1, -2.0))


def test_gae_discounts_the_residuals_by_gamma_lambda() -> None:
    # δ = (1, 1, 1) since V = 0; γλ = 0.45: 1 + 0.45·(1 + 0.45·1) = 1.6525, 1.45, 1
    zeros = column(0.0, 0.0, 0.0)
    advantages = adv.gae(column(1.0, 1.0, 1.0), zeros, zeros, zeros, zeros, GAMMA, LAMBDA)
    th.testing.assert_close(advantages, column(1.6525, 1.45, 1.0))


def test_gae_carries_nothing_across_a_termination() -> None:
    zeros, end = column(0.0, 0.0), column(1.0, 0.0)
    advantages = adv.gae(column(1.0, 100.0), zeros, column(7.0, 0.0), end, end, GAMMA, LAMBDA)
    # No bootstrap (7) and no carry (100): the reward alone.
    th.testing.assert_close(advantages, column(1.0, 100.0))


def test_gae_bootstraps_but_does_not_carry_across_a_truncation() -> None:
    zeros = column(0.0, 0.0)
    advantages = adv.gae(
        column(1.0, 100.0), zeros, column(7.0, 0.0), zeros, column(1.0, 0.0), GAMMA, LAMBDA
    )
    # 1 + 0.9·7 = 7.3, without the 100 of the next episode.
    th.testing.assert_close(advantages, column(7.3, 100.0))


@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_gae_is_the_sum_of_discounted_residuals_of_its_episode(
    rollout: dict[str, th.Tensor], gamma: float, gae_lambda: float
) -> None:
    deltas = adv.td_residuals(
        *(rollout[k] for k in ("rewards", "values", "next_values", "terminated")), gamma
    )
    expected = th.zeros_like(deltas)
    steps, envs = deltas.shape
    for t in range(steps):
        for n in range(envs):
            for k in range(t, steps):
                expected[t, n] += (gamma * gae_lambda) ** (k - t) * deltas[k, n]
                if rollout["done"][k, n]:
                    break
    actual = adv.gae(**rollout, gamma=gamma, gae_lambda=gae_lambda)
    th.testing.assert_close(actual, expected)


@given(rollouts(), st.floats(0, 1))
def test_lambda_return_with_lambda_one_is_the_monte_carlo_return(
    rollout: dict[str, th.Tensor], gamma: float
) -> None:
    rollout = consistent(rollout)
    advantages = adv.gae(**rollout, gamma=gamma, gae_lambda=1.0)
    th.testing.assert_close(
        adv.lambda_returns(advantages, rollout["values"]),
        adv.monte_carlo_returns(**without_values(rollout), gamma=gamma),
    )


@given(rollouts(), st.floats(0, 1))
def test_lambda_return_with_lambda_zero_is_the_td0_target(
    rollout: dict[str, th.Tensor], gamma: float
) -> None:
    advantages = adv.gae(**rollout, gamma=gamma, gae_lambda=0.0)
    targets = adv.td0_targets(
        rollout["rewards"], rollout["next_values"], rollout["terminated"], gamma
    )
    th.testing.assert_close(adv.lambda_returns(advantages, rollout["values"]), targets)


@given(rollouts(), st.floats(0, 1))
def test_n_step_return_with_n_one_is_the_td0_target(
    rollout: dict[str, th.Tensor], gamma: float
) -> None:
    targets = adv.td0_targets(
        rollout["rewards"], rollout["next_values"], rollout["terminated"], gamma
    )
    returns = adv.n_step_returns(**without_values(rollout), gamma=gamma, n_step=1)
    assert th.equal(returns, targets)


@given(rollouts(), st.floats(0, 1), st.integers(0, 3))
def test_n_step_return_with_n_of_the_rollout_or_more_is_the_monte_carlo_return(
    rollout: dict[str, th.Tensor], gamma: float, beyond: int
) -> None:
    steps = len(rollout["rewards"])
    th.testing.assert_close(
        adv.n_step_returns(**without_values(rollout), gamma=gamma, n_step=steps + beyond),
        adv.monte_carlo_returns(**without_values(rollout), gamma=gamma),
    )


def test_n_step_return_sums_n_rewards_and_the_value_reached() -> None:
    rewards, next_values = column(1.0, 2.0, 3.0, 4.0), column(10.0, 20.0, 30.0, 40.0)
    zeros, done = column(0.0, 0.0, 0.0, 0.0), column(0.0, 0.0, 1.0, 0.0)
    # γ = 0.9, n = 2: 1 + 0.9·2 + 0.81·20 = 19; 2 + 0.9·3 + 0.81·30 = 29 (cut by the time limit)
    # 3 + 0.9·30 = 30 (cut after one step);      4 + 0.9·40 = 40 (the rollout ends)
    truncated = adv.n_step_returns(rewards, next_values, zeros, done, GAMMA, 2)
    th.testing.assert_close(truncated, column(19.0, 29.0, 30.0, 40.0))
    # Terminated there instead, V = 30 drops out: 2 + 0.9·3 = 4.7 and 3.
    terminated = adv.n_step_returns(rewards, next_values, done, done, GAMMA, 2)
    th.testing.assert_close(terminated, column(19.0, 4.7, 3.0, 40.0))


@given(st.floats(0.0, 0.95), st.integers(1, 20), st.integers(0, 2**20 - 1))
def test_truncation_keeps_the_value_of_an_endless_task(gamma: float, steps: int, cut: int) -> None:
    """Constant reward 1: V = 1/(1 − γ) is a fixed point of every target, wherever it is cut."""
    value = 1 / (1 - gamma)
    values = th.full((steps, 1), value, dtype=th.float64)
    truncated = column(*(float(cut >> t & 1) for t in range(steps)))
    ones, never = th.ones_like(values), th.zeros_like(values)
    rollout: dict[str, Any] = {
        "rewards": ones,
        "next_values": values,
        "terminated": never,
        "done": truncated,
        "gamma": gamma,
    }
    for target in (
        adv.monte_carlo_returns(**rollout),
        adv.td0_targets(ones, values, never, gamma),
        adv.n_step_returns(**rollout, n_step=3),
        adv.lambda_returns(adv.gae(**rollout, values=values, gae_lambda=0.9), values),
    ):
        th.testing.assert_close(target, values)


@settings(max_examples=50)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 20),
    st.integers(1, 4),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_buffer_repeats_sb3s_advantages_and_returns_bit_for_bit(
    seed: int, steps: int, n_envs: int, gamma: float, gae_lambda: float
) -> None:
    from ppo_lab.ppo.buffers import SpecRolloutBuffer

    rng = np.random.default_rng(seed)
    shape = steps, n_envs
    rewards, values = rng.normal(size=(2, *shape)).astype(np.float32)
    starts = rng.integers(0, 2, shape).astype(np.float32)
    last_values = th.as_tensor(rng.normal(size=(n_envs, 1)).astype(np.float32))
    dones = rng.integers(0, 2, n_envs).astype(bool)
    filled = []
    for buffer_class in (RolloutBuffer, SpecRolloutBuffer):
        buffer = buffer_class(
            steps,
            spaces.Box(-1, 1, (1,)),
            spaces.Discrete(2),
            gamma=gamma,
            gae_lambda=gae_lambda,
            n_envs=n_envs,
            device="cpu",
        )
        buffer.rewards, buffer.values, buffer.episode_starts = rewards, values, starts
        buffer.compute_returns_and_advantage(last_values, dones)
        filled.append(buffer)
    np.testing.assert_array_equal(filled[1].advantages, filled[0].advantages)
    np.testing.assert_array_equal(filled[1].returns, filled[0].returns)
    assert filled[1].advantages.dtype == filled[0].advantages.dtype == np.float32


def test_normalized_advantages_have_mean_zero_and_standard_deviation_one() -> None:
    # mean 2, Bessel's std 1 (Σ(x−2)² = 2 over 3 − 1)
    normalized = adv.normalize_advantages(th.tensor([1.0, 2.0, 3.0]))
    th.testing.assert_close(normalized, th.tensor([-1.0, 0.0, 1.0]))


def test_equal_advantages_normalize_to_zero() -> None:
    assert th.equal(adv.normalize_advantages(th.full((4,), 3.0)), th.zeros(4))


@pytest.mark.parametrize("estimator", ["mc", "td0", "nstep"])
@pytest.mark.parametrize("use_baseline", [True, False])
def test_buffer_takes_the_chosen_target_and_subtracts_the_baseline(
    estimator: Any, use_baseline: bool
) -> None:
    from ppo_lab.ppo.buffers import SpecRolloutBuffer

    buffer = SpecRolloutBuffer(
        3, spaces.Box(-1, 1, (1,)), spaces.Discrete(2), gamma=0.5, device="cpu"
    )
    buffer.advantage_estimator, buffer.n_step, buffer.use_baseline = estimator, 2, use_baseline
    buffer.rewards = np.array([[1.0], [2.0], [4.0]], dtype=np.float32)
    buffer.values = np.array([[8.0], [16.0], [32.0]], dtype=np.float32)
    buffer.compute_returns_and_advantage(th.tensor([[64.0]]), np.array([False]))
    # γ = ½: mc 4+32=36, 2+18=20, 1+10=11; td0 4+32=36, 2+16=18, 1+8=9;
    # 2 steps: 36, 2+½·4+¼·64=20, 1+½·2+¼·32=10
    expected = {"mc": [11.0, 20, 36], "td0": [9.0, 18, 36], "nstep": [10.0, 20, 36]}[estimator]
    np.testing.assert_array_equal(buffer.returns.ravel(), expected)
    baseline = np.array([8.0, 16, 32]) if use_baseline else np.zeros(3)
    np.testing.assert_array_equal(buffer.advantages.ravel(), expected - baseline)
