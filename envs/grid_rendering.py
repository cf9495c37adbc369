"""Pictures and text of a grid world: the map, the agent, and V, Q or a policy on the cells."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.maps import MOVES, GridMap
from envs.mdp import FloatArray, IntArray
from envs.observations import AGENT_COLOUR, Colour, cell_colours
from envs.rendering import Frame, load_pygame, pixels

ARROWS = "↑→↓←"
INK: Colour = (30, 30, 30)
LINE: Colour = (190, 190, 190)
LARGEST_CELL, LARGEST_SIDE = 96, 960
# Below this a number or an arrow is no longer legible.
SMALLEST_DETAILED_CELL = 24


@dataclass(frozen=True, eq=False)
class Overlay:
    """What to draw on the cells; None leaves it out.

    Attributes:
        values: (S,) float, written into each cell and shown as its shade.
        q_values: (S, A) float, four triangles a cell, shaded and labelled.
        policy: (S,) int actions or (S, A) probabilities, drawn as arrows.

    Raises:
        ValueError: an array has another number of states or actions (``check`` finds it).
    """

    values: FloatArray | None = None
    q_values: FloatArray | None = None
    policy: IntArray | FloatArray | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is drawn."""
        return self.values is None and self.q_values is None and self.policy is None

    def check(self, n_states: int) -> None:
        """Compare the shapes with the map.

        Raises:
            ValueError: an array does not fit.
        """
        for name, shapes in (
            ("values", [(n_states,)]),
            ("q_values", [(n_states, len(MOVES))]),
            ("policy", [(n_states,), (n_states, len(MOVES))]),
        ):
            array = getattr(self, name)
            if array is not None and np.shape(array) not in shapes:
                raise ValueError(
                    f"{name} has shape {np.shape(array)}; this map needs "
                    f"{' or '.join(map(str, shapes))}."
                )


def text_map(grid: GridMap, state: int) -> str:
    """The map's lines with the agent as ``@`` (state −1: without)."""
    rows = [list(row) for row in grid.rows]
    if state >= 0:
        row, column = grid.cells[state]
        rows[row][column] = "@"
    return "\n".join("".join(row) for row in rows) + "\n"


