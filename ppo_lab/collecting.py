"""A rollout with the kernels in the policy's place (Spec 6.3): SB3's loop, without its cost.

What SB3's ``collect_rollouts`` leaves behind, this leaves behind: the buffer filled, episodes and
successes noted, a truncated step's reward carrying γ V of the observation that it ended with.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.buffers import SpecRolloutBuffer
from ppo_lab.callback_needs import needs_every_step, note_steps
from ppo_lab.callbacks import check_finite, check_rollout
from ppo_lab.compiled_vec_env import CompiledVecEnv
from ppo_lab.errors import ArgumentError, NonFiniteError, broken_distribution
from ppo_lab.kernels.acting import predict_values, run_act
from ppo_lab.kernels.boundary import check_array, check_indices, check_network
from ppo_lab.packing import PackedPolicy
from ppo_lab.stepping import Step, quickest_steps
from ppo_lab.worlds.rollout import CAUSES, OUTPUT, RolloutArrays, RolloutFailure

if TYPE_CHECKING:
    from ppo_lab.algorithm import SpecPPO

__all__ = ["Player", "collect", "encode"]


class Player:
    """The packed policy in K environments for T steps, with all its random numbers drawn before.

    Args:
        packed: read.
        observation_space: Box or Discrete.
        action_space: Box, Discrete or MultiDiscrete.
        buffer: just reset; its observations, values and log-probabilities are written.
        n_steps: T.

    Attributes:
        actions: (T, K, n_actions) int64, or float32 before they are clipped to their Box.
    """

    def __init__(
        self,
        packed: PackedPolicy,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        buffer: SpecRolloutBuffer,
        n_steps: int,
    ) -> None:
        layout, n_envs = packed.layout, buffer.n_envs
        noise = draw_noise(packed, n_steps, n_envs)
        self.actions = np.zeros(noise.shape, layout.action_dtype)
        self._params, self._layout, self._work = packed.params, layout, layout.workspace(n_envs)
        # Once, so that every step's ``act`` may go without.
        check_network(layout, self._params, self._work)
        check_array("values", buffer.values, (buffer.buffer_size, n_envs), written=True)
        check_array("log_probs", buffer.log_probs, (buffer.buffer_size, n_envs), written=True)
        self._observation_space = observation_space
        # Views of every step made at once: an index expression costs as much as a small layer.
        self._rows = list(
            zip(buffer.observations, noise, self.actions, buffer.values, buffer.log_probs)  # noqa: B905 - of the first T steps
        )
        is_float = buffer.observations.dtype == np.float32
        flat = buffer.observations.reshape(len(buffer.observations), n_envs, -1)
        if is_float:
            check_array("observations", flat, (buffer.buffer_size, n_envs, layout.inputs))
        self._inputs = list(flat) if is_float else None
        shape = () if isinstance(action_space, spaces.Discrete) else action_space.shape or ()
        self._moves = list(self.actions.reshape(n_steps, n_envs, *shape))
        self._box = action_space if isinstance(action_space, spaces.Box) else None
        # A place for each step's: an environment may keep the action that it was given.
        self._clipped = list(_empty_moves(self._box, n_steps, n_envs)) if self._box else []

    def act(self, step: int, observations: NDArray[Any]) -> tuple[NDArray[Any], bool]:
        """Choose the actions of one step, and write it into the buffer.

        Args:
            step: which.
            observations: (K, …) as the environments give them.

        Returns:
            (K, …) actions as the environments take them, and whether all values and
            log-probabilities are finite.
        """
        seen, noise, chosen, values, log_probs = self._rows[step]
        if seen.shape != observations.shape:
            check_shape(observations, self._observation_space)
            observations = observations.reshape(seen.shape)
        seen[:] = observations
        inputs = self._inputs[step] if self._inputs else encode(seen, self._observation_space)
        plan = self._layout.plan
        bad = run_act(self._params, plan, inputs, noise, self._work, chosen, values, log_probs)
        return self.for_the_environment(step), bad < 0

    def value(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """V of (K, …) observations: (K,) float32."""
        inputs = encode(observations, self._observation_space)
        values = np.empty(len(inputs), np.float32)
        predict_values(self._params, self._layout, inputs, self._work, values)
        return values

    def for_the_environment(self, step: int) -> NDArray[Any]:
        """The actions of a step, (K, …), within the bounds of their space."""
        moves: NDArray[Any] = self._moves[step]
        if self._box is None:
            return moves
        clipped: NDArray[Any] = self._clipped[step]
        np.maximum(moves, self._box.low, out=clipped)
        np.minimum(clipped, self._box.high, out=clipped)
        return clipped


def _empty_moves(box: spaces.Box, n_steps: int, n_envs: int) -> NDArray[Any]:
    """(T, K, …) of the type that clipping float32 actions to the bounds gives."""
    return np.empty((n_steps, n_envs, *box.shape), np.result_type(np.float32, box.low))


def draw_noise(packed: PackedPolicy, n_steps: int, n_envs: int) -> NDArray[np.float64]:
    """(T, K, n_actions) random numbers for actions, from torch's generator as the torch path's.

    Uniforms in [0, 1), or standard normals of a Gaussian.
    """
    shape = (n_steps, n_envs, packed.layout.n_actions)
    draw = th.randn if packed.layout.head == "gaussian" else th.rand
    noise: NDArray[np.float64] = draw(shape, dtype=th.float64).numpy()
    return noise


def encode(observations: NDArray[Any], space: spaces.Space[Any]) -> NDArray[np.float32]:
    """Observations as the networks take them: flat, or one-hot where the space is Discrete.

    Args:
        observations: (K, …), or (K,) or (K, 1) numbers of a Discrete space.
        space: of one observation.

    Returns:
        (K, inputs) float32; a view where nothing needs changing.

    Raises:
        ArgumentError: they are not of this space's shape, or a number of a Discrete one is under 0
            or not under n, where SB3 raises too.
    """
    check_shape(observations, space)
    if isinstance(space, spaces.Discrete):
        n = int(space.n)
        numbers = observations.reshape(-1).astype(np.int64, copy=False)
        check_indices("observations", numbers, n)
        hot = np.zeros((len(numbers), n), np.float32)
        hot[np.arange(len(hot)), numbers] = 1.0
        return hot
    flat = observations.reshape(len(observations), -1)
    return np.ascontiguousarray(flat, dtype=np.float32)


def check_shape(observations: NDArray[Any], space: spaces.Space[Any]) -> None:
    """Check (K, …) observations against their space, a dimension of 1 more being allowed.

    Raises:
        ArgumentError: another shape.
    """
    shape = space.shape or ()
    if observations.shape[1:] not in (shape, (1, *shape)):
        raise ArgumentError(
            f"an observation of shape {observations.shape[1:]} where the space is {space}: the "
            "environment must return what its observation_space says"
        )


def collect(
    model: "SpecPPO",
    packed: PackedPolicy,
    env: VecEnv,
    callback: BaseCallback,
    buffer: SpecRolloutBuffer,
    n_steps: int,
) -> bool:
    """Fill the buffer's first ``n_steps`` steps; SB3's ``collect_rollouts`` up to the targets.

    The callback is called at every step if it needs that
    (:func:`ppo_lab.callback_needs.needs_every_step`), and otherwise at the first step only. Then a
    :class:`CompiledVecEnv` is rolled out in one call.

    Returns:
        False where the callback stopped the training.

    Raises:
        NonFiniteError: a reward, an observation, a value or a log-probability is not finite.
    """
    every_step = needs_every_step(callback)
    whole = type(env) is CompiledVecEnv and n_steps == buffer.buffer_size
    if whole and not every_step:
        return _collect_at_once(model, packed, env, callback, buffer)  # type: ignore[arg-type]
    return _collect_by_steps(model, packed, env, callback, buffer, n_steps, every_step)


def _collect_at_once(
    model: "SpecPPO",
    packed: PackedPolicy,
    env: CompiledVecEnv,
    callback: BaseCallback,
    buffer: SpecRolloutBuffer,
) -> bool:
    taken, starts = model.num_timesteps, model._last_episode_starts
    assert starts is not None
    model.num_timesteps += env.num_envs
    if not callback.on_step():
        return False
    noise = draw_noise(packed, buffer.buffer_size, env.num_envs)
    arrays = RolloutArrays.of(buffer)
    outcome = env.rollout(packed.layout, packed.params, arrays, starts, noise, model.gamma)
    model.num_timesteps = taken + buffer.buffer_size * env.num_envs
    note_steps(callback, buffer.buffer_size - 1)
    if outcome.failure is not None:
        raise _not_finite(outcome.failure, taken, env.num_envs)
    infos = [{"episode": episode} for episode in outcome.episodes] if env.monitor else []
    model._update_info_buffer(infos)
    model._last_obs, model._last_episode_starts = outcome.last_observations, outcome.dones
    buffer.pos, buffer.full = buffer.buffer_size, True
    return True


def _not_finite(failure: RolloutFailure, taken: int, n_envs: int) -> NonFiniteError:
    step = taken + failure.step * n_envs
    if failure.what == CAUSES[OUTPUT]:
        return broken_distribution(step)
    return NonFiniteError(
        f"{failure.what} is not finite at step {step + n_envs} in environment {failure.copy}: "
        "training stopped, the parameters of the last update are kept"
    )


def _collect_by_steps(
    model: "SpecPPO",
    packed: PackedPolicy,
    env: VecEnv,
    callback: BaseCallback,
    buffer: SpecRolloutBuffer,
    n_steps: int,
    every_step: bool,
) -> bool:
    steps = quickest_steps(env, needs_infos=every_step)
    player = Player(packed, model.observation_space, model.action_space, buffer, n_steps)
    observations, starts = model._last_obs, model._last_episode_starts
    assert isinstance(observations, np.ndarray)
    assert starts is not None
    taken = model.num_timesteps
    for t in range(n_steps):
        buffer.episode_starts[t] = starts
        actions, finite = player.act(t, observations)
        if not finite:
            check_rollout(buffer, t, taken)
            check_finite("observation", observations, model.num_timesteps)
            raise broken_distribution(model.num_timesteps)
        step = steps.step(actions)
        model.num_timesteps += env.num_envs
        if every_step or t == 0:
            callback.update_locals(_locals(model, env, callback, n_steps, t, player, step))
            if not callback.on_step():
                return False
        buffer.rewards[t] = step.rewards
        if step.ended:
            _end_episodes(model, player, step, buffer.rewards[t])
        observations, starts = step.observations, step.dones
    if not every_step:
        note_steps(callback, n_steps - 1)
        callback.update_locals(_locals(model, env, callback, n_steps, t, player, step))
    # Copies: a DummyVecEnv stepped directly overwrites its arrays.
    model._last_obs, model._last_episode_starts = observations.copy(), starts.copy()
    check_rollout(buffer, n_steps, taken)
    check_finite("observation", observations, model.num_timesteps)
    buffer.actions[:n_steps] = player.actions
    buffer.pos, buffer.full = n_steps, n_steps == buffer.buffer_size
    return True


def _end_episodes(
    model: "SpecPPO", player: Player, step: Step, rewards: NDArray[np.float32]
) -> None:
    """Note the episodes that ended, and let a truncated one's last reward carry γ V (SB3 #633)."""
    infos = [info for _, info in step.ended]
    model._update_info_buffer(infos, np.ones(len(infos), np.bool_))
    for index, info in step.ended:
        last = info.get("terminal_observation")
        if last is None:
            continue
        check_finite("terminal observation", last, model.num_timesteps, index)
        if info.get("TimeLimit.truncated", False):
            rewards[index] += model.gamma * player.value(np.asarray(last)[None])[0]


def _locals(
    model: "SpecPPO",
    env: VecEnv,
    callback: BaseCallback,
    n_rollout_steps: int,
    n_steps: int,
    player: Player,
    step: Step,
) -> dict[str, Any]:
    """What SB3's loop has in its local variables when it calls ``on_step``, by the same names."""
    buffer, infos = model.rollout_buffer, step.infos
    if infos is None:
        ended = dict(step.ended)
        infos = [ended.get(index, {}) for index in range(env.num_envs)]
    actions = player.actions[n_steps]
    return {
        "self": model,
        "env": env,
        "callback": callback,
        "rollout_buffer": buffer,
        "n_rollout_steps": n_rollout_steps,
        "n_steps": n_steps,
        "obs_tensor": th.as_tensor(buffer.observations[n_steps]),
        "actions": actions[:, 0] if isinstance(model.action_space, spaces.Discrete) else actions,
        "clipped_actions": player.for_the_environment(n_steps),
        "values": th.from_numpy(buffer.values[n_steps]).reshape(-1, 1),
        "log_probs": th.from_numpy(buffer.log_probs[n_steps]),
        "new_obs": step.observations,
        "rewards": step.rewards,
        "dones": step.dones,
        "infos": infos,
    }
