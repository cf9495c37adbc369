"""A rollout with the kernels in the policy's place (Spec 6.3): SB3's loop, without its cost.

What SB3's ``collect_rollouts`` leaves behind, this leaves behind: the buffer filled, episodes and
successes noted, a truncated step's reward carrying γ V of the observation that it ended with.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.compiled.callback_needs import needs_every_step, note_steps
from ppo_lab.compiled.env_steps import (
    DirectSteps,
    PoolSteps,
    VecEnvSteps,
    is_untouched,
    quickest_steps,
    rolls_out_games,
)
from ppo_lab.compiled.normalized_steps import NormalizedSteps
from ppo_lab.compiled.packed_policy import PackedPolicy
from ppo_lab.compiled.player import Player
from ppo_lab.compiled.rows import copied
from ppo_lab.compiled.watched_steps import WatchedSteps
from ppo_lab.errors import NonFiniteError, broken_distribution
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.callbacks import check_finite, check_rollout
from ppo_lab.ppo.policies import critic_only_of
from ppo_lab.ppo.space_checks import check_indices
from ppo_lab.vec_env.compiled import CompiledVecEnv
from ppo_lab.vec_env.games import GamesVecEnv
from ppo_lab.worlds.rollout import CAUSES, OUTPUT, RolloutArrays, RolloutFailure, RolloutOutcome

__all__ = ["collect"]


def collect(
    model: OnPolicyAlgorithm,
    packed: PackedPolicy,
    env: VecEnv,
    callback: BaseCallback,
    buffer: SpecRolloutBuffer,
    n_steps: int,
) -> WatchedSteps | None:
    """Fill the buffer's first ``n_steps`` steps; SB3's ``collect_rollouts`` up to the targets.

    The callback is called at every step if it needs that
    (:func:`ppo_lab.compiled.callback_needs.needs_every_step`), and otherwise at the first step
    only. First and last step are then taken as SB3 takes them, for the callbacks to look into, and
    those between by the quickest way: a :class:`CompiledVecEnv` is rolled out in one call.

    Returns:
        The loop, with SB3's local variables; None where the callback stopped the training.

    Raises:
        NonFiniteError: a reward, an observation, a value or a log-probability is not finite.
        ObservationError: an observation is not of its space.
    """
    taken, every_step = model.num_timesteps, needs_every_step(callback) or _has_own_notes(model)
    player = Player(model, packed, buffer, n_steps)
    watched = WatchedSteps(model, player, env, callback, buffer, n_steps)
    if every_step:
        for t in range(n_steps):
            if not watched.take(t, ask=True):
                return None
    else:
        if not watched.take(0, ask=True):
            return None
        if player.is_packed and n_steps > 2:
            _pass_over(watched, player, env, buffer, n_steps - 1)
        for t in range(buffer.pos, n_steps):
            watched.take(t, ask=False)
        note_steps(callback, n_steps - 1)
    check_rollout(buffer, n_steps, taken)
    check_finite("observation", model._last_obs, model.num_timesteps)
    check_indices(model._last_obs, model.observation_space, model.num_timesteps)
    return watched


def _has_own_notes(model: OnPolicyAlgorithm) -> bool:
    """Whether a model looks at every step's infos in a way of its own."""
    own = type(model)._update_info_buffer is not BaseAlgorithm._update_info_buffer
    return own or "_update_info_buffer" in vars(model)


def _pass_over(
    watched: WatchedSteps, player: Player, env: VecEnv, buffer: SpecRolloutBuffer, stop: int
) -> None:
    """Take the steps from 1 up to ``stop``, into which nobody looks."""
    normalized = watched.normalized
    if normalized is not None and normalized.begin() is None:
        try:
            if normalized.take_whole(watched.model._last_obs):
                _roll_out(watched, player, normalized.venv, buffer, stop, normalized)
            else:
                _step_over(watched, player, normalized, buffer, stop)
        finally:
            normalized.end()
    elif is_untouched(env, CompiledVecEnv):
        _roll_out(watched, player, env, buffer, stop)
    elif rolls_out_games(env, player.layout, critic_only_of(watched.model.policy)):
        _roll_out_games(watched, player, env, buffer, stop)
    else:
        steps = quickest_steps(env)
        if isinstance(steps, DirectSteps) and player.takes_rows_of(steps.observations):
            _step_directly(watched, player, steps, buffer, stop)
        else:
            _step_over(watched, player, steps, buffer, stop)
    buffer.pos = stop


def _roll_out(
    watched: WatchedSteps,
    player: Player,
    env: VecEnv,
    buffer: SpecRolloutBuffer,
    stop: int,
    normalized: NormalizedSteps | None = None,
) -> None:
    assert isinstance(env, CompiledVecEnv)
    arrays = RolloutArrays(*(array[1:stop] for array in RolloutArrays.of(buffer)))
    statistics = None if normalized is None else normalized.statistics
    outcome = player.roll_out(env, arrays, stop, statistics)
    last = outcome.last_observations
    if normalized is not None:
        last = normalized.rolled_out(outcome)
    _take_note(watched, env, outcome, last, stop - 1)


