"""A policy played deterministically for whole episodes, in one compiled call."""

from typing import Any

import numpy as np
import numpy.typing as npt

from envs.mdp import FloatArray
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel
from ppo_lab.kernels.layout import ACTOR, MASKS, ROW
from ppo_lab.kernels.network import forward, seen_by
from ppo_lab.kernels.policy_head import forbid, likeliest_actions
from ppo_lab.kernels.typing import Networks
from ppo_lab.worlds.rollout import (
    ClippedPolicy,
    Copies,
    clip_actions,
    write_features,
    write_masks,
)
from ppo_lab.worlds.stepping import step_all

__all__ = ["play"]


@exact_kernel
def choose_best(
    networks: Networks, features: npt.NDArray[np.float32], actions: npt.NDArray[Any]
) -> None:
    """The likeliest action of each row of features (K, W), into ``actions`` (K, A)."""
    for first in range(0, features.shape[0], networks.rows):
        last = min(first + networks.rows, features.shape[0])
        rows = features[first:last]
        outputs = forward(networks, ACTOR, seen_by(networks, ACTOR, rows))
        forbid(networks, rows, outputs)
        likeliest_actions(networks, outputs, actions[first:last])


@exact_entry_kernel
def play(
    copies: Copies,
    policy: ClippedPolicy,
    wanted: npt.NDArray[np.int64],
    is_index: bool,
    actions: npt.NDArray[Any],
    played: FloatArray,
) -> None:
    """Play until copy k has ended ``wanted[k]`` episodes, all copies stepping together.

    Args:
        copies: moved on in place; there must be a time limit, or this may never end.
        policy: chooses.
        wanted: (K,), sum E.
        is_index: whether observations are indices, to be one-hot.
        actions: (K, A), overwritten.
        played: (E, 2), written: return and length in the order of the ends.
    """
    n_copies = copies.dones.size
    plan = policy.networks.plan
    features, unkept = (
        np.empty((n_copies, plan[ROW]), np.float32),
        np.empty((n_copies, 0), np.float32),
    )
    rewards = np.empty(n_copies, np.float32)
    endings, last = np.zeros((n_copies, 3)), np.zeros_like(copies.observations)
    counts = np.zeros(n_copies, np.int64)
    n_played = 0
    while n_played < played.shape[0]:
        write_features(copies.observations, is_index, features)
        write_masks(copies, plan[MASKS], features, unkept)
        choose_best(policy.networks, features, actions)
        clip_actions(actions, policy, actions)
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
