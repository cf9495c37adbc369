"""How far an update moved the policy, over the whole rollout (Spec 7.6)."""

import math

import numpy as np

from ppo_lab.kernels.boundary import check_actions, check_array, check_network
from ppo_lab.kernels.compiling import entry_kernel
from ppo_lab.kernels.heads import categorical_log_probs, gaussian_log_probs, log_softmax
from ppo_lab.kernels.layout import ACTOR, GAUSSIAN, HEAD, N_ACTOR, N_OUTPUTS, PROBABILITIES, Layout
from ppo_lab.kernels.network import capacity, forward, spare_columns, view
from ppo_lab.kernels.typing import Actions, Floats, Integers, Matrix

__all__ = ["rollout_kl"]


def rollout_kl(
    params: Floats,
    layout: Layout,
    observations: Matrix,
    actions: Actions,
    old_log_probs: Floats,
    work: Floats,
) -> float:
    """k3 = mean((e^ρ − 1) − ρ), ρ = log π − log π_old, over the whole rollout (Spec 7.6).

    Args:
        params: (P,) all parameters.
        layout: of the networks.
        observations: (N, I), N ≥ 1.
        actions: (N, action columns).
        old_log_probs: (N,) log π_old(a|s).
        work: ``layout.workspace(rows)`` of any number of rows.

    Raises:
        ArgumentError: an array of another shape or type, or an action that there is not.
    """
    n = max(1, len(observations))
    check_network(layout, params, work)
    check_array("observations", observations, (n, layout.inputs))
    check_actions(layout, actions, n)
    check_array("old_log_probs", old_log_probs, (n,))
    return run_rollout_kl(params, layout.plan, observations, actions, old_log_probs, work)


@entry_kernel
def run_rollout_kl(
    params: Floats,
    plan: Integers,
    observations: Matrix,
    actions: Actions,
    old_log_probs: Floats,
    work: Floats,
) -> float:
    """See :func:`rollout_kl`, whose arguments these are, checked."""
    rows, n_samples, n_outputs = capacity(plan, work), observations.shape[0], plan[N_OUTPUTS]
    log_std = params[plan[N_ACTOR] - n_outputs : plan[N_ACTOR]]
    total = 0.0
    for first in range(0, n_samples, rows):
        n = min(rows, n_samples - first)
        outputs = forward(params, plan, ACTOR, observations[first : first + n], work, rows)
        log_probs, scratch = spare_columns(plan, work, rows, n)
        if plan[HEAD] == GAUSSIAN:
            gaussian_log_probs(outputs, log_std, actions[first : first + n], log_probs)
        else:
            probabilities = view(work, rows, plan[PROBABILITIES], n, n_outputs)
            log_softmax(plan, outputs, probabilities, scratch)
            categorical_log_probs(plan, outputs, actions[first : first + n], log_probs)
        for i in range(n):
            log_ratio = np.float64(log_probs[i]) - np.float64(old_log_probs[first + i])
            total += math.expm1(log_ratio) - log_ratio
    return float(total / n_samples)
