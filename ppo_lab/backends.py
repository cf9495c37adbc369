"""Which of the two paths a model takes: torch, or the kernels that numba compiled."""

import warnings
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from ppo_lab import kernels
from ppo_lab.buffers import SpecRolloutBuffer
from ppo_lab.errors import ArgumentError
from ppo_lab.policies import SpecActorCriticPolicy
from ppo_lab.worlds.as_written import replaced_on

if TYPE_CHECKING:
    from ppo_lab.algorithm import SpecPPO
    from ppo_lab.compiled_path import CompiledPath

__all__ = ["BACKENDS", "Backend", "BackendChoice", "why_not_compiled"]

Backend = Literal["auto", "torch", "compiled"]
BACKENDS = get_args(Backend)

ACTIVATIONS = (nn.Tanh, nn.ReLU)
HEADS = (CategoricalDistribution, DiagGaussianDistribution, MultiCategoricalDistribution)
ADAM = {"weight_decay": 0, "amsgrad": False, "maximize": False, "decoupled_weight_decay": False}
"""What the kernels' Adam leaves out, at the values where it is not missed."""


class BackendChoice:
    """What one model chose, said once, and the compiled path made for it."""

    def __init__(self) -> None:
        self._path: CompiledPath | None = None
        self._said: str | None = None

    def path(self, model: "SpecPPO", overridden: str | None) -> "CompiledPath | None":
        """The compiled path of a model; None where torch is to do the work.

        Raises:
            ArgumentError: ``backend="compiled"`` where it does not apply; says why.
        """
        if model.backend == "torch":
            return None
        reason = why_not_compiled(model, overridden)
        if reason is None:
            self._say(model, "Using the compiled path: an MLP policy on the CPU")
            return self._path_of(model)
        if model.backend == "compiled":
            raise ArgumentError(
                f"backend='compiled' cannot serve this model, because {reason}; "
                "use backend='auto' or backend='torch'"
            )
        message = f"Using the torch path, because {reason}"
        if kernels.why_not() is not None and message != self._said:
            warnings.warn(f"SpecPPO runs by torch, because {reason}", stacklevel=4)
        self._say(model, message)
        return None

    def _path_of(self, model: "SpecPPO") -> "CompiledPath":
        from ppo_lab.compiled_path import CompiledPath  # needs numba

        if self._path is None or not self._path.is_of(model):
            self._path = CompiledPath(model)
            self._path.warm_up()
        return self._path

    def _say(self, model: "SpecPPO", message: str) -> None:
        if model.verbose >= 1 and message != self._said:
            print(message)
        self._said = message


def why_not_compiled(model: "SpecPPO", overridden: str | None) -> str | None:
    """Why the kernels cannot stand in for torch on this model; None where they can.

    Args:
        model: set up.
        overridden: the name of a method of the torch path that a subclass replaced, if any.

    Returns:
        The first reason found, to be read after "because".
    """
    if (missing := kernels.why_not()) is not None:
        return missing
    if overridden is not None:
        return f"{type(model).__name__} overrides {overridden}, which belongs to the torch path"
    if model.device.type != "cpu":
        return f"the model is on {model.device}, and the kernels run on the CPU"
    if type(model.rollout_buffer) is not SpecRolloutBuffer:
        return f"the rollout buffer is a {type(model.rollout_buffer).__name__}"
    replaced = replaced_on(model.rollout_buffer)
    if replaced is not None:
        return f"the rollout buffer has its own {replaced}"
    return (
        _policy_reason(model.policy)
        or _spaces_reason(model.observation_space, model.action_space)
        or _optimizer_reason(model.policy)
    )


def _policy_reason(policy: BasePolicy) -> str | None:
    if type(policy) is not SpecActorCriticPolicy:
        return f"the policy is a {type(policy).__name__}, not MlpPolicy"
    if type(policy.features_extractor) is not FlattenExtractor:
        return f"the features come from a {type(policy.features_extractor).__name__}"
    if not issubclass(policy.activation_fn, ACTIVATIONS):
        return f"the activation is {policy.activation_fn.__name__}, not Tanh or ReLU"
    if type(policy.action_dist) not in HEADS:
        return f"the actions follow a {type(policy.action_dist).__name__}"
    parameters = list(policy.parameters())
    if any(p.dtype != th.float32 for p in parameters):
        return "the parameters are not float32"
    if not all(p.requires_grad for p in parameters):
        return "some parameters are frozen"
    if any(m._forward_hooks or m._forward_pre_hooks for m in policy.modules()):
        return "the policy's modules have forward hooks"
    return None


def _spaces_reason(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> str | None:
    if not isinstance(observations, spaces.Discrete | spaces.Box):
        return f"the observations are a {type(observations).__name__}"
    if observations.dtype == np.uint8 and len(observations.shape or ()) == 3:
        return "the observations are images"
    if isinstance(actions, spaces.MultiDiscrete) and len(actions.nvec.shape) > 1:
        return "the actions are a MultiDiscrete of several axes"
    return None


def _optimizer_reason(policy: BasePolicy) -> str | None:
    assert isinstance(policy, SpecActorCriticPolicy)
    for optimizer in (policy.optimizer, policy.critic_optimizer):
        if type(optimizer) is not th.optim.Adam:
            return f"the optimiser is {type(optimizer).__name__}, not Adam"
        if len(optimizer.param_groups) != 1:
            return "an optimiser has several parameter groups"
        group = optimizer.param_groups[0]
        for option, value in ADAM.items():
            if group.get(option, value) != value:
                return f"Adam has {option}={group[option]}"
    return None
