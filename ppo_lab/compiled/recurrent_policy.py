"""sb3-contrib's recurrent policy as the flat vectors of the kernels, and whether it may be."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.buffers import RecurrentRolloutBuffer
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
from torch import nn

from ppo_lab.compiled.choice import adam_reason, spaces_reason, state_reason
from ppo_lab.compiled.plain_policy import (
    chain_reason,
    distribution_reason,
    module_reason,
    n_outputs,
    parameter_reason,
    parameters_in_order,
    torch_reason,
)
from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.layout import PANEL, Layout
from ppo_lab.kernels.lstm import n_weights
from ppo_lab.kernels.settings import AdamSettings
from ppo_lab.ppo.torch_internals import (
    GLOBAL_OPTIMIZER_HOOKS,
    hook_reason,
    own_modules,
    own_parameters,
)
from ppo_lab.worlds.as_written import replaced_on

__all__ = ["PackedRecurrentPolicy", "may_serve", "why_not_compiled"]

NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
PLAIN = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "proj_size": 0,
}
"""What an LSTM must be."""
RESTATED = tuple(
    (kind, name, getattr(kind, name))
    for kind, names in (
        (RecurrentActorCriticPolicy, ("forward", "evaluate_actions", "_process_sequence")),
        (RecurrentActorCriticPolicy, ("extract_features", "_get_action_dist_from_latent")),
        (RecurrentPPO, ("train", "collect_rollouts")),
        (nn.LSTM, ("forward",)),
        (RecurrentRolloutBuffer, ("get", "_get_samples", "add", "reset")),
    )
    for name in names
)
"""What is done in these methods' place, as it was imported."""


class PackedRecurrentPolicy:
    """All parameters of one policy in one vector, and its Adam's moments; torch holds the truth.

    Attributes:
        layout: of the layers behind the LSTMs.
        width: H cells of each LSTM.
        inputs: numbers that they see.
        params: (P,) float32: the actor's LSTM, the critic's, the layers behind.
        m: (P,) of Adam.
        v: (P,) of Adam.
        n_steps: of Adam.
    """

    def __init__(self, policy: RecurrentActorCriticPolicy) -> None:
        self._policy = policy
        self.width, self.inputs = policy.lstm_output_dim, policy.features_dim
        self.layout = _layout_of(policy)
        self._parameters = _in_one_list(policy)
        stops = np.cumsum([p.numel() for p in self._parameters]).tolist()
        starts = [0, *stops[:-1]]
        self._places = [slice(*pair) for pair in zip(starts, stops, strict=True)]
        self.behind_from = 2 * int(n_weights(self.inputs, self.width))
        self.params, self.m, self.v = (aligned_zeros(stops[-1]) for _ in range(3))
        self.n_steps = 0

    def is_of(self, policy: RecurrentActorCriticPolicy) -> bool:
        """Whether this is the policy packed here, no tensor or its shape exchanged since."""
        current = _in_one_list(policy) if policy is self._policy else []
        return [(id(p), p.numel()) for p in current] == [
            (id(p), place.stop - place.start)
            for p, place in zip(self._parameters, self._places, strict=True)
        ] and _layout_of(policy) == self.layout

    def read(self) -> None:
        """Copy the parameters into ``params``."""
        for place, parameter in zip(self._places, self._parameters, strict=True):
            self.params[place] = parameter.detach().numpy().ravel()

    def read_adam(self) -> AdamSettings:
        """Copy the moments and steps; the optimiser's settings as they now are."""
        optimizer = self._policy.optimizer
        for place, parameter in zip(self._places, self._parameters, strict=True):
            state = optimizer.state.get(parameter, {})
            for vector, name in ((self.m, "exp_avg"), (self.v, "exp_avg_sq")):
                vector[place] = state[name].numpy().ravel() if state else 0.0
            self.n_steps = int(state.get("step", 0))
        group = optimizer.param_groups[0]
        beta1, beta2 = map(float, group["betas"])
        return AdamSettings(float(group["lr"]), beta1, beta2, float(group["eps"]))

    @th.no_grad()
    def write(self) -> None:
        """Copy all back into the tensors and the optimiser's state, in place."""
        place_of = dict(zip(map(id, self._parameters), self._places, strict=True))
        optimizer = self._policy.optimizer
        for parameter in optimizer.param_groups[0]["params"]:  # whose order the states' is
            place = place_of[id(parameter)]
            parameter.copy_(self._part(self.params, place, parameter))
            if not self.n_steps:
                continue  # as torch: no state before the first step
            state = optimizer.state[parameter]
            if not state:
                state["step"] = th.tensor(0.0)
                state["exp_avg"] = th.zeros_like(parameter)
                state["exp_avg_sq"] = th.zeros_like(parameter)
            state["step"].fill_(float(self.n_steps))
            state["exp_avg"].copy_(self._part(self.m, place, parameter))
            state["exp_avg_sq"].copy_(self._part(self.v, place, parameter))

    @staticmethod
    def _part(vector: NDArray[np.float32], place: slice, like: nn.Parameter) -> th.Tensor:
        return th.from_numpy(vector[place]).view(like.shape)


