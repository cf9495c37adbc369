"""The loss of one minibatch and its gradient (Spec 6.2), in portions that fit the cache.

loss = −L + c_e · (−H) + c_v · L^V. The gradient reaches the networks through three numbers a
sample: ∂loss/∂ log π(a|s), ∂loss/∂H and ∂loss/∂V.
"""

import math

import numpy as np

from ppo_lab.kernels.compiling import inlined_kernel, kernel
from ppo_lab.kernels.heads import (
    categorical_entropy,
    categorical_gradient,
    categorical_log_probs,
    gaussian_entropy,
    gaussian_gradient,
    gaussian_log_probs,
    log_softmax,
)
from ppo_lab.kernels.layout import (
    ACTOR,
    CRITIC,
    GAUSSIAN,
    HEAD,
    INPUTS,
    N_ACTOR,
    N_OUTPUTS,
    PROBABILITIES,
)
from ppo_lab.kernels.network import backward, capacity, forward, spare_columns, view
from ppo_lab.kernels.settings import (
    CLIP_RANGE,
    CLIP_RANGE_VF,
    ENT_COEF,
    KL,
    KL_COEF,
    NORMALIZE,
    OBJECTIVE,
    VANILLA,
    VF_COEF,
)
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Integers, Matrix

__all__ = ["advantage_moments", "loss_and_gradient"]

# Sums over the samples of a minibatch.
SUM_OBJECTIVE, SUM_VALUE, SUM_ENTROPY, SUM_KL, SUM_CLIPPED, SUM_RATIO, SUM_SQUARE = range(7)
N_SUMS = 7
# What a minibatch logs (Spec 8.2), in this order.
POLICY_LOSS, VALUE_LOSS, ENTROPY_LOSS, LOSS, APPROX_KL, CLIP_FRACTION, RATIO_MEAN, ESS = range(8)
ACTOR_NORM, CRITIC_NORM = 8, 9
N_DIAGNOSTICS = 10

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


@kernel
def advantage_moments(
    advantages: Floats, indices: Integers, settings: Doubles
) -> tuple[float, float]:
    """(mean, std + 1e-8) of a minibatch's advantages, or (0, 1) where they stay (Spec 4.3).

    std with Bessel's correction; a minibatch of one sample stays as it is.
    """
    n = indices.size
    if settings[NORMALIZE] == 0.0 or n < 2:
        return 0.0, 1.0
    mean = 0.0
    for i in range(n):
        mean += advantages[indices[i]]
    mean /= n
    squares = 0.0
    for i in range(n):
        deviation = advantages[indices[i]] - mean
        squares += deviation * deviation
    return mean, math.sqrt(squares / (n - 1)) + 1e-8


@kernel
def policy_term(
    log_prob: np.float32,
    old_log_prob: np.float32,
    advantage: np.float32,
    settings: Doubles,
    sums: Doubles,
) -> tuple[np.float32, np.float32]:
    """One sample's part of the objective and of the diagnostics; returns (r, ∂objective/∂ log π).

    With ρ = log π − log π_old and r = e^ρ:

    * ``clip`` (Spec 6.1): min(r Â, clip(r, 1−ε, 1+ε) Â); derivative r Â, but 0 where the clipped
      term is the smaller: Â > 0 and r > 1 + ε, or Â < 0 and r < 1 − ε.
    * ``kl`` (Spec 7.2): r Â − β ((r − 1) − ρ); derivative r Â − β (r − 1).
    * ``vanilla`` (Spec 5.1): Â log π; derivative Â.

    Args:
        log_prob: log π(a|s).
        old_log_prob: log π_old(a|s).
        advantage: Â.
        settings: packed settings.
        sums: (N_SUMS,) over the minibatch; this sample's part is added.
    """
    log_ratio = log_prob - old_log_prob
    ratio = np.float32(math.exp(log_ratio))
    kl = (np.float64(ratio) - 1.0) - np.float64(log_ratio)
    clip_range = np.float32(settings[CLIP_RANGE])
    if settings[OBJECTIVE] == VANILLA:
        objective = advantage * log_prob
        slope = advantage
    elif settings[OBJECTIVE] == KL:
        beta = np.float32(settings[KL_COEF])
        objective = advantage * ratio - beta * np.float32(kl)
        slope = advantage * ratio - beta * (ratio - ONE)
    else:
        low = np.float32(1.0 - settings[CLIP_RANGE])
        high = np.float32(1.0 + settings[CLIP_RANGE])
        clamped = low if ratio < low else (high if ratio > high else ratio)
        unclipped, clipped = advantage * ratio, advantage * clamped
        active = clipped >= unclipped
        # 0 times an infinite ratio is NaN: for the guard to find, as autograd would.
        slope = (advantage if active else ZERO) * ratio
        objective = unclipped if active else clipped
    sums[SUM_OBJECTIVE] += objective
    sums[SUM_KL] += kl
    sums[SUM_CLIPPED] += 1.0 if abs(ratio - ONE) > clip_range else 0.0
    sums[SUM_RATIO] += ratio
    sums[SUM_SQUARE] += np.float64(ratio) * np.float64(ratio)
    return ratio, slope


