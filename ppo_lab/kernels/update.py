"""One whole update, every epoch and minibatch, in one compiled call (Spec 6.3)."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.boundary import check_actions, check_array, check_indices, check_work
from ppo_lab.kernels.compiling import entry_kernel, kernel
from ppo_lab.kernels.layout import (
    ACTOR,
    CRITIC,
    FIXED,
    N_ACTOR,
    UNITS,
    Layout,
)
from ppo_lab.kernels.losses import (
    ACTOR_NORM,
    APPROX_KL,
    CRITIC_NORM,
    LOSS,
    N_DIAGNOSTICS,
    N_SUMS,
    loss_and_gradient,
)
from ppo_lab.kernels.optimizer import adam_step, clip_factor, norm
from ppo_lab.kernels.settings import (
    CRITIC_MAX_GRAD_NORM,
    KL_LIMIT,
    MAX_GRAD_NORM,
    AdamSettings,
    UpdateSettings,
)
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Integers, Matrix

__all__ = ["DIAGNOSTICS", "Adam", "Failure", "Memory", "Rollout", "UpdateResult", "update"]

DIAGNOSTICS = (
    "policy_gradient_loss",
    "value_loss",
    "entropy_loss",
    "loss",
    "approx_kl",
    "clip_fraction",
    "ratio_mean",
    "effective_sample_size",
    "actor_grad_norm",
    "critic_grad_norm",
)
"""The columns of an update's diagnostics, by the names they are logged under (Spec 8.2)."""

PORTION = 256
"""Samples that go through the networks at once: their activations stay in a core's cache."""

DONE, STOPPED, FAILED = 0, 1, 2
EVALUATED, EPOCHS, STATUS = 0, 1, 2


class Rollout(NamedTuple):
    """N transitions, flat, in the order that permutations count; C-contiguous arrays.

    Attributes:
        observations: (N, I) float32.
        actions: (N, action columns) int64, or float32 of a Gaussian.
        old_values: (N,) float32 V(s) at the time of the rollout.
        old_log_probs: (N,) float32 log π_old(a|s).
        advantages: (N,) float32 Â.
        returns: (N,) float32 R̂.
    """

    observations: Matrix
    actions: Actions
    old_values: Floats
    old_log_probs: Floats
    advantages: Floats
    returns: Floats


@dataclass
class Adam:
    """The state of the actor's and the critic's Adam.

    Attributes:
        m: (P,) float32 first moments (``exp_avg``).
        v: (P,) float32 second moments (``exp_avg_sq``).
        steps: (2,) int64 steps done, the actor's and the critic's.
    """

    m: Floats
    v: Floats
    steps: Integers

    @classmethod
    def zeros(cls, layout: Layout) -> "Adam":
        """The state before the first step."""
        n = layout.n_parameters
        return cls(np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(2, np.int64))


@dataclass
class Memory:
    """What an update needs beside its arguments; kept from one to the next.

    Attributes:
        work: the networks' intermediate values, for ``PORTION`` samples or one minibatch.
        actions: as many samples' actions.
        gradients: (2, P).
        sums: per-minibatch sums.
    """

    work: Floats
    actions: Actions
    gradients: Matrix
    sums: Doubles = field(default_factory=lambda: np.zeros(N_SUMS))

    @classmethod
    def of(cls, layout: Layout, batch_size: int) -> "Memory":
        """Memory for updates of a layout with minibatches of this size."""
        rows = min(batch_size, PORTION)
        return cls(
            layout.workspace(rows),
            np.zeros((rows, layout.n_actions), layout.action_dtype),
            np.zeros((2, layout.n_parameters), np.float32),
        )


class Failure(NamedTuple):
    """The minibatch whose loss or gradient norms were not finite; no step was taken on it."""

    loss: float
    actor_grad_norm: float
    critic_grad_norm: float


class UpdateResult(NamedTuple):
    """What an update did.

    Attributes:
        diagnostics: (minibatches evaluated, 10) float64, columns ``DIAGNOSTICS``; the norms of a
            minibatch that stopped the update are NaN: no gradient was used.
        ratios: (samples evaluated,) float32 r of every sample, in their order; or empty.
        epochs: epochs begun, which is what ``_n_updates`` counts.
        stopped: whether ``kl_limit`` stopped it.
        failure: the minibatch that was not finite, its row of ``diagnostics`` left out; or None.
    """

    diagnostics: Doubles
    ratios: Floats
    epochs: int
    stopped: bool
    failure: Failure | None