def _roll_out_games(
    watched: WatchedSteps, player: Player, env: VecEnv, buffer: SpecRolloutBuffer, stop: int
) -> None:
    assert isinstance(env, GamesVecEnv)
    rows = np.zeros((stop - 1, buffer.n_envs, player.layout.row), np.float32)
    arrays = RolloutArrays.beside(rows, buffer, slice(1, stop))
    outcome = player.roll_out(env, arrays, stop)
    seen, kept = env.observations_of(rows), buffer.observations
    for key, part in seen.items() if isinstance(seen, dict) else ((None, seen),):
        whole = kept[key] if isinstance(kept, dict) else kept
        whole[1:stop] = part.reshape(whole[1:stop].shape)
    _take_note(watched, env, outcome, outcome.last_observations, stop - 1)


def _take_note(
    watched: WatchedSteps,
    env: CompiledVecEnv | GamesVecEnv,
    outcome: RolloutOutcome,
    last: Any,
    n_steps: int,
) -> None:
    """Leave model and monitor as steps would have."""
    model = watched.model
    if outcome.failure is not None:
        raise _not_finite(outcome.failure, model.num_timesteps, env.num_envs)
    model.num_timesteps += n_steps * env.num_envs
    infos = [{"episode": episode} for episode in outcome.episodes] if env.monitor else []
    model._update_info_buffer(infos)
    if outcome.cut is not None:
        watched.note_terminal(*outcome.cut)
    model._last_obs, model._last_episode_starts = last, outcome.dones


def _not_finite(failure: RolloutFailure, taken: int, n_envs: int) -> NonFiniteError:
    step = taken + failure.step * n_envs
    if failure.what == CAUSES[OUTPUT]:
        return broken_distribution(step)
    return NonFiniteError(
        f"{failure.what} is not finite at step {step + n_envs} in environment {failure.copy}: "
        "training stopped, the parameters of the last update are kept"
    )


def _step_over(
    watched: WatchedSteps,
    player: Player,
    steps: DirectSteps | PoolSteps | VecEnvSteps | NormalizedSteps,
    buffer: SpecRolloutBuffer,
    stop: int,
) -> None:
    model = watched.model
    observations, starts = model._last_obs, model._last_episode_starts
    assert starts is not None
    all_starts, all_rewards, n_envs = buffer.episode_starts, buffer.rewards, buffer.n_envs
    for t in range(1, stop):
        all_starts[t] = starts
        observations, rewards, starts, noted = steps.step(player.act(t, observations))
        model.num_timesteps += n_envs
        all_rewards[t] = rewards
        buffer.note_samples(t)
        if noted:
            _note(watched, noted, starts, all_rewards[t])
    # Copies: a DummyVecEnv stepped directly overwrites its arrays.
    model._last_obs, model._last_episode_starts = copied(observations), starts.copy()
    buffer.actions[1:stop] = player.actions[1:stop]


def _step_directly(
    watched: WatchedSteps, player: Player, steps: DirectSteps, buffer: SpecRolloutBuffer, stop: int
) -> None:
    """``_step_over`` for arrays that stay the same ones: a tenth of a CartPole's time is saved."""
    model, seen = watched.model, buffer.observations
    all_starts, all_rewards, n_envs = buffer.episode_starts, buffer.rewards, buffer.n_envs
    observations, rewards, dones = steps.observations, steps.rewards, steps.dones
    player.put(1, model._last_obs)
    all_starts[1] = model._last_episode_starts
    for t in range(1, stop):
        noted = steps.take(player.act_on_row(t))
        model.num_timesteps += n_envs
        all_rewards[t] = rewards
        if noted:
            _note(watched, noted, dones, all_rewards[t])
            all_starts[t + 1] = dones  # the other rows are 0 since the buffer's reset
        seen[t + 1] = observations
    # Copies: the next step overwrites them.
    model._last_obs, model._last_episode_starts = observations.copy(), dones.copy()
    buffer.actions[1:stop] = player.actions[1:stop]


def _note(
    watched: WatchedSteps,
    noted: Sequence[tuple[int, dict[str, Any]]],
    dones: NDArray[np.bool_],
    rewards: NDArray[np.float32],
) -> None:
    """Note a step's infos, and what episodes that were cut would still have earned."""
    ended = np.array([dones[index] for index, _ in noted])
    watched.model._update_info_buffer([info for _, info in noted], ended)
    for index, info in noted:
        if dones[index]:
            watched.add_terminal_value(index, info, rewards)
