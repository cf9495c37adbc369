"""Masks: sb3-contrib's MaskablePPO bit for bit, and no forbidden action ever (Spec 13)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from sb3_contrib.common.maskable.utils import get_action_masks
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy as plain_evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.action_masks import MasksActionsMlp, MaskSource, check_masks
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.policies import SpecActorCriticPolicy
from ppo_lab.vec_env.compiled import CompiledVecEnv
from tests.ppo_lab.ppo.masked import BITS, DICT, SETTINGS, VECTOR, Masked, masked_model

CASES: dict[str, tuple[Callable[[], gym.Env[Any, Any]], str, dict[str, Any]]] = {
    "Discrete": (lambda: Masked(spaces.Discrete(5)), "MlpPolicy", {}),
    "MultiDiscrete": (lambda: Masked(VECTOR), "MlpPolicy", {"ent_coef": 0.01}),
    "MultiBinary": (lambda: Masked(BITS), "MlpPolicy", {"target_kl": 0.02}),
    "Dict": (lambda: Masked(spaces.Discrete(5), DICT), "MultiInputPolicy", {"clip_range_vf": 0.3}),
    "truncated": (
        lambda: gym.wrappers.TimeLimit(Masked(spaces.Discrete(5)), 4),
        "MlpPolicy",
        {"policy_kwargs": {"net_arch": [16]}},
    ),
}


@pytest.mark.parametrize(("make", "policy", "options"), CASES.values(), ids=CASES.keys())
def test_three_rollouts_are_maskable_ppos_bit_for_bit(
    make: Callable[[], gym.Env[Any, Any]], policy: str, options: dict[str, Any]
) -> None:
    def trained(algorithm: type[Any], **own: Any) -> Any:
        env = make_vec_env(make, 2, seed=1)
        model = algorithm(policy, env, device="cpu", **SETTINGS, **options, **own)
        return model.learn(3 * 64 * 2)

    expected = trained(MaskablePPO)
    ours = trained(SpecPPO, mask_actions=True, backend="torch")
    for name, tensor in expected.policy.state_dict().items():
        assert th.equal(tensor, ours.policy.state_dict()[name]), name


def test_what_is_predicted_is_allowed_also_where_the_policy_would_rather_not() -> None:
    model = masked_model(spaces.Discrete(5))
    with th.no_grad():
        model.policy.get_parameter("action_net.bias").copy_(th.tensor([50.0, 0, 0, 0, 0]))
    observations = np.zeros((5, 3), np.float32)
    masks = ~np.eye(5, dtype=bool)
    actions, _ = model.predict(observations, action_masks=masks, deterministic=True)
    assert actions.tolist() == [1, 0, 0, 0, 0]
    only_last = np.array([False, False, False, False, True])
    assert model.predict(observations[0], action_masks=only_last)[0] == 4


def test_entropy_is_that_of_the_allowed_actions() -> None:
    model = masked_model(spaces.Discrete(5))
    with th.no_grad():
        model.policy.get_parameter("action_net.weight").zero_()
    mask = np.array([[True, True, False, False, True]])
    distribution = model.policy.get_distribution(th.zeros(1, 3), action_masks=mask)
    assert distribution.entropy().item() == pytest.approx(np.log(3))  # three are equally likely


def test_a_model_that_was_saved_goes_on_under_masks(tmp_path: Path) -> None:
    model = masked_model().learn(128)
    model.save(tmp_path / "model")
    env = make_vec_env(lambda: Masked(VECTOR), 2, seed=1)
    loaded = SpecPPO.load(tmp_path / "model", env=env, device="cpu")
    assert loaded.mask_actions
    masks = get_action_masks(env)
    observations = np.zeros((2, 3), np.float32)
    expected = model.predict(observations, action_masks=masks, deterministic=True)[0]
    actual = loaded.predict(observations, action_masks=masks, deterministic=True)[0]
    assert np.array_equal(actual, expected)
    loaded.learn(128)
    mean, _ = evaluate_policy(loaded, env, n_eval_episodes=2)  # type: ignore[arg-type]
    assert np.isfinite(mean)


def test_masks_are_read_through_wrappers_and_statistics() -> None:
    def make() -> gym.Env[Any, Any]:
        inner = Masked(spaces.Discrete(5))
        return ActionMasker(gym.wrappers.TimeLimit(inner, 5), lambda env: inner.action_masks())

    env = VecNormalize(make_vec_env(make, 2, seed=1))
    SpecPPO("MlpPolicy", env, device="cpu", mask_actions=True, **SETTINGS).learn(128)


class Bare(Masked):
    action_masks = property()  # type: ignore[assignment]  # raises AttributeError


class Ragged(Masked):
    def action_masks(self) -> Any:
        return [[True] * 3, [True] * 2]


class MasksOwn(MasksActionsMlp):
    """A policy of a user's own."""


