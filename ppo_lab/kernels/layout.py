"""Where every parameter and every intermediate value of a small actor–critic lies in memory.

One flat float32 vector holds all parameters: the actor's layers in order (weight, then bias), its
output layer, ``log_std`` if the head is Gaussian, then the critic's layers and its output layer.
Weights are (out, in) row by row, as ``torch.nn.Linear`` has them. Gradients and both moments of
Adam have the same layout.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.alignment import aligned_zeros

__all__ = ["Activation", "Head", "Layout", "Place"]

Activation = Literal["tanh", "relu"]
Head = Literal["categorical", "gaussian", "multi_categorical"]

TANH, RELU = 0, 1
CATEGORICAL, GAUSSIAN = 0, 1
ACTOR, CRITIC = np.int64(0), np.int64(1)
"""Not literals: numba would compile what takes them once for each."""

# What stands where in a plan: the header, then LAYER_FIELDS numbers a layer, then the sizes.
INPUTS = 0
ACTIVATION = 1
HEAD = 2
N_ACTIONS = 3
"""Columns of the actions and of the noise: sub-actions, or dimensions of a Gaussian."""
N_OUTPUTS = 4
"""Columns of the actor's output: all logits, or the means."""
N_ACTOR = 5
N_PARAMETERS = 6
FIRST_LAYER = 7
"""And 8: where the actor's and the critic's first layer stand in the plan."""
N_LAYERS = 9
"""And 10: how many layers each has, the output layer included."""
SIZES = 11
"""Where the sizes of the sub-actions stand in the plan."""
UNITS = 12
"""Floats of workspace for one sample; FIXED more serve all."""
PROBABILITIES = 13
"""Offset of the softmax, in floats for one sample; as are all offsets of the workspace."""
SPARE = 14
"""Offset of two columns that no network uses."""
PACK = 15
"""Offset of the panels that the matrix products copy; they run to the workspace's end."""
FIXED = 16
ROW = 17
"""Columns of a row: what the actor sees, what only the critic sees, and the masks."""
FIRST_COLUMN = 18
"""And 19: the first column that the actor and the critic see."""
MASKS = 20
"""The first column of the masks, which is never 0; 0: the rows have none."""
SEEN = 21
"""Offset of a network's part of the rows, where it does not see them whole."""
HEADER = 22
PANEL = 64
"""Columns of the widest panel of ``products.multiply``.

It asks for PANEL · (k + 1) + TILE floats.
"""
TILE = 6 * PANEL

