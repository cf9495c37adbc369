"""One step of a rollout in one compiled call: observations encoded, actions chosen and clipped.

The policy's part is ``run_act``'s; what is around it would cost as much again in Python.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ppo_lab.kernels.acting import run_act
from ppo_lab.kernels.boundary import check_array, check_network
from ppo_lab.kernels.compiling import entry_kernel
from ppo_lab.kernels.layout import INPUTS, Head, Layout
from ppo_lab.kernels.typing import Doubles, Floats, Floats2D, Integers

__all__ = ["SERVED", "StepArrays", "load_step", "run_step", "step_arrays", "step_call"]

SERVED = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64))
"""What a rollout buffer's observations may be; whole numbers are those of a Discrete space."""


class StepArrays(NamedTuple):
    """What :func:`run_step` takes, in its order.

    Attributes:
        params: (P,) all parameters.
        plan: the layout's.
        work: ``layout.workspace(rows)`` of any number of rows.
        seen: (T, K, I) the rollout's observations, or (T, K, 1) indices below I.
        inputs: (K, ``Layout.row``) scratch: the rows of one step, whose masks the caller writes.
        noise: (T, K, action columns): uniforms in [0, 1), or standard normals of a Gaussian.
        actions: (T, K, action columns), written.
        values: (T, K), written.
        log_probs: (T, K), written.
        bounds: (2, action columns), the least and the greatest action; (2, 0): none are clipped.
        clipped: (T, K, action columns) of the bounds' dtype, written.
    """

    params: Floats
    plan: Integers
    work: Floats
    seen: NDArray[Any]
    inputs: Floats2D
    noise: Doubles
    actions: NDArray[Any]
    values: Floats2D
    log_probs: Floats2D
    bounds: NDArray[Any]
    clipped: NDArray[Any]


def step_arrays(layout: Layout, arrays: StepArrays) -> StepArrays:
    """The arrays, checked.

    Raises:
        ArgumentError: one of another shape or type.
    """
    n_steps, k = arrays.noise.shape[:2]
    columns, n_rows = layout.n_actions, len(arrays.seen)
    check_network(layout, arrays.params, arrays.work)
    width = 1 if arrays.seen.dtype.kind == "i" else layout.inputs
    check_array("seen", arrays.seen, (n_rows, k, width), arrays.seen.dtype)
    check_array("inputs", arrays.inputs, (k, layout.row), written=True)
    check_array("noise", arrays.noise, (n_steps, k, columns), np.float64)
    shape, dtype = (n_steps, k, columns), layout.action_dtype
    check_array("actions", arrays.actions, shape, dtype, written=True)
    for name in ("values", "log_probs"):
        check_array(name, getattr(arrays, name), (n_rows, k), written=True)
    if arrays.bounds.size:
        check_array("bounds", arrays.bounds, (2, columns), arrays.clipped.dtype)
        check_array("clipped", arrays.clipped, shape, arrays.clipped.dtype, written=True)
    return arrays


@cache
def load_step(seen: np.dtype[Any], actions: np.dtype[Any], bounds: np.dtype[Any]) -> None:
    """Load :func:`run_step` for arrays of these types, or compile it where it is not on disk."""
    run_step(*step_call(seen, actions, bounds))


def step_call(
    seen: np.dtype[Any], actions: np.dtype[Any], bounds: np.dtype[Any]
) -> tuple[Any, ...]:
    """Arguments of :func:`run_step` of these types, for one step of the smallest networks."""
    head: Head = "gaussian" if actions == np.float32 else "categorical"
    layout, table = Layout(1, (), (), "tanh", head, (1,)), np.zeros((1, 1), np.float32)
    return (
        0, np.zeros(layout.n_parameters, np.float32), layout.plan, layout.workspace(1),
        np.zeros((1, 1, 1), seen), table.copy(), np.zeros((1, 1, 1)), np.zeros((1, 1, 1), actions),
        table.copy(), table.copy(), np.zeros((2, 0), bounds), np.zeros((1, 1, 1), bounds),
    )  # fmt: skip


@entry_kernel
def run_step(
    step: int,
    params: Floats,
    plan: Integers,
    work: Floats,
    seen: NDArray[Any],
    inputs: Floats2D,
    noise: Doubles,
    actions: NDArray[Any],
    values: Floats2D,
    log_probs: Floats2D,
    bounds: NDArray[Any],
    clipped: NDArray[Any],
) -> int:
    """Choose the actions of a step whose observations are in ``seen``.

    ``step`` is from 0 and below T; the arrays are those of :class:`StepArrays`, checked. Masks are
    in ``inputs`` and checked too; the layout has no ``critic_inputs``.

    Returns:
        As :func:`ppo_lab.kernels.acting.act`.
    """
    width, n_inputs = seen.shape[2], plan[INPUTS]
    for i in range(inputs.shape[0]):
        if width < n_inputs:
            for j in range(n_inputs):
                inputs[i, j] = 0
            inputs[i, int(seen[step, i, 0])] = 1
        else:
            for j in range(width):
                inputs[i, j] = seen[step, i, j]
    bad = run_act(
        params, plan, inputs, noise[step], work, actions[step], values[step], log_probs[step]
    )
    for i in range(inputs.shape[0]):
        for j in range(bounds.shape[1]):
            clipped[step, i, j] = actions[step, i, j]
            if clipped[step, i, j] < bounds[0, j]:
                clipped[step, i, j] = bounds[0, j]
            if clipped[step, i, j] > bounds[1, j]:
                clipped[step, i, j] = bounds[1, j]
    return bad
