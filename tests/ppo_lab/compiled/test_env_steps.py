"""A DummyVecEnv stepped directly gives what its ``step`` gives."""

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecCheckNan

from ppo_lab import SpecPPO
from ppo_lab.compiled.env_steps import DirectSteps, VecEnvSteps, is_untouched, quickest_steps
from ppo_lab.vec_env import make_native_vec_env


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


@pytest.mark.parametrize("make", [make_vec_env, make_native_vec_env])
@pytest.mark.parametrize("where", ["the object", "the class"])
def test_a_method_that_somebody_replaced_is_called_at_every_step(
    make: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make("CartPole-v1", 2)
    model = SpecPPO("MlpPolicy", env, n_steps=16, batch_size=32, device="cpu", backend="compiled")
    model.learn(32)
    original, calls = env.step_wait, []

    def counted(*_: Any) -> Any:
        calls.append(1)
        return original()

    monkeypatch.setattr(env if where == "the object" else type(env), "step_wait", counted)
    model.learn(32)
    assert len(calls) == 16
    assert not is_untouched(env, type(env))
    monkeypatch.undo()
    assert is_untouched(env, type(env))


class _KeepsItsInfo(gym.Wrapper[Any, Any, Any, Any]):
    """Hands out one and the same record of an episode, written anew for each."""

    record: ClassVar[dict[str, float]] = {}

    def step(self, action: Any) -> Any:
        *step, info = self.env.step(action)
        if step[2] or step[3]:
            self.record |= {"r": self.record.get("r", 0.0) + 1.0, "l": 3}
            info["episode"] = self.record
        return *step, info


def test_the_statistics_of_an_episode_stay_as_they_were() -> None:
    env = DummyVecEnv([lambda: _KeepsItsInfo(gym.make("CartPole-v1", max_episode_steps=3))])
    model = SpecPPO("MlpPolicy", env, n_steps=16, batch_size=16, device="cpu", backend="compiled")
    model.learn(16)
    assert [episode["r"] for episode in model.ep_info_buffer or ()] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_model_that_notes_infos_in_its_own_way_sees_every_step() -> None:
    class Notes(SpecPPO):
        def _update_info_buffer(self, infos: Any, dones: Any = None) -> None:
            noted.append(len(infos))
            super()._update_info_buffer(infos, dones)

    noted: list[int] = []
    env = make_native_vec_env("CartPole-v1", 2)
    Notes("MlpPolicy", env, n_steps=16, batch_size=32, device="cpu", backend="compiled").learn(32)
    assert noted == [2] * 16
