"""Which of the two paths a model takes: torch, or the kernels that numba compiled."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from ppo_lab.arguments import Backend
from ppo_lab.compiled.plain_policy import (
    SERVED_OF_DICT,
    SERVED_POLICIES,
    parameters_in_order,
    why_not_plain,
)
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.action_masks import MaskedDictRolloutBuffer, MaskedRolloutBuffer
from ppo_lab.ppo.buffers import SpecDictRolloutBuffer, SpecRolloutBuffer
from ppo_lab.ppo.policies import SpecActorCriticPolicy, critic_optimizer_of, has_joint_optimizer
from ppo_lab.ppo.torch_internals import GLOBAL_OPTIMIZER_HOOKS, OPTIMIZER_HOOKS, hook_reason
from ppo_lab.ppo.value_scale import ScaledValue
from ppo_lab.vec_env.games import GamesVecEnv
from ppo_lab.worlds.as_written import replaced_on

if TYPE_CHECKING:
    from ppo_lab.compiled.path import CompiledPath

__all__ = [
    "BackendChoice",
    "adam_reason",
    "may_serve",
    "spaces_reason",
    "state_reason",
    "why_not_compiled",
]

ADAM = {
    "weight_decay": 0,
    "amsgrad": False,
    "maximize": False,
    "decoupled_weight_decay": False,
    "capturable": False,
    "differentiable": False,
}
"""What the kernels' Adam leaves out, at the values where it is not missed."""
BUFFERS = (
    SpecRolloutBuffer,
    SpecDictRolloutBuffer,
    MaskedRolloutBuffer,
    MaskedDictRolloutBuffer,
)
JOINT = "policy.optimizer holds the critic's parameters too, and moves both networks as SB3's does"


def refusal(reason: str) -> ArgumentError:
    """The error of ``backend="compiled"`` where it does not apply."""
    return ArgumentError(
        f"backend='compiled' cannot serve this model, because {reason}; "
        "use backend='auto' or backend='torch'"
    )


class BackendChoice:
    """What one model chose, said once, and the compiled path made for it."""

    def __init__(self) -> None:
        self._path: CompiledPath | None = None
        self._said: str | None = None
        self._said_of_games: str | None = None

    def path(
        self,
        model: OnPolicyAlgorithm,
        backend: Backend,
        overridden: str | None,
        measures_rollout_kl: bool,
    ) -> "CompiledPath | None":
        """The compiled path of a model; None where torch is to do the work.

        Args:
            model: set up.
            backend: the user's wish.
            overridden: as of :func:`why_not_compiled`.
            measures_rollout_kl: whether the path will be asked for its ``rollout_kl``.

        Raises:
            ArgumentError: ``backend="compiled"`` where it does not apply; says why.
        """
        self._say_how_stepped(model)
        if backend == "torch":
            self._path = None
            if has_joint_optimizer(model.policy):
                self._say(model, f"Using the torch path, where {JOINT}")
            return None
        reason = why_not_compiled(model, overridden)
        if reason is None:
            self._say(model, "Using the compiled path: an MLP policy on the CPU")
            return self._path_of(model, measures_rollout_kl)
        if backend == "compiled":
            raise refusal(reason)
        self._say(model, f"Using the torch path, because {reason}")
        self._path = None
        return None

    def latest(self, model: OnPolicyAlgorithm) -> "CompiledPath | None":
        """The path that was chosen last, which may no longer hold; None: torch, or none yet."""
        is_of_model = self._path is not None and self._path.model is model
        return self._path if is_of_model else None

    def _path_of(self, model: OnPolicyAlgorithm, measures_rollout_kl: bool) -> "CompiledPath":
        from ppo_lab.compiled.path import CompiledPath  # imports numba: when it is needed

        if self._path is None or not self._path.is_of(model):
            self._path = CompiledPath(model)
            self._path.warm_up(measures_rollout_kl)
        return self._path

    def _say_how_stepped(self, model: OnPolicyAlgorithm) -> None:
        """Say once why games are stepped in Python, where they are."""
        env = None if model.env is None else model.env.unwrapped
        reason = env.why_in_python if isinstance(env, GamesVecEnv) else None
        if reason is not None and reason != self._said_of_games and model.verbose >= 1:
            print(f"Stepping the games in Python, because {reason}")
        self._said_of_games = reason

    def _say(self, model: OnPolicyAlgorithm, message: str) -> None:
        if model.verbose >= 1 and message != self._said:
            print(message)
        self._said = message