def update(
    layout: Layout,
    params: Floats,
    adam: Adam,
    rollout: Rollout,
    permutations: Integers,
    batch_size: int,
    settings: UpdateSettings,
    actor: AdamSettings,
    critic: AdamSettings,
    memory: Memory | None = None,
    keep_ratios: bool = False,
) -> UpdateResult:
    """All epochs over all minibatches; ``params`` and ``adam`` are moved in place.

    Args:
        layout: the networks' shapes.
        params: (P,) float32.
        adam: both optimisers' state.
        rollout: N transitions.
        permutations: (epochs, N) int64, the order of the samples in each epoch; every
            ``batch_size`` in a row are a minibatch, the last one of an epoch may be shorter.
        batch_size: samples of a minibatch.
        settings: of the loss and the clipping.
        actor: of the actor's Adam.
        critic: of the critic's Adam.
        memory: from :meth:`Memory.of`; None: new.
        keep_ratios: return every sample's ratio.

    Returns:
        What happened; see :class:`UpdateResult`.

    Raises:
        ArgumentError: an array of another shape or type, an action that there is not, or an order
            that names other samples; nothing was moved.
    """
    n_epochs, n_samples = len(permutations), len(rollout.returns)
    _check_state(layout, params, adam)
    _check_rollout(layout, rollout, n_samples)
    _check_order(permutations, n_epochs, n_samples, batch_size)
    if memory is None:
        memory = Memory.of(layout, batch_size)
    _check_memory(layout, memory, batch_size)
    diagnostics = np.full((n_epochs * math.ceil(n_samples / batch_size), N_DIAGNOSTICS), np.nan)
    ratios = np.empty(n_epochs * n_samples if keep_ratios else 0, np.float32)
    progress = np.zeros(3, np.int64)
    run_update(
        params,
        adam.m,
        adam.v,
        adam.steps,
        layout.plan,
        settings.packed(),
        np.array([actor.packed(), critic.packed()]),
        *rollout,
        permutations,
        batch_size,
        memory.work,
        memory.actions,
        memory.gradients,
        memory.sums,
        diagnostics,
        ratios,
        progress,
    )
    n_evaluated, epochs, status = progress.tolist()
    failure = None
    if status == FAILED:
        n_evaluated -= 1
        failure = Failure(*diagnostics[n_evaluated, [LOSS, ACTOR_NORM, CRITIC_NORM]].tolist())
    seen = _samples_in(n_evaluated, n_samples, batch_size)
    return UpdateResult(
        diagnostics[:n_evaluated], ratios[:seen], epochs, status == STOPPED, failure
    )


def _check_state(layout: Layout, params: Floats, adam: Adam) -> None:
    for name, vector in (("params", params), ("adam.m", adam.m), ("adam.v", adam.v)):
        check_array(name, vector, (layout.n_parameters,), written=True)
    check_array("adam.steps", adam.steps, (2,), np.int64, written=True)


def _check_rollout(layout: Layout, rollout: Rollout, n_samples: int) -> None:
    check_array("observations", rollout.observations, (n_samples, layout.inputs))
    check_actions(layout, rollout.actions, n_samples)
    for name in ("old_values", "old_log_probs", "advantages", "returns"):
        check_array(name, getattr(rollout, name), (n_samples,))


def _check_order(permutations: Integers, n_epochs: int, n_samples: int, batch_size: int) -> None:
    check_array("permutations", permutations, (n_epochs, n_samples), np.int64)
    check_indices("permutations", permutations, n_samples)
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ArgumentError(f"batch_size={batch_size!r}: expected a whole number of at least 1")


def _check_memory(layout: Layout, memory: Memory, batch_size: int) -> None:
    check_work(layout, memory.work)
    rows = (memory.work.size - int(layout.plan[FIXED])) // int(layout.plan[UNITS])
    rows = max(min(rows, batch_size), len(memory.actions))
    check_array("memory.actions", memory.actions, (rows, layout.n_actions), layout.action_dtype)
    check_array("memory.gradients", memory.gradients, (2, layout.n_parameters))
    check_array("memory.sums", memory.sums, (N_SUMS,), np.float64)


def _samples_in(n_minibatches: int, n_samples: int, batch_size: int) -> int:
    """Samples in the first minibatches of an update."""
    epochs, rest = divmod(n_minibatches, math.ceil(n_samples / batch_size))
    return epochs * n_samples + rest * batch_size


