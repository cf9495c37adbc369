"""A multilayer perceptron forwards and backwards, in memory that is given.

Layer l of L computes z_l = W_l a_{l−1} + b_l and a_l = f(z_l), a_0 the observation, f the
activation for l < L and the identity for l = L. Rows are samples; a workspace of ``capacity`` rows
holds every a_l (``layout.py`` says where).
"""

import numpy as np

from ppo_lab.kernels.compiling import kernel
from ppo_lab.kernels.finishing import PLAIN, SLOPE
from ppo_lab.kernels.layout import (
    ACTIVATION,
    FIRST_COLUMN,
    FIRST_LAYER,
    LAYER_FIELDS,
    LAYER_INPUTS,
    LAYER_OUTPUTS,
    LAYER_UNITS,
    LAYER_WEIGHT,
    N_LAYERS,
    PACK,
    SEEN,
    SPARE,
)
from ppo_lab.kernels.products import input_gradient, outputs, sum_rows, weight_gradient
from ppo_lab.kernels.typing import Floats, Floats2D, Networks

__all__ = ["backward", "forward", "seen_by", "spare_columns", "view"]


@kernel
def view(networks: Networks, offset: int, n: int, width: int) -> Floats2D:
    """(n, width): the region of the workspace that starts at unit ``offset``."""
    start = networks.rows * offset
    return networks.work[start : start + n * width].reshape(n, width)


@kernel
def spare_columns(networks: Networks, n: int) -> tuple[Floats, Floats]:
    """Two vectors (n,) of the workspace that the networks leave alone."""
    first = networks.rows * networks.plan[SPARE]
    second = networks.rows * (networks.plan[SPARE] + 1)
    return networks.work[first : first + n], networks.work[second : second + n]


@kernel
def seen_by(networks: Networks, network: np.int64, rows: Floats2D) -> Floats2D:
    """What a network sees of rows (n, W): (n, I), the rows themselves where that is all of them.

    Else a copy in the workspace, which the other network's takes the place of.
    """
    plan = networks.plan
    width = plan[plan[FIRST_LAYER + network] + LAYER_INPUTS]
    if width == rows.shape[1]:
        return rows
    first, seen = plan[FIRST_COLUMN + network], view(networks, plan[SEEN], rows.shape[0], width)
    for i in range(rows.shape[0]):
        for j in range(width):
            seen[i, j] = rows[i, first + j]
    return seen


@kernel
def forward(networks: Networks, network: np.int64, inputs: Floats2D) -> Floats2D:
    """a_l = f(a_{l−1} W_lᵀ + b_l) for every layer, the last without f.

    Args:
        networks: every a_l stays in the workspace for :func:`backward`.
        network: ACTOR or CRITIC.
        inputs: (n, I) of :func:`seen_by`, n ≤ ``networks.rows``.

    Returns:
        (n, O): the last layer's outputs, a view of the workspace.
    """
    n, params, plan = inputs.shape[0], networks.params, networks.plan
    n_layers = plan[N_LAYERS + network]
    pack = networks.work[networks.rows * plan[PACK] :]
    below = inputs
    for index in range(n_layers):
        layer = plan[FIRST_LAYER + network] + index * LAYER_FIELDS
        n_in, n_out = plan[layer + LAYER_INPUTS], plan[layer + LAYER_OUTPUTS]
        start = plan[layer + LAYER_WEIGHT]
        weight = params[start : start + n_in * n_out].reshape(n_out, n_in)
        bias = params[start + n_in * n_out : start + n_in * n_out + n_out]
        above = view(networks, plan[layer + LAYER_UNITS], n, n_out)
        kind = plan[ACTIVATION] if index < n_layers - 1 else PLAIN
        outputs(below, weight, bias, above, kind, pack)
        below = above
    return below


@kernel
def backward(networks: Networks, network: np.int64, inputs: Floats2D, gradient: Floats) -> None:
    """Weights' and biases' gradients, from the gradient of the loss in the outputs' place.

    With δ_L = ∂loss/∂z_L given, for l = L … 1: ∂W_l = δ_lᵀ a_{l−1}, ∂b_l = Σ_n δ_l, and
    δ_{l−1} = (δ_l W_l) ⊙ f′(z_{l−1}), where f′ is 1 − a² of tanh and [a > 0] of ReLU.

    Args:
        networks: as :func:`forward` left them, with δ_L (n, O) in the outputs' place; consumed.
        network: ACTOR or CRITIC.
        inputs: (n, I), those of :func:`forward`.
        gradient: (P,) this network's part is overwritten, but for ``log_std``.
    """
    n, params, plan = inputs.shape[0], networks.params, networks.plan
    pack = networks.work[networks.rows * plan[PACK] :]
    for index in range(plan[N_LAYERS + network] - 1, -1, -1):
        layer = plan[FIRST_LAYER + network] + index * LAYER_FIELDS
        n_in, n_out = plan[layer + LAYER_INPUTS], plan[layer + LAYER_OUTPUTS]
        start = plan[layer + LAYER_WEIGHT]
        stop = start + n_in * n_out
        weight = params[start:stop].reshape(n_out, n_in)
        delta = view(networks, plan[layer + LAYER_UNITS], n, n_out)
        below = inputs
        if index > 0:
            below = view(networks, plan[layer - LAYER_FIELDS + LAYER_UNITS], n, n_in)
        weight_gradient(delta, below, gradient[start:stop].reshape(n_out, n_in), pack)
        sum_rows(delta, gradient[stop : stop + n_out], pack)
        if index > 0:
            input_gradient(delta, weight, below, plan[ACTIVATION] + SLOPE, pack)
