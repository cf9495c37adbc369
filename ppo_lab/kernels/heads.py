"""The distributions over actions: log-probability, entropy and their gradients in closed form.

A categorical head is a product of independent categoricals, one per sub-action (Discrete has
one); a Gaussian head has a mean per dimension and a log standard deviation that no observation
moves (Spec 6.4). Rows are samples, and the inner loops: they are many, while actions are so few
that setting up a loop over them costs more than the loop.
"""

import math

import numpy as np

from ppo_lab.kernels.compiling import inlined_kernel, kernel
from ppo_lab.kernels.elementary import exp, log
from ppo_lab.kernels.layout import N_ACTIONS, SIZES
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Floats2D, Integers

__all__ = [
    "categorical_entropy",
    "categorical_gradient",
    "categorical_log_probs",
    "draw_categorical",
    "draw_gaussian",
    "exponentials",
    "gaussian_entropy",
    "gaussian_gradient",
    "gaussian_log_probs",
    "log_softmax",
]

HALF_LOG_TWO_PI = np.float32(0.5 * math.log(2.0 * math.pi))
ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


@kernel
def log_softmax(plan: Integers, logits: Floats2D, probabilities: Floats2D, scratch: Floats) -> None:
    """p_j = e^{z_j − max} / Σ_k e^{z_k − max} and z_j ← log p_j, of every sub-action.

    Args:
        plan: of the layout.
        logits: (n, O); become the log-probabilities.
        probabilities: (n, O); written.
        scratch: (n,).
    """
    n = logits.shape[0]
    start = 0
    for sub in range(plan[N_ACTIONS]):
        stop = start + plan[plan[SIZES] + sub]
        for i in range(n):
            scratch[i] = logits[i, start]
        for j in range(start + 1, stop):
            for i in range(n):
                scratch[i] = max(scratch[i], logits[i, j])
        subtract(logits, start, stop, scratch)
        start = stop
    exponentials(logits.reshape(logits.size), probabilities.reshape(logits.size))
    start = 0
    for sub in range(plan[N_ACTIONS]):
        stop = start + plan[plan[SIZES] + sub]
        divide_by_sums(probabilities, start, stop, scratch)
        for i in range(n):
            scratch[i] = log(scratch[i])
        subtract(logits, start, stop, scratch)
        start = stop


@inlined_kernel
def subtract(z: Floats2D, start: int, stop: int, numbers: Floats) -> None:
    """Columns of z ← z − numbers."""
    for j in range(start, stop):
        for i in range(z.shape[0]):
            z[i, j] -= numbers[i]


@kernel
def exponentials(z: Floats, into: Floats) -> None:
    """e^z of every number."""
    for i in range(z.size):
        into[i] = exp(z[i])


@inlined_kernel
def divide_by_sums(p: Floats2D, start: int, stop: int, sums: Floats) -> None:
    """Columns of p ← p / Σ_j p_j; the sums are left in ``sums``."""
    for i in range(p.shape[0]):
        sums[i] = ZERO
    for j in range(start, stop):
        for i in range(p.shape[0]):
            sums[i] += p[i, j]
    for j in range(start, stop):
        for i in range(p.shape[0]):
            p[i, j] /= sums[i]


@kernel
def draw_categorical(
    plan: Integers, probabilities: Floats2D, uniforms: Doubles, actions: Actions
) -> None:
    """The first j with Σ_{k≤j} p_k > u, of every sub-action.

    Args:
        plan: of the layout.
        probabilities: (n, O) from :func:`log_softmax`.
        uniforms: (n, sub-actions) in [0, 1).
        actions: (n, sub-actions); written.
    """
    for i in range(probabilities.shape[0]):
        start = 0
        for sub in range(plan[N_ACTIONS]):
            stop = start + plan[plan[SIZES] + sub]
            chosen = start
            cumulative = 0.0
            for j in range(start, stop):
                if probabilities[i, j] > ZERO:  # the last possible one, where rounding leaves a gap
                    chosen = j
                cumulative += probabilities[i, j]
                if cumulative > uniforms[i, sub]:
                    break
            actions[i, sub] = chosen - start
            start = stop


@kernel
def categorical_log_probs(
    plan: Integers, log_probs: Floats2D, actions: Actions, out: Floats
) -> None:
    """Log π(a|s) = Σ over the sub-actions of log p_a.

    Args:
        plan: of the layout.
        log_probs: (n, O) from :func:`log_softmax`.
        actions: (n, sub-actions).
        out: (n,), written.
    """
    for i in range(out.size):
        out[i] = log_probs[i, int(actions[i, 0])]
    start = plan[plan[SIZES]]
    for sub in range(1, plan[N_ACTIONS]):
        for i in range(out.size):
            out[i] += log_probs[i, start + int(actions[i, sub])]
        start += plan[plan[SIZES] + sub]


