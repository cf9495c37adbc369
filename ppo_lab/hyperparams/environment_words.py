"""RL Zoo's keywords for environments, as plain values: nothing that they name is imported."""

import importlib
import math
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from numbers import Real
from typing import Any

import gymnasium as gym

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import keyword_text
from ppo_lab.interruption import by_user

__all__ = ["entry_point", "is_atari", "is_minigrid", "read_normalize", "take_environment"]

LAYERS = ("env_wrapper", "vec_env_wrapper", "callback")
ARGUMENTS = ("env_kwargs", "eval_env_kwargs", "monitor_kwargs")
MAX_FRAMES = 1000


def take_environment(settings: MutableMapping[str, Any], origin: str) -> dict[str, Any]:
    """Take the zoo's keywords for environments and callbacks out of an entry of settings.

    Args:
        settings: the entry, which loses them.
        origin: where it stands, for errors.

    Returns:
        Those that are there and not empty, by the names of ``RunConfig``'s fields: layers as
        lists of names or ``{name: arguments}``, arguments as mappings, ``frame_stack`` as a number;
        and ``vec_env``, a word of ours.

    Raises:
        ArgumentError: one is of another kind.
    """
    taken: dict[str, Any] = {}
    for name in LAYERS:
        taken[name] = _layers(name, settings.pop(name, None), origin)
    for name in ARGUMENTS:
        taken[name] = _arguments(name, settings.pop(name, None), origin)
    taken["vec_env"] = settings.pop("vec_env", None) or ""
    if not isinstance(taken["vec_env"], str):
        raise ArgumentError(f"{origin}: vec_env {taken['vec_env']!r:.50}: expected dummy, pool, …")
    frames = settings.pop("frame_stack", None) or 0
    if type(frames) is not int or not 0 <= frames <= MAX_FRAMES:
        raise ArgumentError(f"{origin}: frame_stack {frames!r:.50}: expected 0…{MAX_FRAMES}")
    return {name: value for name, value in {**taken, "frame_stack": int(frames)}.items() if value}


def _layers(name: str, value: object, origin: str) -> list[Any]:
    entries = [] if value is None else value if isinstance(value, list) else [value]
    for entry in entries:
        if not isinstance(entry, str) and not (isinstance(entry, Mapping) and len(entry) == 1):
            raise ArgumentError(
                f"{origin}: {name} {entry!r:.100}: expected package.module.Name, or one such name "
                "with its arguments"
            )
    return list(entries)


def _arguments(name: str, value: object, origin: str) -> dict[str, Any]:
    if isinstance(value, str):
        value = keyword_text(name, value)
    if value is not None and not isinstance(value, Mapping):
        raise ArgumentError(f"{origin}: {name} {value!r:.100}: expected a mapping")
    return dict(value or {})


def read_normalize(value: object) -> bool | dict[str, Any]:
    """The zoo's ``normalize``: true or false, ``VecNormalize``'s arguments, or them as a text.

    Raises:
        ArgumentError: it is something else, or not what ``VecNormalize`` takes, which checks none
            of it and would clip every observation to one number, or normalise where it shall not.
    """
    if isinstance(value, str):
        value = keyword_text("normalize", value) or True  # "dict()" normalises, as in the zoo
    if isinstance(value, Mapping):
        return {str(name): _normalize_argument(str(name), one) for name, one in value.items()}
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ArgumentError(f"normalize={value!r:.100}: expected true, false, or a mapping")


def _normalize_argument(name: str, value: object) -> Any:
    known = [known for names, _, _ in _NORMALIZE for known in names]
    if name not in known:
        raise ArgumentError(f"normalize: {name!r:.50}: VecNormalize takes {', '.join(known)}")
    for names, holds, expected in _NORMALIZE:
        if name in names and not holds(value):
            raise ArgumentError(f"normalize: {name}={value!r:.50}: expected {expected}")
    return float(value) if isinstance(value, str) else value


def _number(value: object) -> float:
    """A number, also as YAML reads ``1e-8``, which is a text; NaN for all else."""
    try:
        number = isinstance(value, Real | str) and not isinstance(value, bool)
        return float(value) if number else math.nan  # type: ignore[arg-type]
    except ValueError:
        return math.nan


def _are_keys(value: object) -> bool:
    texts = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return value is None or texts


_NORMALIZE: Sequence[tuple[Sequence[str], Callable[[object], bool], str]] = (
    (("training", "norm_obs", "norm_reward"), lambda v: isinstance(v, bool), "true or false"),
    (("clip_obs", "clip_reward"), lambda v: _number(v) > 0, "a number > 0"),
    (("gamma",), lambda v: 0 <= _number(v) <= 1, "a number in 0…1"),
    (("epsilon",), lambda v: 0 <= _number(v) < math.inf, "a finite number ≥ 0"),
    (("norm_obs_keys",), _are_keys, "a list of the observations' keys"),
)


def entry_point(env_id: str) -> str:
    """What Gymnasium makes an environment of, ``module:Class``; empty where it knows none.

    Imports the module before the id's colon, if any, as ``gymnasium.make`` does.
    """
    try:
        known = gymnasium_id(env_id)
        module, _, name = known.rpartition(":")
        if module:
            importlib.import_module(module)
        entry = gym.spec(name).entry_point
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        return ""  # making it says why
    if entry is None or isinstance(entry, str):
        return entry or ""
    return f"{entry.__module__}:{getattr(entry, '__qualname__', '')}"


def is_atari(env_id: str) -> bool:
    """Whether it is one of ALE's, which the zoo trains by its entry ``atari``."""
    return "AtariEnv" in entry_point(env_id)


def is_minigrid(env_id: str) -> bool:
    """Whether it is one of MiniGrid's, whose policies the zoo evaluates as they draw."""
    return "minigrid" in entry_point(env_id)
