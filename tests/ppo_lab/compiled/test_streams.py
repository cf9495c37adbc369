"""Further streams of rewards by the kernels: the torch path on the same rollout is the oracle."""

from typing import Any

import gymnasium as gym
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.rnd import INTRINSIC_REWARD
from tests.ppo_lab.compiled.test_path import SMALL, assert_same_updates, in_spaces, model

pytestmark = pytest.mark.filterwarnings("ignore:batch_size=40 does not divide the rollout")

STREAMS: dict[str, dict[str, Any]] = {
    "bonus": {"intrinsic_coef": 2.0},
    "limit": {"cost_limit": 0.5, "cost_gamma": 0.9, "lambda_lr": 0.3},
    "both": {"intrinsic_coef": 2.0, "cost_limit": 0.5, "normalize_advantage_over": "rollout"},
}


class Costs(gym.Wrapper[Any, Any, Any, Any]):
    """Each step costs 1 or nothing."""

    def step(self, action: Any) -> Any:
        *taken, info = self.env.step(action)
        return *taken, {**info, "cost": float(self.np_random.integers(2))}


def costly(n_envs: int = 2) -> VecEnv:
    inner = in_spaces("Box to Discrete").envs[0]  # type: ignore[attr-defined]
    spaces = inner.unwrapped.observation_space, inner.unwrapped.action_space
    env = DummyVecEnv([lambda: Costs(type(inner.unwrapped)(*spaces)) for _ in range(n_envs)])
    env.seed(0)
    return env


@pytest.mark.parametrize("options", STREAMS.values(), ids=STREAMS.keys())
def test_an_update_is_the_torch_paths(options: dict[str, Any]) -> None:
    ours = model(costly(), **options)
    assert_same_updates(ours, model(costly(), "torch", **options))
    if "cost_limit" in options:
        assert ours.lagrangian_multiplier > 0  # type: ignore[operator]


@pytest.mark.parametrize("normalized", [False, True])
def test_every_steps_bonus_and_cost_are_noted_on_both_paths(normalized: bool) -> None:
    for backend in ("compiled", "torch"):
        env = costly(8)
        env = VecNormalize(env) if normalized else env
        settings = {**SMALL, **STREAMS["both"], "n_steps": 20, "batch_size": 80}
        trained = SpecPPO("MlpPolicy", env, backend=backend, **settings)  # type: ignore[arg-type]
        trained.learn(320)
        noted = trained._recorder.rewards
        assert set(noted["cost"].ravel()) == {0.0, 1.0}
        assert (noted[INTRINSIC_REWARD] > 0).all()
        assert trained.rnd.returns.count.item() == 160  # all rollouts but the first
