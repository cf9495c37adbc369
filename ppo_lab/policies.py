"""Actor–critic policies whose two networks learn with optimisers of their own (Spec 5.2)."""

import torch as th
from stable_baselines3.common.policies import (
    ActorCriticCnnPolicy,
    ActorCriticPolicy,
    MultiInputActorCriticPolicy,
)
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

__all__ = [
    "CnnPolicy",
    "MlpPolicy",
    "MultiInputPolicy",
    "SpecActorCriticCnnPolicy",
    "SpecActorCriticPolicy",
    "SpecMultiInputActorCriticPolicy",
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
        super()._build(lr_schedule)
        actor, critic = self.actor_parameters(), self.critic_parameters()
        self.optimizer = self.optimizer_class(actor, lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]
        self.critic_optimizer = self.optimizer_class(
            critic,
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

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


class SpecActorCriticCnnPolicy(SpecActorCriticPolicy, ActorCriticCnnPolicy):
    """The same with SB3's ``NatureCNN`` before the heads, for images."""


class SpecMultiInputActorCriticPolicy(SpecActorCriticPolicy, MultiInputActorCriticPolicy):
    """The same with SB3's ``CombinedExtractor`` before the heads, for dictionary observations."""


MlpPolicy = SpecActorCriticPolicy
CnnPolicy = SpecActorCriticCnnPolicy
MultiInputPolicy = SpecMultiInputActorCriticPolicy
