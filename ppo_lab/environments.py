"""What a run needs to know of a Gymnasium environment before it starts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.mdp import TabularMDP, from_toy_text
from envs.planning import optimal_return, random_return
from ppo_lab.algorithms import ALGORITHMS, Algorithm, ObservationKind, closest, known_algorithm
from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.interruption import by_user, one_line

__all__ = ["ReferenceScores", "exported_mdp", "inspect_environment", "reference_scores"]

RANDOM_EPISODES = 100
"""Episodes behind a random policy's score where dynamic programming cannot give it."""
RANDOM_STEPS = 10_000
"""Where such an episode is given up, in an environment without an end."""


@dataclass(frozen=True)
class ReferenceScores:
    """The two returns that a score is normalised by: (score − low)/(high − low).

    Attributes:
        low: the uniformly random policy's expected return.
        high: the optimum, or a stated good score; None where nobody states one (a report then
            takes the best mean score in it).
        source: where the two come from, in words.
    """

    low: float
    high: float | None
    source: str

    def as_dict(self) -> dict[str, Any]:
        """As ``run.json`` holds it."""
        return asdict(self)


def make_checked(env_id: str, env_kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """``gymnasium.make`` with errors of one line.

    Raises:
        ArgumentError: no such environment (names the closest), or it cannot be made.
    """
    try:
        return gym.make(env_id, disable_env_checker=True, **env_kwargs)
    except gym.error.UnregisteredEnv as error:
        known = [name for name in gym.registry if not name.startswith(("phys2d/", "tabular/"))]
        raise ArgumentError(
            f"unknown environment {env_id!r}; closest: {closest(env_id, known)}"
        ) from error
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"environment {env_id!r} cannot be made: {one_line(error)}") from error


@contextmanager
def _faults_in_one_line(env_id: str) -> Iterator[None]:
    """What an environment raises while it is looked at or closed is an error of one line."""
    try:
        yield
    except ArgumentError:
        raise
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"environment {env_id!r} cannot be used: {one_line(error)}") from error


def inspect_environment(env_id: str, env_kwargs: Mapping[str, Any], algo: str = "ppo") -> str:
    """Check that an algorithm can train on an environment and name its policy there.

    Args:
        env_id: Gymnasium's id, ``module:id`` for one that a module registers.
        env_kwargs: for ``gymnasium.make``.
        algo: a name in :data:`ppo_lab.algorithms.ALGORITHMS`.

    Returns:
        SB3's name of the policy: ``MlpPolicy``, ``CnnPolicy``, ``MultiInputPolicy``, or the
        algorithm's own form of it.

    Raises:
        ArgumentError: unknown, cannot be made, or the algorithm cannot use it; says why.
    """
    algorithm = ALGORITHMS[known_algorithm(algo)]
    env = make_checked(env_id, env_kwargs)
    with _faults_in_one_line(env_id):
        try:
            _check_actions(env, env_id, algorithm)
            if algorithm.needs_masks and not _has_masks(env):
                raise ArgumentError(
                    f"environment {env_id!r} has no method action_masks(), which "
                    f"{algorithm.name} ({algo}) needs"
                )
            if algorithm.tabular:
                _check_states(env, env_id, algorithm)
            observation = env.observation_space
        finally:
            env.close()
    return algorithm.policy_for(_observation_kind(observation, env_id))


def _check_actions(env: gym.Env[Any, Any], env_id: str, algorithm: Algorithm) -> None:
    action = env.action_space
    if not isinstance(action, algorithm.actions):
        expected = ", ".join(space.__name__ for space in algorithm.actions)
        raise ArgumentError(
            f"environment {env_id!r} has action space {action}, which {algorithm.name} cannot "
            f"use; expected {'one of ' if len(algorithm.actions) > 1 else ''}{expected}"
        )
    if isinstance(action, spaces.Box) and not action.is_bounded():
        raise ArgumentError(
            f"environment {env_id!r} has an unbounded action space {action}; "
            "wrap it in gymnasium.wrappers.RescaleAction or give it finite bounds"
        )


