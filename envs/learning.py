"""Tabular learners: they see only samples of an environment, not its arrays (Spec 9.5, 9.6)."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from envs.backups import check_gamma, check_shares
from envs.mdp import FloatArray

# A step size, or a function that gives it for the n-th update (from 1) of an entry.
StepSize = float | Callable[[int], float]


class Transition(NamedTuple):
    """One step: truncation is no termination, so the value of ``next_state`` still counts."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool


def q_learning(
    env: gym.Env[Any, Any],
    gamma: float,
    episodes: int,
    step_size: StepSize = 0.5,
    epsilon: float = 1.0,
    epsilon_decay: float = 0.99,
    epsilon_min: float = 0.0,
    seed: int | None = None,
) -> FloatArray:
    """Q-learning with ε-greedy exploration (Spec 9.6).

    Q(s,a) ← Q(s,a) + α [r + γ max_{a'} Q(s',a') − Q(s,a)], from Q = 0. It is off-policy: it learns
    about the greedy policy whatever ε does. Equal actions are chosen among at random. After each
    episode ε is multiplied by ``epsilon_decay`` down to ``epsilon_min``.

    Args:
        env: An environment with Discrete observations and actions; episodes must end or be
            truncated. Truncation still bootstraps.
        gamma: The discount, in [0, 1].
        episodes: At least 1.
        step_size: α in (0, 1], or a function of the update's number.
        epsilon: Share of random actions in the first episode, in [0, 1].
        epsilon_decay: In [0, 1].
        epsilon_min: In [0, 1].
        seed: Of the environment and of the actions.

    Returns:
        Q (S, A) float64.

    Raises:
        TypeError: a space is not Discrete.
        ValueError: another argument is out of range.
    """
    tables = q_learning_tables(
        env, gamma, episodes, step_size, epsilon, epsilon_decay, epsilon_min, seed
    )
    return deque(tables, maxlen=1).pop()


def q_learning_tables(
    env: gym.Env[Any, Any],
    gamma: float,
    episodes: int,
    step_size: StepSize = 0.5,
    epsilon: float = 1.0,
    epsilon_decay: float = 0.99,
    epsilon_min: float = 0.0,
    seed: int | None = None,
) -> Iterator[FloatArray]:
    """``q_learning``, watched: the same arguments and errors, the table after every episode.

    Yields:
        Q (S, A) float64, the one array that learning goes on with: copy it to keep it.
    """
    gamma, (n_states, n_actions) = check_gamma(gamma), _sizes(env)
    check_shares(epsilon=epsilon, epsilon_decay=epsilon_decay, epsilon_min=epsilon_min)
    rng = np.random.default_rng(seed)
    q_values = np.zeros((n_states, n_actions))
    step = _StepSizes(step_size, q_values.shape)
    share = epsilon

    def choose(state: int) -> int:
        if rng.random() < share:
            return int(rng.integers(n_actions))
        row = q_values[state]
        return int(rng.choice(np.flatnonzero(row == row.max())))

    for episode in _episodes(env, choose, episodes, seed):
        for state, action, reward, next_state, terminated in episode:
            following = 0.0 if terminated else gamma * float(q_values[next_state].max())
            error = reward + following - q_values[state, action]
            q_values[state, action] += step((state, action)) * error
        share = max(epsilon_min, share * epsilon_decay)
        yield q_values


def td_prediction(
    env: gym.Env[Any, Any],
    policy: FloatArray,
    gamma: float,
    episodes: int,
    step_size: StepSize = 0.1,
    seed: int | None = None,
) -> FloatArray:
    """TD(0): V(s) ← V(s) + α [r + γ V(s') − V(s)] after every step, from V = 0 (Spec 9.5).

    Args:
        env: An environment with Discrete observations and actions.
        policy: (S, A) action probabilities to follow.
        gamma: The discount, in [0, 1].
        episodes: At least 1.
        step_size: α in (0, 1], or a function of the update's number.
        seed: Of the environment and of the actions.

    Returns:
        V (S,) float64; states never visited keep 0.

    Raises:
        TypeError: a space is not Discrete.
        ValueError: another argument is out of range.
    """
    gamma, (n_states, _) = check_gamma(gamma), _sizes(env)
    values, step = np.zeros(n_states), _StepSizes(step_size, (n_states,))
    for episode in _episodes(env, _follow(env, policy, seed), episodes, seed):
        for state, _, reward, next_state, terminated in episode:
            following = 0.0 if terminated else gamma * values[next_state]
            values[state] += step((state,)) * (reward + following - values[state])
    return values