@entry_kernel
def run_update(
    params: Floats,
    m: Floats,
    v: Floats,
    steps: Integers,
    plan: Integers,
    settings: Doubles,
    adam: Doubles,
    observations: Matrix,
    actions: Actions,
    old_values: Floats,
    old_log_probs: Floats,
    advantages: Floats,
    returns: Floats,
    permutations: Integers,
    batch_size: int,
    work: Floats,
    chosen: Actions,
    gradients: Matrix,
    sums: Doubles,
    diagnostics: Doubles,
    ratios: Floats,
    progress: Integers,
) -> None:
    """Minibatch after minibatch: loss and gradient, the two guards, clipping, Adam.

    Args:
        params: (P,) moved in place, as ``m``, ``v`` (P,) and ``steps`` (2,) are.
        m: first moments.
        v: second moments.
        steps: steps done by the actor's and the critic's Adam.
        plan: ``layout.plan``.
        settings: ``UpdateSettings.packed()``.
        adam: (2, 4) ``AdamSettings.packed()`` of the actor and of the critic.
        observations: (N, I); this and the next five as in :class:`Rollout`.
        actions: (N, action columns).
        old_values: (N,).
        old_log_probs: (N,).
        advantages: (N,).
        returns: (N,).
        permutations: (epochs, N).
        batch_size: samples of a minibatch.
        work: a workspace.
        chosen: (rows, action columns) scratch.
        gradients: (2, P) scratch.
        sums: (N_SUMS,) scratch.
        diagnostics: (minibatches, N_DIAGNOSTICS); a row for each that was evaluated.
        ratios: (epochs · N,), or empty.
        progress: (3,) minibatches evaluated, epochs begun and how it ended; written.
    """
    n_samples = permutations.shape[1]
    progress[:] = 0
    n_seen = 0
    for epoch in range(permutations.shape[0]):
        progress[EPOCHS] += 1
        for first in range(0, n_samples, batch_size):
            indices = permutations[epoch, first : min(first + batch_size, n_samples)]
            row = diagnostics[progress[EVALUATED]]
            progress[EVALUATED] += 1
            loss_and_gradient(
                params,
                plan,
                settings,
                observations,
                actions,
                old_values,
                old_log_probs,
                advantages,
                returns,
                indices,
                work,
                chosen,
                gradients,
                sums,
                row,
                ratios[n_seen : n_seen + indices.size],
            )
            n_seen += indices.size
            if row[APPROX_KL] > settings[KL_LIMIT]:
                progress[STATUS] = STOPPED
                return
            if not clip_and_step(params, m, v, steps, plan, settings, adam, gradients[0], row):
                progress[STATUS] = FAILED
                return


@kernel
def clip_and_step(
    params: Floats,
    m: Floats,
    v: Floats,
    steps: Integers,
    plan: Integers,
    settings: Doubles,
    adam: Doubles,
    gradient: Floats,
    row: Doubles,
) -> bool:
    """One step of both Adams, the norms clipped together or apart (Spec 6.5).

    Returns:
        False where the loss or a norm is not finite: nothing was moved.
    """
    split = plan[N_ACTOR]
    row[ACTOR_NORM], row[CRITIC_NORM] = norm(gradient[:split]), norm(gradient[split:])
    if not (
        math.isfinite(row[LOSS])
        and math.isfinite(row[ACTOR_NORM])
        and math.isfinite(row[CRITIC_NORM])
    ):
        return False
    if math.isnan(settings[CRITIC_MAX_GRAD_NORM]):
        together = math.sqrt(row[ACTOR_NORM] ** 2 + row[CRITIC_NORM] ** 2)
        actor_factor = clip_factor(together, settings[MAX_GRAD_NORM])
        critic_factor = actor_factor
    else:
        actor_factor = clip_factor(row[ACTOR_NORM], settings[MAX_GRAD_NORM])
        critic_factor = clip_factor(row[CRITIC_NORM], settings[CRITIC_MAX_GRAD_NORM])
    steps += 1
    adam_step(
        params[:split],
        gradient[:split],
        m[:split],
        v[:split],
        steps[ACTOR],
        adam[ACTOR],
        actor_factor,
    )
    adam_step(
        params[split:],
        gradient[split:],
        m[split:],
        v[split:],
        steps[CRITIC],
        adam[CRITIC],
        critic_factor,
    )
    return True