def _moved(env: gym.Env[Any, Any]) -> None:
    model = SpecPPO("MlpPolicy", make_vec_env(lambda: Masked(VECTOR), 1), mask_actions=True)
    model.set_env(make_vec_env(lambda: env, 1))
    model.learn(8)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no method": (
        lambda: SpecPPO("MlpPolicy", "CartPole-v1", mask_actions=True),
        "environments without action_masks",
    ),
    "no method afterwards": (
        lambda: _moved(Bare(VECTOR)),
        "environments without action_masks",
    ),
    "no truth value": (
        lambda: SpecPPO("MlpPolicy", "CartPole-v1", mask_actions="yes"),  # type: ignore[arg-type]
        "mask_actions='yes': expected True or False",
    ),
    "continuous": (
        lambda: SpecPPO("MlpPolicy", "Pendulum-v1", mask_actions=True),
        "expected Discrete",
    ),
    "asked without": (
        lambda: masked_model().predict(np.zeros((1, 3), np.float32)),
        "asked without masks",
    ),
    "evaluated without": (
        lambda: plain_evaluate_policy(masked_model(), make_vec_env(lambda: Masked(VECTOR), 1)),
        "asked without masks",
    ),
    "masks for none": (
        lambda: SpecPPO("MlpPolicy", "CartPole-v1").predict(np.zeros(4), action_masks=np.ones(2)),
        "without mask_actions=True",
    ),
    "too short": (lambda: check_masks([[1, 0]], VECTOR, 1), "expected 1 × 5 truth values"),
    "no number": (lambda: check_masks([[1, 0, 1, 1, 0.5]], VECTOR, 1), "other numbers than 0 and"),
    "nothing allowed": (
        lambda: check_masks([[1] * 5, [1, 1, 1, 0, 0]], VECTOR, 2, step=7),
        "environment 1 allows no action in part 1 of its action at step 7",
    ),
    "turned": (
        lambda: masked_model().predict(np.zeros((3, 3), np.float32), action_masks=np.ones((5, 3))),
        "5 × 5 truth values",
    ),
    "turned, from the environments": (
        lambda: check_masks(np.ones((5, 2)), VECTOR, 2),
        r"shape \(5, 2\): expected 2 × 5 truth values",
    ),
    "of another number": (
        lambda: masked_model().predict(np.zeros((3, 3), np.float32), action_masks=np.ones((2, 5))),
        r"shape \(2, 5\) for 3 observations",
    ),
    "of rows of other lengths": (
        lambda: _moved(Ragged(VECTOR)),
        "action_masks of different lengths at step 0",
    ),
    "needs masks": (
        lambda: SpecPPO(MasksOwn, make_vec_env(lambda: Masked(VECTOR), 1)),
        "MasksOwn needs masks",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped")
@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_said_in_a_sentence(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()


def test_no_mask_of_an_earlier_step_is_acted_on() -> None:
    env = make_vec_env(lambda: Masked(spaces.Discrete(5)), 2, seed=1)
    env.reset()
    source = MaskSource(env, spaces.Discrete(5), lambda: 0)
    assert source()[:, 0].tolist() == [False, False]
    env.step(np.array([2, 2]))
    assert source()[:, :2].tolist() == [[True, False], [True, False]]


def test_a_model_is_loaded_with_masks_or_without(tmp_path: Path) -> None:
    env = make_vec_env(lambda: Masked(VECTOR), 2, seed=1)
    plain = SpecPPO("MlpPolicy", env, device="cpu", n_steps=64, batch_size=32)
    observations = np.zeros((2, 3), np.float32)
    plain.save(tmp_path / "plain")
    masked = SpecPPO.load(tmp_path / "plain", env=env, device="cpu", mask_actions=True)
    masked.learn(128)
    masked.save(tmp_path / "masked")
    again = SpecPPO.load(tmp_path / "masked", env=env, device="cpu", mask_actions=False)
    everything = np.ones((2, 5), bool)
    expected = masked.predict(observations, action_masks=everything, deterministic=True)[0]
    assert again.predict(observations, deterministic=True)[0].tolist() == expected.tolist()
    assert type(again.policy) is SpecActorCriticPolicy
    assert type(again.rollout_buffer) is SpecRolloutBuffer


def test_a_policy_saved_alone_needs_masks_again(tmp_path: Path) -> None:
    model = masked_model()
    model.policy.save(str(tmp_path / "policy"))
    policy = MasksActionsMlp.load(str(tmp_path / "policy"), device="cpu")
    observations, masks = np.zeros((2, 3), np.float32), [[1, 0, 0, 1, 0], [0, 0, 1, 0, 1]]
    asked = {"action_masks": np.array(masks), "deterministic": True}
    expected = [[0, 0], [2, 1]]
    assert policy.predict(observations, **asked)[0].tolist() == expected  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="asked without masks"):
        policy.predict(observations)


def test_a_million_drawn_actions_are_allowed() -> None:
    model = masked_model(spaces.Discrete(5))
    with th.no_grad():
        model.policy.get_parameter("action_net.bias").copy_(th.tensor([30.0, 30, 0, -30, 0]))
    masks = np.random.default_rng(0).integers(0, 2, (200_000, 5)).astype(bool)
    masks[:, 4] |= ~masks.any(axis=1)
    distribution = model.policy.get_distribution(th.zeros(200_000, 3), action_masks=masks)
    rows = np.arange(200_000)
    assert all(masks[rows, distribution.sample().numpy()].all() for _ in range(5))


def test_compiled_copies_of_one_environment_have_no_masks_of_their_own() -> None:
    env = CompiledVecEnv("ppo_lab/GridWorld-v0", 2, 0)
    env.env.unwrapped.action_masks = lambda: [True] * 4  # type: ignore[attr-defined]
    with pytest.raises(ArgumentError, match="acts on one environment's state"):
        env.env_method("action_masks")
