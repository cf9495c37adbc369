"""A whole rollout of T steps of K copies in one compiled call.

It visits the states that stepping the same copies one vector step at a time would visit: the same
``run_act`` and ``step_all``, the environments' own streams of random numbers, and the actions'
noise drawn before, in the order in which steps use it. ``CompiledVecEnv.rollout`` is the way in::

    arrays = RolloutArrays.of(model.rollout_buffer)
    outcome = env.rollout(layout, params, arrays, episode_starts, noise, gamma)
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim
from stable_baselines3.common.buffers import RolloutBuffer

from envs.mdp import FloatArray
from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.acting import run_act, run_predict_values
from ppo_lab.kernels.boundary import check_array
from ppo_lab.kernels.compiling import exact_entry_kernel, exact_kernel, inlined_kernel
from ppo_lab.kernels.layout import MASKS, ROW, Layout
from ppo_lab.kernels.losses import PORTION
from ppo_lab.kernels.typing import Networks
from ppo_lab.worlds.game_stepping import step_copies
from ppo_lab.worlds.randomness import StreamArray
from ppo_lab.worlds.rules import allow

__all__ = ["RolloutArrays", "RolloutFailure", "RolloutOutcome", "roll_out"]

SingleArray = npt.NDArray[np.float32]

OUTPUT, REWARD, OBSERVATION, TERMINAL_OBSERVATION = 0, 1, 2, 3
CAUSES = ("value or log-probability", "reward", "observation", "terminal observation")


class RolloutArrays(NamedTuple):
    """A rollout buffer's own arrays, written in place; T steps, K copies.

    Attributes:
        observations: (T, K, D) float32, or int64 indices with D = 1.
        actions: (T, K, A) float32, or int64 with A = 1. Unclipped, as in SB3.
        rewards: (T, K) float32; at a truncated step γ V(terminal observation) is added.
        episode_starts: (T, K) float32.
        values: (T, K) float32.
        log_probs: (T, K) float32.
        action_masks: (T, K, A) float32; (T, K, 0) where the policy takes none.
    """

    observations: npt.NDArray[Any]
    actions: npt.NDArray[Any]
    rewards: SingleArray
    episode_starts: SingleArray
    values: SingleArray
    log_probs: SingleArray
    action_masks: SingleArray

    def check(self, copies: "Copies", layout: Layout, starts: object, noise: object) -> None:
        """Check these and what else a rollout of as many steps takes.

        Raises:
            ArgumentError: an array of another shape or type.
        """
        n_steps, (k, width) = len(self.rewards), copies.observations.shape
        masks = layout.n_outputs if layout.masked else 0
        widths = {"observations": width, "actions": layout.n_actions, "action_masks": masks}
        for name, array in self._asdict().items():
            columns = (widths[name],) if name in widths else ()
            free = name in ("observations", "actions")
            dtype = array.dtype if free else np.dtype(np.float32)
            check_array(name, array, (n_steps, k, *columns), dtype, written=True)
        check_array("episode_starts", starts, (k,))
        check_array("noise", noise, (n_steps, k, layout.n_actions), np.float64)

    @classmethod
    def of(cls, buffer: RolloutBuffer) -> "RolloutArrays":
        """The arrays of an SB3 rollout buffer that was just ``reset``."""
        shape = (buffer.buffer_size, buffer.n_envs, -1)
        return cls.beside(buffer.observations.reshape(shape), buffer, slice(None))

    @classmethod
    def beside(
        cls, observations: npt.NDArray[Any], buffer: RolloutBuffer, steps: slice
    ) -> "RolloutArrays":
        """``observations`` (T, K, D) beside the other arrays of a buffer's T ``steps``."""
        shape = (buffer.buffer_size, buffer.n_envs, -1)
        arrays = cls(
            observations,
            buffer.actions.reshape(shape),
            buffer.rewards,
            buffer.episode_starts,
            buffer.values,
            buffer.log_probs,
            getattr(buffer, "action_masks", np.zeros((*shape[:2], 0), np.float32)),
        )
        return cls(observations, *(array[steps] for array in arrays[1:]))


@dataclass(frozen=True)
class RolloutFailure:
    """The first number that was NaN or infinite; the rollout stopped there.

    Attributes:
        what: ``value or log-probability``, ``reward``, ``observation`` or ``terminal
            observation``.
        step: of the rollout, from 0.
        copy: which environment.
    """

    what: str
    step: int
    copy: int


