"""The settings that a study starts from: its first trial, and all that is not searched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import layers_of
from tuning.parameters import Fixed
from tuning.spaces import Space, as_arguments, default_suggestion, known_names, own_values

__all__ = ["Base", "check_rollout", "first_trial", "missing", "nearest", "surroundings"]

WRITTEN_OUT = ("n_steps", "batch_size")
"""What the trials have of the algorithm's own where the base leaves it out: they depend on it."""


@dataclass(frozen=True)
class Base:
    """Settings in place of the algorithm's own ones.

    Attributes:
        word: what a report files runs of them under: ``zoo``, ``committed``, ``given``, not
            ``default`` or ``tuned``.
        origin: where they stand, in words.
        tuning: what tuning they are known to have had, in words.
        hyperparameters: the algorithm's arguments, plain YAML values.
    """

    word: str
    origin: str
    tuning: str
    hyperparameters: Mapping[str, Any]


def first_trial(base: Base, space: Space, n_envs: int) -> dict[str, Any]:
    """The base as it is, but for what the space fixes for every run of the study."""
    fixed = {p.name: p.value for p in space if isinstance(p, Fixed)}
    return as_arguments({**base.hyperparameters, **fixed}, n_envs)


def surroundings(algo: str, base: Base) -> dict[str, Any]:
    """The arguments of the other trials where the space does not say."""
    own = known_names(algo)
    written_out = {name: own[name] for name in WRITTEN_OUT if name in own}
    return {**written_out, **base.hyperparameters}


def nearest(algo: str, base: Base, space: Space, policy: str) -> dict[str, Any]:
    """The suggestion nearest to the base."""
    return default_suggestion(algo, space, _values(base, policy))


def missing(algo: str, base: Base, space: Space, policy: str) -> list[str]:
    """What the base has that the space cannot suggest: ``name value`` each.

    Empty where the search can be told of the base.
    """
    own = own_values(algo, _values(base, policy))
    searched = [p for p in space if not isinstance(p, Fixed)]
    return [f"{p.name} {own[p.name]}" for p in searched if not p.holds(own[p.name])]


def check_rollout(algo: str, base: Base, space: Space, n_envs: int, timesteps: int) -> None:
    """Check that a run's budget holds a rollout of the base.

    Raises:
        ArgumentError: it does not.
    """
    n_steps = {**known_names(algo), **first_trial(base, space, n_envs)}.get("n_steps", 1)
    if n_steps * n_envs > timesteps:
        raise ArgumentError(
            f"timesteps={timesteps} is too small for one update of {algo} with {base.origin}: "
            f"n_steps {n_steps} × {n_envs} environments; raise --timesteps to "
            f"{n_steps * n_envs} or more, or lower n_steps (--set n_steps=…)"
        )


def _values(base: Base, policy: str) -> dict[str, Any]:
    """The base by the names of a space: numbers as numbers, the layers under ``net_arch``."""
    values = {name: _number(value) for name, value in base.hyperparameters.items()}
    layers = layers_of(values.pop("policy_kwargs", None))
    if layers is None:  # SB3's own, which are none behind NatureCNN
        layers = [] if policy.startswith("Cnn") else [64, 64]
    return {**values, "net_arch": layers}


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-5, without a point, as a text."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
