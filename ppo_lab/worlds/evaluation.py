"""A policy played deterministically for whole episodes, in one compiled call."""

from typing import Any

import numpy as np
import numpy.typing as npt

from envs.mdp import FloatArray
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.kernels.layout import ACTOR, GAUSSIAN, HEAD
from ppo_lab.kernels.network import capacity, forward
from ppo_lab.worlds.rollout import Actor, Copies, clip_actions, write_features
from ppo_lab.worlds.stepping import step_all

__all__ = ["play"]


@exact_kernel
def choose_best(actor: Actor, features: npt.NDArray[np.float32], actions: npt.NDArray[Any]) -> None:
    """The likeliest action of each row of features (K, I), into ``actions`` (K, A).

    For MultiDiscrete there is no world, so the outputs are one row of logits, or means.
    """
    rows = capacity(actor.plan, actor.work)
    for first in range(0, features.shape[0], rows):
        last = min(first + rows, features.shape[0])
        outputs = forward(actor.params, actor.plan, ACTOR, features[first:last], actor.work, rows)
        for row in range(last - first):
            if actor.plan[HEAD] == GAUSSIAN:
                for column in range(outputs.shape[1]):
                    actions[first + row, column] = outputs[row, column]
            else:
                actions[first + row, 0] = np.argmax(outputs[row])


@exact_entry_kernel
def play(
    copies: Copies,
    actor: Actor,
    wanted: npt.NDArray[np.int64],
    is_index: bool,
    actions: npt.NDArray[Any],
    played: FloatArray,
) -> None:
    """Play until copy k has ended ``wanted[k]`` episodes, all copies stepping together.

    Args:
        copies: moved on in place; there must be a time limit, or this may never end.
        actor: the policy.
        wanted: (K,), sum E.
        is_index: whether observations are indices, to be one-hot.
        actions: (K, A), overwritten.
        played: (E, 2), written: return and length in the order of the ends.
    """
    n_copies = copies.dones.size
    features = np.empty((n_copies, actor.plan[0]), np.float32)
    rewards = np.empty(n_copies, np.float32)
    endings, last = np.zeros((n_copies, 3)), np.zeros_like(copies.observations)
    counts = np.zeros(n_copies, np.int64)
    n_played = 0
    while n_played < played.shape[0]:
        write_features(copies.observations, is_index, features)
        choose_best(actor, features, actions)
        clip_actions(actions, actor, actions)
        n_now = step_all(
            copies.world, copies.limit, copies.states, copies.episodes, copies.streams, actions,
            copies.observations, rewards, copies.dones, endings, last,
        )  # fmt: skip
        if n_now == 0:
            continue
        for copy in range(n_copies):
            if copies.dones[copy] and counts[copy] < wanted[copy]:
                counts[copy] += 1
                played[n_played, 0], played[n_played, 1] = endings[copy, 0], endings[copy, 1]
                n_played += 1
