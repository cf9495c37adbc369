"""FourRooms: four rooms joined by four doors, as large as wanted (Spec 10)."""

from typing import Unpack

from envs.grid_rendering import Overlay
from envs.gridworld import GridWorld, GridWorldVector
from envs.maps import EXITS, OPEN, START, WALL, grid_mdp, read_map
from envs.observations import grid_observer
from envs.vector import BatchOptions

SMALLEST = 5


def four_rooms_map(size: int) -> str:
    """The map of ``size`` × ``size`` cells: start at the bottom left, exit +1 at the top right.

    Raises:
        ValueError: ``size`` is below 5, where the rooms vanish.
    """
    if size < SMALLEST:
        raise ValueError(f"size is {size}; four rooms need at least {SMALLEST} cells a side.")
    middle, doors = size // 2, (size // 4, 3 * size // 4)
    rows = [
        [
            WALL if (row == middle) != (column == middle) or row == column == middle else OPEN
            for column in range(size)
        ]
        for row in range(size)
    ]
    for door in doors:
        rows[door][middle] = rows[middle][door] = OPEN
    rows[-1][0], rows[0][-1] = START, "+"
    return "\n".join("".join(row) for row in rows)


class FourRooms(GridWorld):
    """A square of four rooms; the exit is diagonally across (Spec 10).

    ## Description
    A cross of walls divides the square; each arm has one door. With ``size=11``::

        . . . . . # . . . . +
        . . . . . # . . . . .
        . . . . . . . . . . .
        . . . . . # . . . . .
        . . . . . # . . . . .
        # # . # # # # # . # #
        . . . . . # . . . . .
        . . . . . # . . . . .
        . . . . . . . . . . .
        . . . . . # . . . . .
        S . . . . # . . . . .

    ## Action Space, Observation Space, Rewards, Starting State, Episode End
    As ``GridWorld``: start at the bottom left, exit +1 at the top right. The exit is
    2 · (size − 1) moves away: the registered limit of 100 steps suits sizes up to about 25, so pass
    ``max_episode_steps`` to ``gymnasium.make`` for larger ones.

    ## Arguments
    * ``size``: cells a side, at least 5; 11. An attribute too, which a curriculum may set.
    * ``noise``, ``living_reward``, ``observation``, ``render_mode``: as ``GridWorld``.

    ## Version History
    * v0: first version.

    Raises:
        ValueError: ``size`` is below 5.
    """

    def __init__(
        self,
        size: int = 11,
        noise: float = 0.0,
        living_reward: float = 0.0,
        observation: str = "index",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            four_rooms_map(size), noise, living_reward, EXITS, observation, render_mode
        )
        self._size, self._rules, self._shown = size, (noise, living_reward), observation

    @property
    def size(self) -> int:
        """Cells a side; setting it makes the rooms anew, and the next call must be ``reset``.

        Raises:
            ValueError: below 5, or the observations would be of another space, as those of
                ``index`` and ``image`` are; ``coordinates`` stay within theirs.
        """
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        grid = read_map(four_rooms_map(size), EXITS)
        observer = grid_observer(self._shown, grid)
        if observer.space != self.observation_space:
            raise ValueError(
                f"size {size} with observation={self._shown!r} would show {observer.space} in "
                f"place of {self.observation_space}; make it with observation='coordinates'."
            )
        self.grid, self.observer, self.overlay = grid, observer, Overlay()
        self.mdp = grid_mdp(grid, *self._rules)
        self._size, self.state = size, -1


class FourRoomsVector(GridWorldVector):
    """N times four rooms in arrays; arguments as ``FourRooms`` and ``envs.vector.BatchEnv``."""

    def __init__(
        self,
        num_envs: int = 1,
        size: int = 11,
        noise: float = 0.0,
        living_reward: float = 0.0,
        observation: str = "index",
        **options: Unpack[BatchOptions],
    ) -> None:
        arguments = four_rooms_map(size), noise, living_reward, EXITS, observation
        super().__init__(num_envs, *arguments, **options)
