"""PPO under a limit on costs (Spec 15.2): λ, the advantage, the critic, and what cannot work."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from benchmarks import constrained
from envs.constrained import constrained_optimum
from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.ppo.constraints import constrained_advantages, next_multiplier

SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "seed": 0, "device": "cpu"}


class Priced(gym.Env[Any, Any]):
    """Five steps an episode; each costs what it is told, and pays 1."""

    observation_space, action_space = spaces.Box(0.0, 1.0, (1,)), spaces.Discrete(2)

    def __init__(self, cost: Any = 2.0, truncates: bool = False) -> None:
        self.cost, self.truncates = cost, truncates

    def _seen(self) -> Any:
        return np.array([self.t / 5], np.float32)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.t = 0
        return self._seen(), {}

    def step(self, _action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        info = {} if self.cost is None else {"cost": self.cost}
        over = self.t == 5
        return self._seen(), 1.0, over and not self.truncates, over and self.truncates, info


def priced(cost: Any = 2.0, n_envs: int = 2, truncates: bool = False) -> DummyVecEnv:
    return DummyVecEnv([lambda: Priced(cost, truncates)] * n_envs)


class Noting(BaseCallback):
    """Keeps what was logged of the last update."""

    def _on_rollout_start(self) -> None:
        self.logged = dict(self.logger.name_to_value)

    def _on_training_end(self) -> None:
        self.logged = dict(self.logger.name_to_value)

    def _on_step(self) -> bool:
        return True


def test_the_multiplier_climbs_over_the_limit_falls_under_it_and_stops_at_zero() -> None:
    assert next_multiplier(1.0, mean_cost=5.0, cost_limit=3.0, rate=0.1) == pytest.approx(1.2)
    assert next_multiplier(1.0, mean_cost=1.0, cost_limit=3.0, rate=0.1) == pytest.approx(0.8)
    assert next_multiplier(0.1, mean_cost=0.0, cost_limit=3.0, rate=0.1) == 0.0


def test_the_actor_follows_reward_less_lambda_times_cost_over_one_plus_lambda() -> None:
    reward, cost = th.tensor([[4.0, 0.0]]), th.tensor([[1.0, 2.0]])
    # (4 − 3·1) / 4 and (0 − 3·2) / 4.
    assert constrained_advantages(reward, cost, 3.0).tolist() == [[0.25, -1.5]]
    assert th.equal(constrained_advantages(reward, cost, 0.0), reward)


def test_one_rollout_moves_lambda_by_the_mean_cost_of_its_whole_episodes() -> None:
    model = SpecPPO("MlpPolicy", priced(), cost_limit=4.0, lambda_lr=0.5, **SMALL)
    noting = Noting()
    model.learn(32, noting)
    # Episodes cost 5 · 2 = 10; the rollout's last step begins one that is not over.
    assert model.lagrangian_multiplier == pytest.approx(0.5 * (10.0 - 4.0))
    assert noting.logged["rollout/ep_cost_mean"] == 10.0
    assert noting.logged["train/lagrangian_multiplier"] == pytest.approx(3.0)


def test_an_episode_that_two_calls_of_learn_share_costs_what_it_costs() -> None:
    model = SpecPPO("MlpPolicy", priced(), cost_limit=4.0, lambda_lr=0.5, **SMALL)
    model.learn(32)
    model.learn(32, noting := Noting(), reset_num_timesteps=False)
    assert noting.logged["rollout/ep_cost_mean"] == 10.0


@pytest.mark.parametrize("truncates", [False, True])
def test_the_cost_critic_learns_what_is_still_to_be_paid(truncates: bool) -> None:
    model = SpecPPO(
        "MlpPolicy",
        priced(n_envs=4, truncates=truncates),
        cost_limit=100.0,
        cost_gamma=0.5,
        cost_learning_rate=0.01,
        **{**SMALL, "n_steps": 40, "batch_size": 160},
    )
    critic_alone = model.cost_critic.fit
    model.cost_critic.fit = lambda *now: critic_alone(*now[:2], 40, *now[3:])  # type: ignore[method-assign]
    model.learn(1600)
    seen = np.linspace(0.0, 0.8, 5, dtype=np.float32)[:, None]
    # Σ_k 0.5^k · 2 over the steps to come; a time limit is none of the task's, so that there
    # the sum goes on for ever from each state but that V of the last one is learnt nowhere.
    values = model.cost_critic.values(seen).numpy()
    expected = [2 * (1 - 0.5**left) / 0.5 for left in (5, 4, 3, 2, 1)]
    if truncates:
        assert values[4] > expected[4] + 0.5
    else:
        assert values == pytest.approx(expected, abs=0.15)


def test_without_a_limit_costs_are_not_looked_at() -> None:
    plain = SpecPPO("MlpPolicy", priced(cost=np.nan), backend="torch", **SMALL).learn(64)
    free = SpecPPO("MlpPolicy", priced(cost=None), backend="torch", **SMALL).learn(64)
    for one, other in zip(plain.policy.parameters(), free.policy.parameters(), strict=True):
        assert th.equal(one, other)


def test_a_model_goes_on_with_lambda_critic_and_optimiser_as_saved(tmp_path: Path) -> None:
    model = SpecPPO("MlpPolicy", priced(), cost_limit=4.0, **SMALL).learn(96)
    model.save(tmp_path / "model")
    loaded = SpecPPO.load(tmp_path / "model", env=priced(), device="cpu")
    assert loaded.lagrangian_multiplier == model.lagrangian_multiplier > 0
    for one, other in zip(
        model.cost_critic.parameters(), loaded.cost_critic.parameters(), strict=True
    ):
        assert th.equal(one, other)
    moments = [m.cost_critic.optimizer.state_dict()["state"] for m in (model, loaded)]
    assert all(th.equal(moments[0][i]["exp_avg_sq"], moments[1][i]["exp_avg_sq"]) for i in range(6))


def test_a_limit_may_be_put_on_a_model_that_had_none_and_taken_off_again(tmp_path: Path) -> None:
    SpecPPO("MlpPolicy", priced(), **SMALL).learn(32).save(tmp_path / "free")
    limited = SpecPPO.load(tmp_path / "free", env=priced(), device="cpu", cost_limit=4.0)
    limited.learn(32)
    assert limited.lagrangian_multiplier > 0  # type: ignore[operator]
    limited.save(tmp_path / "limited")
    free = SpecPPO.load(tmp_path / "limited", env=priced(), device="cpu", cost_limit=None)
    assert free.streams == ()
    assert free.learn(32).num_timesteps > 0


def test_normalised_rewards_leave_costs_as_they_are() -> None:
    model = SpecPPO("MlpPolicy", VecNormalize(priced()), cost_limit=4.0, **SMALL)
    model.learn(32, noting := Noting())
    assert noting.logged["rollout/ep_cost_mean"] == 10.0


@pytest.mark.parametrize(
    ("cost", "error", "said"),
    [
        (None, ArgumentError, r"info\['cost'\] of environment 0 at step 2 is no such entry"),
        (-2.0, ArgumentError, r"of environment 0 at step 2 is -2.0: expected a number ≥ 0, what"),
        ("dear", ArgumentError, r"is 'dear': expected a number in the info of every step"),
        (np.nan, NonFiniteError, r"info\['cost'\] is nan at step 2 in environment 0"),
    ],
)
def test_a_step_that_does_not_say_its_cost_is_named(cost: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        SpecPPO("MlpPolicy", priced(cost), cost_limit=1.0, **SMALL).learn(32)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cost_limit": -1.0}, "cost_limit=-1.0: expected a finite number ≥ 0"),
        ({"cost_limit": float("nan")}, "cost_limit=nan: expected a finite number ≥ 0"),
        ({"cost_limit": 1.0, "cost_gamma": 1.5}, "cost_gamma=1.5: expected a number in 0…1"),
        ({"cost_limit": 1.0, "lambda_lr": -0.1}, "lambda_lr=-0.1: expected a finite number ≥ 0"),
        ({"cost_learning_rate": 1e-3}, "cost_learning_rate=0.001 without cost_limit"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        SpecPPO("MlpPolicy", priced(), **arguments, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_seeds_come_to_the_limit_and_near_the_exact_optimum(seed: int) -> None:
    grid: Any = gym.make(constrained.ENVIRONMENT).unwrapped
    best = constrained_optimum(grid.mdp, grid.costs, constrained.LIMIT, horizon=100)
    outcome = constrained.train(seed)
    assert outcome.expected_cost <= constrained.LIMIT
    assert outcome.expected_return >= best.value - 0.05
