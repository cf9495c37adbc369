"""One environment, made and used with errors that say what to do."""

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import gymnasium as gym

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.registry import closest

__all__ = ["faults_in_one_line", "make_checked", "why_not_imported"]

LIKENESS = 0.5
"""How alike two ids are, at least, for the one to be meant by the other; 1: the same."""
SOURCES = (
    (r"^ALE/|NoFrameskip-v\d$", "ale_py", '"ppo-lab[atari]"'),
    (r"^(MiniGrid|BabyAI)-", "minigrid", '"ppo-lab[minigrid]"'),
    (r"BulletEnv-v\d$", "pybullet_envs_gymnasium", "pybullet_envs_gymnasium"),
    (r"^(highway|merge|roundabout|parking|intersection|racetrack)", "highway_env", "highway-env"),
    (r"^(Fetch|HandManipulate|HandReach|PointMaze|AntMaze|Adroit|FrankaKitchen)",
     "gymnasium_robotics", "gymnasium-robotics"),
    (r"^Panda", "panda_gym", "panda-gym"),
)  # fmt: skip
"""By how an id looks: the module that registers it, and what ``pip install`` brings that."""


def make_checked(env_id: str, env_kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """``gymnasium.make`` with errors of one line.

    Raises:
        ArgumentError: no such environment (names the closest), or it cannot be made.
    """
    known = gymnasium_id(env_id)
    try:
        return gym.make(known, disable_env_checker=True, **env_kwargs)
    except gym.error.UnregisteredEnv as error:
        raise ArgumentError(f"unknown environment {env_id!r}{_way_to(env_id)}") from error
    except ModuleNotFoundError as error:
        reason = why_not_imported(error)
        raise ArgumentError(f"environment {env_id!r} cannot be made: {reason}") from error
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"environment {env_id!r} cannot be made: {one_line(error)}") from error


def why_not_imported(error: ModuleNotFoundError) -> str:
    """One line of a module that is missing, and what ``pip install`` brings it where that is known.

    Gymnasium raises an error of its own from that of the module, which alone has the name.
    """
    cause = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
    for _, package, wheel in SOURCES:
        if cause.name == package or f"'{package}'" in str(error):
            return f"the module {package} is missing: pip install {wheel}"
    return one_line(error)


def _way_to(env_id: str) -> str:
    """What to write in the place of an id that nobody has registered, as an error's end."""
    module, _, name = env_id.rpartition(":")
    for sign, package, wheel in SOURCES:
        if re.search(sign, name) and package not in sys.modules:
            there = find_spec(package) is not None
            return ("" if there else f": pip install {wheel}") + (
                f"; write {package}:{name}, or give --env-packages {package}"
            )
    names = [known for known in gym.registry if not known.startswith(("phys2d/", "tabular/"))]
    namespace, slash, _ = name.rpartition("/")
    if slash and not module and not any(known.startswith(f"{namespace}/") for known in names):
        return (
            f": nothing that is imported registers {namespace}/…; write PACKAGE:{name}, or give "
            "--env-packages PACKAGE, where PACKAGE is what registers it"
        )
    if not difflib.get_close_matches(name, names, n=1, cutoff=LIKENESS):
        return (
            f": nothing that is imported registers the like; write PACKAGE:{name}, or give "
            "--env-packages PACKAGE"
        )
    return f"; closest: {closest(name, names)}"


@contextmanager
def faults_in_one_line(env_id: str) -> Iterator[None]:
    """What an environment raises while it is looked at or closed is an error of one line."""
    try:
        yield
    except ArgumentError:
        raise
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"environment {env_id!r} cannot be used: {one_line(error)}") from error
