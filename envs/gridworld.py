"""GridWorld: a map of open cells, walls and exits (Spec 10)."""

import os
from collections.abc import Mapping
from typing import Any

from envs.maps import EXITS, REFERENCE_MAP, grid_mdp, read_map
from envs.tabular import TabularEnv


class GridWorld(TabularEnv):
    """A grid of cells to cross on the way to an exit (Spec 10).

    ## Description
    The agent stands on an open cell of a rectangular map and moves in the four directions. Moving
    into a wall or over the edge leaves it where it is. Moves slip sideways with some probability.
    Exits pay when they are *left*: entering one pays the living reward like any other move; from
    it, every action pays the exit's reward and ends the episode.

    ## Action Space
    ``Discrete(4)``, named by ``envs.maps.Action``: 0 up, 1 right, 2 down, 3 left. A move succeeds
    with probability 1 − noise and slips to each perpendicular direction with noise/2.

    ## Observation Space
    ``Discrete(S)``: the index of the cell. States are the open cells (start and exits too, walls
    not), row by row from the top, left to right. In the reference map::

        0  1  2  3(+1)
        4  #  5  6(−1)
        7  8  9  10         7 is the start

    ## Rewards
    ``living_reward`` a step; in an exit its reward alone.

    ## Starting State
    A start cell, each of the map's equally likely.

    ## Episode End
    Terminates with the step taken in an exit. The registered ids truncate after 100 steps.

    ## Arguments
    * ``map``: the map as a string of lines (``#`` wall, ``.`` open, ``S`` start, exits as below),
      or a path object (``pathlib.Path``) of a text file. Default: the 4 × 3 map of Spec 10.2.
    * ``noise``: probability that a move slips, in [0, 1]; 0.
    * ``living_reward``: finite; 0.
    * ``exits``: reward of each exit symbol; ``{"+": 1.0, "-": -1.0}``.
    * ``render_mode``: ``"ansi"`` or None.

    ```python
    gymnasium.make("ppo_lab/GridWorld-v0")  # noise 0
    gymnasium.make("ppo_lab/NoisyGridWorld-v0", living_reward=-0.01)  # noise 0.2
    ```

    ## Version History
    * v0: first version.

    Attributes:
        grid: The map, ``envs.maps.GridMap``.
        mdp: The same rules as arrays; planners take it.

    Raises:
        ValueError: an argument is not as stated; for a map the message gives the place.
    """

    def __init__(
        self,
        map: str | os.PathLike[str] = REFERENCE_MAP,  # noqa: A002 - the argument's public name
        noise: float = 0.0,
        living_reward: float = 0.0,
        exits: Mapping[str, float] = EXITS,
        render_mode: str | None = None,
    ) -> None:
        self.grid = read_map(map, exits)
        super().__init__(grid_mdp(self.grid, noise, living_reward), render_mode)

    def render(self) -> Any:
        """The map with the agent as ``@`` in mode ``ansi``, else nothing."""
        if self.render_mode is None:
            return None
        rows = [list(row) for row in self.grid.rows]
        if self.state >= 0:
            row, column = self.grid.cells[self.state]
            rows[row][column] = "@"
        return "\n".join("".join(row) for row in rows) + "\n"