@dataclass(frozen=True)
class RolloutOutcome:
    """What a rollout leaves beside the arrays.

    Attributes:
        last_observations: as ``VecEnv.step`` would have returned at the last step.
        last_rewards: (K,) float32, as the environments paid them at the last step, where they were
            normalised; None elsewhere.
        dones: (K,) bool, of the last step.
        episodes: one per episode that ended, in the order of ``VecEnv.step``'s infos: Monitor's
            ``{"r": …, "l": …, "t": …}``.
        ended_at: (E, 2) int64, step and copy of each; ``truncated`` (E,) bool.
        truncated: whether the time limit ended it.
        cut: what the latest episode that the time limit cut had last observed, (1, D), and V of
            it, (1,) float32; None where none was cut.
        failure: None, or what was not finite; all else is then to be thrown away.
    """

    last_observations: npt.NDArray[Any]
    last_rewards: SingleArray | None
    dones: npt.NDArray[np.bool_]
    episodes: list[dict[str, Any]]
    ended_at: npt.NDArray[np.int64]
    truncated: npt.NDArray[np.bool_]
    cut: tuple[npt.NDArray[Any], SingleArray] | None
    failure: RolloutFailure | None


class Copies(NamedTuple):
    """A vector environment's present: see ``stepping`` for the arrays.

    Attributes:
        world: the world's parameters.
        limit: the time limit, 0 for none.
        states: (K, s).
        episodes: (K, 2).
        streams: (K, 4).
        observations: (K, D), the present ones.
        dones: (K,).
    """

    world: Any
    limit: int
    states: FloatArray
    episodes: FloatArray
    streams: StreamArray
    observations: npt.NDArray[Any]
    dones: npt.NDArray[np.bool_]


class ClippedPolicy(NamedTuple):
    """Actor and critic, and the bounds that actions are clipped to.

    Attributes:
        networks: of the kernels.
        low: (A,) float32, the least action; (0,) where actions are not clipped.
        high: (A,), the greatest.
    """

    networks: Networks
    low: SingleArray
    high: SingleArray

    @classmethod
    def of(
        cls,
        layout: Layout,
        params: SingleArray,
        seen: spaces.Space[Any],
        space: spaces.Space[Any],
        n_copies: int,
        judged: int | None = None,
    ) -> "ClippedPolicy":
        """The policy with these parameters for an observation space and an action space.

        ``judged``: numbers of a critic's own part of the rows; None: it sees what the actor sees.

        Raises:
            ArgumentError: the layout is of other spaces, or the parameters are not of the layout.
        """
        check_array("params", params, (layout.n_parameters,))
        is_box = isinstance(space, spaces.Box)
        expected = (flatdim(seen), "gaussian" if is_box else "categorical", (flatdim(space),))
        found = layout.inputs, layout.head, layout.action_sizes
        if found != expected or layout.critic_inputs != judged:
            raise ArgumentError(
                f"{layout} is no layout for observations {seen} and actions {space}: expected "
                f"inputs, head and action_sizes {expected}, and critic_inputs {judged}"
            )
        bounds = (space.low, space.high) if isinstance(space, spaces.Box) else (np.empty(0),) * 2
        low, high = (np.array(bound, np.float32).ravel() for bound in bounds)
        work = layout.workspace(min(n_copies, PORTION))
        return cls(Networks.of(layout, params, work), low, high)


# Loops, where an assignment of arrays would do: the compiler takes seconds over its message for
# shapes that differ.


