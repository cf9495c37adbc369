"""The distributions over actions: log-probability, entropy and their gradients in closed form.

A categorical head is a product of independent categoricals, one per sub-action (Discrete has
one); a Gaussian head has a mean per dimension and a log standard deviation that no observation
moves (Spec 6.4). All functions work on one sample, row i.
"""

import math

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.layout import N_ACTIONS, SIZES
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Integers, Matrix

__all__ = [
    "categorical_entropy",
    "categorical_gradient",
    "categorical_log_prob",
    "draw_categorical",
    "draw_gaussian",
    "gaussian_entropy",
    "gaussian_gradient",
    "gaussian_log_prob",
    "log_softmax",
]

HALF_LOG_TWO_PI = np.float32(0.5 * math.log(2.0 * math.pi))
ZERO, HALF, ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


@kernel
def log_softmax(plan: Integers, i: int, logits: Matrix, probabilities: Matrix) -> None:
    """p_j = e^{z_j − max} / Σ_k e^{z_k − max} and z_j ← log p_j, of every sub-action.

    Args:
        plan: of the layout.
        i: the sample.
        logits: (n, O); row i becomes the log-probabilities.
        probabilities: (n, O); row i becomes the probabilities.
    """
    start = 0
    for sub in range(plan[N_ACTIONS]):
        stop = start + plan[plan[SIZES] + sub]
        highest = logits[i, start]
        for j in range(start + 1, stop):
            highest = max(highest, logits[i, j])
        total = ZERO
        for j in range(start, stop):
            shifted = logits[i, j] - highest
            logits[i, j] = shifted
            probabilities[i, j] = math.exp(shifted)
            total += probabilities[i, j]
        log_total, scale = math.log(total), ONE / total
        for j in range(start, stop):
            logits[i, j] -= log_total
            probabilities[i, j] *= scale
        start = stop


@kernel
def draw_categorical(
    plan: Integers,
    i: int,
    log_probs: Matrix,
    probabilities: Matrix,
    uniforms: Doubles,
    actions: Actions,
) -> np.float32:
    """The first j with Σ_{k≤j} p_k > u, of every sub-action.

    Args:
        plan: of the layout.
        i: the sample.
        log_probs: (n, O) from :func:`log_softmax`.
        probabilities: (n, O) from :func:`log_softmax`.
        uniforms: (n, sub-actions) in [0, 1).
        actions: (n, sub-actions); row i is written.

    Returns:
        Σ over the sub-actions of log p_j.
    """
    log_prob = ZERO
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
        log_prob += log_probs[i, chosen]
        start = stop
    return log_prob


@kernel
def categorical_log_prob(
    plan: Integers, i: int, log_probs: Matrix, row: int, actions: Actions
) -> np.float32:
    """Log π(a|s) = Σ over the sub-actions of log p_a.

    Args:
        plan: of the layout.
        i: the sample's row of ``log_probs``.
        log_probs: (n, O) from :func:`log_softmax`.
        row: the sample's row of ``actions``.
        actions: (N, sub-actions).
    """
    log_prob = ZERO
    start = 0
    for sub in range(plan[N_ACTIONS]):
        log_prob += log_probs[i, start + int(actions[row, sub])]
        start += plan[plan[SIZES] + sub]
    return log_prob


@kernel
def categorical_entropy(i: int, log_probs: Matrix, probabilities: Matrix) -> np.float32:
    """H = −Σ_j p_j log p_j, summed over the sub-actions."""
    entropy = ZERO
    for j in range(log_probs.shape[1]):
        entropy -= probabilities[i, j] * log_probs[i, j]
    return entropy


