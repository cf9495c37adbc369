"""SB3's, sb3-contrib's and Gymnasium's wrappers under ``SpecPPO``: each one's effect is there."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib.common.wrappers import TimeFeatureWrapper
from stable_baselines3.common import atari_wrappers
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor, load_results
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecCheckNan,
    VecEnv,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
    is_vecenv_wrapped,
)

from ppo_lab import SpecPPO

SMALL: dict[str, Any] = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu"}


class Pictures(gym.Env[Any, Any]):
    """Random pictures, 36 × 36 with three channels last; episodes of ten steps."""

    observation_space = spaces.Box(0, 255, (36, 36, 3), np.uint8)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self.picture(), {}

    def picture(self) -> Any:
        return self.np_random.integers(256, size=(36, 36, 3), dtype=np.uint8)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.picture(), 3.0, self.steps == 10, False, {}


class Named(gym.Env[Any, Any]):
    """CartPole's observation under a name."""

    observation_space = spaces.Dict({"obs": spaces.Box(-1, 1, (3,), np.float32)})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 1.0, False, self.np_random.random() < 0.1, {}


def cartpole(n_envs: int = 2) -> VecEnv:
    return make_vec_env("CartPole-v1", n_envs, seed=0)


def learn(env: Any, policy: str = "MlpPolicy", **kwargs: Any) -> SpecPPO:
    return SpecPPO(policy, env, seed=0, **(SMALL | kwargs)).learn(64)


def test_vec_normalize_counts_every_observation_and_survives_a_save(tmp_path: Path) -> None:
    env = VecNormalize(cartpole())
    model = learn(env)
    # The reset and 64 steps of which each environment made half, from SB3's start of 1e-4.
    assert env.obs_rms.count == pytest.approx(2 + 64, abs=1e-3)
    assert model.get_vec_normalize_env() is env
    env.save(str(tmp_path / "statistics.pkl"))
    loaded = VecNormalize.load(str(tmp_path / "statistics.pkl"), cartpole())
    np.testing.assert_array_equal(loaded.obs_rms.mean, env.obs_rms.mean)


def test_vec_frame_stack_gives_the_policy_all_frames() -> None:
    model = learn(VecFrameStack(cartpole(), 3))
    assert model.observation_space.shape == (12,)
    assert model.policy.mlp_extractor.policy_net[0].in_features == 12


def test_vec_monitor_writes_the_episodes(tmp_path: Path) -> None:
    env = VecMonitor(DummyVecEnv([lambda: gym.make("CartPole-v1")] * 2), str(tmp_path))
    learn(env)
    env.close()
    episodes = load_results(str(tmp_path))
    assert (episodes["r"] == episodes["l"]).all()
    assert 0 < episodes["l"].sum() <= 64


def test_monitor_gives_training_its_returns(tmp_path: Path) -> None:
    env = Monitor(gym.make("CartPole-v1"), str(tmp_path))
    model = learn(env)
    env.close()
    assert len(load_results(str(tmp_path))) == len(model.ep_info_buffer or ()) > 0


def test_vec_transpose_image_is_put_around_channels_last() -> None:
    small = {"policy_kwargs": {"features_extractor_kwargs": {"features_dim": 16}}}
    model = learn(DummyVecEnv([Pictures]), "CnnPolicy", **small)
    assert is_vecenv_wrapped(model.env, VecTransposeImage)  # type: ignore[arg-type]
    assert model.observation_space.shape == (3, 36, 36)


def test_vec_check_nan_names_the_fault_before_training_does() -> None:
    class Bad(Named):
        observation_space = spaces.Box(-1, 1, (3,), np.float32)  # type: ignore[assignment]

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            observation, _, *rest = super().step(action)
            return observation, float("nan"), *rest

    learn(VecCheckNan(cartpole(), raise_exception=True))
    with pytest.raises(ValueError, match="nan in rewards"):
        learn(VecCheckNan(DummyVecEnv([Bad]), raise_exception=True))


def test_vec_extract_dict_obs_leaves_one_observation() -> None:
    model = learn(VecExtractDictObs(DummyVecEnv([Named]), "obs"))
    assert model.observation_space == Named.observation_space["obs"]


@pytest.mark.filterwarnings("ignore")  # moviepy's and pygame's own
def test_vec_video_recorder_leaves_a_film_of_training(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    env = make_vec_env("ppo_lab/GridWorld-v0", 1, seed=0, env_kwargs={"render_mode": "rgb_array"})
    env = VecVideoRecorder(env, str(tmp_path), lambda step: step == 0, video_length=8)
    learn(env)
    env.close()
    (film,) = tmp_path.glob("*.mp4")
    assert film.name == "rl-video-step-0-to-step-8.mp4"
    assert film.stat().st_size > 1000


def test_subprocesses_train_as_one_process_does() -> None:
    env = make_vec_env("CartPole-v1", 2, seed=0, vec_env_cls=SubprocVecEnv)
    try:
        apart = learn(env)
    finally:
        env.close()
    together = learn(cartpole())
    for one, other in zip(apart.policy.parameters(), together.policy.parameters(), strict=True):
        assert one.equal(other)


def test_sb3_contribs_time_feature_is_observed() -> None:
    env = make_vec_env("Pendulum-v1", 1, seed=0, wrapper_class=TimeFeatureWrapper)
    model = learn(env)
    assert model.observation_space.shape == (4,)
    # Remaining time after 64 of 200 steps, from 1 to 0.
    assert model._last_obs[0, -1] == pytest.approx(1 - 64 / 200)  # type: ignore[index,call-overload]


ATARI = {
    "MaxAndSkipEnv": (lambda env: atari_wrappers.MaxAndSkipEnv(env, skip=2), (36, 36, 3)),
    "ClipRewardEnv": (atari_wrappers.ClipRewardEnv, (36, 36, 3)),
}


@pytest.mark.parametrize("name", ATARI)
def test_generic_atari_wrappers_work_on_any_pictures(name: str) -> None:
    wrap, shape = ATARI[name]
    env = DummyVecEnv([lambda: Monitor(wrap(Pictures()))])  # type: ignore[no-untyped-call,operator]
    small = {"policy_kwargs": {"features_extractor_kwargs": {"features_dim": 16}}}
    model = learn(env, "CnnPolicy", **small)
    assert env.observation_space.shape == shape
    returns = {episode["r"] for episode in model.ep_info_buffer or ()}
    # Ten steps of reward 3, each clipped to its sign by ClipRewardEnv.
    assert returns == {10.0 if name == "ClipRewardEnv" else 30.0}


def test_warp_frame_resizes_to_grey_pictures() -> None:
    pytest.importorskip("cv2")
    env = DummyVecEnv([lambda: atari_wrappers.WarpFrame(Pictures(), 48, 48)])
    small = {"policy_kwargs": {"features_extractor_kwargs": {"features_dim": 16}}}
    model = learn(VecFrameStack(env, 2), "CnnPolicy", **small)
    assert model.observation_space.shape == (2, 48, 48)


def test_gymnasiums_wrappers_go_inside() -> None:
    def wrapped() -> gym.Env[Any, Any]:
        env = gym.make("ppo_lab/GridWorld-v0")
        return Monitor(gym.wrappers.FlattenObservation(env))

    model = learn(DummyVecEnv([wrapped]))
    states = gym.make("ppo_lab/GridWorld-v0").observation_space
    assert isinstance(states, spaces.Discrete)
    assert model.observation_space.shape == (states.n,)  # one-hot
