"""Keys that the critic sees and the actor does not (Spec 12)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError

CLUE, STATE = spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-9.0, 9.0, (2,))
OBSERVATIONS = spaces.Dict({"clue": CLUE, "kind": spaces.Discrete(2), "state": STATE})
SETTINGS: dict[str, Any] = {"n_steps": 32, "batch_size": 16, "n_epochs": 2, "seed": 5}


class Hidden(gym.Env[Any, Any]):
    """Pays a number that was drawn as an episode began, and a clue's sign; 8 steps."""

    observation_space = OBSERVATIONS
    action_space = spaces.Discrete(2)

    def _observation(self) -> dict[str, Any]:
        self.clue = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        state = np.array([self.luck, self.clock], np.float32)
        return {"clue": self.clue, "kind": self.clock % 2, "state": state}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.luck, self.clock = float(self.np_random.choice([-2.0, 2.0])), 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        right = (self.clue[0] > 0) == bool(action)
        self.clock += 1
        return self._observation(), self.luck + float(right), self.clock == 8, False, {}


def _model(policy: str = "MultiInputPolicy", **kwargs: Any) -> SpecPPO:
    options = SETTINGS | {"policy_kwargs": {"critic_only": ["state"]}} | kwargs
    return SpecPPO(policy, make_vec_env(Hidden, 2, seed=1), device="cpu", **options)


def _observation(n: int = 3, state: float = 0.0) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    clue = generator.uniform(-1, 1, (n, 3)).astype(np.float32)
    return {"clue": clue, "kind": np.arange(n) % 2, "state": np.full((n, 2), state, np.float32)}


def test_without_such_keys_it_is_sb3s_policy_bit_for_bit() -> None:
    env = make_vec_env(Hidden, 2, seed=1)
    expected = PPO("MultiInputPolicy", env, device="cpu", **SETTINGS).learn(192)
    ours = _model(policy_kwargs={"critic_only": ()}, backend="torch").learn(192)
    for name, tensor in expected.policy.state_dict().items():
        assert th.equal(tensor, ours.policy.state_dict()[name]), name


@pytest.mark.parametrize("policy", ["MlpPolicy", "MultiInputPolicy"])
def test_the_actor_is_blind_to_them_and_the_critic_is_not(policy: str) -> None:
    model = _model(policy).learn(128)
    one, other = (model.policy.obs_to_tensor(_observation(state=s))[0] for s in (-3.0, 5.0))
    probabilities = [model.policy.get_distribution(o).distribution.probs for o in (one, other)]  # type: ignore[attr-defined]
    assert th.equal(*probabilities)
    assert not th.equal(model.policy.predict_values(one), model.policy.predict_values(other))


