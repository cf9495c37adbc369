"""Spec 2, 5, 6 and 7: the losses against literals, torch.distributions and autograd."""

import math

import pytest
import torch as th
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from ppo_lab.ppo import objectives as obj


def test_ratio_is_one_where_the_policy_has_not_moved() -> None:
    log_prob = th.tensor([-0.3, -7.0])
    assert th.equal(obj.probability_ratio(log_prob, log_prob), th.ones(2))


def test_ratio_is_the_quotient_of_the_probabilities() -> None:
    ratio = obj.probability_ratio(th.log(th.tensor([0.5, 0.1])), th.log(th.tensor([0.25, 0.4])))
    th.testing.assert_close(ratio, th.tensor([2.0, 0.25]))


def test_effective_sample_size_counts_the_samples_that_the_weights_leave() -> None:
    assert obj.effective_sample_size(th.ones(7)).item() == 7
    # (3 + 1)² / (9 + 1) = 1.6
    assert obj.effective_sample_size(th.tensor([3.0, 1.0])).item() == pytest.approx(1.6)


def test_importance_weights_turn_one_mean_into_the_others() -> None:
    """Spec 2.2: E_{x~p2} f = E_{x~p1}[p2/p1 f], exactly, over a finite sample space."""
    p1, p2, f = th.tensor([0.2, 0.3, 0.5]), th.tensor([0.6, 0.3, 0.1]), th.tensor([1.0, -2, 5])
    weighted = (p1 * obj.probability_ratio(p2.log(), p1.log()) * f).sum()
    th.testing.assert_close(weighted, (p2 * f).sum())


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.5, 1.0, 1.2),  # gains beyond 1 + ε do not count: min(1.5, 1.2)
        (0.5, 1.0, 0.5),  # losses below do: min(0.5, 0.8)
        (1.5, -1.0, -1.5),  # min(−1.5, −1.2)
        (0.5, -1.0, -0.8),  # min(−0.5, −0.8)
        (1.1, 2.0, 2.2),  # inside the range: r Â
    ],
)
def test_clipped_surrogate_takes_the_pessimistic_side(
    ratio: float, advantage: float, expected: float
) -> None:
    surrogate = obj.clipped_surrogate(th.tensor([ratio]), th.tensor([advantage]), 0.2)
    assert surrogate.item() == pytest.approx(expected)


def test_clipped_surrogate_averages_the_batch() -> None:
    surrogate = obj.clipped_surrogate(th.tensor([1.5, 1.5]), th.tensor([1.0, -1.0]), 0.2)
    assert surrogate.item() == pytest.approx((1.2 - 1.5) / 2)


@given(st.floats(0.01, 0.9), st.integers(0, 2**31))
def test_clipping_never_raises_the_surrogate(clip_range: float, seed: int) -> None:
    generator = th.Generator().manual_seed(seed)
    ratio = th.rand(16, generator=generator) * 3
    advantages = th.randn(16, generator=generator)
    clipped = obj.clipped_surrogate(ratio, advantages, clip_range)
    assert clipped <= obj.surrogate(ratio, advantages) + 1e-6


def test_no_gradient_flows_through_a_clipped_ratio() -> None:
    """Spec 5.3: an unclipped ratio would keep pushing here."""
    ratio = th.tensor([1.5, 0.5, 1.5], requires_grad=True)
    obj.clipped_surrogate(ratio, th.tensor([1.0, -1.0, -1.0]), 0.2).backward()
    assert ratio.grad is not None
    # The third is a loss: it must still be felt, −1/3.
    th.testing.assert_close(ratio.grad, th.tensor([0.0, 0.0, -1 / 3]))


def test_policy_gradient_is_the_score_weighted_by_the_advantage() -> None:
    """Spec 5.1: ∂/∂logit of E[log π Â] = E[(1[a] − π) Â]."""
    logits = th.tensor([[0.1, 0.7, -0.4], [1.0, 0.0, 0.0]], requires_grad=True)
    actions, advantages = th.tensor([1, 0]), th.tensor([2.0, -3.0])
    log_prob = Categorical(logits=logits).log_prob(actions)
    obj.policy_gradient(log_prob, advantages).backward()
    one_hot = th.eye(3)[actions]
    expected = (one_hot - logits.detach().softmax(-1)) * advantages[:, None] / 2
    th.testing.assert_close(logits.grad, expected)


