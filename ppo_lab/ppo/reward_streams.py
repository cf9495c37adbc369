"""Further streams of rewards beside the environment's: what a rollout paid in each (Spec 15)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.advantages import gae, lambda_returns
from ppo_lab.ppo.callbacks import check_finite

__all__ = ["COST", "EpisodeSums", "Estimates", "StreamRecorder", "stream_estimates"]

COST = "cost"
"""Where an environment puts a step's cost in its info."""


@dataclass(frozen=True)
class Estimates:
    """What one stream says of a rollout: Â and R̂, each (T, N)."""

    advantages: th.Tensor
    returns: th.Tensor


def stream_estimates(
    rewards: NDArray[np.float32],
    values: th.Tensor,
    last_values: th.Tensor,
    ends: NDArray[np.bool_] | None,
    gamma: float,
    gae_lambda: float,
    cut_values: th.Tensor,
) -> Estimates:
    """Spec 4.2 on one more stream.

    Args:
        rewards: (T, N).
        values: (T, N) V(s_t).
        last_values: (N,) V of the observations after the last step.
        ends: (T, N) where an episode ended; None: the stream goes on over the ends of episodes,
            as the non-episodic returns of Spec 15.1 do.
        gamma: the stream's own γ.
        gae_lambda: λ.
        cut_values: (T, N) V of the state that a time limit cut an episode in, 0 elsewhere.
    """
    paid = th.as_tensor(rewards)
    following = th.cat([values[1:], last_values.reshape(1, -1)])
    done = th.zeros_like(paid)
    if ends is not None:
        done = th.as_tensor(ends.astype(np.float32))
        # Nothing follows a termination, and V of the state it was cut in a truncation (Spec 1).
        following = th.where(done > 0, cut_values, following)
    advantages = gae(paid, values, following, th.zeros_like(paid), done, gamma, gae_lambda)
    return Estimates(advantages, lambda_returns(advantages, values))


class EpisodeSums:
    """Sums of a stream over whole episodes, of N environments."""

    def __init__(self, n_envs: int) -> None:
        self._running = np.zeros(n_envs)
        self.finished: list[float] = []

    def begin(self, starts: NDArray[np.bool_]) -> None:
        """Forget what was collected (N,) where an episode begins."""
        self._running[np.asarray(starts, np.bool_)] = 0.0

    def add(self, row: NDArray[np.float32], dones: NDArray[np.bool_]) -> None:
        """One step: what it paid (N,), and where it ended an episode."""
        self._running += row
        self.finished += self._running[dones].tolist()
        self._running[dones] = 0.0


class StreamRecorder(BaseCallback):
    """Notes what every step of a rollout pays in each further stream, from its infos.

    Args:
        keys: of the infos, one a stream; each info must hold a finite number under it.

    Attributes:
        rewards: key → (T, N) float32, the present rollout's.
        ends: (T, N) bool: where an episode ended.
        cuts: (step, environment, last observation) of each episode that a time limit cut.
        sums: key → its sums over episodes.

    Raises:
        ArgumentError: an info lacks a key, has no number there, or a cost below 0; says at which
            step.
        NonFiniteError: it is NaN or infinite.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__()
        self.keys = tuple(keys)
        self.rewards: dict[str, NDArray[np.float32]] = {}
        self.cuts: list[tuple[int, int, Any]] = []
        self.sums: dict[str, EpisodeSums] = {}

    def _on_rollout_start(self) -> None:
        buffer = self.model.rollout_buffer  # type: ignore[attr-defined]  # an on-policy algorithm's
        shape = buffer.buffer_size, buffer.n_envs
        self.rewards = {key: np.zeros(shape, np.float32) for key in self.keys}
        self.ends, self.cuts, self._step = np.zeros(shape, np.bool_), [], 0
        for key in self.keys:
            self.sums.setdefault(key, EpisodeSums(buffer.n_envs)).finished = []

    def _on_step(self) -> bool:
        infos, dones = self.locals["infos"], np.asarray(self.locals["dones"], np.bool_)
        sampled = self._sampled(len(infos))
        if self._step == 0:  # whoever was told of the rollout may have begun new episodes
            for sums in self.sums.values():
                sums.begin(self.model._last_episode_starts)  # type: ignore[arg-type]
        for key in self.keys:
            row = [
                self._number(key, info, index) if sampled[index] else 0.0
                for index, info in enumerate(infos)
            ]
            self.rewards[key][self._step] = row
            check_finite(f"info[{key!r}]", self.rewards[key][self._step], self.model.num_timesteps)
            if key == COST:
                self._check_costs(self.rewards[key][self._step])
            self.sums[key].add(self.rewards[key][self._step], dones)
        self.ends[self._step] = dones
        for index in np.flatnonzero(dones).tolist():
            last = infos[index].get("terminal_observation")
            if infos[index].get("TimeLimit.truncated", False) and last is not None:
                self.cuts.append((self._step, index, last))
        self._step += 1
        return True

    def _check_costs(self, costs: NDArray[np.float32]) -> None:
        """A cost below 0 would be a reward, under which no limit ever binds."""
        if (costs < 0).any():
            index = int(np.argmin(costs))
            raise ArgumentError(
                f"info[{COST!r}] of environment {index} at step {self.model.num_timesteps} is "
                f"{costs[index]}: expected a number ≥ 0, what the step costs rather than earns"
            )

    def _sampled(self, n_envs: int) -> NDArray[np.bool_]:
        """Which environments did not spend the step on their reset."""
        buffer = self.model.rollout_buffer  # type: ignore[attr-defined]
        rows = getattr(buffer, "_sampled_rows", None)
        return np.ones(n_envs, np.bool_) if rows is None else rows()

    def _number(self, key: str, info: Any, index: int) -> float:
        value = info.get(key)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if not isinstance(value, int | float | np.number) or isinstance(value, bool):
            found = "no such entry" if key not in info else repr(value)
            raise ArgumentError(
                f"info[{key!r}] of environment {index} at step {self.model.num_timesteps} is "
                f"{found}: expected a number in the info of every step"
            )
        return float(value)
