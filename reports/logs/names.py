"""What names of folders tell of a run, where no log states it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reports.logs.records import MAX_STEPS

_NUMBERED = re.compile(r"^(?:(?P<stem>.*?)[_\- ])??(?P<seed>seed[_\-= ]?)?(?P<number>\d+)$", re.I)
"""``CartPole-v1_3``, ``run-3``, ``ppo_seed3``, ``3``; not the version in ``CartPole-v1``."""
_CLEANRL = re.compile(r"^(?P<env>.+?)__(?P<algo>.+)__(?P<seed>\d{1,18})__\d+$", re.S)
"""``ENV__EXPERIMENT__SEED__TIME``, as CleanRL names its runs."""
_ENVIRONMENT = re.compile(r"^[\w.\-]+-v\d+$")
_VERSION = re.compile(r"-v\d+$")
_NO_NAME = frozenset({"", "run", "runs", "log", "logs", "eval", "train", "trial", "exp", "results"})
"""Folder names that say nothing about the algorithm."""
_ALGORITHMS = frozenset(
    [
        *("a2c", "ars", "bc", "crossq", "ddpg", "dqn", "her", "ppo", "ppo_lstm", "ppo_mask"),
        *("qrdqn", "recurrent_ppo", "sac", "spec_ppo", "td3", "tqc", "trpo"),
    ]
)
"""Told from an environment's first word where no log states the environment."""


@dataclass(frozen=True)
class Names:
    """What names tell.

    Attributes:
        algo: empty where they tell none.
        env: the environment's id as its folder spells it; empty where they tell none.
        seed: None where they tell none: a bare number counts runs.
    """

    algo: str
    env: str
    seed: int | None


def told_by_names(parts: Sequence[str], env_id: str | None) -> Names:
    """Take algorithm, environment and seed from folder names, from the innermost outwards.

    ``ppo/CartPole-v1_2``, ``CartPole-v1/ppo/seed3``, ``ppo_seed_3``, RL Zoo's ``ppo-CartPole-v1``,
    CleanRL's ``CartPole-v1__ppo__1__1700000000``: a number at a name's end tells runs apart, and
    is the seed only where it is called so.

    Args:
        parts: names of folders, the innermost last.
        env_id: the environment, where a log states it.
    """
    algo, seed = "", None
    for part in reversed(parts):
        if by_cleanrl := _CLEANRL.match(part):
            algo = algo or by_cleanrl["algo"]
            seed = whole(int(by_cleanrl["seed"])) if seed is None else seed
            env_id = env_id or by_cleanrl["env"]
            continue
        match = _NUMBERED.match(part)
        stem = (match["stem"] or "") if match else part
        if match and match["seed"] and seed is None:
            seed = whole(int(match["number"][:18]))
        label, env = _split(stem, env_id)
        env_id = env_id or env or None
        if not algo and label.lower() not in _NO_NAME:
            algo = label
    return Names(algo, env_id or "", seed)


def _split(stem: str, env_id: str | None) -> tuple[str, str]:
    """``LABEL-ENV``, a label or an environment as its label and its environment; either is ""."""
    if env_id is not None:
        env = env_id.rpartition(":")[2].replace("/", "-")
        if stem == env:
            return "", stem
        # A log may state another version than the folder: Pendulum-v0 in ppo-Pendulum-v1.
        bare, ending = _VERSION.sub("", stem), "-" + _VERSION.sub("", env)
        label = bare.removesuffix(ending)
        return (label, env) if "" != label != bare != stem else (stem, "")
    if not _ENVIRONMENT.match(stem):
        return stem, ""
    label, _, env = stem.partition("-")
    if label in _ALGORITHMS and _ENVIRONMENT.match(env):
        return label, env
    return "", stem


def whole(value: object) -> int | None:
    """A whole number of at least 0, also where YAML made it a float (``n_timesteps: 1e6``)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_STEPS:
        return value
    return None
