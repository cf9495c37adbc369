"""How much of a finite MDP an agent has visited: exact, by counting states (Spec 15.1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from envs.coverage import reachable_states
from envs.mdp import TabularMDP
from ppo_lab.errors import ArgumentError

__all__ = ["CoverageCallback"]


class CoverageCallback(BaseCallback):
    """Counts the visited states of tabular environments, and logs ``rollout/state_coverage``.

    A state counts once an agent stands in it, be it the start; the last one of an episode is not
    asked for, so that the state that a termination leads to does not count (an exit counts, being
    left by one more step). For every algorithm of SB3's, and environments that have ``mdp`` and
    tell their ``state``: PPO Lab's, compiled or not.

    Attributes:
        visited: (S,) bool.
        reachable: (S,) bool, what can be visited at all.
        coverage: visited / reachable, in [0, 1].

    Raises:
        ArgumentError: the environments are not such.
    """

    visited: NDArray[np.bool_]
    reachable: NDArray[np.bool_]

    @property
    def coverage(self) -> float:
        """Visited over reachable states."""
        return float((self.visited & self.reachable).sum() / self.reachable.sum())

    def _on_training_start(self) -> None:
        mdp = self._asked("mdp")[0]
        if not isinstance(mdp, TabularMDP):
            raise ArgumentError(f"mdp of the environments is {mdp!r:.50}: expected a TabularMDP")
        self.reachable = reachable_states(mdp)
        self.visited = np.zeros(mdp.n_states, np.bool_)
        self._visit()

    def _on_step(self) -> bool:
        self._visit()
        return True

    def _on_rollout_end(self) -> None:
        self.logger.record("rollout/state_coverage", self.coverage)

    def _visit(self) -> None:
        states = np.concatenate([np.ravel(state) for state in self._states()]).astype(np.int64)
        self.visited[states] = True

    def _states(self) -> list[Any]:
        try:  # of copies in arrays, whose one ``state`` would say nothing of the others
            return self.training_env.get_attr("states")
        except AttributeError:
            return self._asked("state")

    def _asked(self, name: str) -> list[Any]:
        try:
            return self.training_env.get_attr(name)
        except AttributeError as error:
            raise ArgumentError(
                f"the environments have no {name}, so that their states cannot be counted: "
                "expected PPO Lab's tabular environments"
            ) from error
