"""The loss of one minibatch and its gradient (Spec 6.2), in portions that fit the cache.

loss = −L + c_e · (−H) + c_v · L^V. The gradient reaches the networks through three numbers a
sample: ∂loss/∂ log π(a|s), ∂loss/∂H and ∂loss/∂V.
"""

import math
from typing import NamedTuple

import numpy as np

from ppo_lab.kernels.alignment import LINE, aligned_zeros
from ppo_lab.kernels.compiling import inlined_kernel, kernel
from ppo_lab.kernels.heads import exponentials
from ppo_lab.kernels.layout import ACTOR, CRITIC, ROW, Layout
from ppo_lab.kernels.network import backward, forward, seen_by, spare_columns, view
from ppo_lab.kernels.policy_head import action_log_probs, forbid, output_gradient, total_entropy
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
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Floats2D, Integers, Networks, Rollout

__all__ = ["Memory", "loss_and_gradient"]

# Sums over the samples of a minibatch.
SUM_OBJECTIVE, SUM_VALUE, SUM_ENTROPY, SUM_KL, SUM_CLIPPED, SUM_RATIO, SUM_SQUARE = range(7)
N_SUMS = 7
# What a minibatch logs (Spec 8.2), in this order.
POLICY_LOSS, VALUE_LOSS, ENTROPY_LOSS, LOSS, APPROX_KL, CLIP_FRACTION, RATIO_MEAN, ESS = range(8)
ACTOR_NORM, CRITIC_NORM = 8, 9
N_DIAGNOSTICS = 10

PORTION = 256
"""Samples that go through the networks at once: their activations stay in a core's cache."""

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)


class Memory(NamedTuple):
    """What an update needs beside its arguments; kept from one to the next.

    Attributes:
        work: the networks' intermediate values, for ``PORTION`` samples or one minibatch.
        actions: as many samples' actions.
        gradients: (2, P): a minibatch's, and one portion's.
        sums: (N_SUMS,) over the samples of a minibatch.
    """

    work: Floats
    actions: Actions
    gradients: Floats2D
    sums: Doubles

    @classmethod
    def of(cls, layout: Layout, batch_size: int) -> "Memory":
        """Memory for updates of a layout with minibatches of this size."""
        # A multiple of a line, so that every layer's activations start where one does.
        rows = min((batch_size + LINE - 1) // LINE * LINE, PORTION)
        return cls(
            layout.workspace(rows),
            np.zeros((rows, layout.n_actions), layout.action_dtype),
            aligned_zeros(2 * layout.n_parameters).reshape(2, -1),
            np.zeros(N_SUMS),
        )


class Portion(NamedTuple):
    """The samples of a minibatch that go through the networks at once.

    Attributes:
        indices: (n,) their rows of the rollout.
        observations: (n, W) rows.
        actions: (n, action columns).
        n_batch: samples of the whole minibatch.
    """

    indices: Integers
    observations: Floats2D
    actions: Actions
    n_batch: int


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
    ratio: np.float32,
    advantage: np.float32,
    settings: Doubles,
    sums: Doubles,
) -> np.float32:
    """One sample's part of the objective and of the diagnostics; returns ∂objective/∂ log π.

    With ρ = log π − log π_old and r = e^ρ:

    * ``clip`` (Spec 6.1): min(r Â, clip(r, 1−ε, 1+ε) Â); derivative r Â, but 0 where the clipped
      term is the smaller: Â > 0 and r > 1 + ε, or Â < 0 and r < 1 − ε.
    * ``kl`` (Spec 7.2): r Â − β ((r − 1) − ρ); derivative r Â − β (r − 1).
    * ``vanilla`` (Spec 5.1): Â log π; derivative Â.

    Args:
        log_prob: log π(a|s).
        old_log_prob: log π_old(a|s).
        ratio: r.
        advantage: Â.
        settings: packed settings.
        sums: (N_SUMS,) over the minibatch; this sample's part is added.
    """
    log_ratio = log_prob - old_log_prob
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
    return slope


