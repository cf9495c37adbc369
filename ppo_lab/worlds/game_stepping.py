"""One step of n copies of a game of A agents: limits, statistics, and the next game at the end.

A game is a world (``rules``) whose parameters have a field ``shown``, whose ``tell`` writes the
game's ``state()``, and whose functions know all agents: ``accepts(game, actions)`` and
``observe(game, state, rows)`` take (A, …), and ``advance(game, state, actions, stream, n_steps,
paid)`` writes each agent's reward into ``paid`` (A,) and returns whether the game terminated and
whether it was cut off; ``n_steps`` counts the game's steps, this one included. All agents stay
until it is over.

The arrays are those of ``stepping`` with a row a column, that is an agent and copy, K = n·A, and
``states`` (n, s) and ``streams`` (n, 4) with one a copy.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from envs.mdp import FloatArray
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.worlds.randomness import StreamArray
from ppo_lab.worlds.rules import accepts, advance, begin, is_game, observe, tell
from ppo_lab.worlds.stepping import step_all

__all__ = ["MOST_AGENTS", "RestatedGame", "Shown", "mean", "step_copies", "step_games"]

MOST_AGENTS = 128
"""Beyond, NumPy adds up in another order than :func:`mean`."""
UNROLLED = 8
"""So many numbers NumPy adds up side by side."""


class Shown(NamedTuple):
    """What makes a row of what a game shows, and what its teams earned.

    A row is what the agent sees and, with an indicator, a one-hot vector of who it is; with the
    state, that once more and the state: the critic's part of a row comes after the actor's.

    Attributes:
        n_agents: A.
        width: numbers that an agent sees.
        one_hot: A with an indicator, 0 without.
        told: numbers of the state that rows end with; 0: they have none.
        teams: (n, 2) float64, the team's return in the present game, and in the one that ended
            last; moved on in place.
    """

    n_agents: int
    width: int
    one_hot: int
    told: int
    teams: FloatArray

    @property
    def flat(self) -> int:
        """Columns of a row's part that is the actor's."""
        return self.width + self.one_hot

    @property
    def row(self) -> int:
        """Columns of a row."""
        return 2 * self.flat + self.told if self.told else self.flat


class RestatedGame(NamedTuple):
    """How the games of a class are restated.

    Attributes:
        modules: names of those whose source the world restates.
        layers: the objects that a game is made of.
        why_not: what in one is not as restated, to be read after "because"; None: nothing.
        world: the parameters of one, with what is shown of it.
        read: the state (s,) that one stands at.
        write: lets one that was reset stand in a state (s,) after so many steps.
        generator: of its random numbers.
    """

    modules: Sequence[str]
    layers: Callable[[Any], Sequence[Any]]
    why_not: Callable[[Any], str | None]
    world: Callable[[Any, Shown], Any]
    read: Callable[[Any], FloatArray]
    write: Callable[[Any, FloatArray, int], None]
    generator: Callable[[Any], np.random.Generator]


@exact_kernel
def mean(numbers: FloatArray) -> float:
    """``numbers.mean()`` of up to 128, bit for bit: NumPy adds eight by eight."""
    count = numbers.size
    if count < UNROLLED:
        total = 0.0
        for number in numbers:
            total += number
        return total / count
    sums = numbers[:UNROLLED].copy()
    whole = count - count % UNROLLED
    for index in range(UNROLLED, whole):
        sums[index % UNROLLED] += numbers[index]
    total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + (
        (sums[4] + sums[5]) + (sums[6] + sums[7])
    )
    for index in range(whole, count):
        total += numbers[index]
    return float(total / count)


@exact_kernel
def show(world: Any, state: FloatArray, rows: npt.NDArray[np.float32]) -> None:
    """Write the rows (A, W) of a game in ``state`` (s,)."""
    shown = world.shown
    width, flat = shown.width, shown.width + shown.one_hot
    observe(world, state, rows)
    for agent in range(shown.n_agents):
        for column in range(shown.one_hot):
            rows[agent, width + column] = 1.0 if column == agent else 0.0
    if shown.told > 0:
        tell(world, state, rows[0, 2 * flat :])
        for agent in range(shown.n_agents):
            for column in range(flat):
                rows[agent, flat + column] = rows[agent, column]
            for column in range(2 * flat, rows.shape[1]):
                rows[agent, column] = rows[0, column]


@exact_entry_kernel
def step_games(
    world: Any,
    limit: int,
    states: FloatArray,
    episodes: FloatArray,
    streams: StreamArray,
    actions: npt.NDArray[Any],
    observations: npt.NDArray[np.float32],
    rewards: npt.NDArray[np.float32],
    dones: npt.NDArray[np.bool_],
    endings: FloatArray,
    last: npt.NDArray[np.float32],
) -> int:
    """Step n games with ``actions`` (K, …); where a game is over, the next one begins.

    ``limit`` is that of ``step_all``, and not used: a game has its own.

    Returns:
        How many agents' episodes ended; −1 − k, and nothing has moved, where game k would not take
        its actions.
    """
    n_games, n_agents = states.shape[0], world.shown.n_agents
    teams = world.shown.teams
    for copy in range(n_games):
        if not accepts(world, actions[copy * n_agents : (copy + 1) * n_agents]):
            return -1 - copy
    n_ended = 0
    paid = np.empty(n_agents)
    for copy in range(n_games):
        first, after = copy * n_agents, (copy + 1) * n_agents
        state, n_steps = states[copy], int(episodes[first, 0]) + 1
        terminated, truncated = advance(
            world, state, actions[first:after], streams[copy], n_steps, paid
        )
        is_over = terminated or truncated
        teams[copy, 0] += mean(paid)
        for agent in range(n_agents):
            column = first + agent
            rewards[column] = paid[agent]
            episodes[column, 0] += 1.0
            episodes[column, 1] += paid[agent]
            dones[column] = is_over
        if is_over:
            show(world, state, last[first:after])
            for column in range(first, after):
                endings[column, 0], endings[column, 1] = episodes[column, 1], episodes[column, 0]
                endings[column, 2] = 0.0 if terminated else 1.0
                episodes[column, 0] = episodes[column, 1] = 0.0
            teams[copy, 1], teams[copy, 0] = teams[copy, 0], 0.0
            begin(world, state, streams[copy])
            n_ended += n_agents
        show(world, state, observations[first:after])
    return n_ended


def step_copies(world: Any, *arrays: Any) -> int:
    """``step_all`` of a world, ``step_games`` of a game."""
    return (step_games if is_game(type(world)) else step_all)(world, *arrays)


@overload(step_copies, strict=False)  # type: ignore[untyped-decorator]
def _step_copies(world: Any, *_arrays: Any) -> Any:
    step = step_games if is_game(world.instance_class) else step_all

    def stepped(world, *arrays):  # type: ignore[no-untyped-def]  # the compiler's
        return step(world, *arrays)

    return stepped