def test_the_actors_gradient_does_not_depend_on_them() -> None:
    model = _model()
    gradients = []
    for state in (-3.0, 5.0):
        observations = model.policy.obs_to_tensor(_observation(state=state))[0]
        _, log_prob, entropy = model.policy.evaluate_actions(observations, th.tensor([0, 1, 1]))
        model.policy.zero_grad()
        assert entropy is not None
        (log_prob.sum() + entropy.sum()).backward()  # type: ignore[no-untyped-call]
        actor = model.policy.actor_parameters()  # type: ignore[operator]
        gradients.append([parameter.grad.clone() for parameter in actor])
        assert all(p.grad is None for p in model.policy.critic_parameters())  # type: ignore[operator]
    assert all(th.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert any(gradient.abs().sum() > 0 for gradient in gradients[0])


def test_the_value_is_of_both_the_observation_and_the_state() -> None:
    critic = _model().policy.vf_features_extractor
    actor = _model().policy.pi_features_extractor
    # 3 of the clue and 2 of a one-hot kind; 2 more of the state.
    assert (actor.features_dim, critic.features_dim) == (5, 7)


def test_predict_takes_observations_with_and_without_them() -> None:
    model = _model()
    whole = _observation()
    seen = {key: part for key, part in whole.items() if key != "state"}
    for deterministic in (True, False):
        actions = []
        for observation in (whole, seen):
            th.manual_seed(1)
            actions.append(model.predict(observation, deterministic=deterministic)[0].tolist())
        assert actions[0] == actions[1]
    one = {key: part[0] for key, part in seen.items()}
    assert (
        model.predict(one, deterministic=True)[0] == model.predict(seen, deterministic=True)[0][0]
    )


def test_a_saved_model_knows_them_and_learns_on(tmp_path: Path) -> None:
    model = _model().learn(128)
    model.save(tmp_path / "model")
    env = VecNormalize(make_vec_env(Hidden, 2, seed=1), norm_obs_keys=["clue", "state"])
    loaded = SpecPPO.load(tmp_path / "model", env=env, device="cpu")
    for name, tensor in model.policy.state_dict().items():
        assert th.equal(tensor, loaded.policy.state_dict()[name])
    loaded.learn(128)
    assert np.isfinite(evaluate_policy(loaded, env, n_eval_episodes=2, warn=False)[0])


def test_masks_and_keys_of_the_critics_go_together() -> None:
    class Masked(Hidden):
        def action_masks(self) -> list[bool]:
            return [True, self.clock % 2 == 0]

    env = make_vec_env(Masked, 2, seed=1)
    options = SETTINGS | {"policy_kwargs": {"critic_only": ["state"]}}
    model = SpecPPO("MultiInputPolicy", env, device="cpu", mask_actions=True, **options).learn(128)
    odd = model.rollout_buffer.action_masks[:, 1] == 0
    assert odd.any()
    assert (model.rollout_buffer.actions[odd] == 0).all()


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no key": (
        lambda: _model(policy_kwargs={"critic_only": ["stat"]}),
        "no key of the observation",
    ),
    "every key": (
        lambda: _model(policy_kwargs={"critic_only": ["state", "clue", "kind"]}),
        "every key",
    ),
    "no Dict": (
        lambda: SpecPPO("MlpPolicy", "CartPole-v1", policy_kwargs={"critic_only": ["state"]}),
        "a Dict, and they are none",
    ),
    "compiled, and no such key": (
        lambda: _model(backend="compiled", policy_kwargs={}),
        "no key of it is the critic's alone",
    ),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_said_in_a_sentence(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make()


@pytest.mark.slow
def test_where_luck_is_hidden_a_critic_that_sees_it_learns_faster() -> None:
    # Luck of ±16 an episode drowns the 8 that an actor can earn, for whoever does not see it.
    # A rate at which the critic reaches 16 within the budget: at 3e-4 neither side learns.
    def blind_env() -> gym.Env[Any, Any]:
        return gym.wrappers.FilterObservation(Hidden(), ["clue", "kind"])

    def earned(sees_luck: bool, seed: int) -> float:
        env = make_vec_env(Hidden if sees_luck else blind_env, 4, seed=seed)
        model = SpecPPO(
            "MultiInputPolicy",
            env,
            n_steps=64,
            batch_size=64,
            n_epochs=5,
            learning_rate=3e-3,
            seed=seed,
            device="cpu",
            policy_kwargs={"critic_only": ["state"]} if sees_luck else {},
        ).learn(4000)
        observations = _observation(200)
        del observations["state"]
        actions = model.predict(observations, deterministic=True)[0]
        return float(np.mean((observations["clue"][:, 0] > 0) == actions.astype(bool)))

    seeds = range(20)
    sees = np.array([earned(True, seed) for seed in seeds])
    blind = np.array([earned(False, seed) for seed in seeds])
    difference = sees - blind
    half_width = 2.09 * difference.std(ddof=1) / np.sqrt(20)  # t of 19 degrees of freedom, 95 %
    assert difference.mean() - half_width > 0, (sees.mean(), blind.mean(), half_width)
