"""Evaluation after updates by dynamic programming: expected returns, where playing is needless.

A mean over episodes has an error that the runs of a study may share (Spec 16.2); an expectation
has none.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm

from envs.finite import FiniteTask
from envs.planning import policy_outcome
from ppo_lab.exact import model_policy
from ppo_lab.ppo.callbacks import UnplayedEvalCallback

__all__ = ["EXACT", "ExactEvalCallback", "can_solve", "expected_outcome", "is_small"]

EXACT = "exact"
"""``score_source`` in ``run.json``: the expected return, not a mean over episodes."""
MAX_OUTCOMES = 200_000
"""Outcomes (states × actions × branches) up to which a sweep costs less than a step of an episode
of each of 100 environments."""
MAX_OBSERVATIONS = 4_000_000
"""Numbers in the observations of all states, which the policy is asked for at once."""
_GREEDY = ("dqn", "qrdqn", "ars")
"""What acts on the present observation alone, by a table of one action a state: drawn otherwise,
DQN's and QR-DQN's explore, and ARS's are the same."""
_MARKOV = ("spec_ppo", "ppo", "a2c", "trpo", *_GREEDY)
"""What acts on the present observation alone, and takes any action."""


def is_small(task: FiniteTask) -> bool:
    """Whether solving costs less than playing 100 episodes."""
    seen = task.mdp.n_states * int(np.prod(task.observation_shape, dtype=np.int64))
    return task.mdp.next_states.size <= MAX_OUTCOMES and seen <= MAX_OBSERVATIONS


def can_solve(algo: str, task: FiniteTask, *, normalized: bool, deterministic: bool) -> bool:
    """Whether :func:`expected_outcome` is what evaluation episodes approach, and costs less.

    Args:
        algo: the model's algorithm.
        task: the environment.
        normalized: whether there is a ``VecNormalize`` around it. Around pictures, whose channels
            SB3 moves on the way, it is left to playing.
        deterministic: how the model acts. DQN's other way is left to playing: it explores.
    """
    flat = len(task.observation_shape) <= 1
    return (
        algo in _MARKOV
        and (deterministic or algo not in _GREEDY)
        and (flat or not normalized)
        and is_small(task)
    )


def expected_outcome(
    model: BaseAlgorithm, task: FiniteTask, deterministic: bool
) -> tuple[float, float]:
    """The expected return and length of an episode of the task, without playing one (Spec 9.3)."""
    policy = model_policy(model, task.env, deterministic)
    return policy_outcome(task.mdp, policy, task.horizon)


class ExactEvalCallback(UnplayedEvalCallback):
    """Expected returns in the place of ``AfterUpdateEvalCallback``'s episodes.

    In ``evaluations.npz`` each of an evaluation's E episodes has the expected return and the
    expected length: their mean is the score.

    Args:
        task: the environment; :func:`can_solve` holds for it and the run.
        *args: as for ``AfterUpdateEvalCallback``.
        **kwargs: likewise; ``deterministic`` decides whether the policy's likeliest actions are
            valued or the ones that it draws.
    """

    score_source = EXACT

    def __init__(self, task: FiniteTask, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._task = task

    def _returns_and_lengths(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        expected, length = expected_outcome(self.model, self._task, self.deterministic)
        episodes = self.n_eval_episodes
        return np.full(episodes, expected), np.full(episodes, length)