@kernel
def value_term(
    value: np.float32,
    old_value: np.float32,
    target: np.float32,
    settings: Doubles,
    sums: Doubles,
) -> np.float32:
    """(R̂ − V)² is added; returns its derivative 2 (V − R̂) (Spec 6.2).

    With ``clip_range_vf`` V is cut to V_old ± this first, and the derivative is 0 where it is cut.
    """
    slope = TWO
    limit = np.float32(settings[CLIP_RANGE_VF])
    if not math.isnan(limit):
        moved = value - old_value
        if moved < -limit:
            moved, slope = -limit, ZERO
        elif moved > limit:
            moved, slope = limit, ZERO
        value = old_value + moved
    error = value - target
    sums[SUM_VALUE] += np.float64(error) * np.float64(error)
    return slope * error


@inlined_kernel
def actor_portion(
    params: Floats,
    plan: Integers,
    inputs: Matrix,
    indices: Integers,
    actions: Actions,
    old_log_probs: Floats,
    advantages: Floats,
    moments: tuple[float, float],
    n_batch: int,
    settings: Doubles,
    work: Floats,
    gradient: Floats,
    sums: Doubles,
    ratios: Floats,
) -> None:
    """The actor's part of the gradient from one portion of a minibatch; see loss_and_gradient."""
    rows, n, n_outputs = capacity(plan, work), indices.size, plan[N_OUTPUTS]
    log_std = params[plan[N_ACTOR] - n_outputs : plan[N_ACTOR]]
    outputs = forward(params, plan, ACTOR, inputs, work, rows)
    probabilities = view(work, rows, plan[PROBABILITIES], n, n_outputs)
    log_probs, scratch = spare_columns(plan, work, rows, n)
    if plan[HEAD] == GAUSSIAN:
        gaussian_log_probs(outputs, log_std, actions, log_probs)
        sums[SUM_ENTROPY] += n * gaussian_entropy(log_std)
    else:
        log_softmax(plan, outputs, probabilities, scratch)
        categorical_log_probs(plan, outputs, actions, log_probs)
        sums[SUM_ENTROPY] += categorical_entropy(outputs, probabilities)
    by_log_prob = log_probs  # each takes the place of its sample's log-probability
    for i in range(n):
        row = indices[i]
        advantage = np.float32((advantages[row] - moments[0]) / moments[1])
        ratio, slope = policy_term(log_probs[i], old_log_probs[row], advantage, settings, sums)
        if ratios.size > 0:
            ratios[i] = ratio
        by_log_prob[i] = -slope / np.float32(n_batch)
    by_entropy = np.float32(-settings[ENT_COEF] / n_batch)
    if plan[HEAD] == GAUSSIAN:
        log_std_gradient = gradient[plan[N_ACTOR] - n_outputs : plan[N_ACTOR]]
        gaussian_gradient(outputs, log_std, actions, by_log_prob, by_entropy, log_std_gradient)
    else:
        categorical_gradient(
            plan, outputs, probabilities, actions, by_log_prob, by_entropy, scratch
        )
    backward(params, plan, ACTOR, inputs, work, rows, gradient)