def monte_carlo_prediction(
    env: gym.Env[Any, Any],
    policy: FloatArray,
    gamma: float,
    episodes: int,
    step_size: StepSize = 0.1,
    seed: int | None = None,
) -> FloatArray:
    """Every-visit Monte Carlo: V(s_t) ← V(s_t) + α [G_t − V(s_t)] after every episode (Spec 9.5).

    G_t is the discounted return to the end of the episode; where it was truncated the tail is V of
    the last state (Spec 3.1). Args, returns and errors are those of ``td_prediction``.
    """
    gamma, (n_states, _) = check_gamma(gamma), _sizes(env)
    values, step = np.zeros(n_states), _StepSizes(step_size, (n_states,))
    for episode in _episodes(env, _follow(env, policy, seed), episodes, seed):
        transitions = list(episode)
        last = transitions[-1]
        following = 0.0 if last.terminated else float(values[last.next_state])
        for state, _, reward, _, _ in reversed(transitions):
            following = reward + gamma * following
            values[state] += step((state,)) * (following - values[state])
    return values


class _StepSizes:
    """The next α of an entry; counts the updates of each."""

    def __init__(self, step_size: StepSize, shape: tuple[int, ...]) -> None:
        if not callable(step_size) and not 0.0 < step_size <= 1.0:
            raise ValueError(f"step_size is {step_size}; it must lie in (0, 1].")
        self._step_size, self._counts = step_size, np.zeros(shape, np.int64)

    def __call__(self, entry: tuple[int, ...]) -> float:
        if not callable(self._step_size):
            return self._step_size
        self._counts[entry] += 1
        return self._step_size(int(self._counts[entry]))


def _episodes(
    env: gym.Env[Any, Any], choose: Callable[[int], int], episodes: int, seed: int | None
) -> Iterator[Iterator[Transition]]:
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; it must be at least 1.")
    for number in range(episodes):
        yield _episode(env, choose, seed if number == 0 else None)


def _episode(
    env: gym.Env[Any, Any], choose: Callable[[int], int], seed: int | None
) -> Iterator[Transition]:
    state, ended = int(env.reset(seed=seed)[0]), False
    while not ended:
        action = choose(state)
        observation, reward, terminated, truncated, _ = env.step(action)
        yield Transition(state, action, float(reward), int(observation), terminated)
        state, ended = int(observation), terminated or truncated


def _follow(env: gym.Env[Any, Any], policy: FloatArray, seed: int | None) -> Callable[[int], int]:
    shape, policy = _sizes(env), np.asarray(policy, dtype=np.float64)
    if policy.shape != shape or (policy < 0.0).any() or not np.allclose(policy.sum(axis=1), 1.0):
        raise ValueError(
            f"policy has shape {policy.shape}; pass {shape} probabilities, rows summing to 1."
        )
    cumulative, rng = np.cumsum(policy, axis=1)[:, :-1], np.random.default_rng(seed)
    return lambda state: int((rng.random() >= cumulative[state]).sum())


def _sizes(env: gym.Env[Any, Any]) -> tuple[int, int]:
    seen, done = env.observation_space, env.action_space
    if not isinstance(seen, spaces.Discrete) or not isinstance(done, spaces.Discrete):
        raise TypeError(
            f"A table needs Discrete observations and actions; this environment has {seen} and "
            f"{done}."
        )
    if seen.start != 0 or done.start != 0:
        raise TypeError(
            f"A table counts states and actions from 0; this environment has {seen} and {done}."
        )
    return int(seen.n), int(done.n)
