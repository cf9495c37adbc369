"""Environments' ids as users write them: the full id of one, or the ids that are meant.

Nothing here loads torch: a mistyped id is answered before the work is loaded.
"""

import difflib
import importlib
import re
import sys
from importlib.util import find_spec

import gymnasium as gym

from ppo_lab.environment_classes import SUFFIX, environment_file, gymnasium_id, plain_id
from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.registry import closest

__all__ = ["full_id", "way_to", "why_not_imported"]

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


def full_id(env_id: str) -> str:
    """The id by which runs are filed: Gymnasium's own writing of it, with its version.

    ``cartpole`` is ``CartPole-v1``, the newest version, as ``gymnasium.make`` takes it; a class in
    a file or a module is what :func:`~ppo_lab.environment_classes.plain_id` makes of it.

    Args:
        env_id: Gymnasium's id, ``module:id``, ``module:Class`` or ``file.py:Class``; whatever
            registers it is imported.

    Raises:
        ArgumentError: there is no such environment; names the closest.
    """
    if environment_file(env_id) is not None:
        return plain_id(env_id)
    module, colon, _ = env_id.rpartition(":")
    _import_if_there(module)
    name = gymnasium_id(env_id).rpartition(":")[2]
    found = _registered_name(name)
    if found is not None:
        return f"{module}{colon}{found}" if found != name else env_id
    if colon:
        return env_id  # a class that was registered just now, or making it says why
    raise ArgumentError(f"unknown environment {env_id!r}{way_to(env_id)}")


def _import_if_there(module: str) -> None:
    """Import what an id names before its colon, as ``gymnasium.make`` does; that says why not."""
    if not module:
        return
    try:
        importlib.import_module(module)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error


def _registered_name(name: str) -> str | None:
    """The registered id of a name: itself, in other letters, or its newest version; or None."""
    if name in gym.registry:
        return name
    alike = [known for known in gym.registry if known.casefold() == name.casefold()]
    if not alike and not re.search(r"-v\d+$", name):
        alike = [
            known
            for known, spec in gym.registry.items()
            if spec.version is not None and known.casefold() == f"{name}-v{spec.version}".casefold()
        ]
        alike.sort(key=lambda known: gym.registry[known].version or 0)
    return alike[-1] if alike else None


def why_not_imported(error: ModuleNotFoundError) -> str:
    """One line of a module that is missing, and what ``pip install`` brings it where that is known.

    Gymnasium raises an error of its own from that of the module, which alone has the name.
    """
    cause = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
    for _, package, wheel in SOURCES:
        if cause.name == package or f"'{package}'" in str(error):
            return f"the module {package} is missing: pip install {wheel}"
    return one_line(error)


def _is_there(module: str) -> bool:
    """Whether the package of a dotted name can be imported; nothing is."""
    names = module.split(".")
    if not all(name.isidentifier() for name in names):
        return False
    try:
        return find_spec(names[0]) is not None
    except ValueError:  # of __main__
        return False


def way_to(env_id: str) -> str:
    """What to write in the place of an id that nobody has registered, as an error's end."""
    module, _, name = env_id.rpartition(":")
    if env_id.endswith(SUFFIX):
        return f"; write {env_id}:CLASS, with the name of the environment's class in that file"
    package, dot, last = env_id.rpartition(".")
    if dot and ":" not in env_id and last.isidentifier() and _is_there(package):
        return f"; write {package}:{last} for a class of that package's"
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
