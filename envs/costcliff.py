"""CostCliffGrid: a cliff that costs in place of killing, for learning under a limit (Spec 15.2)."""

from dataclasses import replace
from functools import cached_property
from typing import Any, Unpack

import numpy as np

from envs.gridworld import GridWorld, GridWorldVector
from envs.maps import EXITS, OPEN, GridMap
from envs.mdp import BoolArray, FloatArray, TabularMDP
from envs.vector import BatchOptions, Step

HAZARD = "x"
COST_CLIFF_MAP = """
.....
.#...
.#..+
S....
xxxxx
"""
_AS_OPEN = COST_CLIFF_MAP.replace(HAZARD, OPEN)


def hazards_of(grid: GridMap) -> BoolArray:
    """(S,): which cells of the map cost."""
    rows = [list(row) for row in COST_CLIFF_MAP.split()]
    return np.array([rows[row][column] == HAZARD for row, column in grid.cells.tolist()])


def outcome_costs(mdp: TabularMDP, hazards: BoolArray) -> FloatArray:
    """(S, A, K): 1 for every outcome that arrives in a hazard and goes on, else 0."""
    return (hazards[mdp.next_states] & ~mdp.terminations).astype(np.float64)


class CostCliffGrid(GridWorld):
    """How close to the cliff, when falling only costs? The limit decides (Spec 15.2).

    ## Description
    The cliff grid with one exit, and along the bottom edge cells that may be crossed: each step
    that ends in one costs 1. The short way runs beside them, where a slip falls in; the long one
    round the top::

        . . . . .
        . # . . .
        . # . . +        +: +1
        S . . . .
        x x x x x        x: cost 1

    ## Action Space, Observation Space
    As ``GridWorld``.

    ## Rewards, Costs
    Rewards as ``GridWorld``. ``info["cost"]`` of every step is 1.0 where it ended in an ``x``,
    else 0.0; ``costs`` holds the same as an array, for ``envs.constrained``.

    ## Starting State
    ``S``.

    ## Episode End
    As ``GridWorld``; the cells ``x`` end nothing.

    ## Arguments
    * ``noise``: probability that a move slips, in [0, 1]; 0.2.
    * ``living_reward``: finite; −0.05.
    * ``observation``, ``render_mode``: as ``GridWorld``.

    ## Version History
    * v0: first version.

    Attributes:
        hazards: (S,) bool, the cells that cost.
        costs: (S, A, K) float64, the cost of each outcome.
    """

    def __init__(
        self,
        noise: float = 0.2,
        living_reward: float = -0.05,
        observation: str = "index",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(_AS_OPEN, noise, living_reward, EXITS, observation, render_mode)
        self.hazards = hazards_of(self.grid)
        self.grid = replace(self.grid, rows=tuple(COST_CLIFF_MAP.split()))

    @cached_property
    def costs(self) -> FloatArray:
        """(S, A, K) float64."""
        return outcome_costs(self.mdp, self.hazards)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As ``TabularEnv``, with the cost in the info."""
        observation, reward, terminated, truncated, info = super().step(action)
        cost = float(self.hazards[self.state] and not terminated)
        return observation, reward, terminated, truncated, {**info, "cost": cost}


class CostCliffGridVector(GridWorldVector):
    """N such grids in arrays; arguments as ``CostCliffGrid`` and ``envs.vector.BatchEnv``."""

    def __init__(
        self,
        num_envs: int = 1,
        noise: float = 0.2,
        living_reward: float = -0.05,
        observation: str = "index",
        **options: Unpack[BatchOptions],
    ) -> None:
        arguments = _AS_OPEN, noise, living_reward, EXITS, observation
        super().__init__(num_envs, *arguments, **options)
        self.hazards = hazards_of(self.grid)
        self.grid = replace(self.grid, rows=tuple(COST_CLIFF_MAP.split()))

    @cached_property
    def costs(self) -> FloatArray:
        """(S, A, K) float64."""
        return outcome_costs(self.mdp, self.hazards)

    def _advance(self, actions: Any, draws: FloatArray) -> tuple[FloatArray, BoolArray]:
        rewards, terminations = super()._advance(actions, draws)
        self._paid = (self.hazards[self.states] & ~terminations).astype(np.float64)
        return rewards, terminations

    def step(self, actions: Any) -> Step:
        """As ``BatchEnv``, with the costs (N,) in the infos, in ``final_info`` where one ended."""
        reset_now = None if self._ended is None or self._same_step else self._ended.copy()
        observations, rewards, terminations, truncations, infos = super().step(actions)
        told = np.ones(self.num_envs, np.bool_) if reset_now is None else ~reset_now
        costs = np.where(told, self._paid, 0.0)
        if "final_info" in infos:
            ended = infos["_final_info"]
            infos["final_info"] = {"cost": np.where(ended, costs, 0.0), "_cost": ended.copy()}
            told, costs = ~ended, np.where(ended, 0.0, costs)
        return (
            observations,
            rewards,
            terminations,
            truncations,
            {
                **infos,
                "cost": costs,
                "_cost": told,
            },
        )