def may_serve(policy_class: type, policy_kwargs: Mapping[str, Any]) -> bool:
    """Whether a policy that is not made yet may be one that the kernels know.

    Args:
        policy_class: and its arguments.
        policy_kwargs: as for sb3-contrib.
    """
    given = {"n_lstm_layers": 1, "shared_lstm": False, "enable_critic_lstm": True, **policy_kwargs}
    plain = (given["n_lstm_layers"], given["shared_lstm"], given["enable_critic_lstm"])
    is_wide = given.get("lstm_hidden_size", PANEL) % PANEL == 0
    return policy_class is RecurrentActorCriticPolicy and plain == (1, False, True) and is_wide


def why_not_compiled(model: RecurrentPPO) -> str | None:
    """Why the kernels would compute something else than this model; None: they compute the same.

    Returns:
        The first reason found, to be read after "because".
    """
    policy, buffer = model.policy, model.rollout_buffer
    if type(policy) is not RecurrentActorCriticPolicy:
        return f"the policy is a {type(policy).__name__}, not MlpLstmPolicy"
    if model.device.type != "cpu":
        return f"the model is on {model.device}, and the kernels run on the CPU"
    if type(buffer) is not RecurrentRolloutBuffer or replaced_on(buffer) is not None:
        return "the rollout buffer is no RecurrentRolloutBuffer as sb3-contrib has it"
    for kind, name, function in RESTATED:
        if getattr(kind, name) is not function:
            return f"{kind.__name__}.{name} was replaced"
    limit: object = model.max_grad_norm
    if not isinstance(limit, int | float):
        return f"max_grad_norm={limit!r} is no number"
    if model.batch_size and buffer.buffer_size * buffer.n_envs % model.batch_size == 1:
        return "the last minibatch has one sample, of which RecurrentPPO's advantage is NaN"
    return (
        spaces_reason(model.observation_space, model.action_space)
        or torch_reason()
        or module_reason(policy, RecurrentActorCriticPolicy)
        or _networks_reason(policy)
        or distribution_reason(policy)
        or _optimizer_reason(policy)
    )


def _networks_reason(policy: RecurrentActorCriticPolicy) -> str | None:
    extractor = policy.features_extractor
    if type(extractor) is not FlattenExtractor or policy.vf_features_extractor is not extractor:
        return "the features come from something else than one FlattenExtractor"
    if reason := module_reason(extractor, FlattenExtractor):
        return f"the features extractor {reason}"
    for name in ("lstm_actor", "lstm_critic"):
        if reason := _lstm_reason(getattr(policy, name), policy.features_dim):
            return f"{name} {reason}"
    width = policy.lstm_actor.hidden_size
    if cast(nn.LSTM, policy.lstm_critic).hidden_size != width or width != policy.lstm_output_dim:
        return "the LSTMs differ in size"
    if width % PANEL:
        return f"lstm_hidden_size={width}, and the kernels take multiples of {PANEL}"
    return _behind_reason(policy, width) or _parameters_reason(policy)


