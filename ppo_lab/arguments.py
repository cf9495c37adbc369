"""Validation of SpecPPO's arguments: every impossible combination in one sentence."""

import math
import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args

from ppo_lab.buffers import AdvantageEstimator, SpecRolloutBuffer
from ppo_lab.errors import ArgumentError

__all__ = ["Objective", "check_arguments", "check_rollout_shape"]

Objective = Literal["clip", "kl", "adaptive_kl", "vanilla"]

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "objective": get_args(Objective),
    "advantage_estimator": get_args(AdvantageEstimator),
    "normalize_advantage_over": ("minibatch", "rollout"),
}
_AT_LEAST_ONE = ("n_steps", "batch_size", "n_epochs", "n_step")
_FRACTIONS = ("gamma", "gae_lambda")
_NOT_NEGATIVE = ("ent_coef", "vf_coef", "max_grad_norm", "kl_coef")
_POSITIVE = ("critic_max_grad_norm", "target_kl", "desired_kl", "clip_range", "clip_range_vf")


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check what needs no environment.

    Args:
        arguments: SpecPPO's constructor arguments by name.

    Raises:
        ArgumentError: says what was given, what was expected.
    """
    for name, choices in _CHOICES.items():
        if arguments[name] not in choices:
            expected = ", ".join(map(repr, choices))
            raise ArgumentError(f"{name}={arguments[name]!r}: expected one of {expected}")
    for name in _AT_LEAST_ONE:
        _require(name, arguments[name], arguments[name] >= 1, "at least 1")
    for name in _FRACTIONS:
        _require(name, arguments[name], 0 <= arguments[name] <= 1, "a number from 0 to 1")
    for name in _NOT_NEGATIVE:
        _require(name, arguments[name], arguments[name] >= 0, "a number ≥ 0")
    for name in _POSITIVE:
        value = arguments[name]
        if isinstance(value, int | float):
            _require(name, value, value > 0, "a number > 0, or None where that is the default")
    _check_adaptive_clip_range(arguments["adaptive_clip_range"], arguments["objective"])
    _check_estimator(arguments)


def _require(name: str, value: float, holds: bool, expected: str) -> None:
    if not holds or math.isnan(value):
        raise ArgumentError(f"{name}={value!r}: expected {expected}")


def _check_adaptive_clip_range(bounds: tuple[float, float] | None, objective: str) -> None:
    if bounds is None:
        return
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
        raise ArgumentError(
            f"adaptive_clip_range={bounds!r}: expected (lowest, highest) with 0 < lowest ≤ highest"
        )
    if objective != "clip":
        raise ArgumentError(
            f"adaptive_clip_range={bounds!r} with objective={objective!r}: only 'clip' has an ε"
        )


def _check_estimator(arguments: Mapping[str, Any]) -> None:
    estimator = arguments["advantage_estimator"]
    if not arguments["use_baseline"] and estimator == "gae":
        raise ArgumentError(
            "use_baseline=False with advantage_estimator='gae': GAE is made of the baseline; "
            "take 'mc', 'td0' or 'nstep'"
        )
    buffer = arguments["rollout_buffer_class"]
    is_default = estimator == "gae" and arguments["use_baseline"]
    if buffer is not None and not is_default and not issubclass(buffer, SpecRolloutBuffer):
        raise ArgumentError(
            f"rollout_buffer_class={buffer.__name__} computes its own advantages, which "
            f"advantage_estimator={estimator!r} cannot change: derive it from SpecRolloutBuffer"
        )
    if arguments["normalize_advantage"] and arguments["batch_size"] == 1:
        raise ArgumentError(
            "batch_size=1 with normalize_advantage=True: one sample has no standard deviation; "
            "take a larger batch or normalize_advantage=False"
        )


def check_rollout_shape(
    n_steps: int, n_envs: int, batch_size: int, normalize_advantage: bool
) -> None:
    """Check the minibatches against the rollout of n_steps × n_envs samples.

    Raises:
        ArgumentError: one sample to normalise, or a minibatch larger than the rollout.

    Warns:
        UserWarning: the last minibatch of each epoch is smaller than the others.
    """
    samples = n_steps * n_envs
    shape = f"n_steps × n_envs = {n_steps} × {n_envs} = {samples}"
    if normalize_advantage and samples < 2:
        raise ArgumentError(
            f"{shape}: normalising advantages needs at least 2 samples; raise n_steps or set "
            "normalize_advantage=False"
        )
    if batch_size > samples:
        raise ArgumentError(
            f"batch_size={batch_size} is larger than the rollout, {shape}: lower batch_size or "
            "raise n_steps"
        )
    if samples % batch_size:
        warnings.warn(
            f"batch_size={batch_size} does not divide the rollout, {shape}: in every epoch "
            f"there will be a truncated mini-batch of size {samples % batch_size}",
            UserWarning,
            stacklevel=3,
        )
