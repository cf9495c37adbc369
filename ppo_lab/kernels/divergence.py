"""How far an update moved the policy, over the whole rollout (Spec 7.6)."""

import math

import numpy as np

from ppo_lab.kernels.boundary import (
    check_actions,
    check_allowed,
    check_array,
    check_network,
    check_rows,
)
from ppo_lab.kernels.compiling import entry_kernel
from ppo_lab.kernels.layout import ACTOR, Layout
from ppo_lab.kernels.network import forward, seen_by, spare_columns
from ppo_lab.kernels.policy_head import action_log_probs, forbid
from ppo_lab.kernels.typing import Actions, Floats, Floats2D, Networks

__all__ = ["rollout_kl", "run_rollout_kl"]


def rollout_kl(
    params: Floats,
    layout: Layout,
    observations: Floats2D,
    actions: Actions,
    old_log_probs: Floats,
    work: Floats,
) -> float:
    """k3 = mean((e^ρ − 1) − ρ), ρ = log π − log π_old, over the whole rollout (Spec 7.6).

    Args:
        params: (P,) all parameters.
        layout: of the networks.
        observations: (N, ``layout.row``), N ≥ 1.
        actions: (N, action columns).
        old_log_probs: (N,) log π_old(a|s).
        work: ``layout.workspace(rows)`` of any number of rows.

    Raises:
        ArgumentError: an array of another shape or type, an action that there is not or that was
            forbidden, or a mask that allows nothing.
    """
    n = max(1, len(observations))
    check_network(layout, params, work)
    check_rows(layout, observations, n)
    check_actions(layout, actions, n)
    check_allowed(layout, observations, actions)
    check_array("old_log_probs", old_log_probs, (n,))
    networks = Networks.of(layout, params, work)
    return run_rollout_kl(networks, observations, actions, old_log_probs)


@entry_kernel
def run_rollout_kl(
    networks: Networks, observations: Floats2D, actions: Actions, old_log_probs: Floats
) -> float:
    """See :func:`rollout_kl`, whose arguments these are, checked."""
    n_samples = observations.shape[0]
    total = 0.0
    for first in range(0, n_samples, networks.rows):
        last = min(first + networks.rows, n_samples)
        rows = observations[first:last]
        outputs = forward(networks, ACTOR, seen_by(networks, ACTOR, rows))
        forbid(networks, rows, outputs)
        log_probs, scratch = spare_columns(networks, last - first)
        action_log_probs(networks, outputs, actions[first:last], log_probs, scratch)
        for i in range(last - first):
            log_ratio = np.float64(log_probs[i]) - np.float64(old_log_probs[first + i])
            total += math.expm1(log_ratio) - log_ratio
    return float(total / n_samples)
