"""Tabular peers as runs: Q-learning and the exact optimum, evaluated as all others (Spec 9)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from envs.finite import FiniteTask, finite_task
from envs.learning import q_learning_tables
from envs.mdp import IntArray, TabularMDP
from envs.planning import (
    finite_horizon_policy,
    greedy_policy,
    table_outcome,
    value_iteration,
)
from ppo_lab.environment_classes import check_unchanged
from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import raise_if_stopped
from ppo_lab.ppo.episode_bound import check_length, longest_episode
from ppo_lab.ppo.space_checks import check_spaces
from ppo_lab.registry import unknown_hyperparameter
from ppo_lab.runs.config import RunConfig, Trained, environment_folder_name
from ppo_lab.runs.environments import exported_mdp, make_copies
from ppo_lab.runs.exact_evaluation import EXACT, is_small
from ppo_lab.runs.sb3_training import MAX_EVALUATION_ENVS, training_recipe
from ppo_lab.runs.watching import StoppedError, Watcher

__all__ = ["DEFAULTS", "TablePolicy", "check", "train"]

DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "q_learning": {
        "gamma": 0.99,
        "step_size": 0.1,
        "epsilon": 1.0,
        "epsilon_decay": 0.99,
        "epsilon_min": 0.05,
    },
    "optimal": {"gamma": 0.99},
}
"""Hyperparameters by algorithm; the optimum's γ counts only where there is no time limit."""


NOT_ON_STATES = (
    "normalize",
    "env_wrapper",
    "vec_env_wrapper",
    "frame_stack",
    "eval_env_kwargs",
    "callback",
)
"""Of a run's settings, what would make another task or nothing of a table's."""


class TablePolicy:
    """A table of actions with SB3's ``predict``, so that SB3's evaluation plays it.

    Args:
        actions: (S,) for one policy, or (H, S): the action at each step of an episode; after the
            last row it stays with that.
    """

    def __init__(self, actions: IntArray) -> None:
        self.actions = np.atleast_2d(actions)

    def predict(
        self,
        observation: npt.NDArray[Any] | dict[str, npt.NDArray[Any]],
        state: tuple[npt.NDArray[Any], ...] | None = None,
        episode_start: npt.NDArray[Any] | None = None,
        deterministic: bool = True,  # noqa: ARG002 - SB3's signature; a table has no other way
    ) -> tuple[IntArray, tuple[npt.NDArray[Any], ...]]:
        """The actions in states (N,); the state is the number of steps taken, (N,)."""
        states = np.asarray(observation)
        steps = np.zeros(len(states), np.int64) if state is None else state[0]
        if episode_start is not None:
            steps = np.where(episode_start, 0, steps)
        row = np.minimum(steps, len(self.actions) - 1)
        return self.actions[row, states], (steps + 1,)


class _Budget(gym.Wrapper[Any, Any, Any, Any]):
    """Truncates the episode at the step that spends the budget."""

    def __init__(self, env: gym.Env[Any, Any], steps: int) -> None:
        super().__init__(env)
        self.left = steps

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.left -= 1
        return observation, reward, terminated, truncated or self.left <= 0, info


class _Learned(NamedTuple):
    """What a tabular algorithm came to.

    Attributes:
        actions: (S,) or (H, S), what the final policy plays.
        steps: environment steps taken.
        table: the arrays that are kept, by name.
    """

    actions: IntArray
    steps: int
    table: dict[str, Any]


