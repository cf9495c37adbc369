"""One whole update, every epoch and minibatch, in one compiled call (Spec 6.3)."""

import math
from typing import NamedTuple

import numpy as np

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.alignment import LINE, aligned_zeros
from ppo_lab.kernels.boundary import (
    check_actions,
    check_allowed,
    check_array,
    check_indices,
    check_rows,
    check_work,
)
from ppo_lab.kernels.compiling import entry_kernel, kernel
from ppo_lab.kernels.layout import ACTOR, CRITIC, FIXED, N_ACTOR, UNITS, Layout
from ppo_lab.kernels.losses import (
    ACTOR_NORM,
    APPROX_KL,
    CRITIC_NORM,
    LOSS,
    N_DIAGNOSTICS,
    N_SUMS,
    Memory,
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
from ppo_lab.kernels.typing import Doubles, Floats, Integers, Networks, Rollout

__all__ = ["DIAGNOSTICS", "Adam", "Failure", "UpdateResult", "new_report", "run_update", "update"]

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

DONE, STOPPED, FAILED = 0, 1, 2
EVALUATED, EPOCHS, STATUS = 0, 1, 2


class Adam(NamedTuple):
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
        return cls(aligned_zeros(n), aligned_zeros(n), np.zeros(2, np.int64))


class Report(NamedTuple):
    """What an update writes of what it does.

    Attributes:
        diagnostics: (minibatches, N_DIAGNOSTICS); a row for each that was evaluated.
        ratios: (epochs · N,), or empty.
        progress: (3,) minibatches evaluated, epochs begun and how it ended.
    """

    diagnostics: Doubles
    ratios: Floats
    progress: Integers


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
        ArgumentError: an array of another shape or type, an action that there is not or that was
            forbidden, a mask that allows nothing, or an order that names other samples; nothing was
            moved.
    """
    n_epochs, n_samples = len(permutations), len(rollout.returns)
    _check_state(layout, params, adam)
    _check_rollout(layout, rollout, n_samples)
    _check_order(permutations, n_epochs, n_samples, batch_size)
    if memory is None:
        memory = Memory.of(layout, batch_size)
    _check_memory(layout, memory, batch_size)
    n_minibatches = n_epochs * math.ceil(n_samples / batch_size)
    report = new_report(n_minibatches, n_epochs * n_samples if keep_ratios else 0)
    run_update(
        Networks.of(layout, params, memory.work),
        adam,
        settings.packed(),
        np.array([actor.packed(), critic.packed()]),
        rollout,
        permutations,
        batch_size,
        memory,
        report,
    )
    n_evaluated, epochs, status = report.progress.tolist()
    failure = None
    if status == FAILED:
        n_evaluated -= 1
        failure = Failure(
            *report.diagnostics[n_evaluated, [LOSS, ACTOR_NORM, CRITIC_NORM]].tolist()
        )
    n_seen = _samples_in(n_evaluated, n_samples, batch_size)
    return UpdateResult(
        report.diagnostics[:n_evaluated], report.ratios[:n_seen], epochs, status == STOPPED, failure
    )


def new_report(n_minibatches: int, n_ratios: int) -> Report:
    """Room for the report of so many minibatches."""
    return Report(
        np.full((n_minibatches, N_DIAGNOSTICS), np.nan),
        np.empty(n_ratios, np.float32),
        np.zeros(3, np.int64),
    )


def _check_state(layout: Layout, params: Floats, adam: Adam) -> None:
    for name, vector in (("params", params), ("adam.m", adam.m), ("adam.v", adam.v)):
        check_array(name, vector, (layout.n_parameters,), written=True)
    check_array("adam.steps", adam.steps, (2,), np.int64, written=True)


def _check_rollout(layout: Layout, rollout: Rollout, n_samples: int) -> None:
    check_rows(layout, rollout.observations, n_samples)
    check_actions(layout, rollout.actions, n_samples)
    check_allowed(layout, rollout.observations, rollout.actions)
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
    networks: Networks,
    adam: Adam,
    settings: Doubles,
    rates: Doubles,
    rollout: Rollout,
    permutations: Integers,
    batch_size: int,
    memory: Memory,
    report: Report,
) -> None:
    """Minibatch after minibatch: loss and gradient, the two guards, clipping, Adam.

    Args:
        networks: in the memory's workspace; the parameters are moved in place, as ``adam`` is.
        adam: both optimisers' state.
        settings: ``UpdateSettings.packed()``.
        rates: (2, 4) ``AdamSettings.packed()`` of the actor and of the critic.
        rollout: N transitions.
        permutations: (epochs, N).
        batch_size: samples of a minibatch.
        memory: scratch.
        report: written.
    """
    n_samples, progress = permutations.shape[1], report.progress
    progress[:] = 0
    n_seen = 0
    for epoch in range(permutations.shape[0]):
        progress[EPOCHS] += 1
        for first in range(0, n_samples, batch_size):
            indices = permutations[epoch, first : min(first + batch_size, n_samples)]
            row = report.diagnostics[progress[EVALUATED]]
            ratios = report.ratios[n_seen : n_seen + indices.size]
            progress[EVALUATED] += 1
            loss_and_gradient(networks, settings, rollout, indices, memory, row, ratios)
            n_seen += indices.size
            if row[APPROX_KL] > settings[KL_LIMIT]:
                progress[STATUS] = STOPPED
                return
            if not clip_and_step(networks, adam, settings, rates, memory.gradients[0], row):
                progress[STATUS] = FAILED
                return


@kernel
def clip_and_step(
    networks: Networks,
    adam: Adam,
    settings: Doubles,
    rates: Doubles,
    gradient: Floats,
    row: Doubles,
) -> bool:
    """One step of both Adams, the norms clipped together or apart (Spec 6.5).

    Returns:
        False where the loss or a norm is not finite: nothing was moved.
    """
    params, m, v, split = networks.params, adam.m, adam.v, networks.plan[N_ACTOR]
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
    adam.steps[ACTOR] += 1
    adam.steps[CRITIC] += 1
    # The critic's first numbers alone, so that the others start where a cache line does.
    line = min((split + LINE - 1) // LINE * LINE, np.int64(params.size))
    for network, first, stop, factor in (
        (ACTOR, np.int64(0), split, actor_factor),
        (CRITIC, split, line, critic_factor),
        (CRITIC, line, np.int64(params.size), critic_factor),
    ):
        adam_step(
            params[first:stop],
            gradient[first:stop],
            m[first:stop],
            v[first:stop],
            adam.steps[network],
            rates[network],
            factor,
        )
    return True
