"""A step as SB3's ``collect_rollouts`` takes it, for callbacks to look into.

The local variables have SB3's names, types and shapes, and model and buffer stand at each of
SB3's places as SB3 has them there; only the policy's numbers come from the kernels.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab.compiled.normalized_steps import NormalizedSteps
from ppo_lab.compiled.rows import write_observations
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.callbacks import check_finite
from ppo_lab.ppo.space_checks import check_indices

if TYPE_CHECKING:
    from ppo_lab.compiled.player import Player

__all__ = ["WatchedSteps"]


class WatchedSteps:
    """SB3's loop of one rollout, a step at a time.

    Args:
        model: its ``_last_obs`` and ``_last_episode_starts`` are what the next step begins with.
        player: acts.
        env: stepped by its ``step``.
        callback: told, where it is asked.
        buffer: just reset; a row is written after its step, as by ``RolloutBuffer.add``.
        n_rollout_steps: T.

    Attributes:
        model: the model.
        player: who acts.
        names: the local variables of SB3's loop.
        normalized: the steps of a ``VecNormalize``; None: the environment is no such.
    """

    def __init__(
        self,
        model: OnPolicyAlgorithm,
        player: "Player",
        env: VecEnv,
        callback: BaseCallback,
        buffer: SpecRolloutBuffer,
        n_rollout_steps: int,
    ) -> None:
        self.model, self.player, self._env = model, player, env
        self._callback, self._buffer = callback, buffer
        self.normalized = NormalizedSteps(env) if isinstance(env, VecNormalize) else None
        self.names: dict[str, Any] = {
            "self": model,
            "env": env,
            "callback": callback,
            "rollout_buffer": buffer,
            "n_rollout_steps": n_rollout_steps,
        }

    def take(self, t: int, ask: bool) -> bool:
        """Take step t of the rollout.

        Args:
            t: from 0.
            ask: whether to call the callback's ``on_step``.

        Returns:
            False where the callback stopped the training; all is then as SB3 leaves it.
        """
        model, names = self.model, self.names
        observations = model._last_obs
        assert observations is not None
        names["n_steps"], names["obs_tensor"] = t, obs_as_tensor(observations, model.device)
        actions, clipped, values, log_probs = self.player.choose(t, observations)
        names["actions"], names["clipped_actions"] = actions, clipped
        names["values"], names["log_probs"] = values, log_probs
        step = self._env.step if self.normalized is None else self.normalized.step_watched
        new_obs, rewards, dones, infos = step(clipped)
        names |= {"new_obs": new_obs, "rewards": rewards, "dones": dones, "infos": infos}
        model.num_timesteps += self._env.num_envs
        if ask:
            self._callback.update_locals(dict(names))
            if not self._callback.on_step():
                return False
            self.player.read()
        model._update_info_buffer(infos, dones)
        names["n_steps"] = t + 1
        if isinstance(model.action_space, spaces.Discrete):
            names["actions"] = actions.reshape(-1, 1)
        for index in np.flatnonzero(dones).tolist():
            self.add_terminal_value(index, infos[index], rewards)
        names["idx"], names["done"] = len(dones) - 1, dones[-1]
        self._add(t)
        model._last_obs = new_obs  # type: ignore[assignment]  # no tuple
        model._last_episode_starts = dones
        return True

    def add_terminal_value(
        self, index: int, info: dict[str, Any], rewards: NDArray[np.float32]
    ) -> None:
        """Let a truncated episode's last reward carry γ V of what it ended with (SB3 #633)."""
        model, last = self.model, info.get("terminal_observation")
        if last is None:
            return
        check_finite("terminal observation", last, model.num_timesteps, index)
        check_indices(last, model.observation_space, model.num_timesteps, index)
        if not info.get("TimeLimit.truncated", False):
            return
        # SB3's own: it refuses another shape.
        terminal_obs = model.policy.obs_to_tensor(last)[0]
        seen: Any = None
        if isinstance(terminal_obs, th.Tensor):
            seen = terminal_obs.numpy()
        else:
            seen = {key: part.numpy() for key, part in terminal_obs.items()}
        value = self.player.value(seen)[:1]
        rewards[index] += model.gamma * value[0]
        self.note_terminal(seen, value)

    def note_terminal(self, seen: Any, value: NDArray[np.float32]) -> None:
        """Keep what the latest truncated episode ended with, and V of it (1,), by SB3's names."""
        self.names["terminal_obs"] = obs_as_tensor(seen, self.model.device)
        self.names["terminal_value"] = th.from_numpy(value)

    def _add(self, t: int) -> None:
        buffer, names = self._buffer, self.names
        write_observations(buffer.observations, t, self.model._last_obs)
        self.player.keep_masks(t)
        buffer.actions[t] = names["actions"].reshape(buffer.actions[t].shape)
        buffer.rewards[t] = names["rewards"]
        buffer.episode_starts[t] = self.model._last_episode_starts
        buffer.values[t] = names["values"].numpy().ravel()
        buffer.log_probs[t] = names["log_probs"].numpy()
        buffer.note_samples(t)
        buffer.pos = t + 1
        buffer.full = buffer.pos == buffer.buffer_size
