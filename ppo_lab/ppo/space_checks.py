"""Spaces that SB3's policies misread, and observations that are not of their space."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from ppo_lab.errors import ArgumentError, ObservationError

__all__ = ["check_indices", "check_shape", "check_spaces"]


def check_spaces(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> None:
    """Refuse spaces of indices that SB3's policies misread, and actions that are whole numbers.

    SB3's policies count from 0: an observation n + start − 1 has no place in their one-hot rows,
    and their actions would reach the environment without ``start``, outside its space. SB3's
    buffers store actions as the space says: of an action drawn from a Gaussian, whose
    log-probability is kept, the update would see the whole number (−1 in uint8 is 255).

    Raises:
        ArgumentError: a Discrete or MultiDiscrete, also within a Dict or a Tuple, starts elsewhere
            or has several axes, or a Box of actions has no floating point.
    """
    if isinstance(actions, spaces.Box) and np.dtype(actions.dtype).kind != "f":
        raise ArgumentError(
            f"the action space {_shown(actions)} is of whole numbers, to which "
            "SB3's buffers cut what a policy draws: make it one of float32 whose step rounds "
            "(gymnasium.wrappers.TransformAction), or Discrete or MultiDiscrete"
        )
    for what, space in (("observation", observations), ("action", actions)):
        if any(np.ndim(getattr(part, "nvec", ())) > 1 for part in _indices(space)):
            raise ArgumentError(
                f"the {what} space {_shown(space)} has several axes, which SB3's policies do not "
                "know of a MultiDiscrete: wrap the environment so that it has one "
                f"(gymnasium.wrappers.Transform{what.capitalize()})"
            )
        moved = next((part for part in _indices(space) if np.any(part.start)), None)
        if moved is not None:
            raise ArgumentError(
                f"the {what} space {_shown(space)} starts at {np.asarray(moved.start).tolist()}, "
                "and SB3's policies count from 0: wrap the environment so that it starts at 0 "
                f"(gymnasium.wrappers.Transform{what.capitalize()})"
            )


def _shown(space: spaces.Space[Any]) -> str:
    """In one line, which NumPy's arrays are not."""
    return " ".join(str(space).split())


def _indices(space: spaces.Space[Any]) -> list[spaces.Discrete | spaces.MultiDiscrete]:
    """Those of its parts that are of indices."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return [space]
    parts: Any = ()
    if isinstance(space, spaces.Dict):
        parts = space.spaces.values()
    elif isinstance(space, spaces.Tuple):
        parts = space.spaces
    return [found for part in parts for found in _indices(part)]


def check_indices(
    observations: Any, space: spaces.Space[Any], step: int, environment: int | None = None
) -> None:
    """Check that observations of a Discrete or MultiDiscrete space are within it.

    Args:
        observations: (K, …), one row an environment, or a dictionary of such; one observation
            where ``environment`` is given.
        space: of one observation; others than these two are not looked at.
        step: environment steps taken until then.
        environment: whose it is; None: the row says.

    Raises:
        ObservationError: names the environment.
    """
    if isinstance(space, spaces.Dict) and isinstance(observations, Mapping):
        for key, part in space.spaces.items():
            check_indices(observations[key], part, step, environment)
        return
    if isinstance(space, spaces.Discrete):
        counts: Any = space.n
        if type(observations) is int and 0 <= observations < counts:
            return
    elif isinstance(space, spaces.MultiDiscrete):
        counts = space.nvec
    else:
        return
    array = np.asarray(observations)
    if array.dtype.kind not in "biuf" or array.shape[array.ndim - np.ndim(counts) :] != np.shape(
        counts
    ):
        return  # no such observation at all, which whoever uses it says
    inside = (array >= 0) & (array < counts)
    if inside.all():
        return
    bad = np.argwhere(~inside)[0]
    copy = int(bad[0]) if environment is None else environment
    row = array[bad[0]] if environment is None else array
    raise ObservationError(
        f"observation {row.tolist()} at step {step} in environment {copy} is outside {space}: "
        "training stopped, the parameters of the last update are kept"
    )


def check_shape(observations: NDArray[Any], shape: tuple[int, ...], step: int) -> None:
    """Check the observations of K environments, which NumPy would stretch or fold to fit.

    Args:
        observations: as a ``VecEnv`` returned them.
        shape: (K, …), as they must be; a Discrete space's may be (K, 1) for (K,).
        step: environment steps taken until then.

    Raises:
        ObservationError: another shape.
    """
    given = np.shape(observations)
    if given == shape or (len(shape) == 1 and given == (*shape, 1)):
        return
    raise ObservationError(
        f"the observations at step {step} have shape {given}: expected {shape}, one row an "
        "environment"
    )