@kernel
def categorical_gradient(
    plan: Integers,
    i: int,
    log_probs: Matrix,
    probabilities: Matrix,
    row: int,
    actions: Actions,
    by_log_prob: np.float32,
    by_entropy: np.float32,
) -> None:
    """∂loss/∂z_j = c ([j = a] − p_j) − h p_j (log p_j + H), H of j's own sub-action.

    Since ∂ log p_a/∂z_j = [j = a] − p_j and ∂H/∂z_j = −p_j (log p_j + H).

    Args:
        plan: of the layout.
        i: the sample's row of the workspace.
        log_probs: (n, O) from :func:`log_softmax`; row i becomes the gradient.
        probabilities: (n, O) from :func:`log_softmax`.
        row: the sample's row of ``actions``.
        actions: (N, sub-actions).
        by_log_prob: c = ∂loss/∂ log π(a|s).
        by_entropy: h = ∂loss/∂H(π(·|s)).
    """
    start = 0
    for sub in range(plan[N_ACTIONS]):
        stop = start + plan[plan[SIZES] + sub]
        entropy = ZERO
        for j in range(start, stop):
            entropy -= probabilities[i, j] * log_probs[i, j]
        for j in range(start, stop):
            p = probabilities[i, j]
            log_probs[i, j] = -p * (by_log_prob + by_entropy * (log_probs[i, j] + entropy))
        log_probs[i, start + int(actions[row, sub])] += by_log_prob
        start = stop


@kernel
def draw_gaussian(
    i: int, means: Matrix, log_std: Floats, normals: Doubles, actions: Actions
) -> np.float32:
    """a_j = μ_j + σ_j ξ_j with ξ standard normal; returns log π(a|s).

    Args:
        i: the sample.
        means: (n, D) μ.
        log_std: (D,) log σ.
        normals: (n, D) ξ.
        actions: (n, D); row i is written.
    """
    for j in range(log_std.size):
        noise = np.float32(normals[i, j])
        actions[i, j] = means[i, j] + np.float32(math.exp(log_std[j])) * noise
    return gaussian_log_prob(i, means, log_std, i, actions)


@kernel
def gaussian_log_prob(
    i: int, means: Matrix, log_std: Floats, row: int, actions: Actions
) -> np.float32:
    """Log π(a|s) = −Σ_j [(a_j − μ_j)² / (2 σ_j²) + log σ_j + ½ log 2π].

    Args:
        i: the sample's row of ``means``.
        means: (n, D) μ.
        log_std: (D,) log σ.
        row: the sample's row of ``actions``.
        actions: (N, D).
    """
    log_prob = ZERO
    for j in range(log_std.size):
        z = (np.float32(actions[row, j]) - means[i, j]) * np.float32(math.exp(-log_std[j]))
        log_prob -= HALF * z * z + log_std[j] + HALF_LOG_TWO_PI
    return log_prob


@kernel
def gaussian_entropy(log_std: Floats) -> np.float32:
    """H = Σ_j (½ + ½ log 2π + log σ_j), the same for every observation."""
    entropy = ZERO
    for j in range(log_std.size):
        entropy += HALF + HALF_LOG_TWO_PI + log_std[j]
    return entropy


@kernel
def gaussian_gradient(
    i: int,
    means: Matrix,
    log_std: Floats,
    row: int,
    actions: Actions,
    by_log_prob: np.float32,
    by_entropy: np.float32,
    log_std_gradient: Floats,
) -> None:
    """∂loss/∂μ_j = c (a_j − μ_j)/σ_j²; ∂loss/∂log σ_j = Σ_n [c ((a_j − μ_j)²/σ_j² − 1) + h].

    Args:
        i: the sample's row of ``means``.
        means: (n, D) μ; row i becomes the gradient.
        log_std: (D,) log σ.
        row: the sample's row of ``actions``.
        actions: (N, D).
        by_log_prob: c = ∂loss/∂ log π(a|s).
        by_entropy: h = ∂loss/∂H(π(·|s)).
        log_std_gradient: (D,); this sample's part is added.
    """
    for j in range(log_std.size):
        inverse = np.float32(math.exp(-log_std[j]))
        z = (np.float32(actions[row, j]) - means[i, j]) * inverse
        means[i, j] = by_log_prob * z * inverse
        log_std_gradient[j] += by_log_prob * (z * z - ONE) + by_entropy
