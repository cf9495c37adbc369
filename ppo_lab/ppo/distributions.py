"""SB3's distributions of one categorical and of Gaussian actions, with one check in place of many.

``torch.distributions`` checks every parameter and every sample by itself, which is a fifth of what
acting costs with a small network. Here one sum tells whether anything is NaN or infinite; only
then torch's own checks run, and raise what they always raised. The numbers are SB3's to the bit.
"""

import math

import torch as th
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    Distribution,
)
from torch.distributions import Categorical, Normal

__all__ = ["CheckedOnceCategorical", "CheckedOnceGaussian", "checked_once"]

TORCH_CHECKS = True
"""``validate_args``, whatever torch's default was set to: workers of ours set it to False."""


class CheckedOnceCategorical(CategoricalDistribution):
    """SB3's ``CategoricalDistribution``."""

    def proba_distribution(self, action_logits: th.Tensor) -> "CheckedOnceCategorical":
        """Of logits (B, A); ``ValueError`` as torch's where one is NaN or infinite."""
        is_sound = math.isfinite(action_logits.detach().sum())
        checks = False if is_sound else TORCH_CHECKS
        self.distribution = Categorical(logits=action_logits, validate_args=checks)
        return self

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """(B,) of actions (B,); ``ValueError`` for one that is no whole number."""
        if actions.is_floating_point():
            # Unchecked, torch would take the action below it; those out of range it refuses.
            checked = Categorical(logits=self.distribution.logits, validate_args=TORCH_CHECKS)
            return checked.log_prob(actions)  # type: ignore[no-untyped-call, no-any-return]
        return super().log_prob(actions)


class CheckedOnceGaussian(DiagGaussianDistribution):
    """SB3's ``DiagGaussianDistribution``."""

    def proba_distribution(
        self, mean_actions: th.Tensor, log_std: th.Tensor
    ) -> "CheckedOnceGaussian":
        """Of means (B, D) and log σ (D,); ``ValueError`` as torch's where one is NaN or σ is 0."""
        std = log_std.exp()
        is_sound = (
            math.isfinite(mean_actions.detach().sum()) and 0 < float(std.detach().min()) < math.inf
        )
        checks = False if is_sound else TORCH_CHECKS
        scales = th.ones_like(mean_actions) * std
        self.distribution = Normal(mean_actions, scales, validate_args=checks)
        return self


def checked_once(distribution: Distribution) -> Distribution:
    """The same distribution with one check, where it is one of the two; else as it is."""
    if type(distribution) is CategoricalDistribution:
        return CheckedOnceCategorical(distribution.action_dim)
    if type(distribution) is DiagGaussianDistribution:
        return CheckedOnceGaussian(distribution.action_dim)
    return distribution
