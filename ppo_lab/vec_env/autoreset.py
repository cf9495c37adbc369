"""A Gymnasium vector environment's step, whatever its autoreset mode, as SB3 needs it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from ppo_lab.errors import ArgumentError

__all__ = [
    "FINAL",
    "NextStep",
    "ResetByMask",
    "SameStep",
    "Stepping",
    "VectorStep",
    "put_rows",
    "rows_of",
    "stepping_of",
]

FINAL = frozenset({"final_obs", "_final_obs", "final_info", "_final_info"})
"""What the infos of a step in mode SAME_STEP say of the episodes that it ended."""


class VectorStep(NamedTuple):
    """What one step of N copies brought; infos as Gymnasium batches them, ``{key: (N, …)}``.

    Attributes:
        observations: (N, …), the next episode's first where one ended.
        rewards: (N,).
        terminations: (N,) bool.
        truncations: (N,) bool.
        infos: of the copies whose episode goes on.
        final_obs: indexed by copy, what the episodes that ended showed last.
        final_infos: what their last step said.
        reset_infos: what the resets after them said.
    """

    observations: Any
    rewards: npt.NDArray[Any]
    terminations: npt.NDArray[np.bool_]
    truncations: npt.NDArray[np.bool_]
    infos: Mapping[str, Any]
    final_obs: Any = None
    final_infos: Mapping[str, Any] = {}
    reset_infos: Mapping[str, Any] = {}


class Stepping(Protocol):
    """Steps a vector environment.

    Attributes:
        env: the vector environment, which a reset may exchange.
        sampled: (N,) bool, False where the latest step only reset a copy; None: never.
    """

    env: Any
    sampled: npt.NDArray[np.bool_] | None

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> tuple[Any, Any]:
        """Begin N episodes: observations (N, …) and infos."""

    def step(self, actions: npt.NDArray[Any]) -> VectorStep:
        """Step all copies with actions (N, …)."""


def stepping_of(env: VectorEnv[Any, Any, Any]) -> Stepping:
    """How to step an environment so that a reset takes no step, where it can be done.

    Raises:
        ArgumentError: it does not say how it resets.
    """
    mode = env.metadata.get("autoreset_mode")
    if mode is AutoresetMode.SAME_STEP:
        return SameStep(env)
    # Its own reset of single copies holds in every mode; what wraps it may count on the mode.
    if mode is AutoresetMode.DISABLED or isinstance(env, SyncVectorEnv):
        return ResetByMask(env)
    if mode is AutoresetMode.NEXT_STEP:
        return NextStep(env)
    raise ArgumentError(
        f"{env} has autoreset_mode {mode!r} in its metadata: expected a "
        "gymnasium.vector.AutoresetMode, which says what its step returns after an episode's end"
    )


class _Stepping:
    sampled: npt.NDArray[np.bool_] | None = None

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self.env = env

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> tuple[Any, Any]:
        return self.env.reset(seed=seed, options=options)


class SameStep(_Stepping):
    """Of an environment in mode SAME_STEP, which does itself what SB3 asks."""

    def step(self, actions: npt.NDArray[Any]) -> VectorStep:
        """Step all copies with actions (N, …)."""
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        if not (terminations | truncations).any():
            return VectorStep(observations, rewards, terminations, truncations, infos)
        others = {key: values for key, values in infos.items() if key not in FINAL}
        return VectorStep(
            observations,
            rewards,
            terminations,
            truncations,
            others,
            infos["final_obs"],
            infos.get("final_info") or {},
            others,
        )


class ResetByMask(_Stepping):
    """Of an environment that resets chosen copies when asked, by the option ``reset_mask``."""

    def step(self, actions: npt.NDArray[Any]) -> VectorStep:
        """Step all copies with actions (N, …), and reset those whose episode ended."""
        step = VectorStep(*self.env.step(actions))
        ended = step.terminations | step.truncations
        if not ended.any():
            return step
        first, reset_infos = self.env.reset(options={"reset_mask": ended})
        return step._replace(
            observations=put_rows(step.observations, ended, rows_of(first, ended)),
            final_obs=step.observations,
            final_infos=step.infos,
            reset_infos=reset_infos,
        )


class NextStep(_Stepping):
    """Of an environment that can reset a copy only by its next step, which is then no sample."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self.sampled = np.ones(env.num_envs, np.bool_)
        self._ended = np.zeros(env.num_envs, np.bool_)

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> tuple[Any, Any]:
        """Begin N episodes: observations (N, …) and infos."""
        self.sampled, self._ended = np.ones_like(self._ended), np.zeros_like(self._ended)
        return super().reset(seed, options)

    def step(self, actions: npt.NDArray[Any]) -> VectorStep:
        """Step all copies with actions (N, …); where one was reset, nothing else happened."""
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        sampled = self.sampled = ~self._ended
        terminations, truncations = terminations & sampled, truncations & sampled
        self._ended = terminations | truncations
        rewards = np.where(sampled, rewards, 0.0)
        return VectorStep(
            observations, rewards, terminations, truncations, infos, observations, infos
        )


def put_rows(batch: Any, chosen: npt.NDArray[Any], rows: Any) -> Any:
    """A copy of a batch with other rows at the chosen places.

    Args:
        batch: (N, …), or a dict or tuple of such.
        chosen: (N,) bool of n places, or their numbers (n,).
        rows: like ``batch``, of the n alone, in their order.
    """
    if isinstance(batch, dict):
        return {key: put_rows(part, chosen, rows[key]) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(put_rows(part, chosen, of) for part, of in zip(batch, rows, strict=True))
    put = batch.copy()
    put[chosen] = rows
    return put


def rows_of(batch: Any, chosen: npt.NDArray[Any]) -> Any:
    """The chosen rows of a batch (N, …), or of a dict or tuple of such."""
    if isinstance(batch, dict):
        return {key: rows_of(part, chosen) for key, part in batch.items()}
    if isinstance(batch, tuple):
        return tuple(rows_of(part, chosen) for part in batch)
    return batch[chosen]