LAYER_INPUTS, LAYER_OUTPUTS, LAYER_WEIGHT, LAYER_UNITS, LAYER_FIELDS = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Place:
    """Where one tensor lies in the flat vector.

    Attributes:
        role: (network, index of the layer, kind) with network ``actor`` or ``critic`` and kind
            ``weight``, ``bias`` or ``log_std``; the output layer's index is the number of hidden
            layers, and ``log_std`` has the output layer's.
        start: index of its first number.
        shape: (out, in) of a weight, (out,) of the others.
    """

    role: tuple[str, int, str]
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        """Index after its last number."""
        return self.start + prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The shapes of a separate actor and critic, and what follows from them.

    Args:
        inputs: numbers in one flat observation, ≥ 1.
        actor: widths of the actor's hidden layers; empty: linear.
        critic: widths of the critic's hidden layers; empty: linear.
        activation: after each hidden layer.
        head: ``categorical`` (Discrete), ``multi_categorical`` (MultiDiscrete) or ``gaussian``
            (Box: diagonal, state-independent log std).
        action_sizes: (n,) of ``categorical``, one size per sub-action of ``multi_categorical``,
            (d,) of a ``gaussian`` with d dimensions.
        critic_inputs: numbers in the flat observation of the critic's own (Spec 12.1); None: it
            sees what the actor sees.
        masked: whether a row says which actions are allowed (Spec 13.1).

    Raises:
        ArgumentError: a size that is no positive whole number, or sizes or masks that do not fit
            the head.
    """

    inputs: int
    actor: tuple[int, ...]
    critic: tuple[int, ...]
    activation: Activation
    head: Head
    action_sizes: tuple[int, ...]
    critic_inputs: int | None = None
    masked: bool = False

    def __post_init__(self) -> None:
        sizes = (self.inputs, self.judged, *self.actor, *self.critic, *self.action_sizes)
        if not all(isinstance(size, int | np.integer) for size in sizes):
            raise ArgumentError(f"every size of {self} must be a whole number")
        if min(sizes) < 1:
            raise ArgumentError(f"every size of {self} must be at least 1")
        if self.activation not in ("tanh", "relu"):
            raise ArgumentError(f"activation={self.activation!r}: expected 'tanh' or 'relu'")
        if self.head not in ("categorical", "gaussian", "multi_categorical"):
            raise ArgumentError(
                f"head={self.head!r}: expected 'categorical', 'gaussian' or 'multi_categorical'"
            )
        if not self.action_sizes or (
            self.head != "multi_categorical" and len(self.action_sizes) != 1
        ):
            raise ArgumentError(
                f"action_sizes={self.action_sizes!r} with head={self.head!r}: expected one size, "
                "or one per sub-action with 'multi_categorical'"
            )
        if self.masked and self.head == "gaussian":
            raise ArgumentError("masked=True with head='gaussian': only counted actions have masks")

    @property
    def judged(self) -> int:
        """Numbers that the critic sees."""
        return self.inputs if self.critic_inputs is None else self.critic_inputs

    @property
    def row(self) -> int:
        """Numbers in a row: the actor's observation, the critic's own, and a mask an action."""
        own = 0 if self.critic_inputs is None else self.critic_inputs
        return self.inputs + own + (self.n_outputs if self.masked else 0)

    @property
    def n_outputs(self) -> int:
        """Numbers that the actor's network puts out: all logits, or the means."""
        return sum(self.action_sizes)

    @property
    def n_actions(self) -> int:
        """Columns of an array of actions, and of the noise that chooses them."""
        return self.n_outputs if self.head == "gaussian" else len(self.action_sizes)

    @property
    def n_actor(self) -> int:
        """The actor's parameters; the critic's come after them."""
        widths = (self.inputs, *self.actor, self.n_outputs)
        return _n_weights(widths) + (self.n_outputs if self.head == "gaussian" else 0)

    @property
    def n_parameters(self) -> int:
        """Length of the flat vector."""
        return self.n_actor + _n_weights((self.judged, *self.critic, 1))

    @property
    def action_dtype(self) -> type[np.int64] | type[np.float32]:
        """float32 of a Gaussian, int64 of the others."""
        return np.float32 if self.head == "gaussian" else np.int64

    def places(self) -> tuple[Place, ...]:
        """Every tensor's place, in the order of the flat vector."""
        places: list[Place] = []
        start = 0

        def add(role: tuple[str, int, str], shape: tuple[int, ...]) -> None:
            nonlocal start
            places.append(Place(role, start, shape))
            start += prod(shape)

        for network, inputs, hidden, outputs in (
            ("actor", self.inputs, self.actor, self.n_outputs),
            ("critic", self.judged, self.critic, 1),
        ):
            for index, (n_in, n_out) in enumerate(pairwise((inputs, *hidden, outputs))):
                add((network, index, "weight"), (n_out, n_in))
                add((network, index, "bias"), (n_out,))
            if network == "actor" and self.head == "gaussian":
                add((network, len(hidden), "log_std"), (outputs,))
        return tuple(places)

    @cached_property
    def plan(self) -> NDArray[np.int64]:
        """The layout as the kernels read it: one int64 vector of sizes and offsets."""
        header = [0] * HEADER
        layers: list[int] = []
        units = self.row  # of the workspace: first the gathered rows
        weights = {place.role[:2]: place.start for place in self.places()[::-1]}
        for which, network, inputs, hidden, outputs in (
            (ACTOR, "actor", self.inputs, self.actor, self.n_outputs),
            (CRITIC, "critic", self.judged, self.critic, 1),
        ):
            header[FIRST_LAYER + which] = HEADER + len(layers)
            header[N_LAYERS + which] = len(hidden) + 1
            for index, (n_in, n_out) in enumerate(pairwise((inputs, *hidden, outputs))):
                layers += [n_in, n_out, weights[(network, index)], units]
                units += n_out
        header[INPUTS] = self.inputs
        header[ACTIVATION] = TANH if self.activation == "tanh" else RELU
        header[HEAD] = GAUSSIAN if self.head == "gaussian" else CATEGORICAL
        header[N_ACTIONS] = self.n_actions
        header[N_OUTPUTS] = self.n_outputs
        header[N_ACTOR] = self.n_actor
        header[N_PARAMETERS] = self.n_parameters
        header[SIZES] = HEADER + len(layers)
        header[PROBABILITIES] = units
        header[SPARE] = units + self.n_outputs
        header[SEEN] = header[SPARE] + 2
        header[PACK] = header[SEEN] + (max(self.inputs, self.judged) if self._is_in_parts else 0)
        header[UNITS] = header[PACK] + PANEL
        header[ROW] = self.row
        header[FIRST_COLUMN + CRITIC] = 0 if self.critic_inputs is None else self.inputs
        header[MASKS] = self.row - self.n_outputs if self.masked else 0
        widest = max((self.inputs, self.judged, *self.actor, self.n_outputs, *self.critic))
        header[FIXED] = PANEL * (widest + 2) + TILE
        return np.array([*header, *layers, *self.action_sizes], dtype=np.int64)

    @property
    def _is_in_parts(self) -> bool:
        return self.row != self.inputs

    def workspace(self, rows: int) -> NDArray[np.float32]:
        """Memory for the intermediate values of ``rows`` samples at once.

        Every kernel takes any workspace of at least one row and goes through more samples than
        fit in portions. A few hundred rows stay within a core's cache.

        Args:
            rows: samples at once, ≥ 1.

        Returns:
            (rows × floats of one sample + a fixed part,) float32 zeros.
        """
        size = max(1, rows) * int(self.plan[UNITS]) + int(self.plan[FIXED])
        return aligned_zeros(size)


def _n_weights(widths: tuple[int, ...]) -> int:
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(widths))