def text_table(grid: GridMap, values: FloatArray, policy: IntArray | None = None) -> str:
    """Values to three places laid out as the map, each with its policy's arrow; ``#`` for walls.

    An exit's arrow is left out: every action does the same there.
    """
    arrows = [" "] * values.size
    if policy is not None:
        arrows = [
            " " if out else ARROWS[action] for action, out in zip(policy, grid.exits, strict=True)
        ]
    lines = []
    for row in grid.states:
        cells = [f"{values[s]:7.3f} {arrows[s]}" if s >= 0 else f"{'#':>7}  " for s in row]
        lines.append(" ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def draw_grid(grid: GridMap, state: int = -1, overlay: Overlay | None = None) -> Frame:
    """A picture of the map.

    Args:
        grid: The map.
        state: Where to draw the agent; −1 for nowhere.
        overlay: V, Q or a policy to draw on the cells.

    Returns:
        (rows·c, columns·c, 3) uint8; cells are c = 96 pixels, less on maps above 10 cells a side.

    Raises:
        ValueError: an overlay's shape does not fit the map.
    """
    overlay = overlay or Overlay()
    overlay.check(grid.exits.size)
    pygame = load_pygame()
    rows, columns = grid.shape
    side = max(1, min(LARGEST_CELL, LARGEST_SIDE // max(rows, columns)))
    surface = pygame.Surface((columns * side, rows * side))
    colours = cell_colours(grid).reshape(-1, 3).tolist()
    for (row, column), colour in zip(np.ndindex(rows, columns), colours, strict=True):
        surface.fill(colour, (column * side, row * side, side, side))
    painter = _CellPainter(pygame, surface, side, grid.exit_rewards)
    for s, (row, column) in enumerate(grid.cells):
        painter.corner = (int(column) * side, int(row) * side)
        painter.paint(s, overlay)
    if state >= 0:
        # A cell's lower left corner stays free of numbers and arrows.
        right, down, radius = (0.5, 0.5, 0.2) if overlay.empty else (0.15, 0.85, 0.11)
        row, column = grid.cells[state]
        centre = ((column + right) * side, (row + down) * side)
        pygame.draw.circle(surface, AGENT_COLOUR, centre, max(1.0, radius * side))
    return pixels(surface)


def _shade(value: float, scale: float) -> Colour:
    """White for 0, towards green above and red below, full at ±scale."""
    strength = min(abs(value) / scale, 1.0) if scale > 0.0 else 0.0
    faded, kept = round(245 - 150 * strength), round(245 - 10 * strength)
    return (faded, kept, faded) if value >= 0.0 else (kept, faded, faded)


class _CellPainter:
    """Draws an overlay on one cell at a time; ``corner`` is the cell's upper left pixel."""

    def __init__(self, pygame: Any, surface: Any, side: int, exit_rewards: FloatArray) -> None:
        self._exit_rewards = exit_rewards
        self._pygame, self._surface, self._side = pygame, surface, side
        self._detailed = side >= SMALLEST_DETAILED_CELL
        self.corner = (0, 0)
        pygame.font.init()
        self._fonts = {size: pygame.font.Font(None, size) for size in (side // 3, side // 4)}

    def paint(self, s: int, overlay: Overlay) -> None:
        is_exit = not np.isnan(self._exit_rewards[s])
        box = (*self.corner, self._side, self._side)
        if overlay.values is not None and not is_exit:
            scale = float(np.abs(overlay.values).max())
            self._surface.fill(_shade(float(overlay.values[s]), scale), box)
        if overlay.q_values is not None and not is_exit:
            self._triangles(overlay.q_values[s], float(np.abs(overlay.q_values).max()))
        if self._detailed:
            self._pygame.draw.rect(self._surface, LINE, box, 1)
            if is_exit and overlay.values is None:
                self._write(float(self._exit_rewards[s]), (0.5, 0.5), self._side // 3)
            if overlay.values is not None:
                self._write(float(overlay.values[s]), (0.5, 0.5), self._side // 3)
            if overlay.policy is not None and not is_exit:
                self._arrows(overlay.policy[s])

    def _at(self, right: float, down: float) -> tuple[float, float]:
        return self.corner[0] + right * self._side, self.corner[1] + down * self._side

    def _write(self, number: float, where: tuple[float, float], size: int) -> None:
        picture = self._fonts[size].render(f"{number:.2f}", True, INK)
        self._surface.blit(picture, picture.get_rect(center=self._at(*where)))

    def _triangles(self, q_values: FloatArray, scale: float) -> None:
        for (down, right), q in zip(MOVES, q_values, strict=True):
            # The edge that the move crosses, and the cell's centre.
            edge = [
                self._at(0.5 + right / 2 + sign * down / 2, 0.5 + down / 2 + sign * right / 2)
                for sign in (-1, 1)
            ]
            corners = [self._at(0.5, 0.5), *edge]
            self._pygame.draw.polygon(self._surface, _shade(float(q), scale), corners)
            if self._detailed:
                self._pygame.draw.polygon(self._surface, LINE, corners, 1)
                self._write(float(q), (0.5 + 0.3 * right, 0.5 + 0.38 * down), self._side // 4)

    def _arrows(self, policy: Any) -> None:
        chances = np.eye(len(MOVES))[policy] if np.ndim(policy) == 0 else np.asarray(policy)
        for (down, right), chance in zip(MOVES, chances, strict=True):
            # Along the cell's border, clear of a value in its middle; longer is more probable.
            if chance > 0.01:
                tip, width = 0.46, 0.07
                base = tip - 0.16 * float(chance)
                corners = [self._at(0.5 + right * tip, 0.5 + down * tip)] + [
                    self._at(
                        0.5 + right * base + sign * down * width,
                        0.5 + down * base + sign * right * width,
                    )
                    for sign in (-1, 1)
                ]
                self._pygame.draw.polygon(self._surface, INK, corners)
