"""Norms, clipping and Adam over the flat vectors."""

import math

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.settings import BETA1, BETA2, EPS, LEARNING_RATE
from ppo_lab.kernels.typing import Doubles, Floats

__all__ = ["adam_step", "clip_factor", "norm"]

ONE, ZERO = np.float32(1.0), np.float32(0.0)


@kernel
def norm(gradient: Floats) -> float:
    """‖g‖₂."""
    total = ZERO
    for i in range(gradient.size):
        total += gradient[i] * gradient[i]
    return math.sqrt(total)


@kernel
def clip_factor(length: float, limit: float) -> float:
    """min(1, limit / (‖g‖₂ + 1e-6)), by which the gradient is scaled (Spec 6.5)."""
    return min(1.0, limit / (length + 1e-6))


@kernel
def adam_step(
    params: Floats,
    gradient: Floats,
    m: Floats,
    v: Floats,
    step: int,
    rates: Doubles,
    factor: float,
) -> None:
    """θ ← θ − η m̂ / (√v̂ + ε) with g scaled by the clipping's factor (Kingma & Ba 2015, alg. 1).

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², m̂ = m/(1 − β₁^t), v̂ = v/(1 − β₂^t), as
    ``torch.optim.Adam`` computes it: η/(1 − β₁^t) · m / (√v/√(1 − β₂^t) + ε).

    Args:
        params: (P,) of one network, moved in place; as ``m`` and ``v`` are.
        gradient: (P,) g before the clipping.
        m: (P,) first moment.
        v: (P,) second moment.
        step: t ≥ 1, this step included.
        rates: (4,) η, β₁, β₂, ε.
        factor: what g is scaled by.
    """
    beta1, beta2 = rates[BETA1], rates[BETA2]
    scale = np.float32(factor)
    keep_m, keep_v = np.float32(beta1), np.float32(beta2)
    take_m, take_v = np.float32(1.0 - beta1), np.float32(1.0 - beta2)
    rate = np.float32(rates[LEARNING_RATE] / (1.0 - beta1**step))
    root = np.float32(1.0 / math.sqrt(1.0 - beta2**step))
    eps = np.float32(rates[EPS])
    for i in range(params.size):
        g = gradient[i] * scale
        m[i] = keep_m * m[i] + take_m * g
        v[i] = keep_v * v[i] + take_v * g * g
        params[i] -= rate * m[i] / (np.float32(math.sqrt(v[i])) * root + eps)
