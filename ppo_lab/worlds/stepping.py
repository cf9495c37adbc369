"""One step of K copies of any world: time limit, Monitor's statistics and the reset at the end.

The arrays of K copies, all written in place:

* ``states`` (K, s) float64, of the world; ``streams`` (K, 4) uint64, random numbers.
* ``episodes`` (K, 2) float64: steps and return of the present episodes.
* ``observations`` (K, D), float32 numbers or int64 indices; ``rewards`` (K,) float32; ``dones``
  (K,) bool.
* ``endings`` (K, 3) float64, of the copies whose episode ended at this step: return, length, and
  1 where the time limit cut it and 0 where it terminated. ``last`` (K, D): what they observed
  before the reset.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from envs.mdp import FloatArray
from ppo_lab.kernels.compiling import exact_entry_kernel
from ppo_lab.worlds.randomness import StreamArray
from ppo_lab.worlds.rules import accepts, advance, allow, begin, observe

__all__ = ["allow_all", "begin_all", "step_all"]


@exact_entry_kernel
def begin_all(
    world: Any,
    states: FloatArray,
    episodes: FloatArray,
    streams: StreamArray,
    observations: npt.NDArray[Any],
) -> None:
    """Begin K episodes, each with its own stream."""
    for copy in range(states.shape[0]):
        begin(world, states[copy], streams[copy])
        observe(world, states[copy], observations[copy])
        episodes[copy, 0] = episodes[copy, 1] = 0.0


@exact_entry_kernel
def allow_all(world: Any, states: FloatArray, masks: npt.NDArray[Any]) -> None:
    """Write the masks (K, A) of K copies: 1 for an action that is allowed, 0 for the others."""
    for copy in range(states.shape[0]):
        allow(world, states[copy], masks[copy])


@exact_entry_kernel
def step_all(
    world: Any,
    limit: int,
    states: FloatArray,
    episodes: FloatArray,
    streams: StreamArray,
    actions: npt.NDArray[Any],
    observations: npt.NDArray[Any],
    rewards: npt.NDArray[np.float32],
    dones: npt.NDArray[np.bool_],
    endings: FloatArray,
    last: npt.NDArray[Any],
) -> int:
    """Step K copies with ``actions`` (K, A); where an episode ends, the next one begins.

    ``limit`` steps truncate an episode (0: never), unless that step terminated it.

    Returns:
        How many episodes ended; −1 − i, and nothing has moved, where the action of copy i is not
        one that the environment accepts.
    """
    n_copies = states.shape[0]
    for copy in range(n_copies):
        if not accepts(world, actions[copy]):
            return -1 - copy
    n_ended = 0
    for copy in range(n_copies):
        state = states[copy]
        reward, terminated = advance(world, state, actions[copy], streams[copy])
        rewards[copy] = reward
        episodes[copy, 0] += 1.0
        episodes[copy, 1] += reward
        ended = terminated or episodes[copy, 0] == limit
        dones[copy] = ended
        if ended:
            observe(world, state, last[copy])
            endings[copy, 0], endings[copy, 1] = episodes[copy, 1], episodes[copy, 0]
            endings[copy, 2] = 0.0 if terminated else 1.0
            episodes[copy, 0] = episodes[copy, 1] = 0.0
            begin(world, state, streams[copy])
            n_ended += 1
        observe(world, state, observations[copy])
    return n_ended
