"""Vector environments some of whose rows are no samples: what they say of them."""

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv

__all__ = ["PartlySampledVecEnv"]


class PartlySampledVecEnv(VecEnv):
    """A ``VecEnv`` in whose steps there may be rows that are no samples.

    Such a row has reward 0 and goes on. Whoever learns asks :meth:`sampled_rows` after each step
    and leaves it out.

    Attributes:
        why_unsampled: how such rows come about, to be read after "this environment".
    """

    why_unsampled: str

    @property
    @abstractmethod
    def may_be_unsampled(self) -> bool:
        """Whether there can be rows without a sample."""

    @property
    @abstractmethod
    def sampled(self) -> npt.NDArray[np.bool_]:
        """Which rows of the latest step are samples, (N,) bool."""

    @property
    @abstractmethod
    def shown(self) -> npt.NDArray[np.bool_]:
        """Which rows of the latest observations somebody acts on, (N,) bool."""

    @abstractmethod
    def sampled_rows(self) -> npt.NDArray[np.bool_]:
        """``sampled``, for who leaves the other rows out of all that is learned."""
