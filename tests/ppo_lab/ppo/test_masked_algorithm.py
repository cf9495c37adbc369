"""Rollouts under masks: which are kept, whatever callbacks and environments do (Spec 13.1)."""

import copy
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.callbacks import MaskableEvalCallback
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.vec_env.gymnasium import GymnasiumVecEnv, over_singles
from ppo_lab.vec_env.pool import PoolVecEnv
from tests.ppo_lab.ppo.masked import BOX, SETTINGS, VECTOR, Masked, masked_model


class _Meddling(BaseCallback):
    """Asks the policy in mid-rollout, as a user's callback may."""

    def __init__(self, ask: Callable[["SpecPPO", Any], object]) -> None:
        super().__init__()
        self._ask = ask

    def _on_step(self) -> bool:
        self._ask(self.model, self.locals["new_obs"])  # type: ignore[arg-type]
        return True


def _ask_with_masks(model: SpecPPO, observations: Any) -> None:
    with th.no_grad():
        tensor = th.as_tensor(observations)
        # Deterministic, so that no random number is drawn.
        model.policy(tensor, deterministic=True, action_masks=np.ones((2, 5), bool))
    model.predict(observations, action_masks=np.ones((2, 5), bool), deterministic=True)


def _copy(model: SpecPPO, _observations: Any) -> None:
    for copied in (copy.deepcopy(model.policy), pickle.loads(pickle.dumps(model.policy))):
        assert copied.mask_source is None
    assert copy.deepcopy(model.rollout_buffer).mask_source is None


@pytest.mark.parametrize("ask", [_ask_with_masks, _copy])
def test_a_callback_in_mid_rollout_changes_no_mask(ask: Callable[[SpecPPO, Any], object]) -> None:
    plain = masked_model().learn(128)
    meddled = masked_model().learn(128, _Meddling(ask))
    assert np.array_equal(plain.rollout_buffer.action_masks, meddled.rollout_buffer.action_masks)
    for name, tensor in plain.policy.state_dict().items():
        assert th.equal(tensor, meddled.policy.state_dict()[name])


def test_a_callback_that_asks_the_policy_without_masks_is_told_so() -> None:
    def ask(model: SpecPPO, observations: Any) -> None:
        model.policy(th.as_tensor(observations))

    with pytest.raises(ArgumentError, match="asked without masks"):
        masked_model().learn(128, _Meddling(ask))


def test_drawn_evaluations_in_mid_rollout_leave_maskable_ppos_numbers() -> None:
    def trained(algorithm: type[Any], **own: Any) -> Any:
        env, seen = (make_vec_env(lambda: Masked(spaces.Discrete(5)), 2, seed=s) for s in (1, 9))
        callback = MaskableEvalCallback(seen, eval_freq=30, n_eval_episodes=2, deterministic=False)
        model = algorithm("MlpPolicy", env, device="cpu", **SETTINGS, **own)
        model.learn(2 * 64 * 2, callback)
        return model, callback.last_mean_reward

    (expected, its), (ours, our) = (
        trained(MaskablePPO),
        trained(SpecPPO, mask_actions=True, backend="torch"),
    )
    assert our == its
    for name, tensor in expected.policy.state_dict().items():
        assert th.equal(tensor, ours.policy.state_dict()[name]), name


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(SubprocVecEnv, marks=pytest.mark.slow),
        pytest.param(PoolVecEnv, marks=pytest.mark.slow),
        over_singles,
    ],
)
def test_the_masks_after_a_reset_are_the_new_episodes(kind: Any) -> None:
    def stepped(vec_env: Any) -> list[list[list[bool]]]:
        env = make_vec_env(lambda: Masked(VECTOR), 2, seed=1, vec_env_cls=vec_env)
        env.reset()
        seen = []
        for _ in range(9):  # an episode has 7 steps, and the mask of step 7 is not that of step 0
            masks = get_action_masks(env)
            seen.append(masks.tolist())
            env.step(np.array([[2, 0], [2, 0]]))
        env.close()
        return seen

    seen = stepped(kind)
    assert seen == stepped(DummyVecEnv)
    assert seen[7] == seen[0] != seen[1]


class _Pair(gym.vector.VectorEnv[Any, Any, Any]):
    """Two copies in one, which reset on a step of its own; episodes of 2 and 3 steps."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}
    num_envs = 2
    single_observation_space, single_action_space = BOX, spaces.Discrete(3)
    observation_space = spaces.Box(-1.0, 1.0, (2, 3))
    action_space = spaces.MultiDiscrete([3, 3])

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        self.clocks, self.ended = np.zeros(2, int), np.zeros(2, bool)
        return self._seen(), {}

    def _seen(self) -> Any:
        return np.repeat(self.clocks[:, None] / 4, 3, axis=1).astype(np.float32)

    def action_masks(self) -> Any:
        # The clock's own action alone, so that a mask of another row gives itself away.
        return np.eye(3, dtype=bool)[self.clocks % 3]

    def step(self, actions: Any) -> Any:
        right = actions == self.clocks % 3
        assert right.all()
        self.clocks = np.where(self.ended, 0, self.clocks + 1)
        self.ended = ~self.ended & (self.clocks == np.array([2, 3]))
        none = np.zeros(2, bool)
        return self._seen(), self.clocks.astype(float), self.ended, none, {}


def test_rows_that_are_no_samples_take_their_masks_with_them() -> None:
    env = GymnasiumVecEnv(_Pair())
    model = SpecPPO("MlpPolicy", env, device="cpu", mask_actions=True, n_steps=16, batch_size=8)
    model.learn(32)
    samples = next(model.rollout_buffer.get())
    assert len(samples.observations) < 32
    of_clock = th.eye(3)[(samples.observations[:, 0] * 4).round().long() % 3]
    assert th.equal(samples.action_masks, of_clock)
