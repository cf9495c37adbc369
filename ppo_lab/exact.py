"""An SB3 model as a table of action probabilities, for its exact expected return (Spec 9.3)."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.space_checks import check_spaces

__all__ = ["model_policy"]


def model_policy(
    model: BaseAlgorithm, env: gym.Env[Any, Any], deterministic: bool = True
) -> npt.NDArray[np.float64]:
    """π(a|s) of a model in every state: what ``envs.planning.policy_return`` takes.

    ``policy_return(env.unwrapped.mdp, model_policy(model, env), horizon)`` is the number that the
    model's mean evaluation return over ``horizon`` steps approaches as the episodes grow.
    Observations are normalised as the model's own ``VecNormalize`` does, if it has one.

    Args:
        model: any SB3 model with Discrete actions; ``deterministic=False`` needs an actor–critic
            one (PPO, A2C, SpecPPO).
        env: one of PPO Lab's tabular environments, wrapped or not, with the observations that the
            model was trained on; or any with Discrete observations that are its states.
        deterministic: the action that ``predict`` takes, with probability 1, as SB3 and the zoo
            evaluate; otherwise the probabilities that it samples from.

    Returns:
        (S, A) float64, rows summing to 1.

    Raises:
        ArgumentError: actions are not Discrete, the states' observations are not known or not
            those of the model, or the model has no action probabilities.
    """
    check_spaces(env.observation_space, env.action_space)
    actions = model.action_space
    if not isinstance(actions, spaces.Discrete) or actions != env.action_space:
        raise ArgumentError(
            f"a table of action probabilities needs one Discrete action space; the model has "
            f"{actions} and the environment {env.action_space}"
        )
    if not _reads(model.observation_space, env.observation_space):
        raise ArgumentError(
            f"the model was trained on {model.observation_space} and cannot read the "
            f"environment's {env.observation_space}; make it with the same observation"
        )
    observations = _observations_of_states(env)
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None:
        observations = np.asarray(normalizer.normalize_obs(observations))
    if deterministic:
        chosen = model.predict(observations, deterministic=True)[0]
        table: npt.NDArray[np.float64] = np.eye(int(actions.n))[chosen]
        return table
    if not isinstance(model.policy, ActorCriticPolicy):
        raise ArgumentError(
            f"{type(model).__name__} has no action probabilities; ask for deterministic=True"
        )
    return _probabilities(model.policy, observations)


def _reads(trained_on: gym.Space[Any], given: gym.Space[Any]) -> bool:
    """Whether SB3 takes the one for the other: bounds aside, and images with channels first."""
    if isinstance(trained_on, spaces.Discrete) or isinstance(given, spaces.Discrete):
        return trained_on == given
    shape = given.shape or ()
    return trained_on.shape in (shape, (*shape[-1:], *shape[:-1]))


def _observations_of_states(env: gym.Env[Any, Any]) -> npt.NDArray[Any]:
    """The observation of every state, (S, …)."""
    observe = getattr(env.unwrapped, "observations", None)
    if callable(observe):
        observations: npt.NDArray[Any] = observe()
        return observations
    space = env.observation_space
    if isinstance(space, spaces.Discrete):
        return np.arange(space.n)
    raise ArgumentError(
        f"{env} does not tell the observations of its states; pass an environment with a method "
        "observations() (PPO Lab's tabular ones) or with Discrete observations"
    )


def _probabilities(
    policy: ActorCriticPolicy, observations: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    policy.set_training_mode(False)
    with th.no_grad():
        distribution = policy.get_distribution(policy.obs_to_tensor(observations)[0])
    assert isinstance(distribution, CategoricalDistribution)  # the actions are Discrete
    probabilities = distribution.distribution.probs.double().cpu().numpy()
    table: npt.NDArray[np.float64] = probabilities / probabilities.sum(axis=1, keepdims=True)
    return table
