"""Shapes of a formula's tensors: (B, 1) beside (B,) would silently become (B, B)."""

import torch as th

from ppo_lab.errors import ArgumentError

__all__ = ["check_shapes"]


def check_shapes(rank: int, **tensors: th.Tensor) -> None:
    """Check that tensors are of one shape, of so many dimensions.

    With ``rank`` 1 scalars may stand among them: what they broadcast to is that shape.

    Args:
        rank: 1 of a minibatch (B,), 2 of a table (T, N) or of rows (B, D).
        **tensors: by the names of the arguments that they were.

    Raises:
        ArgumentError: says which shapes were given.
    """
    shapes = [tensor.shape for tensor in tensors.values()]
    if len(shapes[0]) == rank and shapes.count(shapes[0]) == len(shapes):  # at once, nearly always
        return
    others = {shape for shape in shapes if rank > 1 or len(shape) > 0}
    if not others or (len(others) == 1 and len(others.pop()) == rank):
        return
    given = ", ".join(f"{name} of shape {tuple(t.shape)}" for name, t in tensors.items())
    raise ArgumentError(
        f"{given}: expected one shape of {rank} dimension{'s' if rank > 1 else ', or scalars'}"
    )
