"""What a run learns of its environment: the policy it needs, the scores that normalise it."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from ppo_lab.environments import inspect_environment, reference_scores
from ppo_lab.errors import ArgumentError, NonFiniteError


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
    gym.register("Threshold-v0", entry_point=_Env, reward_threshold=5.0)
    yield
    del gym.registry["Plain-v0"], gym.registry["Threshold-v0"]


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
        ({"nonsense": 1}, "cannot be made: TypeError"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_environment_that_ppo_cannot_train_on_is_refused(
    kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        inspect_environment("Plain-v0", kwargs)


def test_finite_environment_is_normalised_by_dynamic_programming() -> None:
    reference = reference_scores("ppo_lab/GridWorld-v0", {})
    assert reference.high == pytest.approx(1.0)  # the +1 exit is reached without a discount
    assert reference.source.startswith("exact")
    env = gym.make("ppo_lab/GridWorld-v0")
    env.action_space.seed(1)
    returns = []
    for episode in range(400):
        env.reset(seed=episode)
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    # The played mean of 400 episodes lies within four standard errors of the computed one.
    assert abs(np.mean(returns) - reference.low) < 4 * np.std(returns) / 20


def test_stated_reward_threshold_is_the_high_score() -> None:
    reference = reference_scores("Threshold-v0", {"reward": 2.0})
    assert (reference.low, reference.high) == (2.0, 5.0)
    assert "reward_threshold" in reference.source


@pytest.mark.parametrize(("env_id", "reward"), [("Plain-v0", 1.0), ("Threshold-v0", 6.0)])
def test_no_high_score_where_none_is_stated_above_the_random_policys(
    env_id: str, reward: float
) -> None:
    assert reference_scores(env_id, {"reward": reward}).high is None


def test_reward_that_is_not_finite_is_named() -> None:
    with pytest.raises(NonFiniteError, match="pays a random policy nan"):
        reference_scores("Plain-v0", {"reward": float("nan")})