def _has_masks(env: gym.Env[Any, Any]) -> bool:
    try:
        return callable(env.get_wrapper_attr("action_masks"))
    except AttributeError:
        return False


def _check_states(env: gym.Env[Any, Any], env_id: str, algorithm: Algorithm) -> None:
    mdp = exported_mdp(env)
    if mdp is None:
        raise ArgumentError(
            f"environment {env_id!r} exports no finite MDP, which {algorithm.name} needs: an "
            "attribute mdp (PPO Lab's grids and crawler) or a table P (Gymnasium's toy text)"
        )
    observation = env.observation_space
    if not isinstance(observation, spaces.Discrete) or int(observation.n) != mdp.n_states:
        raise ArgumentError(
            f"environment {env_id!r} shows {observation}, but {algorithm.name} needs the index "
            f"of its {mdp.n_states} states"
        )


def _observation_kind(observation: spaces.Space[Any], env_id: str) -> ObservationKind:
    if isinstance(observation, spaces.Dict):
        return "MultiInput"
    if isinstance(observation, spaces.Tuple | spaces.Text | spaces.Sequence | spaces.Graph):
        raise ArgumentError(
            f"environment {env_id!r} has observation space {observation}, which SB3's policies "
            "cannot read; wrap it in gymnasium.wrappers.FlattenObservation"
        )
    is_image = isinstance(observation, spaces.Box) and len(observation.shape) == 3
    return "Cnn" if is_image and observation.dtype == np.uint8 else "Mlp"


def exported_mdp(env: gym.Env[Any, Any]) -> TabularMDP | None:
    """The MDP that an environment is, where it says so: ``mdp``, or toy text's ``P``."""
    mdp = getattr(env.unwrapped, "mdp", None)
    if isinstance(mdp, TabularMDP):
        return mdp
    try:
        return from_toy_text(env)
    except TypeError:
        return None


def reference_scores(env_id: str, env_kwargs: Mapping[str, Any]) -> ReferenceScores:
    """The scores that normalise an environment's returns (design: honest comparisons).

    Exact for an environment whose ``unwrapped.mdp`` is a :class:`TabularMDP` with a time limit:
    both by dynamic programming over that horizon. Elsewhere the random policy is played and the
    high score is the environment's own ``reward_threshold``, if it has one.

    Args:
        env_id: Gymnasium's id.
        env_kwargs: for ``gymnasium.make``.

    Raises:
        ArgumentError: the environment cannot be made.
    """
    env = make_checked(env_id, env_kwargs)
    try:
        mdp = getattr(env.unwrapped, "mdp", None)
        spec = env.spec
        horizon = spec.max_episode_steps if spec else None
        if isinstance(mdp, TabularMDP) and horizon is not None:
            return ReferenceScores(
                low=random_return(mdp, horizon),
                high=optimal_return(mdp, horizon),
                source=f"exact: random policy and optimum over {horizon} steps by dynamic "
                "programming",
            )
        threshold = spec.reward_threshold if spec else None
        high = None if threshold is None else float(threshold)
        low = _measured_random_return(env, env_id)
    finally:
        env.close()
    source = f"low: random policy over {RANDOM_EPISODES} episodes"
    if high is not None and high > low:
        return ReferenceScores(low, high, f"{source}; high: Gymnasium's reward_threshold")
    return ReferenceScores(low, None, source)


def _measured_random_return(env: gym.Env[Any, Any], env_id: str) -> float:
    """Mean return of ``RANDOM_EPISODES`` uniformly random episodes, seeds fixed.

    Raises:
        NonFiniteError: a reward is NaN or infinite.
    """
    env.action_space.seed(0)
    returns = []
    for episode in range(RANDOM_EPISODES):
        env.reset(seed=episode)
        total = 0.0
        for _ in range(RANDOM_STEPS):
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total += float(reward)
            if terminated or truncated:
                break
        returns.append(total)
    mean = float(np.mean(returns))
    if not np.isfinite(mean):
        raise NonFiniteError(f"environment {env_id!r} pays a random policy {mean}")
    return mean
