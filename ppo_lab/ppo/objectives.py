"""The losses of the specification (Spec 2, 5, 6, 7) as pure functions of tensors.

Every function takes one minibatch, tensors of shape (B,), and returns a scalar unless it says
otherwise; a scalar may stand for numbers that are the same for all samples. Other shapes raise
``ArgumentError``. Samples come from π_old; log r_t(θ) = log π_θ(a_t|s_t) − log π_old(a_t|s_t).
"""

from typing import Literal, NamedTuple

import torch as th
from torch.nn import functional as F  # noqa: N812 - its customary name

from ppo_lab.ppo.shapes import check_shapes

__all__ = [
    "Losses",
    "Objective",
    "categorical_kl",
    "clip_fraction",
    "clipped_surrogate",
    "effective_sample_size",
    "entropy_estimate",
    "gaussian_kl",
    "kl_k1",
    "kl_k3",
    "policy_gradient",
    "probability_ratio",
    "surrogate",
    "total_loss",
    "value_loss",
]

Objective = Literal["clip", "kl", "adaptive_kl", "vanilla"]


class Losses(NamedTuple):
    """The terms of Spec 6.2 for one minibatch, all scalars but the last two, which are (B,)."""

    objective: th.Tensor
    value_loss: th.Tensor
    entropy: th.Tensor
    total: th.Tensor
    log_ratio: th.Tensor
    ratio: th.Tensor


def probability_ratio(log_prob: th.Tensor, old_log_prob: th.Tensor) -> th.Tensor:
    """r_t(θ) = π_θ(a_t|s_t) / π_old(a_t|s_t) = exp(log π_θ − log π_old) (Spec 2.3).

    Args:
        log_prob: (B,) log π_θ(a_t|s_t), attached to the actor's graph.
        old_log_prob: (B,) log π_old(a_t|s_t), a constant.

    Returns:
        (B,) ratios; 1 to float precision before the first step of an update.
    """
    check_shapes(1, log_prob=log_prob, old_log_prob=old_log_prob)
    return th.exp(log_prob - old_log_prob)


def effective_sample_size(ratio: th.Tensor) -> th.Tensor:
    """(Σ r)² / Σ r², between 1 and B: how many samples the importance weights leave (Spec 2.3)."""
    check_shapes(1, ratio=ratio)
    return ratio.sum().square() / ratio.square().sum()


def clipped_surrogate(ratio: th.Tensor, advantages: th.Tensor, clip_range: float) -> th.Tensor:
    """L^CLIP = E[min(r_t Â_t, clip(r_t, 1−ε, 1+ε) Â_t)], to be maximised (Spec 6.1).

    Schulman et al. 2017, eq. 7.

    Args:
        ratio: (B,) r_t(θ).
        advantages: (B,) Â_t, constants.
        clip_range: ε > 0.

    Returns:
        Scalar.
    """
    check_shapes(1, ratio=ratio, advantages=advantages)
    unclipped = advantages * ratio
    clipped = advantages * th.clamp(ratio, 1 - clip_range, 1 + clip_range)
    return th.min(unclipped, clipped).mean()


def surrogate(ratio: th.Tensor, advantages: th.Tensor) -> th.Tensor:
    """L^CPI = E[r_t Â_t], to be maximised under a limit on the KL (Spec 7.1, 7.2)."""
    check_shapes(1, ratio=ratio, advantages=advantages)
    return (advantages * ratio).mean()


def policy_gradient(log_prob: th.Tensor, advantages: th.Tensor) -> th.Tensor:
    """E[log π_θ(a_t|s_t) Â_t], whose gradient is the policy gradient (Spec 5.1).

    With the return in Â's place this is REINFORCE, with a bootstrapped advantage A2C.
    """
    check_shapes(1, log_prob=log_prob, advantages=advantages)
    return (advantages * log_prob).mean()


def value_loss(
    values: th.Tensor, returns: th.Tensor, old_values: th.Tensor, clip_range_vf: float | None
) -> th.Tensor:
    """L^V = mean (R̂ − V)², optionally with V kept near its old value (Spec 6.2).

    Args:
        values: (B,) V_φ(s_t), attached to the critic's graph.
        returns: (B,) the targets R̂_t.
        old_values: (B,) V at the time of the rollout.
        clip_range_vf: V is clipped to old ± this (it depends on the scale of the rewards);
            None: not clipped.

    Returns:
        Scalar.
    """
    check_shapes(1, values=values, returns=returns, old_values=old_values)
    if clip_range_vf is not None:
        values = old_values + th.clamp(values - old_values, -clip_range_vf, clip_range_vf)
    return F.mse_loss(returns, values)