def _behind_reason(policy: RecurrentActorCriticPolicy, width: int) -> str | None:
    """What keeps the layers behind the LSTMs from being two plain chains."""
    kinds: set[type[nn.Module]] = set()
    if reason := module_reason(policy.mlp_extractor, MlpExtractor):
        return f"mlp_extractor {reason}"
    for network, head, size in (
        (policy.mlp_extractor.policy_net, policy.action_net, n_outputs(policy)),
        (policy.mlp_extractor.value_net, policy.value_net, 1),
    ):
        if reason := module_reason(network, nn.Sequential):
            return f"a network behind the LSTMs {reason}"
        layers = [*cast(Any, own_modules(network)).values(), head]
        if misfit := chain_reason(layers, width, size):
            return f"a layer behind the LSTMs {misfit[1]}"
        kinds.update(type(layer) for layer in layers[1::2])
    return "the networks have both Tanh and ReLU" if len(kinds) > 1 else None


def _parameters_reason(policy: RecurrentActorCriticPolicy) -> str | None:
    parameters = _in_one_list(policy)
    reasons = (parameter_reason(parameter) for parameter in parameters)
    if reason := next(filter(None, reasons), None):
        return reason
    if {*map(id, parameters)} != {*map(id, policy.parameters())}:
        return "the policy holds parameters beside its LSTMs and the layers behind"
    if len({parameter.data_ptr() for parameter in parameters}) < len(parameters):
        return "two of the policy's tensors share their memory"
    return None


def _lstm_reason(lstm: nn.Module | None, inputs: int) -> str | None:
    if type(lstm) is not nn.LSTM:
        return f"is a {type(lstm).__name__}, not an LSTM"
    if reason := module_reason(lstm, nn.LSTM):
        return reason
    for name, value in PLAIN.items():
        if getattr(lstm, name) != value:
            return f"has {name}={getattr(lstm, name)}"
    held, gates = own_parameters(lstm), 4 * lstm.hidden_size
    shapes = {name: tuple(p.shape) for name, p in held.items() if p is not None}
    due = [(gates, inputs), (gates, lstm.hidden_size), (gates,), (gates,)]
    return None if shapes == dict(zip(NAMES, due, strict=True)) else "has other weights than its"


def _optimizer_reason(policy: RecurrentActorCriticPolicy) -> str | None:
    optimizer = policy.optimizer
    if reason := hook_reason(*GLOBAL_OPTIMIZER_HOOKS, "has global optimiser hooks"):
        return f"torch {reason}"
    if type(optimizer) is not th.optim.Adam:
        return f"the optimiser is {type(optimizer).__name__}, not Adam"
    reason = adam_reason(optimizer) or state_reason(optimizer, _in_one_list(policy))
    return None if reason is None else f"policy.optimizer {reason}"


def _in_one_list(policy: RecurrentActorCriticPolicy) -> list[nn.Parameter]:
    held = [
        own_parameters(cast(nn.Module, getattr(policy, f"lstm_{who}")))
        for who in ("actor", "critic")
    ]
    lstms = [cast(nn.Parameter, each[name]) for each in held for name in NAMES]
    actor, critic = parameters_in_order(policy)
    return [*lstms, *actor, *critic]


def _layout_of(policy: RecurrentActorCriticPolicy) -> Layout:
    space, extractor = policy.action_space, policy.mlp_extractor
    width = policy.lstm_output_dim
    hidden = [
        tuple(layer.weight.shape[0] for layer in network if isinstance(layer, nn.Linear))
        for network in (extractor.policy_net, extractor.value_net)
    ]
    layers = [*extractor.policy_net, *extractor.value_net]
    is_relu = any(type(layer) is nn.ReLU for layer in layers)
    head: Any = "gaussian"
    sizes = (n_outputs(policy),)
    if isinstance(space, spaces.Discrete):
        head = "categorical"
    elif isinstance(space, spaces.MultiDiscrete):
        head, sizes = "multi_categorical", tuple(space.nvec.tolist())
    return Layout(
        width, hidden[0], hidden[1], "relu" if is_relu else "tanh", head, sizes, critic_inputs=width
    )
