"""What the actor's outputs mean: the one place that tells the kinds of actions apart.

Each function takes the outputs (n, O) of :func:`ppo_lab.kernels.network.forward`: logits, or the
means of a Gaussian. ``heads.py`` has the formulas.
"""

import numpy as np

from ppo_lab.kernels.compiling import inlined_kernel, kernel
from ppo_lab.kernels.heads import (
    categorical_entropy,
    categorical_gradient,
    categorical_log_probs,
    draw_categorical,
    draw_gaussian,
    gaussian_entropy,
    gaussian_gradient,
    gaussian_log_probs,
    log_softmax,
)
from ppo_lab.kernels.layout import GAUSSIAN, HEAD, MASKS, N_ACTOR, N_OUTPUTS, PROBABILITIES
from ppo_lab.kernels.network import view
from ppo_lab.kernels.typing import Actions, Doubles, Floats, Floats2D, Networks

__all__ = [
    "action_log_probs",
    "draw_actions",
    "forbid",
    "likeliest_actions",
    "output_gradient",
    "total_entropy",
]


@inlined_kernel
def log_std_in(networks: Networks, vector: Floats) -> Floats:
    """(D,) the place of a Gaussian's log σ in a vector (P,) of parameters or gradients."""
    stop = networks.plan[N_ACTOR]
    return vector[stop - networks.plan[N_OUTPUTS] : stop]


@inlined_kernel
def probabilities_of(networks: Networks, outputs: Floats2D) -> Floats2D:
    """(n, O) the place of the softmax in the workspace."""
    return view(networks, networks.plan[PROBABILITIES], outputs.shape[0], outputs.shape[1])


FORBIDDEN = np.float32(-1e30)
"""A logit whose e^ is 0 beside any other, and which stays finite in sums and products."""


@kernel
def forbid(networks: Networks, rows: Floats2D, outputs: Floats2D) -> None:
    """z_a of actions that the rows' masks do not allow ← −1e30: p_a and ∂loss/∂z_a are then 0.

    Args:
        networks: their plan says where a row has its masks, if it does.
        rows: (n, W), of the same samples.
        outputs: (n, O) logits, of :func:`ppo_lab.kernels.network.forward`.
    """
    first = networks.plan[MASKS]
    if first == 0:
        return
    for i in range(outputs.shape[0]):
        for j in range(outputs.shape[1]):
            if rows[i, first + j] == 0:
                outputs[i, j] = FORBIDDEN


@inlined_kernel
def draw_actions(
    networks: Networks, outputs: Floats2D, noise: Doubles, actions: Actions, log_probs: Floats
) -> None:
    """A ~ π(·|s), and log π of it.

    Args:
        networks: the actor's plan and ``log_std``.
        outputs: (n, O); overwritten.
        noise: (n, action columns): uniforms in [0, 1), or standard normals of a Gaussian.
        actions: (n, action columns); written.
        log_probs: (n,); written.
    """
    if networks.plan[HEAD] == GAUSSIAN:
        log_std = log_std_in(networks, networks.params)
        draw_gaussian(outputs, log_std, noise, actions)
        gaussian_log_probs(outputs, log_std, actions, log_probs)
    else:
        probabilities = probabilities_of(networks, outputs)
        log_softmax(networks.plan, outputs, probabilities, log_probs)  # as scratch
        draw_categorical(networks.plan, probabilities, noise, actions)
        categorical_log_probs(networks.plan, outputs, actions, log_probs)


@inlined_kernel
def likeliest_actions(networks: Networks, outputs: Floats2D, actions: Actions) -> None:
    """argmax_a π(a|s), into ``actions`` (n, action columns)."""
    if networks.plan[HEAD] == GAUSSIAN:
        for row in range(outputs.shape[0]):
            for column in range(outputs.shape[1]):
                actions[row, column] = outputs[row, column]
    else:  # Discrete: worlds have no MultiDiscrete actions
        for row in range(outputs.shape[0]):
            actions[row, 0] = np.argmax(outputs[row])


@inlined_kernel
def action_log_probs(
    networks: Networks, outputs: Floats2D, actions: Actions, log_probs: Floats, scratch: Floats
) -> None:
    """Log π(a|s) of actions that were taken.

    Args:
        networks: the actor's plan and ``log_std``; the softmax is left in the workspace.
        outputs: (n, O); logits become log-probabilities.
        actions: (n, action columns).
        log_probs: (n,); written.
        scratch: (n,).
    """
    if networks.plan[HEAD] == GAUSSIAN:
        gaussian_log_probs(outputs, log_std_in(networks, networks.params), actions, log_probs)
    else:
        log_softmax(networks.plan, outputs, probabilities_of(networks, outputs), scratch)
        categorical_log_probs(networks.plan, outputs, actions, log_probs)


@inlined_kernel
def total_entropy(networks: Networks, outputs: Floats2D) -> float:
    """Σ_n H(π(·|s_n)), after :func:`action_log_probs`."""
    if networks.plan[HEAD] == GAUSSIAN:
        entropy = float(outputs.shape[0] * gaussian_entropy(log_std_in(networks, networks.params)))
    else:
        entropy = categorical_entropy(outputs, probabilities_of(networks, outputs))
    return entropy


@inlined_kernel
def output_gradient(
    networks: Networks,
    outputs: Floats2D,
    actions: Actions,
    by_log_prob: Floats,
    by_entropy: np.float32,
    scratch: Floats,
    gradient: Floats,
) -> None:
    """∂loss/∂outputs in the outputs' place, and a Gaussian's ∂loss/∂log σ in ``gradient``.

    Args:
        networks: after :func:`action_log_probs`.
        outputs: (n, O), as that left them.
        actions: (n, action columns).
        by_log_prob: (n,) ∂loss/∂ log π(a|s).
        by_entropy: ∂loss/∂H(π(·|s)).
        scratch: (n,).
        gradient: (P,).
    """
    if networks.plan[HEAD] == GAUSSIAN:
        log_std = log_std_in(networks, networks.params)
        into = log_std_in(networks, gradient)
        gaussian_gradient(outputs, log_std, actions, by_log_prob, by_entropy, into)
    else:
        probabilities = probabilities_of(networks, outputs)
        categorical_gradient(
            networks.plan, outputs, probabilities, actions, by_log_prob, by_entropy, scratch
        )
