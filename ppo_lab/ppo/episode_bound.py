"""Where an evaluation episode that does not end is given up."""

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.errors import EndlessEpisodeError

__all__ = ["MAX_EPISODE_STEPS", "check_length", "longest_episode"]

MAX_EPISODE_STEPS = 50_000
"""Steps after which an episode counts as endless where no time limit allows more: nearly twice
what the longest of Gymnasium's and Atari's episodes take."""
_LIMITS = ("_max_episode_steps", "max_episode_steps")
"""Of Gymnasium's ``TimeLimit``, a private name, and of vector environments; else the spec's."""


def longest_episode(env: VecEnv) -> int:
    """The steps that an episode may take: those of its time limit, or ``MAX_EPISODE_STEPS``.

    Args:
        env: the evaluation's environments.

    Returns:
        The larger of the two.
    """
    stated = [limit for name in _LIMITS if env.has_attr(name) for limit in env.get_attr(name)]
    if not stated and env.has_attr("spec"):
        stated = [getattr(spec, "max_episode_steps", None) for spec in env.get_attr("spec")]
    return max([MAX_EPISODE_STEPS, *(limit for limit in stated if isinstance(limit, int))])


def check_length(evaluation: Mapping[str, Any], bound: int) -> None:
    """Check the episode under way; for the ``callback`` of SB3's ``evaluate_policy``.

    Args:
        evaluation: its local variables.
        bound: of :func:`longest_episode`.

    Raises:
        EndlessEpisodeError: the episode has taken as many steps and has not ended.
    """
    if evaluation["current_lengths"][evaluation["i"]] >= bound and not evaluation["done"]:
        raise EndlessEpisodeError(
            f"an evaluation episode did not end within {bound:,} steps: give the environment a "
            "time limit (max_episode_steps)"
        )
