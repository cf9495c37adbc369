"""Hyperparameters as RL Zoo writes them: what becomes of them, and that nothing in them runs."""

import inspect
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from ppo_lab.commands.environment_flags import keywords
from ppo_lab.commands.settings_source import SettingsSource
from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import _NORMALIZE, read_normalize, take_environment
from ppo_lab.hyperparams.reading import (
    constructor_arguments,
    keyword_text,
    words_as_hyperparameters,
)
from ppo_lab.hyperparams.sources import ZOO_TUNING, default_settings, file_settings, zoo_settings
from ppo_lab.hyperparams.words import word_value
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


# ---------------------------------------------------------------- words of a command line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("None", None),
        ("[1, 2]", [1, 2]),
        # A text counts as true: as one, false would switch on what it shall switch off.
        *((text, False) for text in ("False", "false", "FALSE", "no", "Off")),
        *((text, True) for text in ("True", "true", "yes", "on")),
        *((text, None) for text in ("null", "~")),
        ("[true, no]", [True, False]),
        ("{slippery: false}", {"slippery": False}),
        ("'false'", "false"),
        *((text, text) for text in ("4x4", "#ff0000", "- a", "a: b", "lin_0.1", "dict(a=1)")),
        *((text, text) for text in ("[", "{a", "!!python/name:os.system", "2020-01-01", "010")),
    ],
)
def test_a_word_is_what_python_or_a_file_of_settings_says(text: str, value: object) -> None:
    read = word_value(text)
    assert read == value
    assert type(read) is type(value)
    assert words_as_hyperparameters([f"a:{text}"]) == keywords("env_kwargs", [f"a:{text}"])


# ---------------------------------------------------------------- normalize


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (None, False),
        (True, True),
        ({}, {}),  # nothing, as in the zoo, where a text normalises
        ("dict()", True),
        ({"epsilon": "1e-8", "clip_obs": 5}, {"epsilon": 1e-8, "clip_obs": 5}),
        ("dict(gamma=1, clip_reward=0.5)", {"gamma": 1, "clip_reward": 0.5}),
        ({"clip_obs": math.inf, "epsilon": 0}, {"clip_obs": math.inf, "epsilon": 0}),
        ({"norm_obs": False, "norm_obs_keys": ["a"]}, {"norm_obs": False, "norm_obs_keys": ["a"]}),
        ({"training": False, "norm_obs_keys": None}, {"training": False, "norm_obs_keys": None}),
    ],
)
def test_normalize_is_what_the_zoo_understands(given: Any, read: object) -> None:
    assert read_normalize(given) == read


@pytest.mark.parametrize(
    ("given", "message"),
    [
        *(({"clip_obs": v}, "clip_obs=.*expected a number > 0") for v in (0, -1, "x", math.nan)),
        *(({"clip_reward": v}, "clip_reward=.*expected a number > 0") for v in (0, True, None)),
        *(({"gamma": v}, "gamma=.*expected a number in 0…1") for v in (-0.1, 2, None, [0.9])),
        *(({"epsilon": v}, "epsilon=.*expected a finite") for v in (-1e-8, math.inf, "1e")),
        *(({"norm_obs": v}, "norm_obs=.*expected true or false") for v in ("no", 1, None)),
        ({"norm_reward": "False"}, "norm_reward='False': expected true or false"),
        ({"training": 0}, "training=0: expected true or false"),
        *(({"norm_obs_keys": v}, "norm_obs_keys=.*expected a list") for v in ("a", [1], True)),
        ({"clip": 3}, "'clip': VecNormalize takes training, .*clip_obs, .*norm_obs_keys"),
        ({"venv": 3}, "'venv': VecNormalize takes training"),
        ("dict(clip_obs=-1)", "clip_obs=-1"),
        ("[1]", r"expected dict\(…\)"),
        (3, "expected true, false, or a mapping"),
    ],
)
def test_what_vecnormalize_would_take_and_should_not_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"normalize.*{message}"):
        read_normalize(given)


def test_the_arguments_that_are_checked_are_those_of_vecnormalize() -> None:
    known = set(inspect.signature(VecNormalize).parameters) - {"venv"}
    assert known == {name for names, _, _ in _NORMALIZE for name in names}


@pytest.mark.parametrize("frames", [True, 2.0, "4", -1, 1001])
def test_frames_that_are_no_count_are_refused(frames: Any) -> None:
    with pytest.raises(ArgumentError, match=r"mine: frame_stack .*expected 0…1000"):
        take_environment({"frame_stack": frames}, "mine")