def may_serve(
    policy_class: type[Any],
    policy_kwargs: Mapping[str, Any],
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
) -> bool:
    """Whether the kernels are likely to serve a policy of these arguments, which is not made yet.

    Args:
        policy_class: with optimisers of its own for actor and critic.
        policy_kwargs: its arguments.
        observations: the space of one.
        actions: likewise.
    """
    changed = any(name.startswith("features_extractor") for name in policy_kwargs)
    of_dict = policy_class in SERVED_OF_DICT and bool(policy_kwargs.get("critic_only"))
    plain = (policy_class in SERVED_POLICIES or of_dict) and not changed
    return plain and spaces_reason(observations, actions) is None


def why_not_compiled(model: OnPolicyAlgorithm, overridden: str | None) -> str | None:
    """Why the kernels cannot stand in for torch on this model; None where they can.

    Args:
        model: set up.
        overridden: the name of a method of the torch path that a subclass replaced, if any.

    Returns:
        The first reason found, to be read after "because".
    """
    if overridden is not None:
        return f"{type(model).__name__} overrides {overridden}, which belongs to the torch path"
    is_scaled = type(getattr(model.policy, "value_net", None)) is ScaledValue
    if getattr(model, "normalize_value", False) != is_scaled:
        return "normalize_value and the value's head, which was exchanged, do not agree"
    if model.device.type != "cpu":
        return f"the model is on {model.device}, and the kernels run on the CPU"
    if type(model.rollout_buffer) not in BUFFERS:
        return f"the rollout buffer is a {type(model.rollout_buffer).__name__}"
    if (method := replaced_on(model.rollout_buffer)) is not None:
        return f"the rollout buffer has a {method} of its own"
    return (
        spaces_reason(model.observation_space, model.action_space)
        or why_not_plain(model.policy)  # type: ignore[arg-type]
        or _optimizers_reason(model.policy)  # type: ignore[arg-type]
    )


def spaces_reason(observations: spaces.Space[Any], actions: spaces.Space[Any]) -> str | None:
    """What of the spaces the kernels do not know."""
    if isinstance(observations, spaces.Dict):
        parts = observations.spaces.items()
        reasons = ((key, spaces_reason(part, actions)) for key, part in parts)
        return next((f"of {key!r} {reason}" for key, reason in reasons if reason), None)
    if not isinstance(observations, spaces.Discrete | spaces.Box):
        return f"the observations are a {type(observations).__name__}"
    if observations.dtype == np.uint8 and len(observations.shape or ()) == 3:
        return "the observations are images"
    if isinstance(actions, spaces.MultiDiscrete) and len(actions.nvec.shape) > 1:
        return "the actions are a MultiDiscrete of several axes"
    return None


def _optimizers_reason(policy: SpecActorCriticPolicy) -> str | None:
    """What keeps the two optimisers from being plain Adams, one over each network."""
    if reason := hook_reason(*GLOBAL_OPTIMIZER_HOOKS, "has global optimiser hooks"):
        return f"torch {reason}"
    actor, critic = parameters_in_order(policy)
    for name, optimizer, network in (
        ("policy.optimizer", policy.optimizer, actor),
        ("policy.critic_optimizer", critic_optimizer_of(policy), critic),
    ):
        if type(optimizer) is not th.optim.Adam:
            return f"the optimiser is {type(optimizer).__name__}, not Adam"
        if reason := adam_reason(optimizer) or state_reason(optimizer, network):
            return JOINT if has_joint_optimizer(policy) else f"{name} {reason}"
    return None


def adam_reason(optimizer: th.optim.Adam) -> str | None:
    """What keeps an Adam from being a plain one."""
    if len(optimizer.param_groups) != 1:
        return "has several parameter groups"
    group = optimizer.param_groups[0]
    for option, value in ADAM.items():
        if group.get(option, value) != value:
            return f"has {option}={group[option]}"
    if reason := hook_reason(optimizer, OPTIMIZER_HOOKS, "has hooks"):
        return reason
    if (method := replaced_on(optimizer)) is not None:
        return f"has a {method} of its own"
    return None


def state_reason(optimizer: th.optim.Adam, network: Sequence[nn.Parameter]) -> str | None:
    """What keeps an Adam from moving just this network, each parameter by the same step."""
    held = optimizer.param_groups[0]["params"]
    if len(held) != len(network) or {id(p) for p in held} != {id(p) for p in network}:
        return "does not hold just its network's parameters as they now are"
    states = [optimizer.state[p] for p in network if p in optimizer.state]
    if not any(states):
        return None
    steps = {float(state.get("step", -1)) for state in states}
    if len(states) != len(network) or len(steps) != 1:
        return "has taken more steps with some parameters than with others"
    for parameter, state in zip(network, states, strict=True):
        for name in ("exp_avg", "exp_avg_sq"):
            moment = state.get(name)
            if moment is None or moment.shape != parameter.shape or moment.dtype != th.float32:
                return "has moments of another shape or type than its parameters"
    return None
