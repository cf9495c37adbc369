"""Vector environments whose columns are the agents of games, stepped in Python or compiled."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ppo_lab.vec_env.partly_sampled import PartlySampledVecEnv

if TYPE_CHECKING:
    from ppo_lab.kernels.layout import Layout
    from ppo_lab.worlds.rollout import RolloutArrays, RolloutOutcome

__all__ = ["GamesVecEnv", "rolled_out"]

ROLLED_OUT = "ppo_lab.multi_agent.compiled_vec_env.CompiledParallelVecEnv"
"""A class by its name, for rooms below the one that it is in."""


class GamesVecEnv(PartlySampledVecEnv):
    """A ``VecEnv`` of games.

    Attributes:
        monitor: whether infos have an episode's statistics.
        why_in_python: why they are stepped in Python, to be read after "because"; None: they are
            compiled.
    """

    monitor: bool
    why_in_python: str | None = "make_parallel_vec_env did not make their environment"

    def rolls_out(self, layout: "Layout", critic_only: Sequence[str]) -> bool:  # noqa: ARG002
        """Whether ``rollout`` serves a policy of this layout at present.

        Args:
            layout: of the policy.
            critic_only: the keys of observations that its critic alone sees.
        """
        return False

    def rollout(
        self,
        layout: "Layout",
        params: npt.NDArray[np.float32],
        arrays: "RolloutArrays",
        episode_starts: npt.NDArray[Any],
        noise: npt.NDArray[np.float64],
        gamma: float,
    ) -> "RolloutOutcome":
        """As ``CompiledVecEnv.rollout``; ``arrays.observations`` (T, K, W) are the kernels' rows.

        ``rolls_out`` must hold of the layout.
        """
        raise NotImplementedError

    def observations_of(self, rows: npt.NDArray[np.float32]) -> Any:
        """The observations of the kernels' rows (…, W), as the space has them; new arrays."""
        raise NotImplementedError


def rolled_out(kind: type) -> bool:
    """Whether the ``rollout`` of a class does what its ``step`` does."""
    return f"{kind.__module__}.{kind.__qualname__}" == ROLLED_OUT
