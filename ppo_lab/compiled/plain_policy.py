"""Whether a policy computes exactly what the kernels compute, module by module.

SB3's users swap layers, add hooks and patch methods, before training and in the middle of it.
Whatever is not known here to leave the computation alone is a reason for torch. The look takes
tens of microseconds, so that it is taken anew before every rollout and every update.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.distributions import (
    MaskableBernoulliDistribution,
    MaskableCategorical,
    MaskableCategoricalDistribution,
    MaskableMultiCategoricalDistribution,
)
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    Distribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    MlpExtractor,
)
from torch import nn

from ppo_lab.ppo.action_masks import MasksActions, MasksActionsMlp, MasksActionsMultiInput
from ppo_lab.ppo.distributions import CheckedOnceCategorical, CheckedOnceGaussian
from ppo_lab.ppo.policies import (
    SpecActorCriticPolicy,
    SpecMultiInputActorCriticPolicy,
    critic_only_of,
    parameters_within,
)
from ppo_lab.ppo.torch_internals import (
    GLOBAL_MODULE_HOOKS,
    MODULE_HOOKS,
    PARAMETER_HOOKS,
    hook_reason,
    own_modules,
    own_parameters,
)
from ppo_lab.ppo.value_scale import ScaledValue
from ppo_lab.worlds.as_written import replaced_on

__all__ = [
    "SERVED_OF_DICT",
    "SERVED_POLICIES",
    "chain_reason",
    "distribution_reason",
    "module_reason",
    "n_outputs",
    "parameter_reason",
    "parameters_in_order",
    "torch_reason",
    "why_not_plain",
]

ACTIVATIONS = (nn.Tanh, nn.ReLU)
HEADS: Mapping[type[spaces.Space[Any]], tuple[type[Distribution], ...]] = {
    spaces.Discrete: (CheckedOnceCategorical, CategoricalDistribution),
    spaces.MultiDiscrete: (MultiCategoricalDistribution,),
    spaces.Box: (CheckedOnceGaussian, DiagGaussianDistribution),
}
MASKED_HEADS: Mapping[type[spaces.Space[Any]], tuple[type[Distribution], ...]] = {
    spaces.Discrete: (MaskableCategoricalDistribution,),
    spaces.MultiDiscrete: (MaskableMultiCategoricalDistribution,),
    spaces.MultiBinary: (MaskableBernoulliDistribution,),
}
SERVED_POLICIES = (SpecActorCriticPolicy, MasksActionsMlp)
"""Of observations that are one array."""
SERVED_OF_DICT = (SpecMultiInputActorCriticPolicy, MasksActionsMultiInput)
"""With ``critic_only``, of a Dict; without, SB3's own numbers bit for bit are kept."""
RESTATED: Mapping[type, tuple[str, ...]] = {
    nn.Module: ("__call__", "_call_impl", "_wrapped_call_impl"),
    **dict.fromkeys(
        (SpecActorCriticPolicy, MasksActions, *SERVED_POLICIES, *SERVED_OF_DICT),
        (
            *("forward", "evaluate_actions", "predict_values", "get_distribution"),
            *("obs_to_tensor", "predict", "_predict", "extract_features"),
            *("_get_action_dist_from_latent", "_under"),
        ),
    ),
    MaskableCategorical: ("__init__", "apply_masking", "entropy", "log_prob", "sample"),
    MlpExtractor: ("forward", "forward_actor", "forward_critic"),
    **dict.fromkeys((FlattenExtractor, nn.Flatten, nn.Sequential), ("forward",)),
    CombinedExtractor: ("forward",),
    ScaledValue: ("forward", "normalize", "std"),
    **dict.fromkeys((nn.Linear, *ACTIVATIONS), ("forward",)),
    **dict.fromkeys(
        (head for kinds in (HEADS, MASKED_HEADS) for heads in kinds.values() for head in heads),
        (
            *("proba_distribution", "log_prob", "entropy", "sample", "get_actions"),
            "apply_masking",
        ),
    ),
}
"""What the kernels do in these methods' place."""
AS_IMPORTED = tuple(
    (kind, name, getattr(kind, name))
    for kind, names in RESTATED.items()
    for name in names
    if hasattr(kind, name)  # some are torch's own
)


def why_not_plain(policy: SpecActorCriticPolicy) -> str | None:
    """Why the kernels would compute another policy than this one; None: they compute the same.

    Args:
        policy: any.

    Returns:
        The first reason found, to be read after "because".
    """
    kind = type(policy)
    if kind not in (*SERVED_POLICIES, *SERVED_OF_DICT):
        return f"the policy is a {kind.__name__}, not MlpPolicy"
    if kind in SERVED_OF_DICT and not critic_only_of(policy):
        return "the observations are a Dict, and no key of it is the critic's alone"
    return (
        torch_reason()
        or _reason_of(policy, "the policy", kind)
        or _features_reason(policy)
        or distribution_reason(policy)
        or _networks_reason(policy)
        or _parameters_reason(policy)
    )


