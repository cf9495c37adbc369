"""Choosing actions and judging states: one compiled call per vector step."""

import math

import numpy as np

from ppo_lab.kernels.boundary import check_array, check_network
from ppo_lab.kernels.compiling import entry_kernel
from ppo_lab.kernels.heads import (
    categorical_log_probs,
    draw_categorical,
    draw_gaussian,
    gaussian_log_probs,
    log_softmax,
)
from ppo_lab.kernels.layout import (
    ACTOR,
    CRITIC,
    GAUSSIAN,
    HEAD,
    N_ACTOR,
    N_OUTPUTS,
    PROBABILITIES,
    Layout,
)
from ppo_lab.kernels.network import capacity, forward, view
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Integers, Matrix

__all__ = ["act", "predict_values", "run_act", "run_predict_values"]


def act(
    params: Floats,
    layout: Layout,
    observations: Matrix,
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
        observations: (K, I).
        noise: (K, action columns): uniforms in [0, 1), or standard normals of a Gaussian.
        work: ``layout.workspace(rows)`` of any number of rows.
        actions: (K, action columns), int64, or float32 of a Gaussian; written.
        values: (K,); written.
        log_probs: (K,); written.

    Returns:
        −1, or the first environment whose value or log-probability is not finite.

    Raises:
        ArgumentError: an array of another shape or type.
    """
    k, columns = len(observations), layout.n_actions
    check_network(layout, params, work)
    check_array("observations", observations, (k, layout.inputs))
    check_array("noise", noise, (k, columns), np.float64)
    check_array("actions", actions, (k, columns), layout.action_dtype, written=True)
    check_array("values", values, (k,), written=True)
    check_array("log_probs", log_probs, (k,), written=True)
    return run_act(params, layout.plan, observations, noise, work, actions, values, log_probs)


def predict_values(
    params: Floats, layout: Layout, observations: Matrix, work: Floats, values: Floats
) -> None:
    """V(s) of K observations, to bootstrap from (Spec 3); allocates nothing.

    Args:
        params: (P,) all parameters.
        layout: of the networks.
        observations: (K, I).
        work: ``layout.workspace(rows)`` of any number of rows.
        values: (K,); written.

    Raises:
        ArgumentError: an array of another shape or type.
    """
    check_network(layout, params, work)
    check_array("observations", observations, (len(observations), layout.inputs))
    check_array("values", values, (len(observations),), written=True)
    run_predict_values(params, layout.plan, observations, work, values)


@entry_kernel
def run_act(
    params: Floats,
    plan: Integers,
    observations: Matrix,
    noise: Doubles,
    work: Floats,
    actions: Actions,
    values: Floats,
    log_probs: Floats,
) -> int:
    """See :func:`act`, whose arguments these are, checked; ``plan`` is the layout's."""
    rows = capacity(plan, work)
    for first in range(0, observations.shape[0], rows):
        last = min(first + rows, observations.shape[0])
        inputs = observations[first:last]
        part, part_noise = actions[first:last], noise[first:last]
        part_log_probs = log_probs[first:last]
        outputs = forward(params, plan, ACTOR, inputs, work, rows)
        if plan[HEAD] == GAUSSIAN:
            log_std = params[plan[N_ACTOR] - plan[N_OUTPUTS] : plan[N_ACTOR]]
            draw_gaussian(outputs, log_std, part_noise, part)
            gaussian_log_probs(outputs, log_std, part, part_log_probs)
        else:
            probabilities = view(work, rows, plan[PROBABILITIES], last - first, plan[N_OUTPUTS])
            log_softmax(plan, outputs, probabilities, part_log_probs)  # as scratch
            draw_categorical(plan, probabilities, part_noise, part)
            categorical_log_probs(plan, outputs, part, part_log_probs)
        judged = forward(params, plan, CRITIC, inputs, work, rows)
        # A loop: assigning arrays would compile the message for shapes that do not match.
        for i in range(last - first):
            values[first + i] = judged[i, 0]
    for i in range(observations.shape[0]):
        if not (math.isfinite(values[i]) and math.isfinite(log_probs[i])):
            return i
    return -1


@entry_kernel
def run_predict_values(
    params: Floats, plan: Integers, observations: Matrix, work: Floats, values: Floats
) -> None:
    """See :func:`predict_values`."""
    rows = capacity(plan, work)
    for first in range(0, observations.shape[0], rows):
        last = min(first + rows, observations.shape[0])
        outputs = forward(params, plan, CRITIC, observations[first:last], work, rows)
        for i in range(last - first):
            values[first + i] = outputs[i, 0]
