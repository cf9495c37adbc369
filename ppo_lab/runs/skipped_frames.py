"""Games of Atari whose frames are skipped by the environment and by a wrapper around it."""

import inspect
import warnings
from collections.abc import Iterable

import gymnasium as gym
from stable_baselines3.common.atari_wrappers import AtariWrapper, MaxAndSkipEnv

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.hyperparams.environment_words import entry_point
from ppo_lab.runs.named_code import Loaded
from ppo_lab.runs.recipe import EnvironmentRecipe

__all__ = ["warn_if_frames_are_skipped_twice"]

ARGUMENTS = {AtariWrapper: "frame_skip", MaxAndSkipEnv: "skip"}
GAMES = "ale_py"


def warn_if_frames_are_skipped_twice(recipe: EnvironmentRecipe) -> None:
    """Warn where an action is repeated by the game itself and by SB3's wrapper.

    The zoo's settings put ``AtariWrapper`` around every game, and ``ALE/…-v5`` repeats actions
    already, which neither the zoo nor SB3 says: published scores are of 4 frames an action.
    """
    if not entry_point(recipe.env).startswith(GAMES):
        return
    _, _, name = gymnasium_id(recipe.env).rpartition(":")
    own = {**gym.spec(name).kwargs, **recipe.env_kwargs}.get("frameskip", 1)
    around = _skipped(recipe.layers())
    if own == 1 or around == 1:
        return
    warnings.warn(
        f"{recipe.env} takes {own} frames an action and the wrapper around it {around} of these, "
        "where published scores are of 4 in all: --env-kwargs frameskip:1, or the game's "
        "NoFrameskip-v4",
        UserWarning,
        stacklevel=2,
    )


def _skipped(layers: Iterable[Loaded]) -> int:
    """How often the wrappers repeat an action."""
    times = 1
    for layer in layers:
        for kind, name in ARGUMENTS.items():
            if isinstance(layer.target, type) and issubclass(layer.target, kind):
                default = inspect.signature(kind).parameters[name].default
                times *= int(layer.arguments.get(name, default))
    return times
