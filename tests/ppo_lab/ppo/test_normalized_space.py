"""Normalised whole numbers: SB3 stores them as the space says, and a run's space says float32."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.ppo.normalized_space import show_decimals

WHOLE = spaces.Box(0, 9, (3,), np.uint8)
SPACES = {
    "uint8": WHOLE,
    "int64": spaces.Box(-9, 9, (3,), np.int64),
    "float16": spaces.Box(-9, 9, (3,), np.float16),
    "keys": spaces.Dict(whole=WHOLE, real=spaces.Box(-1, 1, (2,)), kept=WHOLE),
}
ARGUMENTS: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu"}


class Whole(gym.Env[Any, Any]):
    """Observations at random, cut after 5 steps."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: str) -> None:
        self.observation_space = copy.deepcopy(SPACES[space])

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.left = 5
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        return self.observation_space.sample(), 1.0, False, self.left == 0, {}


def normalized(space: str, shown: bool) -> VecNormalize:
    keys = ["whole", "real"] if space == "keys" else None
    env = VecNormalize(make_vec_env(lambda: Whole(space), 1, seed=0), norm_obs_keys=keys)
    if shown:
        show_decimals(env)
    return env


def policy(space: str) -> str:
    return "MultiInputPolicy" if space == "keys" else "MlpPolicy"


@pytest.mark.parametrize("algorithm", [SpecPPO, PPO])
@pytest.mark.parametrize("space", SPACES)
def test_what_is_stored_is_what_the_environment_returned(space: str, algorithm: type[PPO]) -> None:
    model = algorithm(policy(space), normalized(space, shown=True), seed=0, **ARGUMENTS).learn(16)
    twin, stored = normalized(space, shown=False), model.rollout_buffer.observations
    twin.seed(0)
    returned = twin.reset()
    for step, action in enumerate(model.rollout_buffer.actions.astype(int)):
        if isinstance(returned, dict):
            for key, numbers in returned.items():
                np.testing.assert_array_equal(stored[key][step], numbers[0])
        else:
            np.testing.assert_array_equal(stored[step], returned[0])
        returned, *_ = twin.step(action)


def test_only_what_is_normalised_is_shown_as_decimals() -> None:
    env = normalized("keys", shown=True)
    assert env.observation_space == spaces.Dict(
        whole=spaces.Box(-10, 10, (3,)), real=spaces.Box(-1, 1, (2,)), kept=WHOLE
    )
    plain = VecNormalize(make_vec_env(lambda: Whole("uint8"), 1), norm_obs=False)
    show_decimals(plain)
    assert plain.observation_space == WHOLE


def test_stacked_frames_are_of_what_was_normalised() -> None:
    env = VecFrameStack(normalized("uint8", shown=True), 2)
    observations = env.reset()
    assert isinstance(observations, np.ndarray)
    assert observations.dtype == np.float32
    np.testing.assert_array_equal(observations[:, 3:], env.venv.normalize_obs(env.venv.old_obs))  # type: ignore[attr-defined]


@pytest.mark.parametrize("layer", [lambda env: env, lambda env: VecFrameStack(env, 2)])
@pytest.mark.parametrize("backend", ["torch", "compiled"])
def test_whoever_learns_from_cut_observations_is_warned(layer: Any, backend: Any) -> None:
    env = layer(normalized("uint8", shown=False))
    model = SpecPPO("MlpPolicy", env, seed=0, backend=backend, **ARGUMENTS)
    with pytest.warns(UserWarning, match=r"stored as uint8.*DtypeObservation"):
        model.learn(16)
