"""Games of several agents by name, and copies of them for SB3."""

import copy
import importlib
import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from ppo_lab.environment_classes import GAMES
from ppo_lab.errors import ArgumentError, NoWorldError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.multi_agent.game import check_parallel
from ppo_lab.multi_agent.vec_env import ParallelVecEnv
from ppo_lab.multi_agent.views import Critic

__all__ = ["copies_of", "game_maker", "make_parallel_vec_env"]

OWN = {"team_grid_v0": "envs.team_grid"}
"""Games of our own by the module that they are in."""
HOMES = (
    "mpe2", "pettingzoo.butterfly", "pettingzoo.sisl", "pettingzoo.mpe", "pettingzoo.atari",
    "pettingzoo.classic", "magent2.environments",
)  # fmt: skip
"""Packages whose modules are games, by which name an id may leave them out."""
AS_AEC = (
    "it has an AEC environment, whose agents act one after the other: where its metadata has "
    "is_parallelizable, pass pettingzoo.utils.aec_to_parallel(env)"
)
EXTRA = 'pip install "ppo-lab[multi-agent]"'


def make_parallel_vec_env(
    game: Any,
    n_envs: int = 1,
    seed: int | None = None,
    *,
    critic: Critic = "own",
    agent_indicator: bool = False,
    monitor: bool = True,
    monitor_dir: str | None = None,
    training: bool = True,
    **env_kwargs: Any,
) -> ParallelVecEnv:
    """A game of several agents for SB3, one column an agent and copy (Spec 14).

    ``SpecPPO("MlpPolicy", make_parallel_vec_env(game, 8))`` is IPPO with shared parameters (Spec
    14.2). With ``critic="central"`` the observations are a Dict, whose key ``state`` is the game's
    ``state()``, and ``SpecPPO("MultiInputPolicy", env, policy_kwargs={"critic_only": ["state"]})``
    is MAPPO (14.3).

    Args:
        game: an id (``simple_spread_v3``, ``pettingzoo:simple_spread_v3``, the dotted name of a
            module with a ``parallel_env``, ``module:callable``), a callable that makes a
            ``pettingzoo.ParallelEnv``, or one such, of which further copies are deep ones.
        n_envs: copies n ≥ 1.
        seed: of the first ``reset``: copy k takes seed + k·A.
        critic: ``own``: the value is of what the agent sees; ``central``: of the state too.
        agent_indicator: shows each agent which one it is: a one-hot vector behind a flat
            observation, the key ``agent`` beside any other.
        monitor: False leaves statistics of episodes out.
        monitor_dir: folder for SB3's ``0.monitor.csv``, one file a column; None: no files.
        training: False for evaluation, see :class:`ParallelVecEnv`.
        **env_kwargs: for what makes the game.

    Returns:
        The environment. ``team_grid_v0`` and mpe2's ``simple_spread_v3`` are stepped by compiled
        code, to the last bit as in Python; ``why_in_python`` says why a game is not.

    Raises:
        ArgumentError: no such game, not parallel, or agents of different spaces; says what to do.
    """
    if not isinstance(n_envs, int) or n_envs < 1:
        raise ArgumentError(f"n_envs={n_envs!r}: expected a number of copies ≥ 1")
    if isinstance(game, str):
        game = game_maker(game)
    games = copies_of(game, n_envs, env_kwargs)
    try:
        env = _vec_env_of(
            games,
            game,
            critic=critic,
            agent_indicator=agent_indicator,
            monitor=monitor,
            monitor_dir=monitor_dir,
            training=training,
        )
    except BaseException:
        for made in games:
            made.close()
        raise
    env.seed(seed)
    return env


def _vec_env_of(
    games: list[Any], maker: Any, *, critic: Critic, agent_indicator: bool, **options: Any
) -> ParallelVecEnv:
    """The quickest vector environment that does what the games do."""
    from ppo_lab.multi_agent.compiled_vec_env import CompiledParallelVecEnv
    from ppo_lab.worlds.games import game_world_of, is_known_maker

    how: Any = {"critic": critic, "agent_indicator": agent_indicator, **options}
    one_hot = len(games[0].possible_agents) if agent_indicator else 0
    try:
        is_held = not is_known_maker(maker)
        world = game_world_of(games, one_hot, critic == "central", is_held)
    except NoWorldError as error:
        env = ParallelVecEnv(games, **how)
        env.why_in_python = error.reason
        return env
    return CompiledParallelVecEnv(games, world, **how)


