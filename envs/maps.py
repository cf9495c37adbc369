"""Grid maps as text: reading, checking, and the MDP they describe (Spec 10.1)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from envs.mdp import BoolArray, FloatArray, IntArray, TabularMDP

WALL, OPEN, START = "#", ".", "S"
EXITS: Mapping[str, float] = {"+": 1.0, "-": -1.0}

REFERENCE_MAP = """
...+
.#.-
S...
"""


class Action(IntEnum):
    """The moves of a grid world; each one's slips are its two neighbours in this circle."""

    UP = 0
    RIGHT = 1
    DOWN = 2
    LEFT = 3


# (row, column) steps in the order of Action, rows counted from the top.
MOVES: tuple[tuple[int, int], ...] = ((-1, 0), (0, 1), (1, 0), (0, -1))


@dataclass(frozen=True, eq=False)
class GridMap:
    """A checked map.

    States are its open cells (start and exits too, walls not), row by row from the top, left to
    right.

    Attributes:
        rows: The map's lines, all of one length.
        states: (rows, columns) int64, the state of each cell, −1 for a wall.
        exit_rewards: (S,) float64, an exit's reward, NaN elsewhere.
        starts: (S,) bool, where an episode may begin (each equally likely).
    """

    rows: tuple[str, ...]
    states: IntArray
    exit_rewards: FloatArray
    starts: BoolArray

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.rows), len(self.rows[0])

    @property
    def cells(self) -> IntArray:
        """(S, 2) int64: row from the top and column from the left of each state, from 0."""
        return np.argwhere(self.states >= 0).astype(np.int64)

    @property
    def exits(self) -> BoolArray:
        """(S,) bool: which states are exits."""
        return ~np.isnan(self.exit_rewards)

    def state_at(self, column: int, row: int) -> int:
        """The state of a cell in the Spec's coordinates: from 1, row 1 at the bottom (Spec 10.2).

        Raises:
            ValueError: the cell is a wall or lies outside the map.
        """
        rows, columns = self.shape
        inside = 1 <= column <= columns and 1 <= row <= rows
        state = int(self.states[rows - row, column - 1]) if inside else -1
        if state < 0:
            raise ValueError(
                f"({column}, {row}) is no open cell; columns run from 1 to {columns}, rows from 1 "
                f"(bottom) to {rows}, and walls are not states."
            )
        return state


def read_map(source: str | os.PathLike[str], exits: Mapping[str, float] = EXITS) -> GridMap:
    """Read a map: ``#`` wall, ``.`` open, ``S`` start, and the symbols of ``exits``.

    Blank lines around the map and white space at both ends of a line do not count.

    Args:
        source: The map itself as a string, or a path object that points to a text file.
        exits: The reward of each exit symbol.

    Raises:
        ValueError: the map is empty or ragged, has an unknown symbol (the message gives line and
            column), no start, or a start from which no exit can be reached; or ``exits`` redefines
            a symbol or has a reward that is not finite.
    """
    _check_exits(exits)
    text = source if isinstance(source, str) else Path(source).read_text(encoding="utf-8")
    rows = _rows(text, f"{WALL}{OPEN}{START}{''.join(exits)}")
    symbols = np.array([list(row) for row in rows])
    is_open = symbols != WALL
    states = np.where(is_open, np.cumsum(is_open).reshape(is_open.shape) - 1, -1).astype(np.int64)
    open_symbols = symbols[is_open]
    exit_rewards = np.array([exits.get(str(symbol), np.nan) for symbol in open_symbols])
    grid = GridMap(rows, states, exit_rewards, open_symbols == START)
    _check_reachable(grid)
    return grid


