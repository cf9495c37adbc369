"""Choosing actions and judging states: one compiled call per vector step."""

import math

import numpy as np

from ppo_lab.kernels.boundary import check_array, check_network, check_rows
from ppo_lab.kernels.compiling import entry_kernel, inlined_kernel
from ppo_lab.kernels.layout import ACTOR, CRITIC, FIXED, UNITS, Layout
from ppo_lab.kernels.network import forward, seen_by
from ppo_lab.kernels.policy_head import draw_actions, forbid
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Floats2D, Integers, Networks

__all__ = ["act", "predict_values", "run_act", "run_predict_values"]


def act(
    params: Floats,
    layout: Layout,
    observations: Floats2D,
    noise: Doubles,
    work: Floats,
    actions: Actions,
    values: Floats,
    log_probs: Floats,
) -> int:
    """A ~ π(·|s), V(s) and log π(a|s) of K environments (Spec 6.3, 6.4); allocates nothing.

    Args:
        params: (P,) all parameters.
        layout: of the networks.
        observations: (K, ``layout.row``).
        noise: (K, action columns): uniforms in [0, 1), or standard normals of a Gaussian.
        work: ``layout.workspace(rows)`` of any number of rows.
        actions: (K, action columns), int64, or float32 of a Gaussian; written.
        values: (K,); written.
        log_probs: (K,); written.

    Returns:
        −1, or the first environment whose value or log-probability is not finite.

    Raises:
        ArgumentError: an array of another shape or type, or a mask that allows nothing.
    """
    k, columns = len(observations), layout.n_actions
    _check(params, layout, observations, work, values=values, log_probs=log_probs)
    check_array("noise", noise, (k, columns), np.float64)
    check_array("actions", actions, (k, columns), layout.action_dtype, written=True)
    return run_act(params, layout.plan, observations, noise, work, actions, values, log_probs)


def predict_values(
    params: Floats, layout: Layout, observations: Floats2D, work: Floats, values: Floats
) -> None:
    """V(s) of K observations, to bootstrap from (Spec 3); allocates nothing.

    Args:
        params: (P,) all parameters.
        layout: of the networks.
        observations: (K, ``layout.row``).
        work: ``layout.workspace(rows)`` of any number of rows.
        values: (K,); written.

    Raises:
        ArgumentError: an array of another shape or type, or a mask that allows nothing.
    """
    _check(params, layout, observations, work, values=values)
    run_predict_values(params, layout.plan, observations, work, values)


def _check(
    params: Floats, layout: Layout, observations: Floats2D, work: Floats, **written: Floats
) -> None:
    """Check what both take; ``written``: (K,) each."""
    check_network(layout, params, work)
    check_rows(layout, observations, len(observations))
    for name, array in written.items():
        check_array(name, array, (len(observations),), written=True)


# One argument an array: every step calls these two from Python, where a tuple of arrays costs
# another half of the call.


@entry_kernel
def run_act(
    params: Floats,
    plan: Integers,
    observations: Floats2D,
    noise: Doubles,
    work: Floats,
    actions: Actions,
    values: Floats,
    log_probs: Floats,
) -> int:
    """See :func:`act`, whose arguments these are, checked; ``plan`` is the layout's."""
    networks = networks_in(params, plan, work)
    for first in range(0, observations.shape[0], networks.rows):
        last = min(first + networks.rows, observations.shape[0])
        rows = observations[first:last]
        outputs = forward(networks, ACTOR, seen_by(networks, ACTOR, rows))
        forbid(networks, rows, outputs)
        draw_actions(
            networks, outputs, noise[first:last], actions[first:last], log_probs[first:last]
        )
        judged = forward(networks, CRITIC, seen_by(networks, CRITIC, rows))
        # A loop: assigning arrays would compile the message for shapes that do not match.
        for i in range(last - first):
            values[first + i] = judged[i, 0]
    for i in range(observations.shape[0]):
        if not (math.isfinite(values[i]) and math.isfinite(log_probs[i])):
            return i
    return -1


@entry_kernel
def run_predict_values(
    params: Floats, plan: Integers, observations: Floats2D, work: Floats, values: Floats
) -> None:
    """See :func:`predict_values`."""
    networks = networks_in(params, plan, work)
    for first in range(0, observations.shape[0], networks.rows):
        last = min(first + networks.rows, observations.shape[0])
        outputs = forward(networks, CRITIC, seen_by(networks, CRITIC, observations[first:last]))
        for i in range(last - first):
            values[first + i] = outputs[i, 0]


@inlined_kernel
def networks_in(params: Floats, plan: Integers, work: Floats) -> Networks:
    """``Networks.of``, compiled."""
    return Networks(params, plan, work, (work.size - plan[FIXED]) // plan[UNITS])