def test_first_gradient_of_the_surrogates_is_the_policy_gradient() -> None:
    """At r = 1, ∇r = ∇log π: clip, plain surrogate and policy gradient start out the same."""
    advantages, old = th.tensor([0.5, -1.5, 2.0]), th.tensor([-1.0, -0.2, -2.0])
    gradients = []
    for objective in (
        lambda lp: obj.clipped_surrogate(obj.probability_ratio(lp, old), advantages, 0.2),
        lambda lp: obj.surrogate(obj.probability_ratio(lp, old), advantages),
        lambda lp: obj.policy_gradient(lp, advantages),
    ):
        log_prob = old.clone().requires_grad_()
        objective(log_prob).backward()
        gradients.append(log_prob.grad)
    th.testing.assert_close(gradients[0], gradients[2])
    th.testing.assert_close(gradients[1], gradients[2])


def test_value_loss_is_the_mean_squared_error() -> None:
    loss = obj.value_loss(th.tensor([1.0, 2.0]), th.tensor([2.0, 5.0]), th.zeros(2), None)
    assert loss.item() == (1 + 9) / 2


def test_clipped_value_stays_near_its_old_value() -> None:
    values, old = th.tensor([3.0, -3.0, 0.1]), th.zeros(3)
    loss = obj.value_loss(values, th.ones(3), old, 0.5)
    # Clipped to 0.5, −0.5, 0.1: (0.25 + 2.25 + 0.81) / 3
    assert loss.item() == pytest.approx(3.31 / 3)


def test_total_loss_is_minus_objective_plus_value_loss_minus_entropy() -> None:
    total = obj.total_loss(th.tensor(2.0), th.tensor(3.0), th.tensor(5.0), 0.5, 0.01)
    assert total.shape == ()
    assert total.item() == pytest.approx(-2 + 0.5 * 3 - 0.01 * 5)


def test_entropy_falls_back_to_minus_the_mean_log_probability() -> None:
    log_prob = th.tensor([-1.0, -3.0])
    assert obj.entropy_estimate(None, log_prob).item() == 2
    assert obj.entropy_estimate(th.tensor([0.5, 1.5]), log_prob).item() == 1


def test_clip_fraction_counts_ratios_outside_the_range() -> None:
    ratio = th.tensor([1.0, 1.19, 1.21, 0.79, 0.81])
    assert obj.clip_fraction(ratio, 0.2).item() == pytest.approx(2 / 5)


def test_k1_and_k3_of_a_doubled_probability() -> None:
    log_ratio = th.log(th.tensor([2.0]))
    assert obj.kl_k1(log_ratio).item() == pytest.approx(-math.log(2))
    assert obj.kl_k3(log_ratio).item() == pytest.approx(2 - 1 - math.log(2))


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=20))
def test_k3_is_never_negative(log_ratios: list[float]) -> None:
    # e^ρ − 1 rounds to a multiple of 1e-16, beside which a tiny ρ is exact.
    assert obj.kl_k3(th.tensor(log_ratios, dtype=th.float64)) >= -1e-15


@given(st.integers(0, 2**31), st.integers(2, 5))
def test_exact_categorical_kl_is_that_of_torch_distributions(seed: int, actions: int) -> None:
    generator = th.Generator().manual_seed(seed)
    old, new = th.randn(2, 6, actions, generator=generator, dtype=th.float64)
    expected = kl_divergence(Categorical(logits=old), Categorical(logits=new))
    th.testing.assert_close(obj.categorical_kl(old, new), expected)


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_exact_gaussian_kl_is_that_of_torch_distributions(seed: int, dimensions: int) -> None:
    generator = th.Generator().manual_seed(seed)
    mean, other_mean = th.randn(2, 6, dimensions, generator=generator, dtype=th.float64)
    log_std, other_log_std = th.randn(2, dimensions, generator=generator, dtype=th.float64)
    expected = kl_divergence(
        Independent(Normal(mean, log_std.exp().expand(6, dimensions)), 1),
        Independent(Normal(other_mean, other_log_std.exp().expand(6, dimensions)), 1),
    )
    actual = obj.gaussian_kl(mean, log_std, other_mean, other_log_std)
    th.testing.assert_close(actual, expected)


def test_means_of_k1_and_k3_converge_to_the_exact_kl() -> None:
    old = Normal(th.tensor(0.0, dtype=th.float64), th.tensor(1.0, dtype=th.float64))
    new = Normal(th.tensor(0.4, dtype=th.float64), th.tensor(1.3, dtype=th.float64))
    samples = 400_000
    actions = th.randn(samples, generator=th.Generator().manual_seed(0), dtype=th.float64)
    log_ratio = new.log_prob(actions) - old.log_prob(actions)
    exact = kl_divergence(old, new).item()
    for estimate, terms in (
        (obj.kl_k1(log_ratio), -log_ratio),
        (obj.kl_k3(log_ratio), log_ratio.exp() - 1 - log_ratio),
    ):
        standard_error = (terms.std() / math.sqrt(samples)).item()
        assert abs(estimate.item() - exact) < 4 * standard_error
        assert standard_error < 0.02 * exact
