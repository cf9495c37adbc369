"""What a run learns of its environment: the policy it needs, what it cannot train on."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from ppo_lab.errors import ArgumentError
from ppo_lab.runs.environments import inspect_environment


class _Env(gym.Env[Any, Any]):
    """One step that pays what it is told to."""

    def __init__(self, observation: Any = None, action: Any = None, reward: float = 1.0) -> None:
        self.observation_space = observation or spaces.Discrete(2)
        self.action_space = action or spaces.Discrete(2)
        self.reward = reward

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), self.reward, True, False, {}


@pytest.fixture(autouse=True)
def _registered() -> Any:
    gym.register("Plain-v0", entry_point=_Env)
    yield
    del gym.registry["Plain-v0"]


@pytest.mark.parametrize(
    ("observation", "policy"),
    [
        (spaces.Box(-1, 1, (3,), np.float32), "MlpPolicy"),
        (spaces.Discrete(4), "MlpPolicy"),
        (spaces.Box(0, 255, (36, 36, 3), np.uint8), "CnnPolicy"),
        (spaces.Dict({"a": spaces.Discrete(2)}), "MultiInputPolicy"),
    ],
    ids=str,
)
def test_policy_follows_the_observations(observation: Any, policy: str) -> None:
    assert inspect_environment("Plain-v0", {"observation": observation}) == policy


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"action": spaces.Tuple((spaces.Discrete(2),))}, "which PPO cannot use"),
        ({"action": spaces.Box(-np.inf, np.inf, (1,))}, "unbounded action space"),
        ({"observation": spaces.Text(5)}, "which SB3's policies cannot read"),
        (
            {"observation": spaces.Dict(a=spaces.Discrete(2), mission=spaces.Text(9))},
            "shows 'mission' as a Text, which SB3's policies cannot read; leave it out",
        ),
        ({"nonsense": 1}, "cannot be made: TypeError"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_environment_that_ppo_cannot_train_on_is_refused(
    kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        inspect_environment("Plain-v0", kwargs)
