"""Search spaces as data (Spec 8.3; the ranges suggested for ours in the design's figures).

A space is a tuple of parameters in a fixed order. ``core`` holds what matters most: ε, λ and the
learning rates. ``wide`` adds the discount, the loss's weights, clipping, the KL target and, as the
outer choice, the shape of an update and of the network.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import with_layers
from ppo_lab.registry import algorithm_class
from tuning.parameters import Choice, Fixed, Parameter, Real, Whole, as_data, at_most

__all__ = [
    "SPACES",
    "Space",
    "as_arguments",
    "convert",
    "default_suggestion",
    "defaults",
    "distributions",
    "fit_to_budget",
    "known_names",
    "merge",
    "own_shape",
    "own_values",
    "space_as_data",
]

Space = tuple[Parameter, ...]

_CLIP = Real("clip_range", 0.05, 0.5)
_LAMBDA = Real("gae_lambda", 0.8, 0.99)
_RATE = Real("learning_rate", 1e-5, 1e-2, "log")
_CRITIC_RATE = Real("critic_learning_rate", 1e-5, 1e-2, "log")
_GAMMA = Real("gamma", 0.95, 0.9999, "one_minus_log")
_LOSS = (
    Real("ent_coef", 1e-8, 0.1, "log"),
    Real("vf_coef", 0.2, 1.0),
    Real("max_grad_norm", 0.3, 5.0, "log"),
)
_KL = Choice("target_kl", (None, 0.01, 0.02, 0.05))
_STEPS = Whole("n_steps", 32, 1024, "power_of_two")
_BATCH = Whole("batch_size", 32, 512, "power_of_two")
_EPOCHS = Choice("n_epochs", (3, 5, 10, 20))
_NETWORK = Choice("net_arch", ([32, 32], [64, 64], [128, 128], [256, 256]))
_A2C_LAMBDA = Real("gae_lambda", 0.8, 1.0)
# TRPO's learning rate is its critic's; the step of the actor is set by target_kl (Spec 7.1)
_TRPO_KL = Real("target_kl", 0.001, 0.1, "log")
_CORE_PPO = (_CLIP, _LAMBDA, _RATE)
_SHAPE = (_STEPS, _BATCH, _EPOCHS, _NETWORK)
_WIDE_PPO = (*_SHAPE, *_CORE_PPO, _GAMMA, *_LOSS, _KL)

SPACES: Mapping[str, Mapping[str, Space]] = {
    "core": {
        "spec_ppo": (*_CORE_PPO, _CRITIC_RATE),
        "ppo": _CORE_PPO,
        "a2c": (_A2C_LAMBDA, _RATE),
        "trpo": (_TRPO_KL, _LAMBDA, _RATE),
        "ppo_lstm": _CORE_PPO,
        "ppo_mask": _CORE_PPO,
    },
    "wide": {
        "spec_ppo": (*_SHAPE, *_CORE_PPO, _CRITIC_RATE, _GAMMA, *_LOSS, _KL),
        "ppo": _WIDE_PPO,
        "a2c": (
            *(Whole("n_steps", 4, 256, "power_of_two"), _NETWORK),
            *(_A2C_LAMBDA, _RATE, _GAMMA, *_LOSS),
        ),
        "trpo": (
            *(_STEPS, _BATCH, _NETWORK, _TRPO_KL, _LAMBDA, _RATE, _GAMMA),
            *(Whole("n_critic_updates", 5, 30), Choice("cg_max_steps", (5, 10, 15, 20))),
        ),
        "ppo_lstm": _WIDE_PPO,
        "ppo_mask": _WIDE_PPO,
    },
}
"""Name of the space → algorithm → parameters."""

_NOT_HYPERPARAMETERS = {
    *("self", "policy", "env", "seed", "device", "verbose", "tensorboard_log"),
    *("stats_window_size", "monitor_wrapper", "policy_kwargs", "_init_setup_model"),
    *("rollout_buffer_class", "rollout_buffer_kwargs"),
}


def known_names(algo: str) -> dict[str, Any]:
    """The hyperparameters that a space of an algorithm may name, with the algorithm's defaults.

    ``net_arch``, the sizes of the hidden layers of actor and critic alike, is one of them.

    Raises:
        ArgumentError: the algorithm is unknown.
    """
    signature = inspect.signature(algorithm_class(algo)).parameters.items()
    own = {
        name: parameter.default for name, parameter in signature if name not in _NOT_HYPERPARAMETERS
    }
    return {**own, "net_arch": [64, 64]}


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna is asked for: its name → its distribution, in the space's order."""
    return {p.key: p.distribution for p in space if not isinstance(p, Fixed)}