@exact_kernel
def write_rows(rows: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Copy ``rows`` (K, D) into the first columns of ``out`` (K, ≥ D)."""
    for row in range(out.shape[0]):
        for column in range(rows.shape[1]):
            out[row, column] = rows[row, column]


@exact_kernel
def write_features(observations: npt.NDArray[Any], is_index: bool, out: SingleArray) -> None:
    """What the networks see of ``observations`` (K, D): themselves, or one-hot rows (K, I).

    Masks in the last columns of ``out`` are the caller's to write, after this.
    """
    if is_index:
        for copy in range(out.shape[0]):
            for column in range(out.shape[1]):
                out[copy, column] = 0.0
            out[copy, int(observations[copy, 0])] = 1.0
    else:
        write_rows(observations, out)


@inlined_kernel
def write_masks(copies: Copies, masks_at: int, features: SingleArray, kept: SingleArray) -> None:
    """The present states' masks into the rows ``features`` (K, W), and into ``kept`` (K, A) too.

    Args:
        copies: the states.
        masks_at: the column where the rows' masks begin; 0: they have none.
        features: written.
        kept: written, as many columns as it has.
    """
    if masks_at == 0:
        return
    for copy in range(features.shape[0]):
        allow(copies.world, copies.states[copy], features[copy, masks_at:])
        for action in range(kept.shape[1]):
            kept[copy, action] = features[copy, masks_at + action]


@inlined_kernel
def clip_actions(actions: npt.NDArray[Any], policy: ClippedPolicy, out: npt.NDArray[Any]) -> None:
    """``actions`` (K, A) within the action space, as SB3 hands them to the environment."""
    write_rows(actions, out)
    for copy in range(out.shape[0]):
        for index in range(policy.low.size):
            out[copy, index] = min(max(out[copy, index], policy.low[index]), policy.high[index])


@exact_kernel
def first_infinite(rows: npt.NDArray[Any]) -> int:
    """The first row of (K, D) with a number that is NaN or infinite, or −1."""
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            if not np.isfinite(rows[row, column]):
                return row
    return -1


@inlined_kernel
def add_terminal_values(
    policy: ClippedPolicy,
    gamma: float,
    is_index: bool,
    dones: npt.NDArray[np.bool_],
    endings: FloatArray,
    last: npt.NDArray[Any],
    features: SingleArray,
    cut: npt.NDArray[Any],
    value: SingleArray,
    rewards: SingleArray,
) -> None:
    """Add γ V(terminal observation) to the rewards of truncated copies (SB3's issue 633)."""
    networks = policy.networks
    for copy in range(dones.size):
        if dones[copy] and endings[copy, 2] == 1.0:
            write_features(last[copy : copy + 1], is_index, features[:1])
            run_predict_values(networks.params, networks.plan, features[:1], networks.work, value)
            write_rows(last[copy : copy + 1], cut)
            rewards[copy] += np.float32(gamma) * value[0]


@exact_entry_kernel
def roll_out(
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
) -> int:
    """Fill ``arrays``; return how many episodes ended.

    Args:
        copies: moved on in place.
        policy: chooses.
        arrays: (T, K, …), written.
        episode_starts: (K,), of the first step.
        noise: (T, K, A), one row of ``act``'s noise a step.
        gamma: γ.
        is_index: whether observations are indices, to be one-hot.
        ended: (T · K, 5), written: step, copy, return, length, 1 if truncated.
        cut: (1, D), written: the last observation of the latest episode that was truncated.
        cut_value: (1,), written: V of it.
        failure: (3,), written: cause, step and copy of what was not finite; cause −1: nothing.
    """
    n_steps, n_copies = arrays.rewards.shape
    networks = policy.networks
    features = np.empty((n_copies, networks.plan[ROW]), np.float32)
    moves = np.empty_like(arrays.actions[0])
    endings, last = np.zeros((n_copies, 3)), np.zeros_like(copies.observations)
    failure[0] = -1
    n_ended = 0
    for t in range(n_steps):
        write_rows(copies.observations, arrays.observations[t])
        for copy in range(n_copies):
            arrays.episode_starts[t, copy] = copies.dones[copy] if t > 0 else episode_starts[copy]
        write_features(copies.observations, is_index, features)
        write_masks(copies, networks.plan[MASKS], features, arrays.action_masks[t])
        bad = run_act(
            networks.params, networks.plan, features, noise[t], networks.work,
            arrays.actions[t], arrays.values[t], arrays.log_probs[t],
        )  # fmt: skip
        if bad >= 0:
            failure[0], failure[1], failure[2] = OUTPUT, t, bad
            return n_ended
        clip_actions(arrays.actions[t], policy, moves)
        n_now = step_copies(
            copies.world, copies.limit, copies.states, copies.episodes, copies.streams, moves,
            copies.observations, arrays.rewards[t], copies.dones, endings, last,
        )  # fmt: skip
        cause, bad = check_step(arrays.rewards[t], copies, last, n_now)
        if bad >= 0:
            failure[0], failure[1], failure[2] = cause, t, bad
            return n_ended
        if n_now > 0:
            for copy in range(n_copies):
                if copies.dones[copy]:
                    ended[n_ended, 0], ended[n_ended, 1] = t, copy
                    for column in range(3):
                        ended[n_ended, 2 + column] = endings[copy, column]
                    n_ended += 1
            add_terminal_values(
                policy, gamma, is_index, copies.dones, endings, last, features, cut, cut_value,
                arrays.rewards[t],
            )  # fmt: skip
    return n_ended


@inlined_kernel
def check_step(
    rewards: SingleArray, copies: Copies, last: npt.NDArray[Any], n_ended: int
) -> tuple[int, int]:
    """Which copy's reward or observation is not finite, and which of the two; (…, −1): none."""
    bad = first_infinite(rewards.reshape(-1, 1))
    if bad >= 0:
        return REWARD, bad
    bad = first_infinite(copies.observations)
    if bad >= 0 or n_ended == 0:
        return OBSERVATION, bad
    for copy in range(rewards.size):
        if copies.dones[copy] and first_infinite(last[copy : copy + 1]) >= 0:
            return TERMINAL_OBSERVATION, copy
    return OBSERVATION, -1
