"""A DummyVecEnv stepped directly gives what its ``step`` gives."""

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecCheckNan

from ppo_lab.stepping import DirectSteps, VecEnvSteps, quickest_steps


def _without_time(info: dict[str, Any]) -> dict[str, Any]:
    kept = dict(info)
    if "episode" in kept:
        kept["episode"] = {key: kept["episode"][key] for key in ("r", "l")}
    last = kept.pop("terminal_observation", None)
    return kept | {"last": None if last is None else np.asarray(last).tolist()}


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_direct_steps_are_the_steps_of_the_dummy_vec_env(env_id: str) -> None:
    direct, plain = (make_vec_env(env_id, 3, seed=4) for _ in range(2))
    np.testing.assert_array_equal(direct.reset(), plain.reset())
    steps = quickest_steps(direct)
    reference = VecEnvSteps(plain)
    assert isinstance(steps, DirectSteps)
    assert isinstance(reference, VecEnvSteps)
    plain.action_space.seed(0)
    ended = 0
    for _ in range(450):
        actions = np.array([plain.action_space.sample() for _ in range(3)])
        one, other = steps.step(actions), reference.step(actions)
        np.testing.assert_array_equal(one.observations, other.observations)
        np.testing.assert_array_equal(one.rewards, other.rewards)
        np.testing.assert_array_equal(one.dones, other.dones)
        assert one.rewards.dtype == other.rewards.dtype
        assert [(index, _without_time(info)) for index, info in one.noted] == [
            (index, _without_time(info)) for index, info in other.noted
        ]
        ended += len(one.noted)
    assert ended >= 6
    # The environments go on from there by ``step`` as if nothing had been different.
    one, other = direct.step(actions), plain.step(actions)
    np.testing.assert_array_equal(one[0], other[0])


def test_anything_but_a_plain_dummy_vec_env_is_stepped_by_its_own_step() -> None:
    class Own(DummyVecEnv):
        pass

    plain = make_vec_env("CartPole-v1", 1)
    for env in (VecCheckNan(plain), make_vec_env("CartPole-v1", 1, vec_env_cls=Own)):
        assert isinstance(quickest_steps(env), VecEnvSteps)
    apart = make_vec_env("CartPole-v1", 1, vec_env_cls=SubprocVecEnv)
    try:
        assert isinstance(quickest_steps(apart), VecEnvSteps)
    finally:
        apart.close()
