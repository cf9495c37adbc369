"""Non-finite numbers stop training before they reach the parameters; evaluation after updates."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.arguments import Backend
from ppo_lab.errors import NonFiniteError, ObservationError
from ppo_lab.ppo.callbacks import AfterUpdateEvalCallback, FiniteGuard, named_refusal

VECTOR = spaces.Box(-np.inf, np.inf, (2,), np.float32)
DICT = spaces.Dict({"left": VECTOR, "right": VECTOR})


class _Faulty(gym.Env[Any, Any]):
    """Pays and shows zeros, but ``value`` once, at its step ``at``; truncates after 16 steps."""

    def __init__(self, where: str, value: float, at: int) -> None:
        self.where, self.value, self.at = where, value, at
        self.observation_space = DICT if where == "dict" else VECTOR
        self.action_space = spaces.Discrete(2)
        self.steps = 0

    def _observation(self, faulty: bool) -> Any:
        clean, observation = np.zeros(2, np.float32), np.zeros(2, np.float32)
        if faulty and self.where in ("observation", "dict", "terminal", "reset"):
            observation[1] = self.value
        return {"left": clean, "right": observation} if self.where == "dict" else observation

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self._observation(self.where == "reset" and self.steps >= self.at), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        faulty = self.steps == self.at and self.where != "reset"
        reward = self.value if faulty and self.where == "reward" else 0.0
        return self._observation(faulty), reward, False, self.steps % 16 == 0, {}


def _faulty(where: str, value: float = float("nan"), at: int = 70) -> VecEnv:
    """Three environments, of which the last is faulty."""
    policies = [lambda: _Faulty(where, 0.0, at)] * 2
    return DummyVecEnv([*policies, lambda: _Faulty(where, value, at)])


def _policy(where: str) -> str:
    return "MultiInputPolicy" if where == "dict" else "MlpPolicy"


SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "device": "cpu", "seed": 0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("where", "what", "at"),
    [
        ("reward", "reward", 70),
        ("observation", "observation", 70),
        ("dict", "observation 'right'", 70),
        ("terminal", "terminal observation", 80),  # the last of a truncated episode
        ("reset", "observation", 80),
    ],
)
def test_the_guard_names_what_and_the_step_and_the_environment(
    where: str, what: str, at: int, value: float, tmp_path: Path
) -> None:
    model = SpecPPO(_policy(where), _faulty(where, value, at), **SMALL)
    model.learn(2 * 32 * 3)
    kept = {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}
    assert model._n_updates == 4
    with pytest.raises(NonFiniteError) as caught:
        model.learn(1000, reset_num_timesteps=False)
    # Step `at` of three environments each.
    expected = f"{what} is {value} at step {at * 3} in environment 2: training stopped"
    assert str(caught.value).startswith(expected)
    for name, tensor in model.policy.state_dict().items():
        assert th.equal(tensor, kept[name]), name
    model.save(tmp_path / "last_good.zip")
    loaded = SpecPPO.load(tmp_path / "last_good.zip")
    assert th.equal(loaded.policy.action_net.weight, kept["action_net.weight"])


def test_the_first_observation_is_checked_too() -> None:
    model = SpecPPO("MlpPolicy", _faulty("reset", at=0), **SMALL)
    with pytest.raises(NonFiniteError, match="observation is nan at step 0 in environment 2"):
        model.learn(96)


class _GymsReset(gym.Env[Any, Any]):
    """Of two numbers, which come apart into an observation and an info."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample()

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv])
@pytest.mark.parametrize("backend", ["torch", "compiled"])
def test_a_reset_without_an_info_is_not_taken_apart(kind: type[VecEnv], backend: Backend) -> None:
    env = make_vec_env(_GymsReset, 2, seed=0, vec_env_cls=kind)  # type: ignore[arg-type]
    model = SpecPPO("MlpPolicy", VecNormalize(env), n_steps=8, batch_size=8, backend=backend)
    with pytest.raises(ObservationError, match=r"reset of environment 0 returned .*of an info"):
        model.learn(16)
    env.close()


