"""The uniformly random policy, which takes no action that an environment forbids."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.finite import has_own_masks

__all__ = ["forbids_actions", "has_masks", "random_action", "sample_of"]


def has_masks(env: gym.Env[Any, Any]) -> bool:
    """Whether the environment says which actions are possible, as sb3-contrib asks it."""
    try:
        return callable(env.get_wrapper_attr("action_masks"))
    except AttributeError:
        return False


def forbids_actions(env: gym.Env[Any, Any]) -> bool:
    """Whether a random policy has to ask for masks.

    A grid world of ours does not forbid what its masks leave out: its 0 of normalised scores is
    the random policy over all moves, exact or played, whether or not a run asks for masks.
    """
    return has_masks(env) and not has_own_masks(env.unwrapped)


def random_action(env: gym.Env[Any, Any], masked: bool) -> Any:
    """An action of the environment's own generator, each that is possible equally likely.

    Args:
        env: the environment.
        masked: :func:`forbids_actions` of it.
    """
    space = env.action_space
    return sample_of(space, env.get_wrapper_attr("action_masks")()) if masked else space.sample()


def sample_of(space: spaces.Space[Any], allowed: Any) -> Any:
    """An action of a space's own generator under a flat mask of sb3-contrib's form."""
    return space.sample(_mask(space, allowed))


def _mask(space: spaces.Space[Any], allowed: Any) -> Any:
    """The possible actions as ``Space.sample`` takes them."""
    flat = np.asarray(allowed, np.int8).ravel()
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(np.split(flat, np.cumsum(space.nvec.ravel())[:-1]))
    if isinstance(space, spaces.MultiBinary):
        off, on = flat.reshape(-1, 2).T
        either = np.where(on & off, 2, on)  # 0 and 1 are forced, 2 is drawn
        return either.astype(np.int8).reshape(space.shape)
    return flat