def convert(
    space: Space, suggested: Mapping[str, Any], shape: Mapping[str, Any], n_envs: int
) -> dict[str, Any]:
    """The hyperparameters of a suggestion, as the algorithm takes them.

    A minibatch larger than the rollout of n_steps × n_envs samples is the whole rollout.

    Args:
        space: the parameters.
        suggested: Optuna's name → value.
        shape: the arguments where the space does not say: n_steps, batch_size and n_epochs, or all
            that a base gives.
        n_envs: environments of a run.
    """
    values = {
        p.name: p.value if isinstance(p, Fixed) else p.convert(suggested[p.key]) for p in space
    }
    return as_arguments({**shape, **values}, n_envs)


def defaults(algo: str, space: Space, shape: Mapping[str, int], n_envs: int) -> dict[str, Any]:
    """The default settings: the algorithm's own values of what is searched, and what is fixed."""
    own = own_values(algo, shape)
    values = {p.name: p.value if isinstance(p, Fixed) else own[p.name] for p in space}
    return as_arguments({**shape, **values}, n_envs)


def default_suggestion(algo: str, space: Space, shape: Mapping[str, Any]) -> dict[str, Any]:
    """The suggestion nearest to the default settings: the study's first trial."""
    own = own_values(algo, shape)
    return {p.key: p.nearest(own[p.name]) for p in space if not isinstance(p, Fixed)}


def own_shape(algo: str, shape: Mapping[str, int]) -> dict[str, int]:
    """The part of a study's shape that an algorithm has.

    A2C updates once a rollout and lives by short ones: it keeps its own ``n_steps``.
    """
    return {} if algo == "a2c" else {k: v for k, v in shape.items() if k in known_names(algo)}


def own_values(algo: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all that a space may name: those that ``shape`` has, else the defaults."""
    own = {**known_names(algo), **shape}
    if own.get("critic_learning_rate", 0) is None:
        own["critic_learning_rate"] = own["learning_rate"]
    return own


def as_arguments(values: Mapping[str, Any], n_envs: int) -> dict[str, Any]:
    """Values by the names that a space has for them, as the algorithm takes them.

    Args:
        values: hyperparameters; ``net_arch`` goes into ``policy_kwargs``, and a minibatch is no
            larger than the rollout.
        n_envs: environments of a run.
    """
    arguments = dict(values)
    if "batch_size" in arguments and "n_steps" in arguments:
        arguments["batch_size"] = min(arguments["batch_size"], arguments["n_steps"] * n_envs)
    if "net_arch" in arguments:
        layers = arguments.pop("net_arch")
        arguments["policy_kwargs"] = with_layers(arguments.get("policy_kwargs"), layers)
    return arguments


def fit_to_budget(space: Space, n_envs: int, timesteps: int) -> Space:
    """The space without the rollouts that the budget does not hold once.

    Raises:
        ArgumentError: not even the smallest rollout fits.
    """
    limit = timesteps // n_envs
    fitted: list[Parameter] = []
    for parameter in space:
        if parameter.name != "n_steps":
            fitted.append(parameter)
            continue
        if isinstance(parameter, Fixed):
            kept: Parameter | None = (
                parameter if isinstance(parameter.value, int) and parameter.value <= limit else None
            )
        else:
            kept = at_most(parameter, limit) if isinstance(parameter, Whole | Choice) else None
        if kept is None:
            raise ArgumentError(
                f"timesteps={timesteps} is too small for one update of n_steps × {n_envs} "
                f"environments with {_described(parameter)}: at most n_steps={limit} fits; raise "
                "--timesteps or lower n_steps"
            )
        fitted.append(kept)
    return tuple(fitted)


def space_as_data(space: Space) -> dict[str, Any]:
    """A space as JSON: name → its range, choices or fixed value."""
    return {parameter.name: dict(as_data(parameter)) for parameter in space}


def merge(space: Space, changes: Sequence[Parameter], dropped: Sequence[str] = ()) -> Space:
    """A space with parameters changed, added at the end, or dropped."""
    changed = {parameter.name: parameter for parameter in changes}
    merged = [changed.pop(p.name, p) for p in space if p.name not in dropped]
    return (*merged, *(p for p in changed.values() if p.name not in dropped))


def _described(parameter: Parameter) -> str:
    return f"n_steps {as_data(parameter)}".replace("{", "").replace("}", "").replace("'", "")