class _Evaluator:
    """Values or plays tables and keeps ``evaluations.npz`` as SB3 does."""

    def __init__(
        self, config: RunConfig, task: FiniteTask | None, folder: Path, watcher: Watcher | None
    ) -> None:
        self._task = task if task is not None and is_small(task) else None
        self._watcher = watcher
        self._plan, self._file = config.evaluation, folder / "evaluations.npz"
        self.every = -(-config.timesteps // max(1, self._plan.points - 1))
        self._env = make_copies(
            training_recipe(config).make_one, min(MAX_EVALUATION_ENVS, self._plan.episodes)
        )
        self._longest_episode = longest_episode(self._env)
        self.steps: list[int] = []
        self._returns: list[Sequence[float]] = []
        self._lengths: list[Sequence[float]] = []

    @property
    def score_source(self) -> str:
        """As ``run.json`` says it."""
        return "episodes" if self._task is None else EXACT

    def score(self, actions: IntArray, steps: int) -> float:
        """Evaluate a table after so many steps; returns its mean return.

        Raises:
            EndlessEpisodeError: an episode does not end.
            StoppedError: the watcher stops the run.
        """
        if self._task is None:
            returns, lengths = self._play(actions)
        else:
            expected = table_outcome(self._task.mdp, actions, self._task.horizon)
            returns, lengths = ([value] * self._plan.episodes for value in expected)
        self.steps.append(steps)
        self._returns.append(returns)
        self._lengths.append(lengths)
        np.savez(self._file, timesteps=self.steps, results=self._returns, ep_lengths=self._lengths)
        score = float(np.mean(returns))
        if self._watcher is not None and (reason := self._watcher(steps, score)) is not None:
            raise StoppedError(reason, score, steps)
        return score

    def _play(self, actions: IntArray) -> tuple[Sequence[float], Sequence[float]]:
        self._env.seed(self._plan.seed)
        returns, lengths = evaluate_policy(
            TablePolicy(actions),
            self._env,
            self._plan.episodes,
            deterministic=self._plan.deterministic,
            callback=lambda local, _: check_length(local, self._longest_episode),
            return_episode_rewards=True,
        )
        assert isinstance(returns, list)
        assert isinstance(lengths, list)
        return returns, lengths

    def close(self) -> None:
        """Close the environments."""
        self._env.close()


def train(config: RunConfig, folder: Path, watcher: Watcher | None = None) -> Trained:
    """Solve or learn the table into a run folder whose configuration is already written.

    Leaves ``evaluations.npz`` and ``<environment>.npz`` with the table, and Q-learning, which
    steps an environment, ``0.monitor.csv``. ``exact_return`` in ``run.json`` is the final policy's
    expected return over the time limit, by dynamic programming, where the environment is its
    tables and nothing else (:mod:`envs.finite`); the score then is that return, too.

    Args:
        config: the run.
        folder: its folder.
        watcher: may stop the run at one of its evaluations.

    Raises:
        StoppedError: the watcher stopped it.
        ArgumentError: the environment has no exported MDP, or a hyperparameter is unknown.
    """
    mdp, horizon, task = _model(config)
    evaluator = _Evaluator(config, task, folder, watcher)
    try:
        if config.algo == "q_learning":
            learned = _learn(config, folder, evaluator)
        else:
            learned = _solve(config, mdp, horizon)
            if config.evaluation.points > 1:  # a level line in the learning curves
                evaluator.score(learned.actions, 0)
        after = config.timesteps if learned.steps == 0 and evaluator.steps else learned.steps
        score = evaluator.score(learned.actions, after)
    finally:
        evaluator.close()
    np.savez(folder / f"{environment_folder_name(config.env)}.npz", **learned.table)
    exact = None if task is None else table_outcome(mdp, learned.actions, task.horizon)[0]
    facts = {"exact_return": exact, "score_source": evaluator.score_source}
    return Trained(score, learned.steps, facts)


def check(config: RunConfig) -> None:
    """Take one step of learning, or nothing of planning, to meet what would fail.

    Raises:
        Exception: whatever the environment or the algorithm raises.
    """
    _model(config)
    if config.algo == "q_learning":
        env = _Budget(training_recipe(config).make_one(), 1)
        try:
            next(_tables(config, env, episodes=1))
        finally:
            env.close()
    else:
        _hyperparameters(config)


def _model(config: RunConfig) -> tuple[TabularMDP, int | None, FiniteTask | None]:
    """The environment's MDP, its time limit, and the task if the environment is just these."""
    for name in NOT_ON_STATES:
        if getattr(config, name):
            raise ArgumentError(
                f"{config.algo} works on the environment's own states: it takes no {name}"
            )
    check_unchanged(config.env, config.env_sha256)
    if config.vec_env == "envpool":
        raise ArgumentError(
            f"{config.algo} works on the environment's own states: it takes no --vec-env envpool"
        )
    env = training_recipe(config).make_one()
    try:
        check_spaces(env.observation_space, env.action_space)
        mdp, task = exported_mdp(env), finite_task(env)
        horizon = env.spec.max_episode_steps if env.spec else None
    finally:
        env.close()
    if mdp is None:
        raise ArgumentError(f"{config.env} exports no MDP")
    return mdp, horizon, task


def _hyperparameters(config: RunConfig) -> dict[str, Any]:
    defaults = DEFAULTS[config.algo]
    unknown = sorted(set(config.hyperparameters) - set(defaults))
    if unknown:
        raise ArgumentError(unknown_hyperparameter(unknown[0], config.algo, defaults))
    return {**defaults, **config.hyperparameters}


def _tables(
    config: RunConfig, env: gym.Env[Any, Any], episodes: int
) -> Iterator[npt.NDArray[np.float64]]:
    return q_learning_tables(env, episodes=episodes, seed=config.seed, **_hyperparameters(config))


def _learn(config: RunConfig, folder: Path, evaluator: _Evaluator) -> _Learned:
    """Q-learning until the budget is spent (Spec 9.6); it evaluates between episodes."""
    budget = _Budget(training_recipe(config).make_one(), config.timesteps)
    evaluated, curve = 0, config.evaluation.points > 1
    try:
        env = Monitor(budget, str(folder / "0"))
    except BaseException:
        budget.close()
        raise
    try:
        # Each episode takes a step at least: these are always enough.
        for q_values in _tables(config, env, episodes=config.timesteps):
            raise_if_stopped()
            steps = config.timesteps - budget.left
            if curve and not evaluator.steps:
                evaluator.score(np.zeros(len(q_values), np.int64), 0)  # greedy for Q = 0
            if budget.left <= 0:
                break
            if curve and steps - evaluated >= evaluator.every:
                evaluated = steps
                evaluator.score(greedy_policy(q_values), steps)
    finally:
        env.close()
    return _Learned(greedy_policy(q_values), steps, {"q_values": q_values})


def _solve(config: RunConfig, mdp: TabularMDP, horizon: int | None) -> _Learned:
    """The optimum over the time limit, or the discounted one where there is none (Spec 9.1)."""
    if horizon is None:
        values, actions = value_iteration(mdp, _hyperparameters(config)["gamma"])
    else:
        values, actions = finite_horizon_policy(mdp, horizon)
    return _Learned(actions, 0, {"values": values, "actions": actions})
