"""What an agent sees of a state: its index, a row of numbers, or a picture."""

from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from envs.maps import GridMap
from envs.mdp import FloatArray, IntArray

GRID_OBSERVATIONS = ("index", "coordinates", "image")

# SB3's convolutional network (Mnih et al. 2015) needs at least 36 pixels each way.
SMALLEST_IMAGE = 36

Colour = tuple[int, int, int]
OPEN_COLOUR: Colour = (245, 245, 245)
WALL_COLOUR: Colour = (70, 70, 70)
GAIN_COLOUR: Colour = (90, 180, 100)
LOSS_COLOUR: Colour = (215, 90, 80)
AGENT_COLOUR: Colour = (50, 100, 220)


class Observer(Protocol):
    """Turns states into observations, a batch at a time."""

    @property
    def space(self) -> gym.Space[Any]:
        """The space of one observation."""

    def encode(self, states: IntArray) -> npt.NDArray[Any]:
        """New observations (N, …) of states (N,)."""


@dataclass(frozen=True)
class IndexObserver:
    """The state's index itself: ``Discrete(n_states)``."""

    n_states: int

    @property
    def space(self) -> spaces.Discrete:
        """``Discrete(n_states)``."""
        return spaces.Discrete(self.n_states)

    def encode(self, states: IntArray) -> IntArray:
        """A copy of the states, (N,) int64."""
        return states.copy()


@dataclass(frozen=True, eq=False)
class TableObserver:
    """A row of numbers for each state.

    Attributes:
        table: (S, D), kept as float32.
        low: (D,), the least value of each column the space allows.
        high: (D,), the greatest.
    """

    table: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def space(self) -> spaces.Box:
        """``Box(low, high, (D,), float32)``."""
        return spaces.Box(self.low.astype(np.float32), self.high.astype(np.float32))

    def encode(self, states: IntArray) -> npt.NDArray[np.float32]:
        """Rows of the table, (N, D) float32."""
        return self.table[states].astype(np.float32)


@dataclass(frozen=True, eq=False)
class PictureObserver:
    """A stored picture for each state.

    Attributes:
        pictures: (S, height, width, 3) uint8.
    """

    pictures: npt.NDArray[np.uint8]

    @property
    def space(self) -> spaces.Box:
        """``Box(0, 255, (height, width, 3), uint8)``."""
        return spaces.Box(0, 255, self.pictures.shape[1:], np.uint8)

    def encode(self, states: IntArray) -> npt.NDArray[np.uint8]:
        """Pictures (N, height, width, 3) uint8."""
        return self.pictures[states]


@dataclass(frozen=True, eq=False)
class GridImageObserver:
    """The map as a small picture with the agent's cell coloured.

    Cells are squares of as many pixels as it takes to reach ``SMALLEST_IMAGE`` each way.
    """

    grid: GridMap

    @property
    def pixels(self) -> int:
        """Height and width of a cell."""
        return -(-SMALLEST_IMAGE // min(self.grid.shape))

    @property
    def space(self) -> spaces.Box:
        """``Box(0, 255, (rows·pixels, columns·pixels, 3), uint8)``."""
        rows, columns = self.grid.shape
        return spaces.Box(0, 255, (rows * self.pixels, columns * self.pixels, 3), np.uint8)

    def encode(self, states: IntArray) -> npt.NDArray[np.uint8]:
        """Pictures (N, height, width, 3) uint8."""
        cells = np.repeat(cell_colours(self.grid)[np.newaxis], states.size, axis=0)
        rows, columns = self.grid.cells[states].T
        cells[np.arange(states.size), rows, columns] = AGENT_COLOUR
        return cells.repeat(self.pixels, axis=1).repeat(self.pixels, axis=2)


def cell_colours(grid: GridMap) -> npt.NDArray[np.uint8]:
    """(rows, columns, 3) uint8: walls dark, open cells light, exits green (gain) or red (loss)."""
    colours = np.full((*grid.shape, 3), WALL_COLOUR, dtype=np.uint8)
    of_state = np.full((grid.exits.size, 3), OPEN_COLOUR, dtype=np.uint8)
    of_state[grid.exit_rewards >= 0.0] = GAIN_COLOUR
    of_state[grid.exit_rewards < 0.0] = LOSS_COLOUR
    colours[grid.states >= 0] = of_state
    return colours


def grid_observer(kind: str, grid: GridMap) -> Observer:
    """The observer of a map for ``index``, ``coordinates`` or ``image``.

    ``coordinates`` are (column, row), row 1 at the bottom as in Spec 10.2, each scaled so that the
    map runs from −1 to 1 (a map one cell wide: 0).

    Raises:
        ValueError: ``kind`` is none of the three.
    """
    if kind == "index":
        return IndexObserver(grid.exits.size)
    if kind == "image":
        return GridImageObserver(grid)
    if kind != "coordinates":
        raise ValueError(f"observation is {kind!r}; choose one of {', '.join(GRID_OBSERVATIONS)}.")
    rows, columns = grid.shape
    column, row = grid.cells[:, 1], rows - 1 - grid.cells[:, 0]
    last = np.array([columns - 1, rows - 1])
    from_zero = np.stack([column, row], axis=1) / np.maximum(last, 1)
    table = np.where(last > 0, 2.0 * from_zero - 1.0, 0.0)
    return TableObserver(table, np.full(2, -1.0), np.full(2, 1.0))
