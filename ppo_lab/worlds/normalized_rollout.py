"""A whole rollout under SB3's ``VecNormalize`` in one compiled call.

It visits what ``rollout.roll_out`` would with ``VecNormalize.step_wait`` after each of its steps:
the networks see and the buffer keeps normalised observations and rewards.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from envs.mdp import FloatArray
from ppo_lab.kernels.acting import run_act, run_predict_values
from ppo_lab.kernels.boundary import check_array
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel, inlined_kernel
from ppo_lab.kernels.layout import MASKS, ROW
from ppo_lab.kernels.normalizing import CLIP_OBS, EPSILON, MOMENTS, normalize, normalize_step
from ppo_lab.worlds.rollout import (
    OBSERVATION,
    OUTPUT,
    REWARD,
    TERMINAL_OBSERVATION,
    ClippedPolicy,
    Copies,
    RolloutArrays,
    SingleArray,
    clip_actions,
    first_infinite,
    write_features,
    write_masks,
    write_rows,
)
from ppo_lab.worlds.stepping import step_all

__all__ = ["Normalization", "roll_out_normalized"]


class Normalization(NamedTuple):
    """The arrays of a ``VecNormalize`` around K copies, all written.

    Attributes:
        statistics: (11 + 2 D + K,) float64, as :mod:`ppo_lab.kernels.normalizing` has them; D is 0
            where observations are not normalised.
        batch: (2, D) scratch.
        seen: (K, D), the copies' own present observations.
        shown: (K, D) float32, the present observations normalised; the copies' own where they are
            not.
        rewards: (K,) float32, of the latest step, as the environments pay them.
        paid: (K,) float32, the same normalised.
    """

    statistics: FloatArray
    batch: npt.NDArray[Any]
    seen: npt.NDArray[Any]
    shown: npt.NDArray[Any]
    rewards: SingleArray
    paid: SingleArray

    @classmethod
    def of(
        cls, statistics: FloatArray, shown: npt.NDArray[Any], observations: npt.NDArray[Any]
    ) -> "Normalization":
        """The arrays for copies with these ``observations`` (K, D).

        Args:
            statistics: see the class.
            shown: (K, D) float32, or (K, 0) where observations are not normalised.
            observations: the copies' own.

        Raises:
            ArgumentError: an array of another shape or type.
        """
        k, width = shown.shape
        if width:
            check_array("shown", shown, observations.shape, written=True)
        size = MOMENTS + 2 * width + k
        check_array("statistics", statistics, (size,), np.float64, written=True)
        single = observations.dtype == np.float32
        batch = np.zeros((2, width), np.float32 if single else np.float64)
        seen = observations if width else np.zeros((k, 0), observations.dtype)
        rewards, paid = np.zeros(k, np.float32), np.zeros(k, np.float32)
        return cls(statistics, batch, seen, shown if width else observations, rewards, paid)


@exact_entry_kernel
def roll_out_normalized(
    copies: Copies,
    policy: ClippedPolicy,
    arrays: RolloutArrays,
    episode_starts: SingleArray,
    noise: FloatArray,
    gamma: float,
    is_index: bool,
    ended: FloatArray,
    cut: npt.NDArray[Any],
    cut_value: SingleArray,
    failure: npt.NDArray[np.int64],
    normalization: Normalization,
) -> int:
    """Fill ``arrays``; return how many episodes ended.

    Args:
        copies: and those that follow: as of ``rollout.roll_out``.
        policy: chooses, of normalised observations.
        arrays: (T, K, …), written.
        episode_starts: (K,), of the first step.
        noise: (T, K, A).
        gamma: γ.
        is_index: whether observations are indices, to be one-hot.
        ended: (T · K, 5), written.
        cut: (1, D), written: normalised.
        cut_value: (1,), written.
        failure: (3,), written.
        normalization: the statistics, moved on.
    """
    n_steps, n_copies = arrays.rewards.shape
    networks, shown, paid = policy.networks, normalization.shown, normalization.paid
    features = np.empty((n_copies, networks.plan[ROW]), np.float32)
    moves = np.empty_like(arrays.actions[0])
    endings, last = np.zeros((n_copies, 3)), np.zeros_like(copies.observations)
    failure[0] = -1
    n_ended = 0
    for t in range(n_steps):
        write_rows(shown, arrays.observations[t])
        for copy in range(n_copies):
            arrays.episode_starts[t, copy] = copies.dones[copy] if t > 0 else episode_starts[copy]
        write_features(shown, is_index, features)
        write_masks(copies, networks.plan[MASKS], features, arrays.action_masks[t])
        bad = run_act(
            networks.params, networks.plan, features, noise[t], networks.work,
            arrays.actions[t], arrays.values[t], arrays.log_probs[t],
        )  # fmt: skip
        if bad >= 0:
            failure[0], failure[1], failure[2] = OUTPUT, t, bad
            return n_ended
        clip_actions(arrays.actions[t], policy, moves)
        n_now = step_all(
            copies.world, copies.limit, copies.states, copies.episodes, copies.streams, moves,
            copies.observations, normalization.rewards, copies.dones, endings, last,
        )  # fmt: skip
        normalize_step(
            normalization.statistics, normalization.seen, normalization.rewards, copies.dones,
            normalization.batch, shown, paid,
        )  # fmt: skip
        for copy in range(n_copies):
            arrays.rewards[t, copy] = paid[copy]
        cause, bad = broken(paid, shown)
        if n_now > 0 and bad < 0:
            n_ended, bad = note_ends(
                copies.dones, policy, gamma, is_index, normalization, endings, last, features, t,
                ended, n_ended, cut, cut_value, arrays.rewards[t],
            )  # fmt: skip
            cause = TERMINAL_OBSERVATION
        if bad >= 0:
            failure[0], failure[1], failure[2] = cause, t, bad
            return n_ended
    return n_ended


@inlined_kernel
def note_ends(
    dones: npt.NDArray[np.bool_],
    policy: ClippedPolicy,
    gamma: float,
    is_index: bool,
    normalization: Normalization,
    endings: FloatArray,
    last: npt.NDArray[Any],
    features: SingleArray,
    step: int,
    ended: FloatArray,
    n_ended: int,
    cut: npt.NDArray[Any],
    value: SingleArray,
    rewards: SingleArray,
) -> tuple[int, int]:
    """Note the episodes that ended, and add γ V of their last observation to truncated ones.

    Returns:
        How many have ended by now, and a copy whose last observation is not finite, or −1.
    """
    networks = policy.networks
    for copy in range(dones.size):
        if not dones[copy]:
            continue
        ended[n_ended, 0], ended[n_ended, 1] = step, copy
        for column in range(3):
            ended[n_ended, 2 + column] = endings[copy, column]
        n_ended += 1
        terminal = last[copy : copy + 1]
        normalize_last(normalization, terminal)
        if first_infinite(terminal) >= 0:
            return n_ended, copy
        if endings[copy, 2] == 1.0:
            write_features(terminal, is_index, features[:1])
            run_predict_values(networks.params, networks.plan, features[:1], networks.work, value)
            write_rows(terminal, cut)
            rewards[copy] += np.float32(gamma) * value[0]
    return n_ended, -1


@exact_kernel
def broken(paid: SingleArray, shown: npt.NDArray[Any]) -> tuple[int, int]:
    """Which copy's reward or observation is not finite, and which of the two; (…, −1): none."""
    bad = first_infinite(paid.reshape(-1, 1))
    if bad >= 0:
        return REWARD, bad
    return OBSERVATION, first_infinite(shown)


@exact_kernel
def normalize_last(normalization: Normalization, terminal: npt.NDArray[Any]) -> None:
    """What an episode ended with, (1, D), as ``VecNormalize`` shows it; in place."""
    width, statistics = normalization.seen.shape[1], normalization.statistics
    if width > 0:
        mean = statistics[MOMENTS : MOMENTS + width]
        var = statistics[MOMENTS + width : MOMENTS + 2 * width]
        normalize(terminal, mean, var, statistics[EPSILON], statistics[CLIP_OBS], terminal)