@kernel
def value_term(
    value: np.float32, old_value: np.float32, target: np.float32, settings: Doubles, sums: Doubles
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
    networks: Networks,
    settings: Doubles,
    rollout: Rollout,
    portion: Portion,
    moments: tuple[float, float],
    gradient: Floats,
    sums: Doubles,
    ratios: Floats,
) -> None:
    """The actor's part of the gradient from one portion of a minibatch; see loss_and_gradient."""
    indices, actions, n = portion.indices, portion.actions, portion.indices.size
    advantages, old_log_probs = rollout.advantages, rollout.old_log_probs
    inputs = seen_by(networks, ACTOR, portion.observations)
    outputs = forward(networks, ACTOR, inputs)
    forbid(networks, portion.observations, outputs)
    log_probs, scratch = spare_columns(networks, n)
    action_log_probs(networks, outputs, actions, log_probs, scratch)
    sums[SUM_ENTROPY] += total_entropy(networks, outputs)
    for i in range(n):
        scratch[i] = log_probs[i] - old_log_probs[indices[i]]
    exponentials(scratch, scratch)
    if ratios.size > 0:
        for i in range(n):
            ratios[i] = scratch[i]
    by_log_prob = log_probs  # each takes the place of its sample's log-probability
    for i in range(n):
        row = indices[i]
        advantage = np.float32((advantages[row] - moments[0]) / moments[1])
        slope = policy_term(log_probs[i], old_log_probs[row], scratch[i], advantage, settings, sums)
        by_log_prob[i] = -slope / np.float32(portion.n_batch)
    by_entropy = np.float32(-settings[ENT_COEF] / portion.n_batch)
    output_gradient(networks, outputs, actions, by_log_prob, by_entropy, scratch, gradient)
    backward(networks, ACTOR, inputs, gradient)


@inlined_kernel
def critic_portion(
    networks: Networks,
    settings: Doubles,
    rollout: Rollout,
    portion: Portion,
    gradient: Floats,
    sums: Doubles,
) -> None:
    """The critic's part of the gradient from one portion of a minibatch; see loss_and_gradient."""
    inputs = seen_by(networks, CRITIC, portion.observations)
    outputs = forward(networks, CRITIC, inputs)
    weight = np.float32(settings[VF_COEF] / portion.n_batch)
    indices, old_values, returns = portion.indices, rollout.old_values, rollout.returns
    for i in range(indices.size):
        row = indices[i]
        slope = value_term(outputs[i, 0], old_values[row], returns[row], settings, sums)
        outputs[i, 0] = weight * slope
    backward(networks, CRITIC, inputs, gradient)


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
    networks: Networks,
    settings: Doubles,
    rollout: Rollout,
    indices: Integers,
    memory: Memory,
    diagnostics: Doubles,
    ratios: Floats,
) -> None:
    """The loss of one minibatch, its gradient and what is logged of it (Spec 6.2, 8.2).

    Args:
        networks: actor and critic, in the memory's workspace.
        settings: ``UpdateSettings.packed()``.
        rollout: the whole of it; its advantages are not normalised over minibatches yet.
        indices: (B,) the samples of this minibatch.
        memory: row 0 of its gradients is written.
        diagnostics: (N_DIAGNOSTICS,); all but the norms are written.
        ratios: (B,), written; or empty.
    """
    rows, n_batch, sums = networks.rows, indices.size, memory.sums
    moments = advantage_moments(rollout.advantages, indices, settings)
    sums[:] = 0.0
    for first in range(0, n_batch, rows):
        last = min(first + rows, n_batch)
        gradient = memory.gradients[0] if first == 0 else memory.gradients[1]
        gathered = view(networks, 0, last - first, networks.plan[ROW])
        portion = Portion(indices[first:last], gathered, memory.actions[: last - first], n_batch)
        gather(rollout.observations, portion.indices, portion.observations)
        gather(rollout.actions, portion.indices, portion.actions)
        actor_portion(
            networks, settings, rollout, portion, moments, gradient, sums, ratios[first:last]
        )
        critic_portion(networks, settings, rollout, portion, gradient, sums)
        if first > 0:
            add(memory.gradients[1], memory.gradients[0])
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
