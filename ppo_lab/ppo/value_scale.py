"""A value head that learns on normalised targets (Spec 14.4)."""

import torch as th
from torch import nn

__all__ = ["EPSILON", "ScaledValue"]

EPSILON = 1e-8
"""Added to the targets' variance, as ``VecNormalize`` adds it to the returns'."""


class ScaledValue(nn.Module):
    """The critic's last layer v, read as V = μ + σ v (Spec 14.4).

    μ and σ² are the mean and variance of all targets R̂ so far, every one with the same weight,
    σ² with :data:`EPSILON` added; before the first target μ = 0 and σ = 1. They are part of the
    policy's state, so that saving and loading keep them. Source: Yu et al.
    2022, *The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games*, section 5.1.

    Args:
        layer: (B, features) to (B, 1).

    Attributes:
        mean: μ, float64.
        variance: σ² without the addition, float64.
        count: how many targets there were, float64.
    """

    mean: th.Tensor
    variance: th.Tensor
    count: th.Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("mean", th.zeros((), dtype=th.float64))
        self.register_buffer("variance", th.ones((), dtype=th.float64))
        self.register_buffer("count", th.zeros((), dtype=th.float64))

    @property
    def std(self) -> th.Tensor:
        """σ, float64."""
        return self.variance if not self.count else (self.variance + EPSILON).sqrt()

    def forward(self, features: th.Tensor) -> th.Tensor:
        """(B, features) to V, (B, 1)."""
        value: th.Tensor = self.layer(features)
        return self.mean.to(value.dtype) + self.std.to(value.dtype) * value

    def normalize(self, values: th.Tensor) -> th.Tensor:
        """Targets or values to (R̂ − μ)/σ, in their own type."""
        return ((values.to(th.float64) - self.mean) / self.std).to(values.dtype)

    @th.no_grad()
    def update(self, targets: th.Tensor) -> None:
        """Take targets (…) into μ and σ² (Chan, Golub and LeVeque 1979)."""
        new = targets.to(self.mean).flatten()
        n, m = float(self.count), len(new)
        shift = new.mean() - self.mean
        scatter = n * self.variance + m * new.var(unbiased=False) + shift**2 * n * m / (n + m)
        self.mean += shift * m / (n + m)
        self.variance.copy_(scatter / (n + m))
        self.count += m
