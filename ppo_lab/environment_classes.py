"""Environments that nobody has registered: a class in a file or a module, by where it is written.

Gymnasium makes environments by ids. ``file.py:Class`` and ``module:Class`` become ids here, anew in
every process, since a worker is told no more than the words that the user wrote.
"""

import hashlib
import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym

from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import by_user, one_line

__all__ = [
    "GAMES",
    "FromFile",
    "check_unchanged",
    "environment_file",
    "file_digest",
    "find_beside",
    "gymnasium_id",
    "is_game",
    "plain_id",
]

SUFFIX = ".py"
GAMES = "pettingzoo:"
"""What the id of a game of several agents begins with."""


@dataclass(frozen=True)
class FromFile:
    """Makes a file's environments, also in a process that has not loaded the file yet.

    Attributes:
        file: where the class is written.
        name: of the class, or of a function that gives an environment.
    """

    file: str
    name: str

    def __call__(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """Make one."""
        env: gym.Env[Any, Any] = getattr(_loaded(Path(self.file)), self.name)(**kwargs)
        return env


def is_game(env_id: str) -> bool:
    """Whether an id is that of a game of several agents, ``pettingzoo:NAME``."""
    return env_id.startswith(GAMES)


def environment_file(env_id: str) -> Path | None:
    """The file that an id names, as in ``file.py:Class``; None for another id."""
    if is_game(env_id):
        return None
    source = env_id.rpartition(":")[0]
    return Path(source) if source.endswith(SUFFIX) else None


def plain_id(env_id: str) -> str:
    """The id by which runs are filed: ``./file.py:Class`` is ``file.py:Class``."""
    file = environment_file(env_id)
    return env_id if file is None else f"{file.as_posix()}:{env_id.rpartition(':')[2]}"


def file_digest(env_id: str) -> str:
    """The SHA-256 of the file that an id names; empty for another id.

    Raises:
        ArgumentError: there is no such file.
    """
    file = environment_file(env_id)
    return "" if file is None else hashlib.sha256(_content(file)).hexdigest()


def find_beside(env_id: str) -> None:
    """Let what lies beside an environment's file be imported; last, so that it hides no package."""
    file = environment_file(env_id)
    folder = "" if file is None else str(file.resolve().parent)
    if folder and folder not in sys.path:
        sys.path.append(folder)


def check_unchanged(env_id: str, digest: str, place: str = "") -> None:
    """Check that an environment's file is the one that a run began with.

    Args:
        env_id: the run's.
        digest: the file's then, as of :func:`file_digest`; empty: the id names no file.
        place: where it lay then.

    Raises:
        ArgumentError: it is another one, or gone.
    """
    file = environment_file(env_id)
    if file is None or not digest:
        return
    if not file.is_file():
        raise ArgumentError(
            f"{file}, in which the run's environment is written, is not here; it was "
            f"{place or file} when the run was made: run the command where it lies"
        )
    if file_digest(env_id) != digest:
        raise ArgumentError(
            f"{file}, in which the run's environment is written, has changed since the run was "
            f"made; ppo_lab.evaluate --env {env_id} plays in what it says now"
        )


def gymnasium_id(env_id: str) -> str:
    """What ``gymnasium.make`` takes for an id; a class that has none is registered.

    Args:
        env_id: Gymnasium's id, ``module:id``, ``module:Class``, ``file.py:Class``, or
            ``pettingzoo:NAME``, which becomes the id of a ``GameEnv``.

    Raises:
        ArgumentError: the file cannot be loaded, or there is no such environment in it.
    """
    if is_game(env_id):
        return _registered_game(env_id)
    source, _, name = env_id.rpartition(":")
    file = environment_file(env_id)
    if file is not None:
        module = _loaded(file)
        return name if name in gym.registry else _registered(module, name, env_id, file)
    if not source or not name.isidentifier():
        return env_id
    try:
        module = importlib.import_module(source)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        return env_id  # gymnasium.make says why
    if name in gym.registry or not hasattr(module, name):
        return env_id
    return _registered(module, name, env_id, None)


def _registered(module: ModuleType, name: str, env_id: str, file: Path | None) -> str:
    found = getattr(module, name, None)
    is_class = isinstance(found, type)
    if not callable(found) or (is_class and not issubclass(found, gym.Env)):
        own = [key for key, value in vars(module).items() if _is_environment(value, module)]
        there = f"its environments: {', '.join(own)}" if own else "there is none in it"
        raise ArgumentError(f"{env_id!r}: expected the name of a gymnasium.Env; {there}")
    known = f"{module.__name__}.{name}"
    if known not in gym.registry:
        entry = f"{module.__name__}:{name}" if file is None else FromFile(str(file.resolve()), name)
        gym.register(known, entry_point=entry)
    return known


def _registered_game(env_id: str) -> str:
    name = env_id.removeprefix(GAMES).replace("/", ".").replace(":", ".")
    known = f"pettingzoo/{name}"
    if known not in gym.registry:
        entry = "ppo_lab.multi_agent.as_env:GameEnv"
        gym.register(known, entry_point=entry, kwargs={"game_id": env_id})
    return known


def _is_environment(value: object, module: ModuleType) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, gym.Env)
        and value.__module__ == module.__name__
    )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArgumentError(f"{file} cannot be read: {error.strerror}") from error


def _loaded(file: Path) -> ModuleType:
    """The file as a module of a name of its own, which no package can have.

    Raises:
        ArgumentError: it cannot be read, or raises an error.
    """
    digest = hashlib.sha256(_content(file)).hexdigest()[:12]
    name = f"{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None or not file.stem.isidentifier():
        raise ArgumentError(f"{file}: expected a Python file with a name such as my_env.py")
    find_beside(f"{file}:")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"{file} cannot be loaded: {one_line(error)}") from error
    return module
