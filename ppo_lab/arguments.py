"""Validation of SpecPPO's arguments: every impossible combination in one sentence."""

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, ParamSpec, get_args

import numpy as np
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy

from ppo_lab.errors import ArgumentError, UnknownArgumentError
from ppo_lab.ppo.buffers import AdvantageEstimator, SpecRolloutBuffer
from ppo_lab.ppo.objectives import Objective
from ppo_lab.ppo.policies import SpecActorCriticPolicy
from ppo_lab.ppo.rnd import RandomNetworkDistillation
from ppo_lab.ppo.schedules import LinearAnnealing, as_schedule
from ppo_lab.ppo.trust_region import KL_COEF_BOUNDS
from ppo_lab.registry import closest, unknown_hyperparameter

__all__ = [
    "BACKENDS",
    "Backend",
    "Objective",
    "check_arguments",
    "check_policy",
    "check_policy_kwargs",
    "check_policy_name",
    "check_rollout_shape",
    "check_shared_arguments",
    "suggests_names",
]

Parameters = ParamSpec("Parameters")

Backend = Literal["auto", "torch", "compiled"]
BACKENDS = get_args(Backend)

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "objective": get_args(Objective),
    "advantage_estimator": get_args(AdvantageEstimator),
    "normalize_advantage_over": ("minibatch", "rollout"),
    "backend": BACKENDS,
}
_SIZES = ("n_steps", "batch_size", "n_epochs", "buffer_size", "target_update_interval")
_AT_LEAST_ONE = (*_SIZES, "n_step")
_PARTS = (
    *("gamma", "gae_lambda", "tau"),
    *("exploration_fraction", "exploration_initial_eps", "exploration_final_eps"),
)
_FRACTIONS = (*_PARTS, "cost_gamma")
_NOT_NEGATIVE = ("ent_coef", "vf_coef", "max_grad_norm", "kl_coef")
_FINITE = ("intrinsic_coef", "cost_limit", "lambda_lr", "lagrangian_multiplier_init")
_POSITIVE = ("desired_kl", "critic_max_grad_norm", "target_kl")
_RATES = ("learning_rate", "critic_learning_rate", "cost_learning_rate")
_SCHEDULES = (*_RATES, "clip_range", "clip_range_vf")
_OF_THE_CRITIC = ("critic_max_grad_norm", "critic_learning_rate", "clip_range_vf")
_OF_COSTS = ("cost_limit", "cost_gamma", "cost_learning_rate")
_FLAGS = ("mask_actions", "normalize_value")
_TRUTHS = ("normalize_advantage", "use_baseline", "use_sde")
"""Flags that SB3's users may have from a table or a file, as NumPy's booleans or 0 and 1."""
_MAPPINGS = ("policy_kwargs", "rollout_buffer_kwargs")
_OF_EVERYONE = (*_SIZES, *_PARTS, *_MAPPINGS, "vf_coef", "max_grad_norm")
"""What means the same wherever an algorithm of SB3's has it."""
_OF_POLICIES = (
    *("ortho_init", "use_sde", "full_std", "use_expln", "squash_output", "normalize_images"),
    *("share_features_extractor", "shared_lstm", "enable_critic_lstm"),
)
"""Flags in ``policy_kwargs``, whoever's policy it is."""
_MAY_BE_NONE = ("target_kl", *_OF_THE_CRITIC, *_OF_COSTS, *_MAPPINGS)


