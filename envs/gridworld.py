"""GridWorld: a map of open cells, walls and exits (Spec 10)."""

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Unpack

from gymnasium.error import ResetNeeded

from envs.grid_rendering import Overlay, draw_grid, text_map
from envs.maps import EXITS, REFERENCE_MAP, grid_mdp, moves_somewhere, read_map
from envs.mdp import BoolArray, FloatArray, IntArray
from envs.observations import grid_observer
from envs.rendering import Frame
from envs.tabular import TabularEnv, TabularVectorEnv
from envs.vector import BatchOptions


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

    ``action_masks()``, which who asks for masks asks (Spec 13), allows the moves that lead to
    another cell where they do not slip, and in an exit all. ``step`` takes the others too.

    ## Observation Space
    * ``index``: ``Discrete(S)``, the index of the cell. States are the open cells (start and exits
      too, walls not), row by row from the top, left to right. In the reference map::

          0  1  2  3(+1)
          4  #  5  6(−1)
          7  8  9  10         7 is the start

    * ``coordinates``: ``Box(-1, 1, (2,), float32)``, column and row, from −1 (left, bottom) to 1.
    * ``image``: ``Box(0, 255, (h, w, 3), uint8)``, the map with the agent's cell coloured, at
      least 36 pixels each way.

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
    * ``observation``: ``"index"`` (default), ``"coordinates"`` or ``"image"``.
    * ``render_mode``: ``"ansi"``, ``"rgb_array"``, ``"human"`` or None.

    ```python
    gymnasium.make("ppo_lab/GridWorld-v0")  # noise 0
    gymnasium.make("ppo_lab/NoisyGridWorld-v0", living_reward=-0.01)  # noise 0.2
    ```

    ## Version History
    * v0: first version.

    Attributes:
        grid: The map, ``envs.maps.GridMap``.
        allowed: (S, A) bool, the masks of all states.
        mdp: The same rules as arrays; planners take it.
        overlay: What ``render`` draws on the cells; ``draw`` sets it.

    Raises:
        ValueError: an argument is not as stated; for a map the message gives the place.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 4,
    }

    def __init__(
        self,
        map: str | os.PathLike[str] = REFERENCE_MAP,  # noqa: A002 - the argument's public name
        noise: float = 0.0,
        living_reward: float = 0.0,
        exits: Mapping[str, float] = EXITS,
        observation: str = "index",
        render_mode: str | None = None,
    ) -> None:
        self.grid = read_map(map, exits)
        self.allowed = moves_somewhere(self.grid)
        self.allowed.setflags(write=False)
        self.overlay = Overlay()
        mdp = grid_mdp(self.grid, noise, living_reward)
        super().__init__(mdp, grid_observer(observation, self.grid), render_mode)

    def action_masks(self) -> BoolArray:
        """(A,) bool: which moves lead somewhere from the present cell.

        Raises:
            gymnasium.error.ResetNeeded: before the first ``reset``.
        """
        if self.state < 0:
            raise ResetNeeded("action_masks was called before the first reset; call reset first.")
        allowed: BoolArray = self.allowed[self.state]
        return allowed

    def draw(
        self,
        values: FloatArray | None = None,
        q_values: FloatArray | None = None,
        policy: IntArray | FloatArray | None = None,
    ) -> None:
        """Have ``render`` draw V (S,), Q (S, A) and a policy on the cells; no arguments clear.

        Args:
            values: Written in the cells and shown as their shade.
            q_values: Four triangles a cell.
            policy: Actions (S,) or probabilities (S, A), as arrows.

        Raises:
            ValueError: a shape does not fit the map.
        """
        overlay = Overlay(values, q_values, policy)
        overlay.check(self.mdp.n_states)
        self.overlay = overlay

    def _text(self) -> str:
        return text_map(self.grid, self.state)

    def _frame(self) -> Frame:
        return draw_grid(self.grid, self.state, self.overlay)


class GridWorldVector(TabularVectorEnv):
    """N grid worlds in arrays: what ``make_vec`` with ``vector_entry_point`` makes (Spec 10).

    Arguments as ``GridWorld``, and ``num_envs``, ``max_episode_steps`` and ``autoreset_mode`` as
    ``envs.vector.BatchEnv``.

    Attributes:
        grid: The map, ``envs.maps.GridMap``.
        allowed: (S, A) bool, the masks of all states.
        mdp: The rules as arrays.
    """

    single_metadata: ClassVar[dict[str, Any]] = GridWorld.metadata

    def __init__(
        self,
        num_envs: int = 1,
        map: str | os.PathLike[str] = REFERENCE_MAP,  # noqa: A002 - the argument's public name
        noise: float = 0.0,
        living_reward: float = 0.0,
        exits: Mapping[str, float] = EXITS,
        observation: str = "index",
        **options: Unpack[BatchOptions],
    ) -> None:
        self.grid = read_map(map, exits)
        self.allowed = moves_somewhere(self.grid)
        mdp = grid_mdp(self.grid, noise, living_reward)
        super().__init__(num_envs, mdp, grid_observer(observation, self.grid), **options)

    def action_masks(self) -> BoolArray:
        """(N, A) bool: which moves lead somewhere from each copy's cell.

        Raises:
            gymnasium.error.ResetNeeded: before the first ``reset``.
        """
        if self._ended is None:
            raise ResetNeeded("action_masks was called before the first reset; call reset first.")
        allowed: BoolArray = self.allowed[self.states]
        return allowed

    def _text(self, index: int) -> str:
        return text_map(self.grid, int(self.states[index]))

    def _frame(self, index: int) -> Frame:
        return draw_grid(self.grid, int(self.states[index]))
