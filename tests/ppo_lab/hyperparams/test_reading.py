"""Hyperparameters as RL Zoo writes them: what becomes of them, and that nothing in them runs."""

import sys
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import nn

from ppo_lab.commands.settings_source import SettingsSource
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import constructor_arguments, keyword_text
from ppo_lab.hyperparams.sources import ZOO_TUNING, default_settings, file_settings, zoo_settings
from ppo_lab.ppo.schedules import LinearAnnealing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "dict(log_std_init=-3.29, ortho_init=False)",
            {"log_std_init": -3.29, "ortho_init": False},
        ),
        (
            "dict(\n  activation_fn=nn.ReLU,\n  net_arch=dict(pi=[64], vf=[64, 32]))",
            {"activation_fn": nn.ReLU, "net_arch": {"pi": [64], "vf": [64, 32]}},
        ),
        (
            "dict(optimizer_class=RMSpropTFLike, optimizer_kwargs=dict(eps=1e-5))",
            {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5}},
        ),
        ("{'net_arch': [8]}", {"net_arch": [8]}),
        ("dict(activation_fn=torch.nn.Tanh)", {"activation_fn": nn.Tanh}),
    ],
)
def test_the_zoos_keyword_texts_are_read(text: str, expected: dict[str, Any]) -> None:
    assert keyword_text("policy_kwargs", text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "dict(a=__import__('os').system('true'))",
        "dict(a=open('x'))",
        "dict(a=nn.Linear)",
        "dict(**{})",
        "dict(a=1",
        "[1]",
        "dict(a=[x for x in (1,)])",
    ],
)
def test_nothing_else_is(text: str) -> None:
    with pytest.raises(ArgumentError):
        keyword_text("policy_kwargs", text)


def test_schedules_frequencies_and_classes_become_what_sb3_takes() -> None:
    given = {
        "learning_rate": "lin_0.001",
        "train_freq": [4, "step"],
        "policy_kwargs": {"activation_fn": "nn.ReLU"},
        "gamma": 0.9,
    }
    arguments = constructor_arguments(given)
    assert isinstance(arguments["learning_rate"], LinearAnnealing)
    assert arguments["learning_rate"](0.5) == 0.0005
    assert arguments["train_freq"] == (4, "step")
    assert arguments["policy_kwargs"] == {"activation_fn": nn.ReLU}
    assert arguments["gamma"] == 0.9
    assert given["learning_rate"] == "lin_0.001"


def test_settings_of_the_zoo_are_read_from_its_package() -> None:
    pytest.importorskip("rl_zoo3")
    found = zoo_settings("ppo", "CartPole-v1")
    assert found is not None
    # rl_zoo3/hyperparams/ppo.yml: CartPole-v1, unchanged for years.
    assert (found.n_envs, found.hyperparameters["learning_rate"]) == (8, "lin_0.001")
    assert (found.word, found.tuning) == ("zoo", ZOO_TUNING)
    assert zoo_settings("spec_ppo", "CartPole-v1") == found
    lstm = zoo_settings("ppo_lstm", "CartPoleNoVel-v1")
    assert lstm is not None
    assert lstm.normalize is True
    arguments = constructor_arguments(lstm.hyperparameters)
    assert arguments["policy_kwargs"]["activation_fn"] is nn.ReLU


def test_what_the_zoo_does_not_list_trains_with_its_default() -> None:
    pytest.importorskip("rl_zoo3")
    found = zoo_settings("dqn", "ppo_lab/GridWorld-v0")
    assert found is not None
    assert (found.n_envs, found.hyperparameters, found.tuning) == (1, {}, "none")
    assert found.origin.endswith("dqn.yml, default (SB3's defaults)")


@pytest.mark.parametrize("algo", ["ppo_mask", "q_learning", "optimal"])
def test_the_zoo_has_nothing_for_some(algo: str) -> None:
    assert zoo_settings(algo, "CartPole-v1") is None
    word = "exact" if algo == "optimal" else "default"
    assert SettingsSource().settings(algo, "CartPole-v1").word == word


def test_without_rl_zoo3_its_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults in their place the same command would mean two things on two machines."""
    monkeypatch.setitem(sys.modules, "rl_zoo3", None)
    assert zoo_settings("ppo", "CartPole-v1") is None
    with pytest.raises(ArgumentError, match=r"--settings zoo: .*--settings default needs nothing"):
        SettingsSource().settings("ppo", "CartPole-v1")
    assert SettingsSource("default").settings("ppo", "CartPole-v1") == default_settings("ppo")


def test_a_minibatch_of_the_zoo_beyond_the_rollout_is_the_rollout() -> None:
    pytest.importorskip("rl_zoo3")
    # MountainCarContinuous-v0: batch_size 256, but n_steps 8 in one environment.
    chosen = SettingsSource().settings("spec_ppo", "MountainCarContinuous-v0")
    assert chosen.hyperparameters["batch_size"] == 8
    assert "batch_size 256 is the rollout's 8" in chosen.origin


def test_a_minibatch_of_the_zoo_that_is_the_rollout_is_left_alone() -> None:
    pytest.importorskip("rl_zoo3")
    settings = SettingsSource(n_envs=32).settings("spec_ppo", "MountainCarContinuous-v0")
    assert settings.hyperparameters["batch_size"] == 256  # n_steps 8 in 32 environments
    assert "batch_size" not in settings.origin


def test_a_preset_goes_on_top_and_names_the_row() -> None:
    chosen = SettingsSource(base="default", preset="sb3", n_envs=4).settings(
        "spec_ppo", "CartPole-v1"
    )
    assert (chosen.word, chosen.n_envs) == ("sb3", 4)
    assert chosen.hyperparameters["n_steps"] == 2048
    others = SettingsSource(base="default", preset="sb3").settings("ppo", "CartPole-v1")
    assert (others.word, others.hyperparameters) == ("default", {})


def test_a_file_of_settings_is_for_an_environment_before_its_default(tmp_path: Path) -> None:
    file = tmp_path / "mine.yml"
    file.write_text(
        "Other-v0: {n_envs: 3, gamma: 0.5, normalize: 'dict(norm_reward=False)'}\n"
        "default: {clip_range_vf: null}\n"
    )
    own, fallback = (file_settings(file, name) for name in ("module:Other-v0", "Third-v0"))
    assert (own.n_envs, dict(own.hyperparameters)) == (3, {"gamma": 0.5})
    assert own.normalize == {"norm_reward": False}
    assert dict(fallback.hyperparameters) == {"clip_range_vf": None}
    assert (own.origin, fallback.origin) == ("mine.yml, Other-v0", "mine.yml, default")


@pytest.mark.parametrize("name", ["learning_rate", "clip_range", "clip_range_vf"])
def test_every_rate_of_the_zoos_words_falls_linearly(name: str) -> None:
    assert constructor_arguments({name: "lin_0.2"})[name](0.25) == pytest.approx(0.05)
