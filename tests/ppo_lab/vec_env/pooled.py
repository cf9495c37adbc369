"""A pool and DummyVecEnv of the same environments, and whether they return the same."""

from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from ppo_lab.vec_env import make_pool_vec_env
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.vec_env import makers  # noqa: F401 - processes start with torch imported
from tests.ppo_lab.vec_env.echo import Echo

N = 5
IMAGE = spaces.Box(0, 255, (7, 5, 3), np.uint8)


def both(n_workers: int = 2, **arguments: Any) -> tuple[PoolVecEnv, VecEnv]:
    """The pool and the oracle, of the same environments and seeds."""
    make = partial(Echo, **arguments)
    return (
        make_pool_vec_env(make, N, n_workers, seed=4),
        make_vec_env(make, N, seed=4),  # type: ignore[arg-type]
    )


def assert_equal(ours: Any, theirs: Any) -> None:
    """The same numbers of the same types, in whatever holds them."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict)
        assert list(ours) == list(theirs)
        for key in theirs:
            if key != "t":  # Monitor's clock
                assert_equal(ours[key], theirs[key])
    elif isinstance(theirs, tuple | list):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_equal(one, other)
    else:
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_array_equal(ours, theirs)


def assert_alike(ours: VecEnv, theirs: VecEnv, actions: Any, steps: int = 17) -> None:
    """Both return the same from a reset on, infos and resets' infos included."""
    assert_equal(ours.reset(), theirs.reset())
    assert_equal(ours.reset_infos, theirs.reset_infos)
    for _ in range(steps):
        given = actions()
        assert_equal(ours.step(given), theirs.step(given))
        assert_equal(ours.reset_infos, theirs.reset_infos)


def drawn(space: spaces.Space[Any]) -> Any:
    """Actions of a space, drawn anew at each call."""
    space = deepcopy(space)
    space.seed(1)
    return lambda: np.stack([np.asarray(space.sample()) for _ in range(N)])


def pids(env: VecEnv) -> list[int]:
    """The processes that environments are in."""
    return sorted(set(env.env_method("pid")))
