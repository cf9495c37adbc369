"""Policies and buffers that know which actions are allowed (Spec 13), on sb3-contrib's parts."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer, MaskableRolloutBuffer
from sb3_contrib.common.maskable.distributions import (
    MaskableDistribution,
    make_masked_proba_distribution,
)
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.buffers import SpecDictRolloutBuffer, SpecRolloutBuffer, with_estimators
from ppo_lab.ppo.policies import (
    SpecActorCriticCnnPolicy,
    SpecActorCriticPolicy,
    SpecMultiInputActorCriticPolicy,
)

__all__ = [
    "MaskSource",
    "MaskedDictRolloutBuffer",
    "MaskedRolloutBuffer",
    "MasksActions",
    "MasksActionsMlp",
    "MasksActionsMultiInput",
    "check_has_masks",
    "check_masks",
    "mask_sizes",
    "with_masks",
    "with_stored_masks",
    "without_masks",
    "without_stored_masks",
]

WITHOUT_MASKS = (
    "a policy with mask_actions=True was asked without masks: predict(observations, "
    "action_masks=get_action_masks(env)), and evaluate_policy and EvalCallback of "
    "sb3_contrib.common.maskable"
)


class MaskSource:
    """The environments' masks, once a step: the policy acts on them and the buffer keeps them.

    Args:
        env: whose environments have ``action_masks()``.
        action_space: of each.
        steps: how many steps were taken.

    Raises:
        ArgumentError: they have no such method.
    """

    def __init__(self, env: VecEnv, action_space: spaces.Space[Any], steps: Callable[[], int]):
        check_has_masks(env)
        self._env, self._space, self._steps = env, action_space, steps
        self._acted_under: NDArray[np.bool_] | None = None
        self._at = -1

    def __call__(self) -> NDArray[np.bool_]:
        """The masks (N, A) of the states that the environments are in now.

        Raises:
            ArgumentError: :func:`check_masks` refuses them, or the step that they acted under the
                last ones in is not kept yet: whoever asks has other states in mind.
        """
        step = self._steps()
        if self._acted_under is not None and step != self._at:
            raise ArgumentError(WITHOUT_MASKS)
        try:
            masks = get_action_masks(self._env)
        except ValueError as error:  # numpy's: rows of different lengths
            raise ArgumentError(
                f"action_masks of different lengths at step {step}: expected a flat list of "
                f"{sum(mask_sizes(self._space))} truth values of each environment"
            ) from error
        self._at = step
        self._acted_under = check_masks(masks, self._space, self._env.num_envs, step)
        return self._acted_under

    def take(self) -> NDArray[np.bool_]:
        """The masks (N, A) that the latest actions were taken under, once."""
        masks, self._acted_under = self._acted_under, None
        assert masks is not None  # a rollout acts before it keeps
        return masks


def check_has_masks(env: VecEnv) -> None:
    """Check that environments say which actions are allowed.

    Raises:
        ArgumentError: they have no method ``action_masks``.
    """
    if not is_masking_supported(env):
        raise ArgumentError(
            "mask_actions=True on environments without action_masks(): give them the method, "
            "or wrap them in sb3-contrib's ActionMasker; of a game's agents, give the observations "
            "or infos an action_mask"
        )


def check_masks(
    masks: object, space: spaces.Space[Any], rows: int, step: int | None = None
) -> NDArray[np.bool_]:
    """Check which actions are said to be allowed.

    Args:
        masks: N rows of A truth values each; A is the number of actions, or their sum over a
            MultiDiscrete's parts, or twice the number of a MultiBinary's bits.
        space: the actions.
        rows: N.
        step: for the error's words.

    Returns:
        (N, A) truth values.

    Raises:
        ArgumentError: of another shape, with other numbers than 0 and 1, or with no action allowed.
    """
    sizes = mask_sizes(space)
    table = np.asarray(masks)
    at = "" if step is None else f" at step {step}"
    rowwise = rows == 1 or table.shape[:1] == (rows,)
    if table.size != rows * sum(sizes) or not rowwise or table.dtype == object:
        raise ArgumentError(
            f"action_masks of shape {table.shape}{at}: expected {rows} × {sum(sizes)} truth "
            f"values, one for each action of {space}"
        )
    allowed = table.reshape(rows, sum(sizes)).astype(bool)
    if table.dtype != bool and not np.array_equal(allowed, table.reshape(allowed.shape)):
        raise ArgumentError(f"action_masks hold other numbers than 0 and 1{at}")
    parts = np.split(allowed, np.cumsum(sizes)[:-1], axis=1)
    for part, of_part in enumerate(parts):
        for row in np.flatnonzero(~of_part.any(axis=1)).tolist():
            which = f" in part {part} of its action" if len(parts) > 1 else ""
            raise ArgumentError(f"environment {row} allows no action{which}{at}")
    return allowed


def mask_sizes(space: spaces.Space[Any]) -> list[int]:
    """How many truth values a mask has for each part of an action.

    Raises:
        ArgumentError: the actions cannot be counted.
    """
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return [int(n) for n in space.nvec]
    if isinstance(space, spaces.MultiBinary) and isinstance(space.n, int):
        return [2] * space.n
    raise ArgumentError(
        f"mask_actions=True with the actions {space}: expected Discrete, or MultiDiscrete or "
        "MultiBinary of one axis"
    )


def _check_rows(masks: NDArray[np.bool_] | th.Tensor, rows: int, each: int) -> None:
    """Check that there are masks for each observation; torch would reshape any other table."""
    shape = tuple(masks.shape)
    if math.prod(shape) != rows * each or (rows > 1 and shape[0] != rows):
        raise ArgumentError(
            f"action_masks of shape {shape} for {rows} observations: expected ({rows}, {each})"
        )


class MasksActions(SpecActorCriticPolicy):
    """A policy π(a|s, m) ∝ exp(logit_a) over the actions that the mask m allows (Spec 13.1).

    Attributes:
        mask_source: while a rollout is collected, where the masks come from.
    """

    mask_source: MaskSource | None = None
    _masks: NDArray[np.bool_] | th.Tensor | None = None

    def _build(self, lr_schedule: Schedule) -> None:
        sizes = mask_sizes(self.action_space)
        if isinstance(self.action_space, spaces.MultiBinary):
            self.action_dist = MultiCategoricalDistribution(sizes)  # two logits a bit, not one
        super()._build(lr_schedule)
        # Its own from the start: whoever compares its attributes sees no new one later.
        self.mask_source = self._masks = None
        self.action_dist = make_masked_proba_distribution(self.action_space)

    def _get_action_dist_from_latent(self, latent_pi: th.Tensor) -> MaskableDistribution:
        distribution = self.action_dist.proba_distribution(self.action_net(latent_pi))
        assert isinstance(distribution, MaskableDistribution)
        if self._masks is None:
            raise ArgumentError(WITHOUT_MASKS)
        _check_rows(self._masks, len(latent_pi), sum(mask_sizes(self.action_space)))
        distribution.apply_masking(self._masks)
        return distribution

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a pickle in the midst of a rollout goes without the environments."""
        return {**vars(self), "mask_source": None, "_masks": None}

    @contextmanager
    def _under(self, masks: NDArray[np.bool_] | th.Tensor | None) -> Iterator[None]:
        """Within the block these masks hold; None: those that hold already."""
        before = self._masks
        if masks is not None:
            self._masks = masks
        try:
            yield
        finally:
            self._masks = before

    def forward(
        self,
        obs: th.Tensor,
        deterministic: bool = False,
        action_masks: NDArray[np.bool_] | th.Tensor | None = None,
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Actions, values and log π of observations (N, …) under masks (N, A), or the source's."""
        if action_masks is None and self.mask_source is not None:
            action_masks = self.mask_source()
        with self._under(action_masks):
            return super().forward(obs, deterministic)

    def evaluate_actions(
        self,
        obs: PyTorchObs,
        actions: th.Tensor,
        action_masks: NDArray[np.bool_] | th.Tensor | None = None,
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor | None]:
        """Values, log π and entropies (over the allowed actions) under masks (B, A)."""
        with self._under(action_masks):
            return super().evaluate_actions(obs, actions)

    def get_distribution(
        self, obs: PyTorchObs, action_masks: NDArray[np.bool_] | th.Tensor | None = None
    ) -> MaskableDistribution:
        """π(·|s, m) of observations (N, …) under masks (N, A)."""
        with self._under(action_masks):
            distribution = super().get_distribution(obs)
        assert isinstance(distribution, MaskableDistribution)
        return distribution

    def predict(
        self,
        observation: NDArray[Any] | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """SB3's ``predict`` under masks (N, A), or (A,) of one observation.

        Raises:
            ArgumentError: no masks, or masks that :func:`check_masks` refuses.
        """
        if action_masks is not None:
            table = np.asarray(action_masks)
            of_one = table.size == sum(mask_sizes(self.action_space))
            rows = 1 if of_one or table.ndim == 0 else len(table)
            action_masks = check_masks(table, self.action_space, rows)
        with self._under(action_masks):
            return super().predict(observation, state, episode_start, deterministic)


class MasksActionsMlp(MasksActions):
    """``MlpPolicy`` under masks."""


class MasksActionsCnn(MasksActions, SpecActorCriticCnnPolicy):
    """``CnnPolicy`` under masks."""


class MasksActionsMultiInput(MasksActions, SpecMultiInputActorCriticPolicy):
    """``MultiInputPolicy`` under masks."""


_MASKED: dict[type[BasePolicy], type[MasksActions]] = {
    SpecActorCriticPolicy: MasksActionsMlp,
    SpecActorCriticCnnPolicy: MasksActionsCnn,
    SpecMultiInputActorCriticPolicy: MasksActionsMultiInput,
}


def with_masks(policy_class: type[BasePolicy], action_space: spaces.Space[Any]) -> type[BasePolicy]:
    """The class that takes masks, for one of our three; one that takes them already as it is.

    Raises:
        ArgumentError: any other policy, or actions that cannot be counted.
    """
    mask_sizes(action_space)
    if issubclass(policy_class, MasksActions):
        return policy_class
    if policy_class not in _MASKED:
        raise ArgumentError(
            f"mask_actions=True with the policy {policy_class.__name__}: expected MlpPolicy, "
            "CnnPolicy, MultiInputPolicy or a subclass of ppo_lab.ppo.action_masks.MasksActions"
        )
    return _MASKED[policy_class]


def without_masks(policy_class: type[BasePolicy]) -> type[BasePolicy]:
    """What :func:`with_masks` made its class of; every other class as it is.

    Raises:
        ArgumentError: a subclass of the user's that takes masks.
    """
    plain: dict[type[BasePolicy], type[BasePolicy]] = {own: of for of, own in _MASKED.items()}
    if policy_class not in plain and issubclass(policy_class, MasksActions):
        raise ArgumentError(
            f"the policy {policy_class.__name__} needs masks: expected mask_actions=True with it"
        )
    return plain.get(policy_class, policy_class)


class _StoresMasks(SpecRolloutBuffer):
    """Keeps with each step the masks that the policy acted under."""

    mask_source: MaskSource | None = None
    flattened = (*SpecRolloutBuffer.flattened, "action_masks")

    def add(self, *args: Any, **kwargs: Any) -> None:
        """SB3's ``add``, with the masks of the step where no others are given."""
        if self.mask_source is not None:
            kwargs.setdefault("action_masks", self.mask_source.take())
        super().add(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a pickle in the midst of a rollout goes without the environments."""
        return {**vars(self), "mask_source": None}


class MaskedRolloutBuffer(_StoresMasks, MaskableRolloutBuffer):
    """sb3-contrib's buffer with the targets of Spec 3, 4."""


class MaskedDictRolloutBuffer(_StoresMasks, MaskableDictRolloutBuffer):
    """The same for dictionary observations."""


_PLAIN_BUFFERS = (
    *(None, RolloutBuffer, DictRolloutBuffer, SpecRolloutBuffer, SpecDictRolloutBuffer),
    *(MaskableRolloutBuffer, MaskableDictRolloutBuffer),
)


def with_stored_masks(
    buffer_class: type[RolloutBuffer] | None, is_dict: bool
) -> type[RolloutBuffer]:
    """Our class for None and for SB3's, sb3-contrib's and our own.

    Raises:
        ArgumentError: a class of the user's that keeps no masks.
    """
    if buffer_class in _PLAIN_BUFFERS:
        return MaskedDictRolloutBuffer if is_dict else MaskedRolloutBuffer
    assert buffer_class is not None
    if not issubclass(buffer_class, _StoresMasks):
        raise ArgumentError(
            f"mask_actions=True with rollout_buffer_class={buffer_class.__name__}: expected none, "
            "or a subclass of ppo_lab.ppo.action_masks.MaskedRolloutBuffer"
        )
    return buffer_class


def without_stored_masks(
    buffer_class: type[RolloutBuffer] | None, is_dict: bool
) -> type[RolloutBuffer]:
    """:func:`with_estimators`, also for what :func:`with_stored_masks` gave."""
    ours = buffer_class in (MaskedRolloutBuffer, MaskedDictRolloutBuffer)
    return with_estimators(None if ours else buffer_class, is_dict)