def suggests_names(constructor: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A constructor that says which keyword was meant where Python says that there is no such one.

    Args:
        constructor: without ``**kwargs``.
    """
    names = inspect.signature(constructor).parameters

    @functools.wraps(constructor)
    def checked(*arguments: Parameters.args, **keywords: Parameters.kwargs) -> None:
        for name in keywords:
            if name not in names:
                whose = type(arguments[0]).__name__
                known = [each for each in names if each != "self" and not each.startswith("_")]
                raise UnknownArgumentError(unknown_hyperparameter(name, whose, known))
        constructor(*arguments, **keywords)

    return checked


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check what needs no environment.

    Args:
        arguments: SpecPPO's constructor arguments by name.

    Raises:
        ArgumentError: says what was given, what was expected.
    """
    given = {
        name: value
        for name, value in arguments.items()
        if not (value is None and name in _MAY_BE_NONE)
    }
    for name, choices in _CHOICES.items():
        _require(name, given, choices.__contains__, "one of " + ", ".join(map(repr, choices)))
    for names, holds, expected in _EXPECTED:
        for name in names:
            _require(name, given, holds, expected)
    for name in _SCHEDULES:
        if name in given:
            _check_schedule(name, given[name])
    _check_trust_region(arguments)
    _check_estimator(arguments)
    _check_streams(given)
    if (
        arguments["normalize_advantage"]
        and arguments["normalize_advantage_over"] == "minibatch"
        and arguments["batch_size"] == 1
    ):
        raise ArgumentError(
            "batch_size=1 with normalize_advantage=True: one sample has no standard deviation; "
            "take a larger batch, normalize_advantage_over='rollout' or normalize_advantage=False"
        )


def check_shared_arguments(
    constructor: Callable[..., Any], arguments: Mapping[str, Any], off_policy: bool
) -> None:
    """Check what another algorithm of SB3's is given and would run with, whatever it is.

    Args:
        constructor: of the algorithm; what it says to be ``bool`` has to be one.
        arguments: its hyperparameters by name.
        off_policy: whether its ``ent_coef`` is another one, as SAC's.

    Raises:
        ArgumentError: says what was given, what was expected.
    """
    for name, parameter in inspect.signature(constructor).parameters.items():
        if parameter.annotation in (bool, "bool"):
            _require(name, arguments, _is_truth, "True or False")
    given = {name: value for name, value in arguments.items() if value is not None}
    shared = (*_OF_EVERYONE, *(() if off_policy else ("ent_coef", "target_kl")))
    for names, holds, expected in _EXPECTED:
        for name in set(names) & set(shared):
            _require(name, given, holds, expected)
    for name in ("clip_range", "clip_range_vf"):
        if name in given:
            _check_schedule(name, given[name])


def _is_truth(value: object) -> bool:
    return isinstance(value, bool | np.bool_) or (_is_integer(value) and value in (0, 1))


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return _is_real(value) and 0 <= value < float("inf")  # type: ignore[operator]


_EXPECTED: Sequence[tuple[Sequence[str], Callable[[Any], bool], str]] = (
    (_AT_LEAST_ONE, lambda value: _is_integer(value) and value >= 1, "an integer ≥ 1"),
    (_FRACTIONS, lambda value: _is_real(value) and 0 <= value <= 1, "a number in 0…1"),
    (_NOT_NEGATIVE, lambda value: _is_real(value) and value >= 0, "a number ≥ 0"),
    (_FINITE, _is_finite, "a finite number ≥ 0"),
    (_POSITIVE, lambda value: _is_real(value) and value > 0, "a number > 0"),
    (_FLAGS, lambda value: isinstance(value, bool), "True or False"),
    (_TRUTHS, _is_truth, "True or False"),
    (_MAPPINGS, lambda value: isinstance(value, Mapping), "a dictionary"),
)


def _require(
    name: str, given: Mapping[str, Any], holds: Callable[[Any], bool], expected: str
) -> None:
    if name in given and not holds(given[name]):
        raise ArgumentError(f"{name}={given[name]!r}: expected {expected}")


def _check_schedule(name: str, value: Any) -> None:
    schedule = as_schedule(name, value)
    first = schedule.initial_value if isinstance(schedule, LinearAnnealing) else schedule
    if name.startswith("clip_range") and first == 0:
        raise ArgumentError(f"{name}={value!r}: expected a range > 0")


def _check_trust_region(arguments: Mapping[str, Any]) -> None:
    """β and ε can move where they are told to."""
    objective, kl_coef = arguments["objective"], arguments["kl_coef"]
    lowest, highest = KL_COEF_BOUNDS
    if objective == "adaptive_kl" and not lowest <= kl_coef <= highest:
        raise ArgumentError(
            f"kl_coef={kl_coef!r} with objective='adaptive_kl': β moves by factors of 2 within "
            f"{lowest:g}…{highest:g} and has to start there"
        )
    bounds = arguments["adaptive_clip_range"]
    if bounds is None:
        return
    is_pair = isinstance(bounds, list | tuple) and len(bounds) == 2 and all(map(_is_real, bounds))
    if not is_pair or not 0 < bounds[0] <= bounds[1]:
        raise ArgumentError(
            f"adaptive_clip_range={bounds!r}: expected (lowest, highest) with 0 < lowest ≤ highest"
        )
    if objective != "clip":
        raise ArgumentError(
            f"adaptive_clip_range={bounds!r} with objective={objective!r}: only 'clip' has an ε"
        )
    clip_range = as_schedule("clip_range", arguments["clip_range"])
    first = clip_range(1.0) if callable(clip_range) else clip_range
    if callable(clip_range) and first == 0:
        return  # the zoo's stand-in when it loads a model that will only act
    if not bounds[0] <= first <= bounds[1]:
        raise ArgumentError(
            f"clip_range={first!r} with adaptive_clip_range={bounds!r}: ε has to start within its "
            "bounds"
        )


def _check_streams(given: Mapping[str, Any]) -> None:
    """A bonus for what is new, and a limit on costs, have what they need (Spec 15)."""
    _require(
        "intrinsic_gamma",
        given,
        lambda value: _is_real(value) and 0 <= value < 1,
        "a number in [0, 1), since intrinsic returns never end",
    )
    for name in ("cost_gamma", "cost_learning_rate"):
        if name in given and given.get("cost_limit") is None:
            raise ArgumentError(
                f"{name}={given[name]!r} without cost_limit: there is no cost critic; set "
                "cost_limit, the most that an episode may cost on average"
            )
    rnd_kwargs = given.get("rnd_kwargs")
    if rnd_kwargs is None:
        return
    known = inspect.signature(RandomNetworkDistillation).parameters
    names = [name for name in known if name != "observation_space"]
    if not isinstance(rnd_kwargs, Mapping) or not set(rnd_kwargs) <= set(names):
        raise ArgumentError(
            f"rnd_kwargs={rnd_kwargs!r}: expected a dictionary with some of {', '.join(names)}"
        )
    if not given.get("intrinsic_coef"):
        raise ArgumentError(
            f"rnd_kwargs={rnd_kwargs!r} without intrinsic_coef: there is no RND; set "
            "intrinsic_coef, the weight of its bonus"
        )


def _check_estimator(arguments: Mapping[str, Any]) -> None:
    estimator = arguments["advantage_estimator"]
    if not arguments["use_baseline"] and estimator == "gae":
        raise ArgumentError(
            "use_baseline=False with advantage_estimator='gae': GAE is made of the baseline; "
            "take 'mc', 'td0' or 'nstep'"
        )
    buffer = arguments["rollout_buffer_class"]
    if buffer is None:
        return
    if not (isinstance(buffer, type) and issubclass(buffer, RolloutBuffer)):
        raise ArgumentError(f"rollout_buffer_class={buffer!r}: expected a class of RolloutBuffer")
    is_default = estimator == "gae" and arguments["use_baseline"]
    if not is_default and not issubclass(buffer, SpecRolloutBuffer):
        raise ArgumentError(
            f"rollout_buffer_class={buffer.__name__} computes its own advantages, which "
            f"advantage_estimator={estimator!r} cannot change: derive it from SpecRolloutBuffer"
        )


WITH_MEMORY = "LSTMs, which SpecPPO has not: ppo_lab.RecurrentPPO trains it"


def check_policy_name(policy: str | type[BasePolicy], known: Mapping[str, object]) -> None:
    """Check a policy's name, before SB3 looks it up.

    Args:
        policy: as given to SpecPPO; a class is any class.
        known: SpecPPO's ``policy_aliases``.

    Raises:
        ArgumentError: no such name; begins as SB3's own error does.
    """
    if isinstance(policy, str) and policy not in known:
        how = (
            f"it has {WITH_MEMORY}"
            if "lstm" in policy.lower()
            else f"closest: {closest(policy, known)}"
        )
        raise ArgumentError(f"Policy {policy} unknown; {how}")


def check_policy(policy_class: type[BasePolicy], arguments: Mapping[str, Any]) -> None:
    """Check that a policy has the two optimisers that the critic's own arguments need.

    Args:
        policy_class: the class that will be built.
        arguments: SpecPPO's constructor arguments by name.

    Raises:
        ArgumentError: an argument of the critic's alone, for a policy with one optimiser; a policy
            with a memory.
    """
    # By name: sb3-contrib need not be imported for it.
    if any(base.__name__ == "RecurrentActorCriticPolicy" for base in policy_class.__mro__):
        raise ArgumentError(f"policy {policy_class.__name__} has {WITH_MEMORY}")
    makes_layers = getattr(policy_class, "_build_mlp_extractor", None)
    check_policy_kwargs(arguments["policy_kwargs"], actor_and_critic=makes_layers in _MAKE_LAYERS)
    if "normalize_value" in (arguments["policy_kwargs"] or {}):
        raise ArgumentError(
            "policy_kwargs has normalize_value, of which the loss would not know: pass it to "
            "SpecPPO itself"
        )
    if issubclass(policy_class, SpecActorCriticPolicy):
        return
    for name in ("critic_learning_rate", "critic_max_grad_norm"):
        if arguments[name] is not None:
            raise ArgumentError(
                f"{name} with policy {policy_class.__name__}, whose one optimiser moves actor and "
                "critic alike: derive the policy from SpecActorCriticPolicy"
            )
    if arguments["normalize_value"]:
        raise ArgumentError(
            f"normalize_value=True with policy {policy_class.__name__}, whose values are not read "
            "through μ and σ: derive the policy from SpecActorCriticPolicy"
        )


_MAKE_LAYERS = (
    ActorCriticPolicy._build_mlp_extractor,
    SpecActorCriticPolicy._build_mlp_extractor,
)
"""Those that read ``pi`` and ``vf`` of ``net_arch`` and nothing else."""


def check_policy_kwargs(policy_kwargs: Mapping[str, Any] | None, *, actor_and_critic: bool) -> None:
    """Check what a policy of SB3's would take in silence for something else.

    Args:
        policy_kwargs: the policy's arguments.
        actor_and_critic: whether its layers are those of SB3's actor and critic.

    Raises:
        ArgumentError: a flag that is no truth value; layers of another network, such as SAC's
            ``qf``, which would leave the critic without any.
    """
    given = policy_kwargs or {}
    for name in _OF_POLICIES:
        _require(name, given, _is_truth, "True or False")
    layers = given.get("net_arch")
    if isinstance(layers, list | tuple) and len(layers) == 1:  # SB3's former way
        layers = layers[0]
    if actor_and_critic and isinstance(layers, Mapping) and not set(layers) <= {"pi", "vf"}:
        raise ArgumentError(
            f"net_arch={layers!r}: expected the layers of 'pi', the actor, and 'vf', the critic; "
            "what has another name would be left out"
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
