"""Actor–critic policies whose two networks learn with optimisers of their own (Spec 5.2)."""

import copy
from collections.abc import Collection, Mapping, Sequence
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
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    MlpExtractor,
    create_mlp,
)
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.distributions import checked_once
from ppo_lab.ppo.image_layers import FastImagePolicy
from ppo_lab.ppo.torch_internals import no_compiler_import, own_modules, own_parameters
from ppo_lab.ppo.value_scale import ScaledValue

__all__ = [
    "CnnPolicy",
    "MlpPolicy",
    "MultiInputPolicy",
    "SharedTrunk",
    "SpecActorCriticCnnPolicy",
    "SpecActorCriticPolicy",
    "SpecMultiInputActorCriticPolicy",
    "critic_only_of",
    "critic_optimizer_of",
    "has_joint_optimizer",
    "join_optimizer_states",
    "parameters_of",
    "parameters_within",
    "split_optimizer_state",
    "with_two_optimizers",
]

CRITIC_OPTIMIZER = "policy.critic_optimizer"


class SpecActorCriticPolicy(ActorCriticPolicy):
    """SB3's ``ActorCriticPolicy`` with two optimisers in place of one.

    ``optimizer`` moves the actor (and whatever layers the two share), ``critic_optimizer`` the
    critic. Both are of ``optimizer_class`` with ``optimizer_kwargs``. Networks, initial weights
    and the random numbers drawn for them are SB3's. Either may be replaced; an ``optimizer`` that
    holds the critic's parameters too moves both networks, as SB3's does, and ``critic_optimizer``
    then nothing.

    Args:
        *args: as for SB3.
        normalize_value: whether the value head learns on normalised targets (Spec 14.4).
        **kwargs: as for SB3.

    Attributes:
        optimizer: the actor's optimiser.
        critic_optimizer: the critic's optimiser.
    """

    critic_optimizer: th.optim.Optimizer

    def __init__(self, *args: Any, normalize_value: bool = False, **kwargs: Any) -> None:
        self.normalize_value = normalize_value
        super().__init__(*args, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {"normalize_value": True} if self.normalize_value else {}
        return {**super()._get_constructor_parameters(), **own}

    def _build(self, lr_schedule: Schedule) -> None:
        self.action_dist = checked_once(self.action_dist)
        with no_compiler_import():
            super()._build(lr_schedule)
            if self.normalize_value:
                self.value_net = ScaledValue(self.value_net)  # type: ignore[assignment]
            options: dict[str, Any] = {"lr": lr_schedule(1), **self.optimizer_kwargs}
            self.optimizer = self.optimizer_class(self.actor_parameters(), **options)
            self.critic_optimizer = self.optimizer_class(self.critic_parameters(), **options)

    def critic_parameters(self) -> list[nn.Parameter]:
        """What only the value depends on, in the order of ``parameters()``."""
        modules: list[nn.Module] = [self.mlp_extractor.value_net, self.value_net]
        if self.vf_features_extractor is not self.pi_features_extractor:
            modules.append(self.vf_features_extractor)
        own = {id(p) for p in parameters_within(*modules)}
        shared = {id(p) for p in parameters_within(self, without=modules)}
        return [p for p in parameters_within(self) if id(p) in own - shared]

    def actor_parameters(self) -> list[nn.Parameter]:
        """Everything else: the actor's own parameters and the shared ones."""
        critic = {id(p) for p in self.critic_parameters()}
        return [p for p in parameters_within(self) if id(p) not in critic]

    def with_fitting_optimizers(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """``get_parameters()`` of a model with one optimiser or two, as this policy takes it.

        Args:
            parameters: object name → state. ``policy.optimizer`` is split in two where it is of
                one over all parameters, as SB3's ``PPO`` has it; joined with
                ``policy.critic_optimizer`` where this policy has such a one; else left as it is.

        Returns:
            A new dictionary.

        Raises:
            ArgumentError: two states for one optimiser that is not over all parameters in order.
        """
        first, second = parameters.get("policy.optimizer"), parameters.get(CRITIC_OPTIMIZER)
        joint = has_joint_optimizer(self)
        everything = list(self.parameters())
        position = {id(p): index for index, p in enumerate(everything)}
        parts = [
            [position[id(p)] for p in part]
            for part in (self.actor_parameters(), self.critic_parameters())
        ]
        others = {key: state for key, state in parameters.items() if key != CRITIC_OPTIMIZER}
        if joint and first is not None and second is not None:
            if [*map(id, parameters_of(self.optimizer))] != [*position]:
                raise ArgumentError(
                    "the states of an actor's and a critic's optimiser cannot be given to a "
                    "policy.optimizer over other parameters than policy.parameters()"
                )
            return {**others, "policy.optimizer": join_optimizer_states([first, second], parts)}
        is_whole = first is not None and len(first["param_groups"][0]["params"]) == len(everything)
        if joint or second is not None or not is_whole:
            return dict(parameters)
        actor, critic = split_optimizer_state(parameters["policy.optimizer"], parts)
        return {**others, "policy.optimizer": actor, CRITIC_OPTIMIZER: critic}


class SpecActorCriticCnnPolicy(FastImagePolicy, SpecActorCriticPolicy, ActorCriticCnnPolicy):
    """The same with SB3's ``NatureCNN`` before the heads, for images; see ``FastImagePolicy``."""


class SpecMultiInputActorCriticPolicy(
    FastImagePolicy, SpecActorCriticPolicy, MultiInputActorCriticPolicy
):
    """The same with SB3's ``CombinedExtractor`` before the heads, for dictionary observations.

    Args:
        observation_space: a dictionary.
        action_space: as for SB3.
        lr_schedule: as for SB3.
        critic_only: keys of the observations that V(o, s) sees and π(a|o) does not (Spec 12.1).
            Actor and critic then have a features extractor each, and ``predict`` takes
            observations with or without these keys (12.2).
        **kwargs: as for SB3, and for ``FastImagePolicy``.

    Raises:
        ArgumentError: a key that does not exist, or no key left for the actor.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *args: Any,
        critic_only: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        self.critic_only = _checked_keys(critic_only, observation_space)
        if self.critic_only:
            kwargs["share_features_extractor"] = False
        super().__init__(observation_space, action_space, lr_schedule, *args, **kwargs)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """The actor's first, of the keys that it sees; then, where they differ, the critic's."""
        is_first = getattr(self, "features_extractor", None) is None
        if not self.critic_only or not is_first:
            return super().make_features_extractor()
        assert isinstance(self.observation_space, spaces.Dict)
        every = self.observation_space.spaces
        seen = {key: space for key, space in every.items() if key not in self.critic_only}
        return self.features_extractor_class(spaces.Dict(seen), **self.features_extractor_kwargs)

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        if self.critic_only:
            inputs = self.vf_features_extractor.features_dim
            critic = MlpExtractor(inputs, self.net_arch, self.activation_fn, self.device)
            self.mlp_extractor.value_net = critic.value_net
            self.mlp_extractor.latent_dim_vf = critic.latent_dim_vf

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {**super()._get_constructor_parameters(), "critic_only": self.critic_only}


def critic_only_of(policy: BasePolicy) -> tuple[str, ...]:
    """The keys that only the critic sees; none of a policy that has no such argument."""
    keys: tuple[str, ...] = getattr(policy, "critic_only", ())
    return keys


def _checked_keys(critic_only: Sequence[str], observations: spaces.Space[Any]) -> tuple[str, ...]:
    given = (critic_only,) if isinstance(critic_only, str) else tuple(critic_only)
    keys = list(observations.spaces) if isinstance(observations, spaces.Dict) else []
    unknown = [key for key in given if key not in keys]
    if unknown:
        raise ArgumentError(
            f"critic_only names {unknown[0]!r}, which is no key of the observations: expected "
            f"some of {', '.join(map(repr, keys)) or 'a Dict, and they are none'}"
        )
    if given and set(given) == set(keys):
        raise ArgumentError("critic_only names every key of the observations: the actor needs one")
    return given


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
    optimizer: th.optim.Optimizer | None = getattr(policy, "critic_optimizer", None)
    return optimizer


def has_joint_optimizer(policy: BasePolicy) -> bool:
    """Whether ``optimizer`` was replaced by one that holds parameters of the critic too.

    That is what SB3's users do (``policy.optimizer = Adam(policy.parameters())``). It then moves
    both networks, and ``critic_optimizer`` is left out, so that nothing is moved twice.
    """
    critic_optimizer = critic_optimizer_of(policy)
    if critic_optimizer is None:
        return False
    held = {id(p) for p in parameters_of(policy.optimizer)}
    if any(id(p) in held for p in policy.critic_parameters()):  # type: ignore[operator]
        return True
    both = held & {id(p) for p in parameters_of(critic_optimizer)}
    # Parameters that the policy no longer has are the critic's where its optimiser held them.
    return bool(both) and bool(both - {id(p) for p in policy.actor_parameters()})  # type: ignore[operator]


def parameters_within(
    *modules: nn.Module, without: Collection[nn.Module] = ()
) -> list[nn.Parameter]:
    """As ``parameters()`` of one module after the other, but several times faster: no names.

    Args:
        modules: in this order.
        without: not entered on the way.
    """
    left_out = {id(module) for module in without}
    distinct: dict[int, nn.Parameter] = {}
    waiting = list(reversed(modules))
    while waiting:
        module = waiting.pop()
        if id(module) in left_out:
            continue
        for parameter in own_parameters(module).values():
            if parameter is not None:
                distinct[id(parameter)] = parameter
        children = own_modules(module).values()
        waiting.extend(child for child in reversed([*children]) if child is not None)
    return list(distinct.values())


def parameters_of(optimizer: th.optim.Optimizer) -> list[nn.Parameter]:
    """What an optimiser moves, group by group."""
    return [p for group in optimizer.param_groups for p in group["params"]]


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


def join_optimizer_states(
    states: Sequence[Mapping[str, Any]], parts: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Undo :func:`split_optimizer_state`; the first one's options hold for the whole.

    Args:
        states: ``state_dict()`` of optimisers with one parameter group each.
        parts: as there.

    Returns:
        One state, for ``load_state_dict``; a copy.
    """
    (group,) = states[0]["param_groups"]
    moments = {
        part[old]: copy.deepcopy(moment)
        for state, part in zip(states, parts, strict=True)
        for old, moment in state["state"].items()
    }
    n_parameters = sum(len(part) for part in parts)
    return {"state": moments, "param_groups": [{**group, "params": list(range(n_parameters))}]}
