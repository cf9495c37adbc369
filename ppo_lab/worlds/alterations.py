"""What was altered on an environment, in its constants and methods: reasons why it has no world.

A registered factory may return a known class with other constants, a script may patch ``step`` on
an environment or its class: such an environment has no world.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from envs.gymnasium_internals import layers_of, replaced_on_wrapper
from envs.mdp import TabularMDP
from envs.observations import IndexObserver, TableObserver
from envs.tabular import TabularEnv
from ppo_lab.worlds.as_written import changed_module, equal_values, replaced_on

__all__ = [
    "PLAIN_NUMBERS",
    "namespaces_of",
    "why_constants_differ",
    "why_not_tabular",
    "why_replaced",
]

OURS = ("gymnasium", "envs")
"""Packages whose source is known; a user's own classes are not executed again."""
HELPERS = {
    "gymnasium.envs.classic_control": ("gymnasium.envs.classic_control.utils",),
    "gymnasium.envs.toy_text": ("gymnasium.envs.toy_text.utils",),
    "gymnasium.core": ("gymnasium.utils.seeding",),
    "envs.crawler_continuous": ("envs.crawler_geometry",),
    "envs.tabular": ("envs.mdp", "envs.observations"),
}
"""Modules whose functions the classes of others call."""

PLAIN_NUMBERS = (int, float, np.float64)
"""What NumPy computes with in double precision; a float32 among the constants would change that."""
FREE = frozenset(
    ["__init__", "__repr__", "__str__", "__del__", "__doc__", "__module__", "__annotations__"]
) | {"__dict__", "__weakref__", "__parameters__", "__orig_bases__", "__abstractmethods__"}
FREE |= {"metadata", "render", "close", "observations", "_text", "_frame", "_screen"}
"""What a class derived from ``TabularEnv`` may say for itself: none of it moves the state."""
ASSIGNED = frozenset(
    ["mdp", "observer", "state", "episode_return", "_ended", "_n_actions", "observation_space"]
) | {"action_space"}
"""What ``TabularEnv`` keeps on itself, and a class might make a property of."""


def namespaces_of(env: gym.Env[Any, Any]) -> list[object]:
    """Everything with a ``__dict__`` in which a change would make another environment of it."""
    layers = layers_of(env)
    kinds = {kind: None for layer in layers for kind in type(layer).__mro__ if kind is not object}
    return [*layers, *kinds, *(sys.modules[name] for name in _modules(layers))]


def why_replaced(env: gym.Env[Any, Any]) -> str | None:
    """What was replaced on an environment, its wrappers, their classes or modules, as a reason.

    Args:
        env: of classes that a world knows.

    Returns:
        To be read after "because"; None where nothing was.
    """
    layers = layers_of(env)
    for layer in layers:
        name = replaced_on(layer)
        if name is not None:
            return f"{name} of this {type(layer).__name__} was replaced"
    for module in _modules(layers):
        changed = changed_module(module)
        if changed is not None:
            return f"{changed} of {module} was replaced"
    for layer in layers[:-1]:
        replaced = replaced_on_wrapper(layer)
        if replaced is not None:
            return f"{replaced} of this {type(layer).__name__} was replaced"
    return None


def why_constants_differ(env: Any, restated: Mapping[str, Any]) -> str | None:
    """Which attribute of an environment is not what its world holds fast, as a reason."""
    for name, expected in restated.items():
        present = getattr(env, name, None)
        if isinstance(expected, float) and type(present) not in PLAIN_NUMBERS:
            return f"{name} is {present!r}, not {expected}"
        if not equal_values(present, expected):
            return f"{name} is {present}, not {expected}"
    return None


def why_not_tabular(env: TabularEnv) -> str | None:
    """What in a finite MDP's environment is not ``TabularEnv``'s own, as a reason."""
    fixed = {*dir(TabularEnv), *ASSIGNED} - FREE
    for kind in type(env).__mro__[: type(env).__mro__.index(TabularEnv)]:
        own = sorted(fixed & vars(kind).keys())
        if own:
            return f"{kind.__name__} has a {own[0]} of its own"
    if type(env.mdp) is not TabularMDP:
        return f"its mdp is a {type(env.mdp).__name__}"
    if env._n_actions != env.mdp.n_actions:
        return f"it takes {env._n_actions} actions and its mdp has {env.mdp.n_actions}"
    observer = env.observer
    if type(observer) is IndexObserver and observer.n_states != env.mdp.n_states:
        return f"its observer shows {observer.n_states} states of {env.mdp.n_states}"
    if type(observer) is TableObserver and len(observer.table) != env.mdp.n_states:
        return f"its observer shows {len(observer.table)} states of {env.mdp.n_states}"
    return None


def _modules(layers: list[gym.Env[Any, Any]]) -> Iterator[str]:
    """The modules of known source that the layers' methods stand in or call, each once."""
    names: dict[str, None] = {}
    for kind in (kind for layer in layers for kind in type(layer).__mro__):
        name = kind.__module__
        if name.split(".")[0] in OURS:
            names[name] = None
            for prefix, helpers in HELPERS.items():
                if name.startswith(prefix):
                    names.update(dict.fromkeys(helpers))
    return iter(names)
