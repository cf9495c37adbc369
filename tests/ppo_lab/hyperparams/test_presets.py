"""Named settings of SpecPPO."""

import inspect

import pytest
from stable_baselines3 import PPO

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.presets import preset


@pytest.mark.parametrize("name", ["recommended", "sb3"])
def test_every_preset_makes_a_model(name: str) -> None:
    SpecPPO("MlpPolicy", "CartPole-v1", device="cpu", **preset(name))


def test_sb3s_preset_is_sb3s_defaults() -> None:
    defaults = inspect.signature(PPO).parameters
    assert preset("sb3") == {name: defaults[name].default for name in preset("sb3")}
    assert {"learning_rate", "n_steps", "clip_range", "target_kl"} <= set(preset("sb3"))


def test_a_preset_is_the_callers_own() -> None:
    preset("recommended").clear()
    assert preset("recommended")


def test_an_unknown_preset_names_the_closest() -> None:
    with pytest.raises(ArgumentError, match=r"unknown preset 'recomended'; closest: recommended"):
        preset("recomended")