def parameters_in_order(
    policy: ActorCriticPolicy,
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The actor's and the critic's parameters of a plain policy, as the kernels have them."""
    extractor = policy.mlp_extractor
    actor = _weights(extractor.policy_net, policy.action_net)
    if isinstance(policy.action_space, spaces.Box):
        actor.append(policy.log_std)
    return actor, _weights(extractor.value_net, _learned_value(policy))


def _learned_value(policy: ActorCriticPolicy) -> nn.Module:
    """The critic's last layer, whose numbers may be read on another scale (Spec 14.4)."""
    head: nn.Module = policy.value_net
    return (own_modules(head).get("layer") or head) if type(head) is ScaledValue else head


def _weights(network: nn.Module, head: nn.Module) -> list[nn.Parameter]:
    layers = [*own_modules(network).values()][::2]
    held = [own_parameters(layer) for layer in (*layers, head)]  # type: ignore[arg-type]
    return [each[name] for each in held for name in ("weight", "bias")]  # type: ignore[misc]


def torch_reason() -> str | None:
    """What of torch itself keeps the kernels from computing the same."""
    if reason := hook_reason(*GLOBAL_MODULE_HOOKS, "has global module hooks"):
        return f"torch {reason}"
    if th.is_autocast_enabled("cpu") or not th.is_grad_enabled():
        return "torch's autocast is on or its gradients are off"
    for kind, name, function in AS_IMPORTED:
        if getattr(kind, name) is not function:
            return f"{kind.__name__}.{name} was replaced"
    return None


def _reason_of(module: nn.Module, name: str, kind: type[nn.Module]) -> str | None:
    reason = module_reason(module, kind)
    return None if reason is None else f"{name} {reason}"


def module_reason(module: nn.Module, kind: type[nn.Module]) -> str | None:
    """What keeps one module from being a plain one of its class."""
    if type(module) is not kind:
        return f"is a {type(module).__name__}, not a plain {kind.__name__}"
    if reason := hook_reason(module, MODULE_HOOKS, "has forward or backward hooks"):
        return reason
    if (method := replaced_on(module)) is not None:
        return f"has a {method} of its own"
    return None


def _features_reason(policy: SpecActorCriticPolicy) -> str | None:
    extractors = (
        policy.features_extractor,
        policy.pi_features_extractor,
        policy.vf_features_extractor,
    )
    for extractor in {id(each): each for each in extractors}.values():
        if critic_only_of(policy):
            if reason := _combined_reason(extractor):
                return reason
            continue
        if type(extractor) is not FlattenExtractor:
            return f"the features come from a {type(extractor).__name__}"
        flatten = extractor.flatten
        if reason := (
            _reason_of(extractor, "the features extractor", FlattenExtractor)
            or _reason_of(flatten, "the features extractor's layer", nn.Flatten)
        ):
            return reason
        if (flatten.start_dim, flatten.end_dim) != (1, -1):
            return "the features extractor does not flatten all"
    return None


def _combined_reason(extractor: BaseFeaturesExtractor) -> str | None:
    """What keeps a Dict's features from being its keys' numbers, one after the other."""
    if type(extractor) is not CombinedExtractor:
        return f"the features come from a {type(extractor).__name__}"
    if reason := _reason_of(extractor, "the features extractor", CombinedExtractor):
        return reason
    parts = own_modules(extractor.extractors)
    if reason := _reason_of(extractor.extractors, "the features extractors", nn.ModuleDict):
        return reason
    for key, part in parts.items():
        if reason := _reason_of(part, f"the features extractor of {key!r}", nn.Flatten):  # type: ignore[arg-type]
            return reason
        if (part.start_dim, part.end_dim) != (1, -1):  # type: ignore[union-attr]
            return f"the features extractor of {key!r} does not flatten all"
    return None


def distribution_reason(policy: ActorCriticPolicy) -> str | None:
    """What keeps the actions from following one of the distributions that the kernels know."""
    distribution, space = policy.action_dist, policy.action_space
    known = MASKED_HEADS if isinstance(policy, MasksActions) else HEADS
    expected = (heads for kind, heads in known.items() if isinstance(space, kind))
    if type(distribution) not in next(expected, ()):
        return f"the actions follow a {type(distribution).__name__}"
    if (method := replaced_on(distribution)) is not None:
        return f"the actions' distribution has a {method} of its own"
    return None


def _networks_reason(policy: SpecActorCriticPolicy) -> str | None:
    """Two chains of Linear and one kind of activation, and a Linear after each."""
    extractor = policy.mlp_extractor
    if reason := _reason_of(extractor, "mlp_extractor", MlpExtractor):
        return reason
    if reason := _scale_reason(policy.value_net):
        return f"the value's head {reason}"
    kinds: set[type[nn.Module]] = set()
    seen, judged = policy.pi_features_extractor, policy.vf_features_extractor
    for name, network, head, inputs, outputs in (
        (
            *("policy_net", extractor.policy_net, policy.action_net),
            *(seen.features_dim, n_outputs(policy)),
        ),
        ("value_net", extractor.value_net, _learned_value(policy), judged.features_dim, 1),
    ):
        if reason := _reason_of(network, name, nn.Sequential):
            return reason
        layers: list[Any] = [*own_modules(network).values(), head]
        if misfit := chain_reason(layers, inputs, outputs):
            index, reason = misfit
            head_name = "action_net" if name == "policy_net" else "the value's head"
            where = f"{name}[{index}]" if index < len(layers) - 1 else head_name
            return f"{where} {reason}"
        kinds.update([type(layer) for layer in layers[1::2]])
    return "the networks have both Tanh and ReLU" if len(kinds) > 1 else None


def _scale_reason(head: nn.Module) -> str | None:
    """What keeps a value's head that is read on another scale from being a plain one."""
    if type(head) is not ScaledValue:
        return None  # a Linear, of which chain_reason makes sure
    if reason := module_reason(head, ScaledValue):
        return reason
    moments = {name: moment.shape for name, moment in head.named_buffers(recurse=False)}
    if moments != dict.fromkeys(("mean", "variance", "count"), ()):
        return "has other buffers than one mean, variance and count"
    is_plain = all(m.dtype == th.float64 and m.device.type == "cpu" for m in head.buffers())
    return None if is_plain else "has moments that are not float64 on the CPU"


def chain_reason(layers: Sequence[nn.Module], inputs: int, outputs: int) -> tuple[int, str] | None:
    """What keeps layers from being Linear, activation, …, Linear that fit together, and which."""
    for index, layer in enumerate(layers):
        reason = _activation_reason(layer) if index % 2 else _linear_reason(layer, inputs)
        if reason is not None:
            return index, reason
        if index % 2 == 0:
            inputs = _width(layer)
    if len(layers) % 2 == 0:
        return len(layers) - 2, "has no activation after it"
    return None if inputs == outputs else (len(layers) - 1, f"has {inputs} outputs, not {outputs}")


def n_outputs(policy: ActorCriticPolicy) -> int:
    """Numbers that the actor's network puts out."""
    space = policy.action_space
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    if isinstance(space, spaces.MultiBinary):  # under masks: two logits a bit
        return 2 * int(np.prod(space.shape))
    return int(np.prod(space.shape or ()))


def _activation_reason(layer: nn.Module) -> str | None:
    if type(layer) not in ACTIVATIONS:
        return f"as an activation is {type(layer).__name__}, not Tanh or ReLU"
    return module_reason(layer, type(layer))


def _linear_reason(layer: nn.Module, inputs: int) -> str | None:
    if reason := module_reason(layer, nn.Linear):
        return reason
    held = own_parameters(layer)
    weight, bias = held.get("weight"), held.get("bias")
    if len(held) != 2 or own_modules(layer) or weight is None or bias is None:
        return "is no plain Linear with weight and bias"
    if weight.dim() != 2:
        return "has a weight that is no matrix"
    n_out, n_in = weight.shape
    if n_in != inputs or bias.shape != (n_out,):
        return "does not fit what is before it or its own bias"
    return None


def _width(layer: nn.Module) -> int:
    weight = own_parameters(layer)["weight"]  # the truth, where ``out_features`` may be stale
    assert weight is not None
    return weight.shape[0]


def _parameters_reason(policy: SpecActorCriticPolicy) -> str | None:
    if isinstance(policy.action_space, spaces.Box):
        log_std = own_parameters(policy).get("log_std")
        if log_std is None or log_std.shape != (n_outputs(policy),):
            return "log_std is not one number for each action"
    actor, critic = parameters_in_order(policy)
    parameters = [*actor, *critic]
    for parameter in parameters:
        if reason := parameter_reason(parameter):
            return reason
    if len({parameter.data_ptr() for parameter in parameters}) < len(parameters):
        return "two of the policy's tensors share their memory"
    if len(parameters_within(policy)) != len(parameters):
        return "the policy holds parameters beside its two networks"
    return None


def parameter_reason(parameter: nn.Parameter) -> str | None:
    """What keeps one parameter from being a plain tensor on the CPU."""
    if type(parameter) is not nn.Parameter or not parameter.is_contiguous():
        return "a parameter is no plain, contiguous tensor"
    if parameter.dtype != th.float32:
        return "the parameters are not float32"
    if parameter.device.type != "cpu":
        return "a parameter is not on the CPU"
    if not parameter.requires_grad:
        return "some parameters are frozen"
    reason = hook_reason(parameter, PARAMETER_HOOKS, "has gradient hooks")
    return None if reason is None else f"a parameter {reason}"
