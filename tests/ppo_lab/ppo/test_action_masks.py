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
from ppo_lab.ppo.action_masks import MaskSource, check_masks

BOX = spaces.Box(-1.0, 1.0, (3,))
DICT = spaces.Dict({"a": BOX, "b": spaces.Discrete(4)})
VECTOR = spaces.MultiDiscrete([3, 2])
BITS = spaces.MultiBinary(2)


class Masked(gym.Env[Any, Any]):
    """7 steps; forbids what a counter says, and raises where it is done all the same."""

    def __init__(self, actions: spaces.Space[Any], observations: spaces.Space[Any] = BOX) -> None:
        self.action_space, self.observation_space = actions, observations
        self.clock = 0

    def action_masks(self) -> list[bool]:
        count = {spaces.Discrete: 5, spaces.MultiDiscrete: 5, spaces.MultiBinary: 4}
        mask = [True] * count[type(self.action_space)]
        mask[self.clock % 2] = False  # of each part at least one is left
        return mask

    def _observation(self) -> Any:
        low = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return {"a": low, "b": self.clock % 4} if self.observation_space is DICT else low

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.clock = 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        first = int(np.ravel(action)[0])
        assert first != self.clock % 2, "a forbidden action"
        self.clock += 1
        reward = float(np.sum(action)) - self.clock % 3
        return self._observation(), reward, self.clock == 7, False, {}


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
SETTINGS: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 3, "seed": 5}


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


def _model(actions: spaces.Space[Any] = VECTOR, **kwargs: Any) -> SpecPPO:
    env = make_vec_env(lambda: Masked(actions), 2, seed=1)
    return SpecPPO("MlpPolicy", env, device="cpu", mask_actions=True, **SETTINGS, **kwargs)


def test_what_is_predicted_is_allowed_also_where_the_policy_would_rather_not() -> None:
    model = _model(spaces.Discrete(5))
    with th.no_grad():
        model.policy.get_parameter("action_net.bias").copy_(th.tensor([50.0, 0, 0, 0, 0]))
    observations = np.zeros((5, 3), np.float32)
    masks = ~np.eye(5, dtype=bool)
    actions, _ = model.predict(observations, action_masks=masks, deterministic=True)
    assert actions.tolist() == [1, 0, 0, 0, 0]
    only_last = np.array([False, False, False, False, True])
    assert model.predict(observations[0], action_masks=only_last)[0] == 4


def test_entropy_is_that_of_the_allowed_actions() -> None:
    model = _model(spaces.Discrete(5))
    with th.no_grad():
        model.policy.get_parameter("action_net.weight").zero_()
    mask = np.array([[True, True, False, False, True]])
    distribution = model.policy.get_distribution(th.zeros(1, 3), action_masks=mask)
    assert distribution.entropy().item() == pytest.approx(np.log(3))  # three are equally likely


def test_a_model_that_was_saved_goes_on_under_masks(tmp_path: Path) -> None:
    model = _model().learn(128)
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


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no method": (
        lambda: SpecPPO("MlpPolicy", "CartPole-v1", mask_actions=True, n_steps=8, batch_size=8)
        .learn(8),
        "environments without action_masks",
    ),
    "continuous": (
        lambda: SpecPPO("MlpPolicy", "Pendulum-v1", mask_actions=True),
        "expected Discrete",
    ),
    "asked without": (
        lambda: _model().predict(np.zeros((1, 3), np.float32)),
        "asked without masks",
    ),
    "evaluated without": (
        lambda: plain_evaluate_policy(_model(), make_vec_env(lambda: Masked(VECTOR), 1)),
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
    "another compiled": (lambda: _model(backend="compiled"), "the kernels know no masks"),
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
