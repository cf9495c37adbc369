"""CliffGrid: a close and a distant exit beside a cliff, the exercise of Spec 10.3."""

from collections.abc import Mapping
from typing import Unpack

from envs.gridworld import GridWorld, GridWorldVector
from envs.vector import BatchOptions

CLIFF_MAP = """
.....
.#...
.#c#d
S....
xxxxx
"""

CLIFF_EXITS: Mapping[str, float] = {"c": 1.0, "d": 10.0, "x": -10.0}


class CliffGrid(GridWorld):
    """Which exit, and by which way? The answer depends on γ and the noise (Spec 10.3).

    ## Description
    A grid world with two exits that pay, +1 close by and +10 further on, and a cliff of exits that
    cost 10 along the bottom edge. The short way runs along the cliff, the long one round the
    top::

        . . . . .
        . # . . .
        . # c # d        c: +1    d: +10
        S . . . .
        x x x x x        x: −10

    A discount near 0 prefers the close exit, near 1 the distant one; noise makes the way along the
    cliff a risk.

    ## Action Space, Observation Space, Rewards, Episode End
    As ``GridWorld``.

    ## Starting State
    ``S``, at the left end of the way along the cliff.

    ## Arguments
    * ``noise``: probability that a move slips, in [0, 1]; 0.
    * ``living_reward``, ``observation``, ``render_mode``: as ``GridWorld``.

    ## Version History
    * v0: first version.
    """

    def __init__(
        self,
        noise: float = 0.0,
        living_reward: float = 0.0,
        observation: str = "index",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(CLIFF_MAP, noise, living_reward, CLIFF_EXITS, observation, render_mode)


class CliffGridVector(GridWorldVector):
    """N cliff grids in arrays; arguments as ``CliffGrid`` and ``envs.vector.BatchEnv``."""

    def __init__(
        self,
        num_envs: int = 1,
        noise: float = 0.0,
        living_reward: float = 0.0,
        observation: str = "index",
        **options: Unpack[BatchOptions],
    ) -> None:
        arguments = CLIFF_MAP, noise, living_reward, CLIFF_EXITS, observation
        super().__init__(num_envs, *arguments, **options)
