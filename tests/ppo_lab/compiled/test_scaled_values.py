"""A critic that learns on normalised targets, by the kernels: the torch policy is the oracle."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.value_scale import ScaledValue
from ppo_lab.vec_env import make_native_vec_env
from tests.ppo_lab.compiled.test_critic_only import KEYS, Hidden
from tests.ppo_lab.compiled.test_path import SMALL, assert_same_updates
from tests.ppo_lab.test_algorithm_drop_in import assert_equal_states

pytestmark = pytest.mark.filterwarnings("ignore:batch_size=40 does not divide the rollout")

GRID = "ppo_lab/NoisyGridWorld-v0"
COORDINATES = {"observation": "coordinates", "max_episode_steps": 9}


def model(env: VecEnv, backend: Any = "compiled", **how: Any) -> SpecPPO:
    settings = SMALL | {"normalize_value": True} | how
    return SpecPPO("MlpPolicy", env, backend=backend, **settings)


def look(_locals: Any, _globals: Any) -> bool:
    return True


def native(game: str, **how: Any) -> VecEnv:
    return make_native_vec_env(game, 3, seed=1, **how)


PLACES: dict[str, tuple[Callable[[], VecEnv], dict[str, Any]]] = {
    "stepped": (lambda: make_vec_env("Pendulum-v1", 2, seed=1), {}),
    "whole": (lambda: native("Pendulum-v1"), {}),
    "whole, normalised": (lambda: VecNormalize(native("Pendulum-v1")), {}),
    "whole, cut, masked": (lambda: native(GRID, **COORDINATES), {"mask_actions": True}),
    "a Dict": (lambda: make_vec_env(Hidden, 2, seed=1), KEYS),
}
SLOW = ("whole", "whole, normalised")


@pytest.mark.parametrize(
    ("make", "how"),
    [
        pytest.param(*place, id=name, marks=[pytest.mark.slow] * (name in SLOW))
        for name, place in PLACES.items()
    ],
)
def test_a_rollout_holds_what_the_scaled_critic_says_of_it(make: Any, how: dict[str, Any]) -> None:
    ours = model(make(), **how)
    ours.learn(3 * 48 * ours.n_envs)
    scale = ours.policy.value_net
    assert isinstance(scale, ScaledValue)
    assert scale.count == 3 * 48 * ours.n_envs
    assert abs(scale.mean) > 0.1 or abs(scale.std - 1) > 0.1
    callback, buffer = ours._init_callback(None), ours.rollout_buffer
    assert ours.collect_rollouts(ours.env, callback, buffer, 48)  # type: ignore[arg-type]
    advantages = buffer.advantages.copy()
    with th.no_grad():
        seen = ours.policy.obs_to_tensor(ours._last_obs)[0]  # type: ignore[arg-type]
        last_values = ours.policy.predict_values(seen)
    buffer.compute_returns_and_advantage(last_values, np.array(ours._last_episode_starts))
    size = {"rtol": 1e-5, "atol": 1e-5 * float(scale.std)}
    np.testing.assert_allclose(advantages, buffer.advantages, **size)
    for batch in buffer.get():
        with th.no_grad():
            values = ours.policy.predict_values(batch.observations)
        th.testing.assert_close(values.flatten(), batch.old_values, **size)


def test_an_update_by_masks_and_a_critic_that_sees_more_is_the_torch_paths() -> None:
    how = {**KEYS, "normalize_value": True, "clip_range_vf": 0.2}

    def made(backend: Any) -> SpecPPO:
        return model(make_vec_env(Hidden, 2, seed=1), backend, **how)

    assert_same_updates(made("compiled"), made("torch"), updates=4)


@pytest.mark.parametrize(
    "make", [make_vec_env, pytest.param(make_native_vec_env, marks=pytest.mark.slow)]
)
def test_looked_at_or_passed_over_or_whole_the_bits_are_the_same(make: Any) -> None:
    passed, looked_at = (
        model(make("Pendulum-v1", 2, seed=1)).learn(288, callback) for callback in (None, look)
    )
    assert_equal_states(looked_at.get_parameters(), passed.get_parameters())


def test_the_backend_may_change_after_an_update_and_the_scale_goes_on() -> None:
    ours = model(make_vec_env("Pendulum-v1", 2, seed=1)).learn(96)
    for backend, count in (("torch", 192), ("compiled", 288)):
        ours.backend = backend  # type: ignore[assignment]
        ours.learn(96, reset_num_timesteps=False)
        assert ours.policy.value_net.count == count


def test_a_head_that_was_exchanged_is_left_to_torch_or_refused() -> None:
    ours = model(make_vec_env("Pendulum-v1", 2, seed=1))
    plain = copy.deepcopy(ours)
    plain.policy.value_net = plain.policy.value_net.layer  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match="the value's head, which was exchanged, do not agree"):
        plain.learn(96)
    ours.policy.value_net.mean = th.zeros(1)
    with pytest.raises(ArgumentError, match="the value's head has other buffers than one mean"):
        ours.learn(96)