def test_the_guard_works_with_sb3s_own_algorithms() -> None:
    model = PPO("MlpPolicy", _faulty("reward"), **SMALL)
    with pytest.raises(NonFiniteError, match="reward is nan at step 210 in environment 2"):
        model.learn(1000, FiniteGuard())


def test_finite_numbers_pass() -> None:
    model = SpecPPO("MlpPolicy", _faulty("reward", 1e9), **SMALL)
    assert model.learn(288).num_timesteps == 288


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        # 1e30² is beyond float32: the value loss is infinite.
        ({"reward": 1e30}, "is inf with"),
        # (1e18)² is not, but its gradient's norm is.
        ({"reward": 1e18, "vf_coef": 1e15}, "critic_grad_norm inf"),
    ],
)
def test_a_loss_or_gradient_that_is_not_finite_stops_before_the_step(
    settings: dict[str, Any], found: str
) -> None:
    arguments = SMALL | {"batch_size": 96} | settings
    reward = arguments.pop("reward")
    model = SpecPPO("MlpPolicy", _faulty("reward", reward, at=40), **arguments)
    model.learn(96)
    kept = copy.deepcopy(model.get_parameters())
    with pytest.raises(NonFiniteError, match="the loss of the update at step 192") as caught:
        model.learn(96, reset_num_timesteps=False)
    assert found in str(caught.value)
    now = model.get_parameters()
    for name, tensor in kept["policy"].items():
        assert th.equal(now["policy"][name], tensor), name
    for optimizer in ("policy.optimizer", "policy.critic_optimizer"):
        for index, moments in kept[optimizer]["state"].items():
            assert th.equal(now[optimizer]["state"][index]["exp_avg"], moments["exp_avg"])


def _evaluator(folder: Path, **kwargs: Any) -> AfterUpdateEvalCallback:
    env = make_vec_env("CartPole-v1", 2)
    return AfterUpdateEvalCallback(
        env,
        eval_seed=7,
        n_eval_episodes=6,
        log_path=str(folder),
        best_model_save_path=str(folder),
        verbose=0,
        **kwargs,
    )


@pytest.mark.parametrize("algorithm", [PPO, SpecPPO])
def test_the_last_row_is_the_policy_after_the_last_update(algorithm: Any, tmp_path: Path) -> None:
    env = make_vec_env("CartPole-v1", 2, seed=1)
    model = algorithm("MlpPolicy", env, **(SMALL | {"learning_rate": 3e-3}))
    model.learn(640, _evaluator(tmp_path, eval_freq=128))
    written = np.load(tmp_path / "evaluations.npz")
    fresh = make_vec_env("CartPole-v1", 2)
    fresh.seed(7)
    returns, _ = evaluate_policy(model, fresh, 6, return_episode_rewards=True)
    assert written["results"][-1].tolist() == returns
    assert written["timesteps"].tolist() == [0, 128, 256, 384, 512, 640]
    # It moved meanwhile, so that an evaluation before the update would have shown.
    assert written["results"][-2].tolist() != returns


def test_the_untrained_policy_is_left_out_on_request(tmp_path: Path) -> None:
    env = make_vec_env("CartPole-v1", 2, seed=1)
    callbacks = CallbackList([_evaluator(tmp_path, eval_freq=10_000, at_start=False)])
    SpecPPO("MlpPolicy", env, **SMALL).learn(128, callbacks)
    assert np.load(tmp_path / "evaluations.npz")["timesteps"].tolist() == [128]


def test_torchs_refusal_of_a_distribution_is_named_and_other_errors_pass_as_they_are():
    model = SimpleNamespace(num_timesteps=7)
    with (
        pytest.raises(NonFiniteError, match="step 7"),
        named_refusal(model),
    ):
        th.distributions.Normal(th.tensor(float("nan")), 1.0)
    with pytest.raises(ValueError, match=r"^another$"), named_refusal(model):
        raise ValueError("another")
