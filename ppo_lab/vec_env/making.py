"""One environment, made and used with errors that say what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium as gym

from ppo_lab.environment_classes import gymnasium_id
from ppo_lab.environment_ids import way_to, why_not_imported
from ppo_lab.errors import ArgumentError
from ppo_lab.interruption import by_user, one_line

__all__ = ["faults_in_one_line", "make_checked"]


def make_checked(env_id: str, env_kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """``gymnasium.make`` with errors of one line.

    Raises:
        ArgumentError: no such environment (names the closest), or it cannot be made.
    """
    known = gymnasium_id(env_id)
    try:
        return gym.make(known, disable_env_checker=True, **env_kwargs)
    except gym.error.UnregisteredEnv as error:
        raise ArgumentError(f"unknown environment {env_id!r}{way_to(env_id)}") from error
    except ModuleNotFoundError as error:
        reason = why_not_imported(error)
        raise ArgumentError(f"environment {env_id!r} cannot be made: {reason}") from error
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"environment {env_id!r} cannot be made: {one_line(error)}") from error


@contextmanager
def faults_in_one_line(env_id: str) -> Iterator[None]:
    """What an environment raises while it is looked at or closed is an error of one line."""
    try:
        yield
    except ArgumentError:
        raise
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(f"environment {env_id!r} cannot be used: {one_line(error)}") from error