def entropy_estimate(entropy: th.Tensor | None, log_prob: th.Tensor) -> th.Tensor:
    """H(π): the mean entropy, or −mean log π where no closed form exists (squashed gSDE)."""
    check_shapes(1, log_prob=log_prob, entropy=log_prob if entropy is None else entropy)
    # The two signs of the second case are kept as SB3 has them: the same gradient to the last bit.
    return th.mean(-log_prob) if entropy is None else th.mean(entropy)


def total_loss(
    policy_objective: th.Tensor,
    critic_loss: th.Tensor,
    entropy: th.Tensor,
    vf_coef: float,
    ent_coef: float,
) -> th.Tensor:
    """−L + c_v L^V − c_e H(π), to be minimised (Spec 6.2; Schulman et al. 2017, eq. 9).

    Args:
        policy_objective: scalar L (L^CLIP, or another objective to be maximised).
        critic_loss: scalar L^V.
        entropy: scalar H(π).
        vf_coef: c_v ≥ 0.
        ent_coef: c_e ≥ 0.

    Returns:
        Scalar.
    """
    check_shapes(1, policy_objective=policy_objective, critic_loss=critic_loss, entropy=entropy)
    return -policy_objective + ent_coef * -entropy + vf_coef * critic_loss


def clip_fraction(ratio: th.Tensor, clip_range: float) -> th.Tensor:
    """Share of samples with |r − 1| > ε: healthy 0.1–0.2, alarm above 0.3 (Spec 8.2)."""
    check_shapes(1, ratio=ratio)
    return th.mean((th.abs(ratio - 1) > clip_range).float())


def kl_k1(log_ratio: th.Tensor) -> th.Tensor:
    """k1 = mean(−ρ), ρ = log r: unbiased for KL(π_old‖π), but may be negative (Spec 7.6)."""
    check_shapes(1, log_ratio=log_ratio)
    return th.mean(-log_ratio)


def kl_k3(log_ratio: th.Tensor) -> th.Tensor:
    """k3 = mean((e^ρ − 1) − ρ), ρ = log r: unbiased and never negative (Spec 7.6).

    The estimator that SB3 logs as ``train/approx_kl`` (Schulman, "Approximating KL divergence").
    """
    check_shapes(1, log_ratio=log_ratio)
    return th.mean((th.exp(log_ratio) - 1) - log_ratio)


def categorical_kl(old_logits: th.Tensor, logits: th.Tensor) -> th.Tensor:
    """Exact KL(π_old‖π) = Σ_a π_old(a) (log π_old(a) − log π(a)) (Spec 7.6).

    Args:
        old_logits: (B, A), not necessarily normalised.
        logits: (B, A).

    Returns:
        (B,) divergences.
    """
    check_shapes(2, old_logits=old_logits, logits=logits)
    old_log_probs = F.log_softmax(old_logits, dim=-1)
    log_probs = F.log_softmax(logits, dim=-1)
    return (old_log_probs.exp() * (old_log_probs - log_probs)).sum(dim=-1)


def gaussian_kl(
    old_mean: th.Tensor, old_log_std: th.Tensor, mean: th.Tensor, log_std: th.Tensor
) -> th.Tensor:
    """Exact KL(π_old‖π) of diagonal Gaussians (Spec 7.6).

    Σ_i [log σ_i − log σ_old,i + (σ_old,i² + (μ_old,i − μ_i)²) / (2 σ_i²) − ½].

    Args:
        old_mean: (B, D).
        old_log_std: (B, D) or (D,).
        mean: (B, D).
        log_std: (B, D) or (D,).

    Returns:
        (B,) divergences.
    """
    spreads = {"old_log_std": _rows(old_log_std, mean), "log_std": _rows(log_std, mean)}
    check_shapes(2, old_mean=old_mean, mean=mean, **spreads)
    squares = (2 * old_log_std).exp() + (old_mean - mean).square()
    terms = log_std - old_log_std + squares / (2 * (2 * log_std).exp()) - 0.5
    return terms.sum(dim=-1)


def _rows(vector: th.Tensor, table: th.Tensor) -> th.Tensor:
    """(D,) as one row for each of a table's (B, D); every other shape as it is."""
    return vector.expand_as(table) if vector.shape == table.shape[1:] else vector