def grid_mdp(grid: GridMap, noise: float, living_reward: float) -> TabularMDP:
    """The MDP of a map (Spec 10.1).

    A move succeeds with probability 1 − noise and slips to each perpendicular direction with
    noise/2; a move into a wall or over the edge stays. A step pays ``living_reward``; in an exit
    every action pays the exit's reward instead and terminates, staying in the exit's state.

    Args:
        grid: The map.
        noise: In [0, 1].
        living_reward: Finite.

    Returns:
        An MDP with K = 1 outcome an action without noise, else 3: success, the slip to the next
        action in the circle of ``Action``, the slip to the one before.

    Raises:
        ValueError: noise or living_reward is out of range.
    """
    if not 0.0 <= noise <= 1.0:
        raise ValueError(f"noise is {noise}; it is a probability and must lie in [0, 1].")
    if not np.isfinite(living_reward):
        raise ValueError(f"living_reward is {living_reward}; it must be a finite number.")
    arrivals = _arrivals(grid)
    if noise > 0.0:
        chances = np.array([1.0 - noise, noise / 2.0, noise / 2.0])
        next_states = np.stack(
            [arrivals, np.roll(arrivals, -1, axis=1), np.roll(arrivals, 1, axis=1)], axis=2
        )
    else:
        chances, next_states = np.array([1.0]), arrivals[:, :, np.newaxis]
    probabilities = np.broadcast_to(chances, next_states.shape).copy()
    rewards = np.full(next_states.shape, float(living_reward))
    exits = np.flatnonzero(grid.exits)
    next_states[exits] = exits[:, np.newaxis, np.newaxis]
    probabilities[exits] = np.arange(chances.size) == 0
    rewards[exits] = grid.exit_rewards[exits, np.newaxis, np.newaxis]
    terminations = np.zeros(next_states.shape, dtype=np.bool_)
    terminations[exits] = True
    start = grid.starts / grid.starts.sum()
    return TabularMDP(next_states, probabilities, rewards, terminations, start)


def moves_somewhere(grid: GridMap) -> BoolArray:
    """(S, A) bool: whether a move that does not slip leads to another cell.

    All of an exit's actions do, which end the episode; so do those of a cell with walls all
    around, where no other action is left.
    """
    moves: BoolArray = _arrivals(grid) != np.arange(len(grid.cells))[:, np.newaxis]
    moves[grid.exits | ~moves.any(axis=1)] = True
    return moves


def _arrivals(grid: GridMap) -> IntArray:
    """(S, A) int64: where each move leads when it does not slip."""
    padded = np.pad(grid.states, 1, constant_values=-1)
    rows, columns = (grid.cells + 1).T
    own = padded[rows, columns]
    neighbours = [padded[rows + down, columns + right] for down, right in MOVES]
    return np.stack([np.where(there >= 0, there, own) for there in neighbours], axis=1)


def _check_exits(exits: Mapping[str, float]) -> None:
    for symbol, reward in exits.items():
        if len(symbol) != 1 or symbol.isspace() or symbol in (WALL, OPEN, START):
            raise ValueError(
                f"exits has the symbol {symbol!r}; use one character other than white space, "
                f"{WALL!r}, {OPEN!r} and {START!r}."
            )
        if not np.isfinite(reward):
            raise ValueError(f"exits[{symbol!r}] is {reward}; an exit's reward must be finite.")


def _rows(text: str, known: str) -> tuple[str, ...]:
    lines = text.splitlines()
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled:
        raise ValueError("The map is empty; give lines of cells such as 'S..+'.")
    numbers = range(filled[0], filled[-1] + 1)
    width = len(lines[filled[0]].strip())
    for number in numbers:
        row = lines[number].strip()
        if len(row) != width:
            raise ValueError(
                f"Line {number + 1} of the map has {len(row)} cells and line {filled[0] + 1} has "
                f"{width}; a map is a rectangle, so fill up with {WALL!r}."
            )
        indent = lines[number].index(row)
        for column, symbol in enumerate(row, start=indent + 1):
            if symbol not in known:
                raise ValueError(
                    f"Unknown symbol {symbol!r} at line {number + 1}, column {column} of the map; "
                    f"known symbols are {' '.join(known)} (a file is given as a pathlib.Path)."
                )
    return tuple(lines[number].strip() for number in numbers)


def _check_reachable(grid: GridMap) -> None:
    if not grid.starts.any():
        raise ValueError(f"The map has no start; mark at least one cell with {START!r}.")
    arrivals = _arrivals(grid)
    leads_out = grid.exits
    # Backwards from the exits, one layer a pass, until nothing is added.
    while True:
        grown = leads_out | leads_out[arrivals].any(axis=1)
        if (grown == leads_out).all():
            break
        leads_out = grown
    lost = np.flatnonzero(grid.starts & ~leads_out)
    if lost.size:
        row, column = grid.cells[lost[0]]
        raise ValueError(
            f"No exit can be reached from the start in row {row + 1} from the top, column "
            f"{column + 1}; open a way to an exit."
        )
