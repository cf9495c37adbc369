"""Which actions a game allows its agents, by PettingZoo's convention (Spec 13).

A mask is ``observation["action_mask"]`` beside ``observation["observation"]``, or
``info["action_mask"]``: one truth value for each action.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.action_masks import mask_sizes

__all__ = ["ACTION_MASK", "as_mask", "has_mask", "split", "without_mask"]

ACTION_MASK, SEEN = "action_mask", "observation"


def has_mask(space: spaces.Space[Any]) -> bool:
    """Whether observations of a space bring the mask beside what is seen."""
    return isinstance(space, spaces.Dict) and len(space.spaces) > 1 and ACTION_MASK in space.spaces


def without_mask(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """What of a space is seen: without the mask, and bare where nothing but it is left."""
    if not has_mask(space):
        return space
    assert isinstance(space, spaces.Dict)
    rest = _rest(space.spaces)
    return rest if isinstance(rest, spaces.Space) else spaces.Dict(rest)


def split(seen: Any, space: spaces.Space[Any]) -> tuple[Any, Any]:
    """What is seen of an observation of such a space, and its mask, or None."""
    return (_rest(seen), seen[ACTION_MASK]) if has_mask(space) else (seen, None)


def _rest(parts: Mapping[str, Any]) -> Any:
    others = {key: part for key, part in parts.items() if key != ACTION_MASK}
    return others[SEEN] if others.keys() == {SEEN} else others


def as_mask(given: Any, space: spaces.Space[Any], whose: str) -> npt.NDArray[np.bool_]:
    """Check a mask.

    Args:
        given: by the game.
        space: the actions.
        whose: the game, the agent and the step, to be read after "the action_mask of".

    Returns:
        (n,) bool: of a MultiDiscrete its parts one after the other, of a MultiBinary two for each
        bit.

    Raises:
        ArgumentError: none, of another shape or type, or one that allows nothing.
    """
    sizes = mask_sizes(space)
    if given is None:
        raise ArgumentError(
            f"the action_mask of {whose} is missing: with mask_actions=True a game gives every "
            "agent that is to act one, in its observation or its info"
        )
    table = np.asarray(given)
    if table.shape != (sum(sizes),):
        raise ArgumentError(
            f"the action_mask of {whose} has the shape {table.shape}: expected ({sum(sizes)},), "
            f"a truth value for each action of {space}"
        )
    if not ((table == 0) | (table == 1)).all():
        raise ArgumentError(
            f"the action_mask of {whose} is {table.tolist()}: expected 1 where an action is "
            "allowed, and 0 elsewhere"
        )
    allowed = table.astype(np.bool_)
    if not all(part.any() for part in np.split(allowed, np.cumsum(sizes)[:-1])):
        raise ArgumentError(
            f"the action_mask of {whose} allows nothing: expected an action at least for an agent "
            "that is to act, such as one that does nothing"
        )
    return allowed