@inlined_kernel
def critic_portion(
    params: Floats,
    plan: Integers,
    inputs: Matrix,
    indices: Integers,
    old_values: Floats,
    returns: Floats,
    n_batch: int,
    settings: Doubles,
    work: Floats,
    gradient: Floats,
    sums: Doubles,
) -> None:
    """The critic's part of the gradient from one portion of a minibatch; see loss_and_gradient."""
    rows = capacity(plan, work)
    outputs = forward(params, plan, CRITIC, inputs, work, rows)
    weight = np.float32(settings[VF_COEF] / n_batch)
    for i in range(indices.size):
        row = indices[i]
        slope = value_term(outputs[i, 0], old_values[row], returns[row], settings, sums)
        outputs[i, 0] = weight * slope
    backward(params, plan, CRITIC, inputs, work, rows, gradient)


@kernel
def gather(rows: Actions, indices: Integers, into: Actions) -> None:
    """Rows of a minibatch, one after the other."""
    for i in range(indices.size):
        for j in range(into.shape[1]):
            into[i, j] = rows[indices[i], j]


@kernel
def add(part: Floats, total: Floats) -> None:
    """Add the gradient of one portion to the minibatch's."""
    # A loop: assigning arrays would compile the message for shapes that do not match.
    for j in range(total.size):
        total[j] += part[j]


@inlined_kernel
def loss_and_gradient(
    params: Floats,
    plan: Integers,
    settings: Doubles,
    observations: Matrix,
    actions: Actions,
    old_values: Floats,
    old_log_probs: Floats,
    advantages: Floats,
    returns: Floats,
    indices: Integers,
    work: Floats,
    chosen: Actions,
    gradients: Matrix,
    sums: Doubles,
    diagnostics: Doubles,
    ratios: Floats,
) -> None:
    """The loss of one minibatch, its gradient and what is logged of it (Spec 6.2, 8.2).

    Args:
        params: (P,) all parameters.
        plan: ``layout.plan``.
        settings: ``UpdateSettings.packed()``.
        observations: (N, I) of the whole rollout, as all that follow.
        actions: (N, action columns).
        old_values: (N,) V at the time of the rollout.
        old_log_probs: (N,) log π_old(a|s).
        advantages: (N,) Â before minibatch normalisation.
        returns: (N,) R̂.
        indices: (B,) the samples of this minibatch.
        work: ``layout.workspace(rows)`` of any number of rows.
        chosen: (rows, action columns) scratch.
        gradients: (2, P); row 0 is written, row 1 is scratch.
        sums: (N_SUMS,) scratch.
        diagnostics: (N_DIAGNOSTICS,); all but the norms are written.
        ratios: (B,), written; or empty.
    """
    rows, n_batch = capacity(plan, work), indices.size
    moments = advantage_moments(advantages, indices, settings)
    sums[:] = 0.0
    for first in range(0, n_batch, rows):
        last = min(first + rows, n_batch)
        part = indices[first:last]
        gradient = gradients[0] if first == 0 else gradients[1]
        inputs = view(work, rows, 0, last - first, plan[INPUTS])
        gather(observations, part, inputs)
        gather(actions, part, chosen[: last - first])
        actor_portion(
            params,
            plan,
            inputs,
            part,
            chosen[: last - first],
            old_log_probs,
            advantages,
            moments,
            n_batch,
            settings,
            work,
            gradient,
            sums,
            ratios[first:last],
        )
        critic_portion(
            params,
            plan,
            inputs,
            part,
            old_values,
            returns,
            n_batch,
            settings,
            work,
            gradient,
            sums,
        )
        if first > 0:
            add(gradients[1], gradients[0])
    sums /= n_batch
    ess = sums[SUM_RATIO] * sums[SUM_RATIO] / sums[SUM_SQUARE] * n_batch
    diagnostics[POLICY_LOSS] = -sums[SUM_OBJECTIVE]
    diagnostics[VALUE_LOSS] = sums[SUM_VALUE]
    diagnostics[ENTROPY_LOSS] = -sums[SUM_ENTROPY]
    diagnostics[LOSS] = (
        -sums[SUM_OBJECTIVE]
        - settings[ENT_COEF] * sums[SUM_ENTROPY]
        + settings[VF_COEF] * sums[SUM_VALUE]
    )
    diagnostics[APPROX_KL] = sums[SUM_KL]
    diagnostics[CLIP_FRACTION] = sums[SUM_CLIPPED]
    diagnostics[RATIO_MEAN] = sums[SUM_RATIO]
    diagnostics[ESS] = ess