def copies_of(game: Any, n_envs: int, env_kwargs: dict[str, Any]) -> list[Any]:
    """Copies of what :func:`make_parallel_vec_env` takes for a game."""
    if isinstance(game, str):
        game = game_maker(game)
    if hasattr(game, "agent_iter") or hasattr(game, "possible_agents"):
        check_parallel(game)
        if env_kwargs:
            raise ArgumentError(
                f"{next(iter(env_kwargs))!r} was given for a game that is made already: pass what "
                "makes it, such as its module's parallel_env"
            )
        return [game, *(_deep_copy(game) for _ in range(n_envs - 1))]
    if not callable(game):
        raise ArgumentError(
            f"game is a {type(game).__name__}: expected an id, a pettingzoo.ParallelEnv, or what "
            "makes one"
        )
    games: list[Any] = []
    try:
        for _ in range(n_envs):
            games.append(game(**env_kwargs))
            check_parallel(games[-1])
    except BaseException:
        for made in games:
            getattr(made, "close", lambda: None)()
        raise
    return games


def _deep_copy(game: Any) -> Any:
    try:
        return copy.deepcopy(game)
    except Exception as error:
        raise ArgumentError(
            f"{game} cannot be copied ({one_line(error)}): pass what makes it, such as its "
            "module's parallel_env"
        ) from error


def game_maker(game_id: str) -> Callable[..., Any]:
    """What makes the game of an id; see :func:`make_parallel_vec_env`.

    Raises:
        ArgumentError: there is none; says what to install or to write.
    """
    name = game_id.removeprefix(GAMES)
    source, _, attribute = name.rpartition(":")
    if source:
        maker = getattr(_imported(source, game_id), attribute, None)
        if not callable(maker):
            raise ArgumentError(f"game {game_id!r}: the module {source} has no {attribute}")
        found: Callable[..., Any] = maker
        return found
    registered = _registered(name)
    if registered is not None:
        return registered
    module = _imported(_home_of(name, game_id), game_id)
    maker = getattr(module, "parallel_env", None)
    if maker is None:
        aec = hasattr(module, "env")
        raise ArgumentError(
            f"game {game_id!r}: {module.__name__} has no parallel_env; "
            + (AS_AEC if aec else f"write {GAMES}{name}:NAME for what makes the game")
        )
    made: Callable[..., Any] = maker
    return made


def _registered(name: str) -> Callable[..., Any] | None:
    """What PettingZoo's registry makes of a name, which may leave out the namespace."""
    if name in OWN or find_spec("pettingzoo") is None:
        return None
    import pettingzoo

    parallel, aec = (getattr(pettingzoo, f"{kind}_registry", {}) for kind in ("parallel", "aec"))
    for known in parallel:
        if _is_named(known, name):
            return partial(pettingzoo.make, "parallel", known)
    if any(_is_named(known, name) for known in aec):
        raise ArgumentError(
            f"game {name!r} is registered with PettingZoo in no parallel form; {AS_AEC}"
        )
    return None


def _is_named(known: str, name: str) -> bool:
    """Whether a registered id is meant: with or without its namespace, ``_v5`` or ``-v5``."""
    plain = re.sub(r"[-_](v\d+)$", r"-\1", name)
    return plain in (known, known.rpartition("/")[2])


def _home_of(name: str, game_id: str) -> str:
    """The module in which a game of that name is."""
    if name in OWN:
        return OWN[name]
    path = name.replace("/", ".")
    dotted = [path] if "." in path else []
    for candidate in [f"{home}.{path}" for home in HOMES] + dotted:
        try:
            if find_spec(candidate) is not None:
                return candidate
        except (ImportError, ValueError):
            continue  # a package that is not installed, or says on import that it has moved
    missing = any(find_spec(package) is None for package in ("pettingzoo", "mpe2"))
    way = f": {EXTRA}" if missing else f"; expected the name of a module in {', '.join(HOMES)}"
    raise ArgumentError(
        f"unknown game {game_id!r}{way}, or MODULE:NAME of what makes a pettingzoo.ParallelEnv"
    )


def _imported(module: str, game_id: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(
            f"game {game_id!r} cannot be made: {one_line(error)}; PettingZoo's games come with "
            f"{EXTRA}"
        ) from error
