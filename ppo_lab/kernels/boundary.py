"""What Python gives to a kernel is checked here: compiled code reads wherever it is sent.

Shapes, dtypes and the ranges of what is used as an index. Whole arrays at once, so that it costs
microseconds a rollout or an update; between kernels nothing is checked.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.layout import FIXED, UNITS, Layout
from ppo_lab.kernels.typing import Trajectories

__all__ = [
    "check_actions",
    "check_allowed",
    "check_array",
    "check_indices",
    "check_masks",
    "check_network",
    "check_rows",
    "check_trajectories",
    "check_work",
]

SINGLE = np.dtype(np.float32)
FEW = 16
"""So many numbers are looked at faster as a list."""


def check_array(
    name: str, array: object, shape: tuple[int, ...], dtype: Any = SINGLE, written: bool = False
) -> None:
    """Check one array that a kernel reads or writes.

    Args:
        name: for the message.
        array: what was given.
        shape: that it must have.
        dtype: that it must have.
        written: whether the kernel writes it.

    Raises:
        ArgumentError: it is no C-contiguous array of this shape and type, or read-only.
    """
    if (
        isinstance(array, np.ndarray)
        and array.shape == shape
        and array.dtype == dtype
        and array.flags.c_contiguous
        and (array.flags.writeable or not written)
    ):
        return
    description = type(array).__name__
    if isinstance(array, np.ndarray):
        description = f"{array.dtype} of shape {array.shape}"
        description += "" if array.flags.c_contiguous else ", not C-contiguous"
        description += "" if array.flags.writeable else ", read-only"
    raise ArgumentError(
        f"{name} is {description}: the kernels take C-contiguous {np.dtype(dtype)} of shape {shape}"
    )


def check_indices(name: str, indices: NDArray[np.int64], n: int) -> None:
    """Check that whole numbers are indices of n places.

    Raises:
        ArgumentError: names the first that is under 0 or not under n.
    """
    if indices.size == 0:
        return
    if indices.size <= FEW:
        few = indices.ravel().tolist()
        within = min(few) >= 0 and max(few) < n
    else:  # as unsigned numbers, where the negative ones are the largest
        within = bool(indices.view(np.uint64).max() < n)
    if within:
        return
    wrong = indices[(indices < 0) | (indices >= n)]
    raise ArgumentError(f"{name} holds {wrong.flat[0]}: expected whole numbers from 0 to {n - 1}")


def check_actions(layout: Layout, actions: NDArray[Any], n: int) -> None:
    """Check n actions, (n, columns), that were taken before.

    Raises:
        ArgumentError: another shape or type, or a sub-action that the head does not have.
    """
    check_array("actions", actions, (n, layout.n_actions), layout.action_dtype)
    if layout.head == "gaussian":
        return
    for column, size in enumerate(layout.action_sizes):
        check_indices("actions", np.ascontiguousarray(actions[:, column]), size)


def check_rows(layout: Layout, rows: NDArray[np.float32], n: int) -> None:
    """Check n rows, (n, ``layout.row``), the masks at their end among them.

    Raises:
        ArgumentError: another shape or type, or masks that :func:`check_masks` refuses.
    """
    check_array("observations", rows, (n, layout.row))
    if layout.masked:
        check_masks(layout, rows[:, layout.row - layout.n_outputs :])


def check_masks(layout: Layout, masks: NDArray[Any]) -> None:
    """Check masks (n, O) of any type.

    Raises:
        ArgumentError: another width, other numbers than 0 and 1, or no action allowed.
    """
    if masks.shape[1:] != (layout.n_outputs,):
        raise ArgumentError(f"masks of shape {masks.shape}: expected {layout.n_outputs} columns")
    allowed = masks != 0
    if not np.array_equal(allowed, masks):
        raise ArgumentError("masks hold other numbers than 0 and 1")
    starts = np.cumsum((0, *layout.action_sizes[:-1]))
    nothing = np.argwhere(~np.logical_or.reduceat(allowed, starts, axis=1))
    if nothing.size:
        row, part = nothing[0].tolist()
        raise ArgumentError(f"the mask of row {row} allows no action in part {part} of its actions")


def check_allowed(layout: Layout, rows: NDArray[np.float32], actions: NDArray[Any]) -> None:
    """Check that n actions, (n, columns), were allowed by the masks of their rows.

    Raises:
        ArgumentError: names the first row whose was not.
    """
    if not layout.masked:
        return
    starts = layout.row - layout.n_outputs + np.cumsum((0, *layout.action_sizes[:-1]))
    allowed = np.take_along_axis(rows, starts + actions, axis=1).all(axis=1)
    if not allowed.all():
        row = int(np.argmin(allowed))
        raise ArgumentError(f"row {row} has the action {actions[row].tolist()}, which it forbids")


def check_network(layout: Layout, params: object, work: object) -> None:
    """Check a network's parameters and its workspace.

    Raises:
        ArgumentError: another length or type, or no room for one sample.
    """
    check_array("params", params, (layout.n_parameters,))
    check_work(layout, work)


def check_work(layout: Layout, work: object) -> None:
    """Check a workspace.

    Raises:
        ArgumentError: another type, or no room for one sample.
    """
    size = work.size if isinstance(work, np.ndarray) else 0
    check_array("work", work, (size,), written=True)
    smallest = int(layout.plan[UNITS] + layout.plan[FIXED])
    if size < smallest:
        raise ArgumentError(f"work holds {size} numbers: one sample takes {smallest}")


def check_trajectories(trajectories: Trajectories, **written: NDArray[Any]) -> None:
    """Check a rollout's table, (T, N), what comes after its last step, (N,), and what is written.

    Raises:
        ArgumentError: another shape or type.
    """
    if (
        not isinstance(trajectories.rewards, np.ndarray)
        or trajectories.rewards.ndim != 2
        or not trajectories.rewards.size
    ):
        raise ArgumentError("rewards are no table of T ≥ 1 steps of N ≥ 1 environments")
    table, row = trajectories.rewards.shape, trajectories.rewards.shape[1:]
    for name, array in trajectories._asdict().items():
        check_array(name, array, row if name in ("last_values", "dones") else table)
    for name, array in written.items():
        check_array(name, array, table, written=True)
