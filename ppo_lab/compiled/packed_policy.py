"""A torch policy and its two Adams as the flat vectors of the kernels, and back."""

from typing import cast

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from torch import nn

from ppo_lab.compiled.plain_policy import parameters_in_order
from ppo_lab.compiled.rows import Rows
from ppo_lab.kernels.alignment import aligned_zeros
from ppo_lab.kernels.layout import Head, Layout
from ppo_lab.kernels.settings import AdamSettings
from ppo_lab.kernels.typing import Rollout
from ppo_lab.kernels.update import Adam
from ppo_lab.ppo.action_masks import MasksActions
from ppo_lab.ppo.policies import SpecActorCriticPolicy, critic_only_of
from ppo_lab.ppo.torch_internals import own_modules
from ppo_lab.ppo.value_scale import ScaledValue

__all__ = ["PackedPolicy", "layout_of"]

FloatVector = NDArray[np.float32]


def layout_of(policy: SpecActorCriticPolicy) -> Layout:
    """The shapes of a policy that :func:`ppo_lab.compiled.choice.why_not_compiled` accepts."""
    extractor, actions = policy.mlp_extractor, policy.action_space
    head: Head = "gaussian"
    sizes = [cast(nn.Linear, policy.action_net).weight.shape[0]]
    if isinstance(actions, spaces.Discrete):
        head = "categorical"
    elif isinstance(actions, spaces.MultiDiscrete):
        head, sizes = "multi_categorical", actions.nvec.tolist()
    elif isinstance(actions, spaces.MultiBinary):  # under masks: two logits a bit
        head, sizes = "multi_categorical", [2] * (sizes[0] // 2)
    judged = policy.vf_features_extractor.features_dim
    return Layout(
        inputs=policy.features_dim,
        actor=_widths(extractor.policy_net),
        critic=_widths(extractor.value_net),
        activation="relu" if _is_relu(policy) else "tanh",
        head=head,
        action_sizes=tuple(sizes),
        critic_inputs=judged if critic_only_of(policy) else None,
        masked=isinstance(policy, MasksActions),
    )


class PackedPolicy:
    """The flat vectors of one policy. Torch's tensors hold the truth between updates.

    ``read`` copies it into the vectors, ``write`` copies them back in place, so that whoever
    holds the policy, its parameters or its optimisers sees every update.

    Attributes:
        layout: what lies where.
        rows: what the kernels see of observations.
        params: (P,) float32, all parameters.
        adam: both moments (P,) float32, and the steps of actor and critic.
    """

    def __init__(self, policy: SpecActorCriticPolicy) -> None:
        self.layout = layout_of(policy)
        n_masks = self.layout.n_outputs if self.layout.masked else 0
        self.rows = Rows(policy.observation_space, critic_only_of(policy), n_masks)
        self.params = aligned_zeros(self.layout.n_parameters)
        self.adam = Adam.zeros(self.layout)
        self._policy = policy
        self._parameters = _in_one_list(policy)
        self._shapes = [place.shape for place in self.layout.places()]
        self._places = [slice(place.start, place.stop) for place in self.layout.places()]
        self._n_actor = sum(place.role[0] == "actor" for place in self.layout.places())

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The tensors, in the order of the layout."""
        return self._parameters

    def views(self) -> list[th.Tensor]:
        """The places of ``parameters`` in ``params``; not to outlive a deep copy of this object."""
        return [self._part(self.params, index) for index in range(len(self._parameters))]

    def is_of(self, policy: SpecActorCriticPolicy) -> bool:
        """Whether this is the policy packed here, no layer or tensor exchanged since."""
        if policy is not self._policy or _is_relu(policy) != (self.layout.activation == "relu"):
            return False
        current = _in_one_list(policy)
        # Its shape too, which ``parameter.data`` may change; not layout_of, for its time.
        return [*map(id, current)] == [*map(id, self._parameters)] and [
            p.shape for p in current
        ] == self._shapes

    def read(self) -> None:
        """Copy the parameters into ``params``."""
        for place, parameter in zip(self._places, self._parameters, strict=True):
            self.params[place] = parameter.detach().numpy().ravel()

    def scale_value(self) -> None:
        """Let ``params`` put out V = μ + σ v where the critic learns v (Spec 14.4): for acting.

        σ goes into the last layer's weights and μ + σ b in its bias' place, so that whatever acts
        with ``params`` reads V. To learn v again: ``read``.
        """
        scale = self._policy.value_net
        if isinstance(scale, ScaledValue):
            mean, std = float(scale.mean), float(scale.std)
            weight, bias = self._places[-2:]
            self.params[weight] = std * self.params[weight].astype(np.float64)
            self.params[bias] = mean + std * self.params[bias].astype(np.float64)

    def to_learn(self, rollout: Rollout) -> Rollout:
        """What the critic learns from: R̂ and the old V less μ, over σ, where it learns v."""
        scale = self._policy.value_net
        if not isinstance(scale, ScaledValue):
            return rollout
        old_values, returns = (
            scale.normalize(th.from_numpy(values)).numpy()
            for values in (rollout.old_values, rollout.returns)
        )
        return rollout._replace(old_values=old_values, returns=returns)

    def read_adam(self) -> tuple[AdamSettings, AdamSettings]:
        """Copy both optimisers' moments and steps into ``adam``.

        Returns:
            The settings of the actor's and the critic's optimiser as they now are.
        """
        optimizers = self._policy.optimizer, self._policy.critic_optimizer
        for index, parameter in enumerate(self._parameters):
            network, place = int(index >= self._n_actor), self._places[index]
            state = optimizers[network].state.get(parameter, {})
            self.adam.m[place] = _numpy(state.get("exp_avg"))
            self.adam.v[place] = _numpy(state.get("exp_avg_sq"))
            self.adam.steps[network] = int(state.get("step", 0))
        actor, critic = (optimizer.param_groups[0] for optimizer in optimizers)
        return _adam_settings(actor), _adam_settings(critic)

    @th.no_grad()
    def write(self) -> None:
        """Copy the vectors back into the parameters and the optimisers' states, in place."""
        index_of = {id(parameter): index for index, parameter in enumerate(self._parameters)}
        for index, parameter in enumerate(self._parameters):
            parameter.copy_(self._part(self.params, index))
        optimizers = (self._policy.optimizer, self._policy.critic_optimizer)
        for optimizer, steps in zip(optimizers, self.adam.steps.tolist(), strict=True):
            if steps == 0:
                continue  # as torch: no state before the first step
            for parameter in optimizer.param_groups[0]["params"]:
                state = optimizer.state[parameter]
                if not state:
                    state["step"] = th.tensor(0.0)
                    state["exp_avg"] = th.zeros_like(parameter)
                    state["exp_avg_sq"] = th.zeros_like(parameter)
                index = index_of[id(parameter)]
                state["step"].fill_(float(steps))
                state["exp_avg"].copy_(self._part(self.adam.m, index))
                state["exp_avg_sq"].copy_(self._part(self.adam.v, index))

    def _part(self, vector: FloatVector, index: int) -> th.Tensor:
        # A view made anew each time: one that was kept would part from its vector in a deep copy.
        return th.from_numpy(vector[self._places[index]]).view(self._parameters[index].shape)


def _in_one_list(policy: SpecActorCriticPolicy) -> list[nn.Parameter]:
    actor, critic = parameters_in_order(policy)
    return [*actor, *critic]


def _is_relu(policy: SpecActorCriticPolicy) -> bool:
    networks = policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net
    return any(
        type(layer) is nn.ReLU for network in networks for layer in own_modules(network).values()
    )


def _widths(network: nn.Sequential) -> tuple[int, ...]:
    return tuple(layer.weight.shape[0] for layer in network if isinstance(layer, nn.Linear))


def _numpy(tensor: th.Tensor | None) -> FloatVector | float:
    return 0.0 if tensor is None else tensor.numpy().ravel()


def _adam_settings(group: dict[str, object]) -> AdamSettings:
    beta1, beta2 = cast(tuple[float, float], group["betas"])
    return AdamSettings(
        learning_rate=float(cast(float, group["lr"])),
        beta1=float(beta1),
        beta2=float(beta2),
        eps=float(cast(float, group["eps"])),
    )
