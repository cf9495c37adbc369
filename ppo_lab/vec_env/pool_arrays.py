"""What the processes of a pool of environments share: one piece of memory, and arrays in it."""

import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env.util import obs_space_info

from ppo_lab.errors import ArgumentError

__all__ = ["IDLE", "ActionForm", "SharedArrays", "SharedFile"]

IDLE = -1
ALIGNMENT = 64
"""Bytes of a cache line."""
LARGEST_ITEM = 8
"""Bytes: actions come as the caller's, not the space's type; float64 and int64 are the widest."""


class SharedFile:
    """A file in memory that never had a name, so that nothing is left of it, whoever is killed.

    It is handed to processes as they start, and has its length later. Of a
    ``multiprocessing.shared_memory`` the name would be left where everybody is killed at once.

    Attributes:
        descriptor: of the open file, in this process.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            if hasattr(os, "memfd_create"):
                descriptor = os.memfd_create("ppo-lab-pool")
            else:
                with tempfile.TemporaryFile() as file:
                    descriptor = os.dup(file.fileno())
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        """For a process that starts: a descriptor of its own."""
        return _received, (reduction.DupFd(self.descriptor),)

    def close(self) -> None:
        """Let go of the file; arrays in it stay as long as somebody holds them."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def _received(duplicate: Any) -> SharedFile:
    return SharedFile(duplicate.detach())


class ActionForm(NamedTuple):
    """How the actions of N environments lie in memory.

    Attributes:
        dtype: NumPy's name of their type.
        shape: of one.
    """

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, actions: npt.NDArray[Any]) -> "ActionForm":
        """That of actions (N, …)."""
        return cls(actions.dtype.str, actions.shape[1:])

    @property
    def size(self) -> int:
        """Bytes of one action."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))


class SharedArrays:
    """The arrays of N environments and W workers.

    Args:
        n_envs: N.
        n_workers: W.
        observation_space: of one environment; of Dict and Tuple spaces each part has its array.
        action_space: of one environment.

    Attributes:
        observations: (N, …) an entry of the space, by its key; None where there is one only.
        rewards: (N,) float32.
        dones: (N,) bool.
        at_work: (W,) int32, the environment that a worker is busy with, or ``IDLE``.
        size: bytes of them all.

    Raises:
        ArgumentError: a space whose elements are no arrays of one shape.
    """

    observations: dict[Any, npt.NDArray[Any]]
    rewards: npt.NDArray[np.float32]
    dones: npt.NDArray[np.bool_]
    at_work: npt.NDArray[np.int32]

    def __init__(
        self,
        n_envs: int,
        n_workers: int,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
    ) -> None:
        self.n_envs = n_envs
        try:
            self._keys, shapes, dtypes = obs_space_info(observation_space)
        except NotImplementedError as error:
            raise ArgumentError(f"the observations {observation_space}: {error}") from error
        for what, shape, dtype in (
            *((f"observations {observation_space}", shapes[k], dtypes[k]) for k in self._keys),
            (f"actions {action_space}", action_space.shape, action_space.dtype),
        ):
            if shape is None or dtype is None or np.dtype(dtype).hasobject:
                raise ArgumentError(
                    f"{what} are no arrays of one shape, which is what processes can share: use "
                    "SB3's SubprocVecEnv, which sends them"
                )
        self.action_bytes = LARGEST_ITEM * int(np.prod(action_space.shape or (), dtype=np.int64))
        self._parts: list[tuple[Any, tuple[int, ...], npt.DTypeLike]] = [
            ("at_work", (n_workers,), np.int32),
            ("rewards", (n_envs,), np.float32),
            ("dones", (n_envs,), np.bool_),
            ("actions", (n_envs * self.action_bytes,), np.uint8),
            *((("observation", k), (n_envs, *shapes[k]), dtypes[k]) for k in self._keys),
        ]
        lengths = [
            int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
            for _, shape, dtype in self._parts
        ]
        padded = [-(-length // ALIGNMENT) * ALIGNMENT for length in lengths]
        self._offsets = [sum(padded[:i]) for i in range(len(padded))]
        self.size = sum(padded)

    def allocate(self, file: SharedFile) -> None:
        """Give a file its length; zeros."""
        os.ftruncate(file.descriptor, self.size)

    def attach(self, file: SharedFile) -> None:
        """Lay the arrays into a file that has its length, and let go of the file."""
        memory = mmap.mmap(file.descriptor, self.size)
        file.close()
        arrays: dict[Any, npt.NDArray[Any]] = {
            name: np.ndarray(shape, dtype, memory, offset)
            for (name, shape, dtype), offset in zip(self._parts, self._offsets, strict=True)
        }
        self.at_work, self.rewards = arrays["at_work"], arrays["rewards"]
        self.dones, self._actions = arrays["dones"], arrays["actions"]
        self.observations = {key: arrays["observation", key] for key in self._keys}

    def actions(self, form: ActionForm) -> npt.NDArray[Any]:
        """The room for actions as an array (N, …) of a form, whose size is ≤ ``action_bytes``."""
        room = self._actions[: self.n_envs * form.size]
        return room.view(form.dtype).reshape(self.n_envs, *form.shape)

    def write(self, index: int, observation: Any) -> None:
        """Write one environment's observation, as ``DummyVecEnv`` writes it into its buffers."""
        for key, array in self.observations.items():
            array[index] = observation if key is None else observation[key]
