"""Actor–critic policies whose two networks learn with optimisers of their own (Spec 5.2)."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    BasePolicy,
    MultiInputActorCriticPolicy,
)
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from ppo_lab.errors import ArgumentError
from ppo_lab.light_optimizers import no_compiler_import

__all__ = [
    "CnnPolicy",
    "MlpPolicy",
    "MultiInputPolicy",
    "SharedTrunk",
    "SpecActorCriticCnnPolicy",
    "SpecActorCriticPolicy",
    "SpecMultiInputActorCriticPolicy",
    "critic_optimizer_of",
    "split_optimizer_state",
    "with_two_optimizers",
]


class SpecActorCriticPolicy(ActorCriticPolicy):
    """SB3's ``ActorCriticPolicy`` with two optimisers in place of one.

    ``optimizer`` moves the actor (and whatever layers the two share), ``critic_optimizer`` the
    critic. Both are of ``optimizer_class`` with ``optimizer_kwargs``. Networks, initial weights
    and the random numbers drawn for them are SB3's.

    Attributes:
        optimizer: the actor's optimiser.
        critic_optimizer: the critic's optimiser.
    """

    critic_optimizer: th.optim.Optimizer

    def _build(self, lr_schedule: Schedule) -> None:
        with no_compiler_import():
            super()._build(lr_schedule)
            options: dict[str, Any] = {"lr": lr_schedule(1), **self.optimizer_kwargs}
            self.optimizer = self.optimizer_class(self.actor_parameters(), **options)
            self.critic_optimizer = self.optimizer_class(self.critic_parameters(), **options)

    def critic_parameters(self) -> list[nn.Parameter]:
        """What only the value depends on, in the order of ``parameters()``."""
        modules: list[nn.Module] = [self.mlp_extractor.value_net, self.value_net]
        if not self.share_features_extractor:
            modules.append(self.vf_features_extractor)
        own = {id(p) for module in modules for p in module.parameters()}
        return [p for p in self.parameters() if id(p) in own]

    def actor_parameters(self) -> list[nn.Parameter]:
        """Everything else: the actor's own parameters and the shared ones."""
        critic = {id(p) for p in self.critic_parameters()}
        return [p for p in self.parameters() if id(p) not in critic]

    def with_split_optimizer(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """``get_parameters()`` of SB3's ``PPO`` as this policy's algorithm has it.

        Args:
            parameters: object name → state; left as it is unless ``policy.optimizer`` is one
                over all of this policy's parameters and ``policy.critic_optimizer`` is missing.

        Returns:
            A new dictionary, with both optimisers' states in place of the one.
        """
        joint = parameters.get("policy.optimizer")
        everything = list(self.parameters())
        if (
            joint is None
            or "policy.critic_optimizer" in parameters
            or len(joint["param_groups"][0]["params"]) != len(everything)
        ):
            return dict(parameters)
        position = {id(p): index for index, p in enumerate(everything)}
        parts = [
            [position[id(p)] for p in part]
            for part in (self.actor_parameters(), self.critic_parameters())
        ]
        actor, critic = split_optimizer_state(joint, parts)
        return {**parameters, "policy.optimizer": actor, "policy.critic_optimizer": critic}


class SpecActorCriticCnnPolicy(SpecActorCriticPolicy, ActorCriticCnnPolicy):
    """The same with SB3's ``NatureCNN`` before the heads, for images."""


class SpecMultiInputActorCriticPolicy(SpecActorCriticPolicy, MultiInputActorCriticPolicy):
    """The same with SB3's ``CombinedExtractor`` before the heads, for dictionary observations."""


class SharedTrunk(BaseFeaturesExtractor):
    """Layers that actor and critic share, in front of the heads of each (Spec 5.2).

    ``policy_kwargs={"features_extractor_class": SharedTrunk, "net_arch": []}`` is the classic
    shared network: a trunk and two linear heads. The trunk belongs to the actor's optimiser and
    receives the gradients of both losses.

    Args:
        observation_space: any but a dictionary; given by the policy.
        net_arch: sizes of the layers, at least one.
        activation_fn: after each of them.

    Raises:
        ArgumentError: no layer, or a dictionary of observations.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        net_arch: Sequence[int] = (64, 64),
        activation_fn: type[nn.Module] = nn.Tanh,
    ) -> None:
        if not net_arch or isinstance(observation_space, spaces.Dict):
            raise ArgumentError(
                f"SharedTrunk with net_arch={net_arch!r} on {observation_space}: expected at "
                "least one layer size and observations that flatten to a vector"
            )
        super().__init__(observation_space, features_dim=net_arch[-1])
        inputs = get_flattened_obs_dim(observation_space)
        layers = create_mlp(inputs, -1, list(net_arch), activation_fn)
        self.layers = nn.Sequential(nn.Flatten(), *layers)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """(B, …) observations to (B, net_arch[-1]) features."""
        features: th.Tensor = self.layers(observations)
        return features


MlpPolicy = SpecActorCriticPolicy
CnnPolicy = SpecActorCriticCnnPolicy
MultiInputPolicy = SpecMultiInputActorCriticPolicy


def critic_optimizer_of(policy: BasePolicy) -> th.optim.Optimizer | None:
    """The critic's own optimiser; None for a policy of SB3's, whose one moves both networks.

    Asked by attribute, since ``torch.compile`` wraps a policy in another class.
    """
    found: th.optim.Optimizer | None = getattr(policy, "critic_optimizer", None)
    return found


_WITH_TWO_OPTIMIZERS: Mapping[type[BasePolicy], type[BasePolicy]] = {
    ActorCriticPolicy: SpecActorCriticPolicy,
    ActorCriticCnnPolicy: SpecActorCriticCnnPolicy,
    MultiInputActorCriticPolicy: SpecMultiInputActorCriticPolicy,
}


def with_two_optimizers(policy_class: type[BasePolicy]) -> type[BasePolicy]:
    """The class with two optimisers for one of SB3's own three; every other class as it is.

    A model that SB3's ``PPO`` saved names SB3's class; networks and weights are the same.
    """
    return _WITH_TWO_OPTIMIZERS.get(policy_class, policy_class)


def split_optimizer_state(
    state: Mapping[str, Any], parts: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """Split the state of one optimiser into those of optimisers over parts of its parameters.

    Adam's moments belong to single parameters, so that the parts go on exactly as the whole would
    have.

    Args:
        state: ``state_dict()`` of an optimiser with one parameter group.
        parts: for each part, the positions of its parameters in the whole, in its own order.

    Returns:
        One state per part, for ``load_state_dict``; copies, which share nothing with ``state``.
    """
    (group,) = state["param_groups"]
    moments = state["state"]
    return [
        {
            "state": {
                new: copy.deepcopy(moments[old]) for new, old in enumerate(part) if old in moments
            },
            "param_groups": [{**group, "params": list(range(len(part)))}],
        }
        for part in parts
    ]