@kernel
def categorical_entropy(log_probs: Floats2D, probabilities: Floats2D) -> float:
    """Σ_n H_n, H = −Σ_j p_j log p_j summed over the sub-actions."""
    entropy = 0.0
    for i in range(log_probs.shape[0]):
        for j in range(log_probs.shape[1]):
            entropy -= probabilities[i, j] * log_probs[i, j]
    return entropy


@kernel
def categorical_gradient(
    plan: Integers,
    log_probs: Floats2D,
    probabilities: Floats2D,
    actions: Actions,
    by_log_prob: Floats,
    by_entropy: np.float32,
    scratch: Floats,
) -> None:
    """∂loss/∂z_j = c ([j = a] − p_j) − h p_j (log p_j + H), H of j's own sub-action.

    Since ∂ log p_a/∂z_j = [j = a] − p_j and ∂H/∂z_j = −p_j (log p_j + H).

    Args:
        plan: of the layout.
        log_probs: (n, O) from :func:`log_softmax`; become the gradients.
        probabilities: (n, O) from :func:`log_softmax`.
        actions: (n, sub-actions).
        by_log_prob: (n,) c = ∂loss/∂ log π(a|s).
        by_entropy: h = ∂loss/∂H(π(·|s)).
        scratch: (n,).
    """
    n = log_probs.shape[0]
    start = 0
    for sub in range(plan[N_ACTIONS]):
        stop = start + plan[plan[SIZES] + sub]
        for i in range(n):
            scratch[i] = ZERO
        for j in range(start, stop):
            for i in range(n):
                scratch[i] -= probabilities[i, j] * log_probs[i, j]
        for j in range(start, stop):
            for i in range(n):
                p = probabilities[i, j]
                moved = by_log_prob[i] + by_entropy * (log_probs[i, j] + scratch[i])
                log_probs[i, j] = -p * moved
        for i in range(n):
            log_probs[i, start + int(actions[i, sub])] += by_log_prob[i]
        start = stop


@kernel
def draw_gaussian(means: Floats2D, log_std: Floats, normals: Doubles, actions: Actions) -> None:
    """a_j = μ_j + σ_j ξ_j with ξ standard normal.

    Args:
        means: (n, D) μ.
        log_std: (D,) log σ.
        normals: (n, D) ξ.
        actions: (n, D); written.
    """
    for j in range(log_std.size):
        std = np.float32(math.exp(log_std[j]))
        for i in range(means.shape[0]):
            actions[i, j] = means[i, j] + std * np.float32(normals[i, j])


@kernel
def gaussian_log_probs(means: Floats2D, log_std: Floats, actions: Actions, out: Floats) -> None:
    """Log π(a|s) = −Σ_j [(a_j − μ_j)² / (2 σ_j²) + log σ_j + ½ log 2π].

    Args:
        means: (n, D) μ.
        log_std: (D,) log σ.
        actions: (n, D).
        out: (n,), written.
    """
    for i in range(out.size):
        out[i] = ZERO
    for j in range(log_std.size):
        inverse, constant = np.float32(math.exp(-log_std[j])), log_std[j] + HALF_LOG_TWO_PI
        for i in range(out.size):
            z = (np.float32(actions[i, j]) - means[i, j]) * inverse
            out[i] -= HALF * z * z + constant


@kernel
def gaussian_entropy(log_std: Floats) -> np.float32:
    """H = Σ_j (½ + ½ log 2π + log σ_j), the same for every observation."""
    entropy = ZERO
    for j in range(log_std.size):
        entropy += HALF + HALF_LOG_TWO_PI + log_std[j]
    return entropy


@kernel
def gaussian_gradient(
    means: Floats2D,
    log_std: Floats,
    actions: Actions,
    by_log_prob: Floats,
    by_entropy: np.float32,
    log_std_gradient: Floats,
) -> None:
    """∂loss/∂μ_j = c (a_j − μ_j)/σ_j²; ∂loss/∂log σ_j = Σ_n [c ((a_j − μ_j)²/σ_j² − 1) + h].

    Args:
        means: (n, D) μ; become the gradients.
        log_std: (D,) log σ.
        actions: (n, D).
        by_log_prob: (n,) c = ∂loss/∂ log π(a|s).
        by_entropy: h = ∂loss/∂H(π(·|s)).
        log_std_gradient: (D,), written.
    """
    for j in range(log_std.size):
        inverse = np.float32(math.exp(-log_std[j]))
        total = ZERO
        for i in range(means.shape[0]):
            z = (np.float32(actions[i, j]) - means[i, j]) * inverse
            means[i, j] = by_log_prob[i] * z * inverse
            total += by_log_prob[i] * (z * z - ONE) + by_entropy
        log_std_gradient[j] = total
