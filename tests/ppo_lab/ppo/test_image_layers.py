"""The options that run convolutions faster: the same numbers to rounding, and off by default."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError

PICTURE = spaces.Box(0, 255, (3, 36, 36), np.uint8)


class Pictures(gym.Env[Any, int]):
    """Random pictures, alone or beside a vector; the reward is the action."""

    action_space = spaces.Discrete(3)

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        self.observation_space = deepcopy(observation_space)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        ended = bool(self.np_random.random() < 0.1)
        return self.observation_space.sample(), float(action), ended, False, {}


def trained(observation_space: spaces.Space[Any], **policy_kwargs: Any) -> SpecPPO:
    env = DummyVecEnv([lambda: Pictures(observation_space)])
    name = "MultiInputPolicy" if isinstance(observation_space, spaces.Dict) else "CnnPolicy"
    sizes: dict[str, Any] = {"n_steps": 32, "batch_size": 16, "n_epochs": 1, "seed": 0}
    return SpecPPO(name, env, **sizes, policy_kwargs=policy_kwargs).learn(32)


def convolutions(model: SpecPPO) -> list[nn.Conv2d]:
    return [part for part in model.policy.modules() if isinstance(part, nn.Conv2d)]


SPACES = [PICTURE, spaces.Dict(eye=PICTURE, body=spaces.Box(-1, 1, (2,)))]


@pytest.mark.parametrize("observation_space", SPACES, ids=["Box", "Dict"])
@pytest.mark.parametrize("share", [True, False])
def test_channels_last_trains_as_the_plain_layout_to_rounding(
    observation_space: spaces.Space[Any], share: bool
) -> None:
    plain = trained(observation_space, share_features_extractor=share)
    fast = trained(observation_space, share_features_extractor=share, channels_last=True)
    assert len(convolutions(fast)) == (3 if share else 6)
    for one, other in zip(convolutions(plain), convolutions(fast), strict=True):
        assert one.weight.is_contiguous()
        assert other.weight.is_contiguous(memory_format=th.channels_last)
    for (name, one), other in zip(
        plain.policy.named_parameters(), fast.policy.parameters(), strict=True
    ):
        assert th.allclose(one, other, rtol=0, atol=1e-5), name


def test_the_layout_is_there_again_after_loading(tmp_path: Path) -> None:
    fast = trained(PICTURE, channels_last=True)
    fast.save(tmp_path / "model")
    back = SpecPPO.load(tmp_path / "model", env=DummyVecEnv([lambda: Pictures(PICTURE)]))
    assert all(
        part.weight.is_contiguous(memory_format=th.channels_last) for part in convolutions(back)
    )
    fast.policy.save(str(tmp_path / "policy"))
    alone = type(fast.policy).load(str(tmp_path / "policy"))
    picture = PICTURE.sample()
    for other in (back, alone):
        assert other.predict(picture, deterministic=True) == fast.predict(
            picture, deterministic=True
        )
    back.learn(32, reset_num_timesteps=False)  # on the optimiser's loaded state
    assert back.num_timesteps == 64


def test_channels_last_without_a_convolution_is_refused() -> None:
    env = DummyVecEnv([lambda: Pictures(spaces.Dict(body=spaces.Box(-1, 1, (2,))))])
    with pytest.raises(ArgumentError, match=r"channels_last=True with CombinedExtractor, which"):
        SpecPPO("MultiInputPolicy", env, policy_kwargs={"channels_last": True})


def test_a_compiled_extractor_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def counted(function: Any, *_: Any, **__: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(th, "compile", counted)
    one = trained(PICTURE, compile_extractor=True)
    two = trained(PICTURE, compile_extractor=True, share_features_extractor=False)
    assert len(compiled) == 1 + 2
    assert [function.__self__ for function in compiled] == [
        one.policy.features_extractor,
        two.policy.pi_features_extractor,
        two.policy.vf_features_extractor,
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler's own
def test_a_compiled_extractor_trains_as_the_plain_one_to_rounding() -> None:
    plain, fast = (trained(PICTURE, compile_extractor=compiled) for compiled in (False, True))
    for one, other in zip(plain.policy.parameters(), fast.policy.parameters(), strict=True):
        assert th.allclose(one, other, rtol=0, atol=1e-5)
