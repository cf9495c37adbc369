"""What the kernels see of observations and masks: a row of numbers for each environment."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.boundary import check_indices

__all__ = ["Observations", "Rows", "copied", "encode", "write_observations"]

Observations = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""(K, …) of K environments, or such an array a key of a Dict."""
SingleArray = npt.NDArray[np.float32]


class Rows:
    """The rows of one policy: what the actor sees, what the critic sees if that is more, masks.

    Args:
        space: of one observation.
        critic_only: keys of a Dict that the critic alone sees (Spec 12.1).
        n_masks: masks at a row's end; 0: none.
    """

    def __init__(
        self, space: spaces.Space[Any], critic_only: Sequence[str] = (), n_masks: int = 0
    ) -> None:
        self._space, self._n_masks = space, n_masks
        self._parts: list[tuple[str, spaces.Space[Any]]] = []
        if isinstance(space, spaces.Dict):
            every = [*space.spaces.items()]
            seen = [(key, part) for key, part in every if key not in critic_only]
            # The critic's are all keys in their order, as its features extractor has them.
            self._parts = [*seen, *every]

    def __call__(self, observations: Any, masks: npt.NDArray[Any] | None = None) -> SingleArray:
        """The rows (K, W) of K observations.

        Args:
            observations: as the environments give them, or as a buffer keeps them.
            masks: (K, A); None: every action is allowed.

        Raises:
            ArgumentError: see :func:`encode`.
        """
        if not self._parts:
            seen = encode(observations, self._space)
            if not self._n_masks:
                return seen
            parts = [seen]
        else:
            parts = [encode(observations[key], space) for key, space in self._parts]
        if self._n_masks:
            ones = np.ones((len(parts[0]), self._n_masks), np.float32)
            parts.append(ones if masks is None else masks.astype(np.float32, copy=False))
        return np.concatenate(parts, axis=1)


def encode(observations: npt.NDArray[Any], space: spaces.Space[Any]) -> SingleArray:
    """Observations as the networks take them: flat, or one-hot where the space is Discrete.

    Args:
        observations: (K, …) or (K, 1, …): of a Discrete space (K,) or (K, 1) numbers.
        space: of one observation.

    Returns:
        (K, inputs) float32; a view where nothing needs changing.

    Raises:
        ArgumentError: they are not of this space's shape, or a number of a Discrete one is under 0
            or not under n, where SB3 raises too.
    """
    shape = space.shape or ()
    if observations.shape[1:] not in (shape, (1, *shape)):
        raise ArgumentError(
            f"an observation of shape {observations.shape[1:]} where the space is {space}: the "
            "environment must return what its observation_space says"
        )
    if isinstance(space, spaces.Discrete):
        n = int(space.n)
        numbers = observations.reshape(-1).astype(np.int64, copy=False)
        check_indices("observations", numbers, n)
        hot = np.zeros((len(numbers), n), np.float32)
        hot[np.arange(len(hot)), numbers] = 1.0
        return hot
    flat = observations.reshape(len(observations), -1)
    return np.ascontiguousarray(flat, dtype=np.float32)


def write_observations(kept: Any, step: int, observations: Any) -> None:
    """Write (K, …) observations into step ``step`` of a buffer's (T, K, …), key by key of a Dict.

    NumPy casts into the buffer's dtype, as by ``RolloutBuffer.add``.
    """
    if isinstance(kept, Mapping):
        for key, part in kept.items():
            write_observations(part, step, observations[key])
    else:
        kept[step] = observations.reshape(kept[step].shape)


def copied(observations: Any) -> Any:
    """New arrays of the same numbers."""
    if isinstance(observations, Mapping):
        return {key: part.copy() for key, part in observations.items()}
    return observations.copy()
