"""Which games of several agents have a compiled world: the classes that are restated, unaltered."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from envs.mdp import FloatArray, TabularMDP
from envs.team_grid import TeamGrid
from ppo_lab.errors import NoWorldError
from ppo_lab.worlds import mpe
from ppo_lab.worlds.as_written import changed_module, replaced_on
from ppo_lab.worlds.game_stepping import MOST_AGENTS, RestatedGame, Shown
from ppo_lab.worlds.randomness import StreamArray, stream_of, write_stream
from ppo_lab.worlds.team import team_world

__all__ = ["GameWorld", "game_world_of", "is_known_maker"]

SEEDING = "gymnasium.utils.seeding"
METADATA = frozenset({"metadata"})
"""What MPE's games write their name into; it moves nothing."""


@dataclass(frozen=True)
class GameWorld:
    """A compiled game with what a vector environment must know of it.

    Attributes:
        parameters: the named tuple that compiled code takes, one for all copies.
        n_numbers: s, the numbers of one copy's state.
        namespaces: the classes and modules in which a change would make another game of it.
        game: how it is restated.
    """

    parameters: Any
    n_numbers: int
    namespaces: Sequence[object]
    game: RestatedGame

    def why_changed(self) -> str | None:
        """What of the game's classes and modules was changed, as a reason; None: nothing was."""
        return _why_changed(self.game)

    def read(self, env: Any) -> tuple[FloatArray, StreamArray]:
        """The state (s,) and the stream (4,) that a game's object stands at."""
        return self.game.read(env), stream_of(self.game.generator(env))

    def write(self, env: Any, state: FloatArray, stream: StreamArray, n_steps: int) -> None:
        """Let a game's object, once reset, stand where its copy stands after so many steps."""
        write_stream(self.game.generator(env), stream)
        self.game.write(env, state, n_steps)


def is_known_maker(maker: Any) -> bool:
    """Whether nobody else holds what it makes: the games' own classes and functions."""
    while type(maker) is partial:
        maker = maker.func
    ours = vars(sys.modules[TeamGrid.__module__])
    return maker in (TeamGrid, ours.get("parallel_env"), *mpe.makers())


def game_world_of(games: Sequence[Any], one_hot: int, with_state: bool, is_held: bool) -> GameWorld:
    """The world that restates copies of a game.

    Args:
        games: just made.
        one_hot: A where rows say which agent it is, else 0.
        with_state: whether rows have the game's state.
        is_held: whether somebody may look into the games' objects, which a world does not move:
            :func:`is_known_maker` does not hold of what made them.

    Raises:
        NoWorldError: there is none; says why.
    """
    restated = (
        TEAM if type(games[0]) is TeamGrid else mpe.SPREAD if mpe.is_spread(games[0]) else None
    )
    if restated is None:
        raise NoWorldError(f"no compiled form of {games[0]} exists")
    if is_held:
        raise NoWorldError(
            f"whoever made {games[0]} may look into it: give the game's id, its class or its "
            "module's parallel_env, and the arguments by name"
        )
    if (reason := _why_changed(restated)) is not None:
        raise NoWorldError(reason, altered=True)
    first = None
    for env in games:
        if (reason := restated.why_not(env)) is not None:
            raise NoWorldError(reason)
        if not _is_plain(restated.generator(env)):
            raise NoWorldError("its random generator is none of Gymnasium's", altered=True)
        world = restated.world(env, _shown(env, one_hot, with_state, len(games)))
        if first is None:
            first = world
        elif not _alike(first, world):
            raise NoWorldError("its copies differ", altered=True)
    layers = restated.layers(games[0])
    kinds = dict.fromkeys(kind for layer in layers for kind in type(layer).__mro__)
    ours = [kind for kind in kinds if kind.__module__ in restated.modules]
    modules = [sys.modules[name] for name in (*restated.modules, SEEDING)]
    return GameWorld(first, restated.read(games[0]).size, [*ours, *modules], restated)


def _why_changed(restated: RestatedGame) -> str | None:
    for module in (*restated.modules, SEEDING):
        if (changed := changed_module(module, METADATA)) is not None:
            return f"{changed} of {module} was replaced"
    return None


def _shown(env: Any, one_hot: int, with_state: bool, n_games: int) -> Shown:
    n_agents = len(env.possible_agents)
    if n_agents > MOST_AGENTS:
        raise NoWorldError(f"it has {n_agents} agents, more than {MOST_AGENTS}")
    (width,) = env.observation_space(env.possible_agents[0]).shape
    told = env.state_space.shape[0] if with_state else 0
    return Shown(n_agents, width, one_hot, told, np.zeros((n_games, 2)))


def _is_plain(generator: Any) -> bool:
    """Whether a generator is one that a stream continues: nothing of it is kept for later."""
    if type(generator) is not np.random.Generator:
        return False
    bits = generator.bit_generator
    return type(bits) is np.random.PCG64 and not bits.state["has_uint32"]


def _alike(one: Any, other: Any) -> bool:
    return type(one) is type(other) and all(
        _alike(a, b) if isinstance(a, Shown) else np.array_equal(a, b)
        for a, b in zip(one, other, strict=True)
    )


# ---------------------------------------------------------------------- team_grid


def _why_not_team(env: TeamGrid) -> str | None:
    if env.render_mode is not None:
        return f"it is made with render_mode={env.render_mode!r}"
    if (name := replaced_on(env)) is not None:
        return f"{name} of this TeamGrid was replaced"
    if type(env.mdp) is not TabularMDP:
        return f"its mdp is a {type(env.mdp).__name__}"
    return None


def _write_team(env: TeamGrid, state: FloatArray, n_steps: int) -> None:
    env.go_to(int(state[0]), n_steps)


TEAM = RestatedGame(
    modules=("envs.team_grid", "envs.team_mdp", "envs.mdp", "envs.maps"),
    layers=lambda env: [env],
    why_not=_why_not_team,
    world=team_world,
    read=lambda env: np.array([float(env.joint_state)]),
    write=_write_team,
    generator=lambda env: env.np_random,
)
