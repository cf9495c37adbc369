"""Spaces: suggest and convert, defaults, budgets; what cannot be a space is refused."""

import inspect
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_lab.errors import ArgumentError
from ppo_lab.registry import algorithm_class
from tuning.parameters import Choice, Fixed, Parameter, Real, Whole
from tuning.space_files import parse_flag, spaces_for
from tuning.spaces import (
    SPACES,
    convert,
    default_suggestion,
    defaults,
    distributions,
    fit_to_budget,
    known_names,
)

SHAPE = {"n_steps": 63, "batch_size": 126, "n_epochs": 10}
ALGOS = sorted(SPACES["core"])


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("algo", ALGOS)
def test_every_default_space_names_arguments_of_its_algorithm(algo: str, space: str) -> None:
    accepted = set(inspect.signature(algorithm_class(algo)).parameters)
    for seed in range(5):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        params = study.ask(distributions(SPACES[space][algo])).params
        assert set(convert(SPACES[space][algo], params, {}, 8)) <= accepted


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("algo", ALGOS)
def test_first_suggestion_lies_in_the_space_and_is_the_default_where_that_does(
    algo: str, space: str
) -> None:
    searched = SPACES[space][algo]
    first = default_suggestion(algo, searched, SHAPE)
    known = distributions(searched)
    for key, value in first.items():
        assert known[key]._contains(known[key].to_internal_repr(value)), key
    if space == "core" and algo in ("ppo", "spec_ppo"):
        assert convert(searched, first, SHAPE, 8) == defaults(algo, searched, SHAPE, 8)


def test_core_defaults_of_spec_ppo_and_ppo_are_sb3s_ppo() -> None:
    sb3 = inspect.signature(algorithm_class("ppo")).parameters
    for algo in ("spec_ppo", "ppo"):
        for name, value in defaults(algo, SPACES["core"][algo], {}, 8).items():
            twin = "learning_rate" if name == "critic_learning_rate" else name
            assert value == sb3[twin].default


@given(st.floats(0.95, 0.9999))
def test_discount_is_suggested_as_its_distance_to_one_and_converted_back(gamma: float) -> None:
    parameter = Real("gamma", 0.95, 0.9999, "one_minus_log")
    suggested = parameter.nearest(gamma)
    low, high = parameter.distribution.low, parameter.distribution.high  # type: ignore[attr-defined]
    assert (parameter.key, low, high) == ("one_minus_gamma", 0.0001, 0.05)
    assert low <= suggested <= high
    assert math.isclose(parameter.convert(suggested), gamma, abs_tol=1e-11)


@given(st.integers(1, 5000))
def test_power_of_two_is_suggested_as_its_exponent(n_steps: int) -> None:
    parameter = Whole("n_steps", 32, 1024, "power_of_two")
    value = parameter.convert(parameter.nearest(n_steps))
    assert value in (32, 64, 128, 256, 512, 1024)
    # The nearest on the logarithmic scale, for what lies inside.
    if 32 <= n_steps <= 1024:
        assert abs(math.log2(value / n_steps)) <= 0.5 + 1e-12


def test_minibatch_is_at_most_the_rollout() -> None:
    space = (Whole("n_steps", 8, 64, "power_of_two"), Fixed("batch_size", 512))
    assert convert(space, {"log2_n_steps": 5}, {}, 8) == {"n_steps": 32, "batch_size": 256}


def test_network_becomes_policy_kwargs() -> None:
    space = (Choice("net_arch", ([32], [64, 64])),)
    assert convert(space, {"net_arch": "64x64"}, {}, 8) == {"policy_kwargs": {"net_arch": [64, 64]}}


def test_rollouts_above_the_budget_leave_the_space() -> None:
    # 3000 steps of 8 environments are 375 each: 256 is the largest power of two in it.
    fitted = fit_to_budget(SPACES["wide"]["ppo"], 8, 3000)
    assert next(p for p in fitted if p.name == "n_steps") == Whole(
        "n_steps", 32, 256, "power_of_two"
    )
    assert fit_to_budget((Choice("n_steps", (100, 200, 400)),), 8, 2000) == (
        Choice("n_steps", (100, 200)),
    )
    assert fit_to_budget((Choice("n_steps", (100, 400)),), 8, 2000) == (Fixed("n_steps", 100),)


@pytest.mark.parametrize(
    "parameter", [Fixed("n_steps", 2048), Whole("n_steps", 256, 512, "power_of_two")]
)
def test_budget_below_one_update_of_the_shape_is_refused(parameter: Parameter) -> None:
    with pytest.raises(ArgumentError, match=r"timesteps=1000 is too small for one update of"):
        fit_to_budget((parameter,), 8, 1000)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("gamma=0.99", 0.99),
        ("gamma=1e-5", "1e-5"),
        ("clip_range=0.1:0.3", {"low": 0.1, "high": 0.3}),
        ("learning_rate=1e-5:1e-2:log", {"low": "1e-5", "high": "1e-2", "scale": "log"}),
        ("n_epochs=3,5,10", [3, 5, 10]),
        ("net_arch=64x64,128x128", [[64, 64], [128, 128]]),
        ("target_kl=null,0.01", [None, 0.01]),
        ("normalize_advantage=true", True),
    ],
)
def test_flags_are_read_as_yaml_would_be(text: str, content: Any) -> None:
    assert parse_flag(text) == (None, text.partition("=")[0], content)


def space_of(algo: str, *changes: str, bases: tuple[str, ...] = ("core",)) -> dict[str, Parameter]:
    return {p.name: p for p in spaces_for([algo], bases, changes)[algo]}


def test_space_is_narrowed_widened_fixed_added_to_and_dropped_from_by_flags() -> None:
    space = space_of(
        "spec_ppo",
        *("clip_range=0.1:0.3", "learning_rate=1e-6:1e-1", "gamma=0.9", "n_epochs=3,5"),
        *("gae_lambda=default", "spec_ppo.kl_coef=0.5:2"),
    )
    assert space == {
        "clip_range": Real("clip_range", 0.1, 0.3),
        # The scale that the space has stays where none is named.
        "learning_rate": Real("learning_rate", 1e-6, 1e-1, "log"),
        "critic_learning_rate": Real("critic_learning_rate", 1e-5, 1e-2, "log"),
        "gamma": Fixed("gamma", 0.9),
        "n_epochs": Choice("n_epochs", (3, 5)),
        "kl_coef": Real("kl_coef", 0.5, 2.0),
    }


def test_entry_is_for_every_algorithm_that_knows_it() -> None:
    spaces = spaces_for(["spec_ppo", "ppo"], ["core"], ["critic_learning_rate=1e-3", "gamma=0.9"])
    assert Fixed("critic_learning_rate", 0.001) in spaces["spec_ppo"]
    assert "critic_learning_rate" not in {p.name for p in spaces["ppo"]}
    assert all(Fixed("gamma", 0.9) in space for space in spaces.values())


def test_fixed_value_holds_for_the_default_row_too() -> None:
    space = tuple(space_of("ppo", "gamma=0.9", "net_arch=32x32").values())
    row = defaults("ppo", space, SHAPE, 8)
    assert row["gamma"] == 0.9
    assert row["policy_kwargs"] == {"net_arch": [32, 32]}
    assert row["clip_range"] == 0.2


def test_file_changes_the_space_and_sections_are_for_one_algorithm(tmp_path: Path) -> None:
    file = tmp_path / "space.yml"
    file.write_text(
        "gamma: {low: 0.9, high: 0.999, scale: one_minus_log}\n"
        "n_epochs: [3, 10]\n"
        "clip_range: default\n"
        "net_arch: {choices: [[32], [64, 64]]}\n"
        "spec_ppo:\n  critic_learning_rate: {low: 1e-4, high: 1e-2}\n"
    )
    space = space_of("spec_ppo", bases=("wide", str(file)))
    assert space["gamma"] == Real("gamma", 0.9, 0.999, "one_minus_log")
    assert space["n_epochs"] == Choice("n_epochs", (3, 10))
    assert space["net_arch"] == Choice("net_arch", ([32], [64, 64]))
    assert space["critic_learning_rate"] == Real("critic_learning_rate", 1e-4, 1e-2, "log")
    assert "clip_range" not in space
    assert "vf_coef" in space


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("clip_rang=0.1:0.3", r"unknown hyperparameter 'clip_rang' of ppo; closest: clip_range"),
        ("clip_range=0.3:0.1", r"clip_range: low 0.3 is not below high 0.1"),
        ("clip_range=0.3:0.3", r"low 0.3 is not below high 0.3 \(a single value is fixed"),
        ("learning_rate=0:0.1:log", r"logarithmic scale from 0 passes through 0; expected low > 0"),
        ("gamma=0.9:1:one_minus_log", r"gamma: 1 − 1 on a logarithmic scale passes through 0"),
        ("n_steps=0:8:power_of_two", r"n_steps: 0 is not a power of two"),
        ("clip_range=0.1:0.3:quadratic", r"unknown scale 'quadratic'; expected linear, log"),
        ("clip_range=a:b", r"clip_range: 'a'; expected a number"),
        ("clip_range=0:inf", r"clip_range: 0.0 to inf; expected finite bounds"),
        ("clip_range=high", r"clip_range: 'high'; expected a number"),
        ("n_epochs=2.5", r"n_epochs: 2.5; expected a whole number"),
        ("n_epochs=1.5:3", r"n_epochs: 1.5 to 3; expected whole numbers"),
        ("n_epochs=3,3", r"n_epochs: choices 3, 3; expected two or more different ones"),
        ("normalize_advantage=0:1", r"expected choices, not a range"),
        ("normalize_advantage=maybe", r"expected true or false"),
        ("net_arch=64", r"net_arch: 64; expected sizes of layers"),
        ("gamma", r"'gamma': expected NAME=VALUE, NAME=LOW:HIGH"),
        ("gamma=", r"expected NAME=VALUE"),
        ("spec_pp.gamma=1", r"unknown algorithm 'spec_pp'; closest: spec_ppo"),
        ("seed=3", r"unknown hyperparameter 'seed'"),
        ("clip_range=1:2:3:4", r"expected NAME=LOW:HIGH or NAME=LOW:HIGH:SCALE"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        space_of("ppo", change)
    assert str(caught.value).startswith("--set")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("gamma: {low: 0.9\nhigh: 1", r"space.yml, line 2, column \d+: "),
        ("gamma: [0.9", r"space.yml, line [12], column \d+: "),  # libyaml: after its end
        ("- gamma", r"expected NAME: VALUE lines"),
        ("", r"expected NAME: VALUE lines"),
        ("gamma: {low: 0.9, hgh: 1}", r"expected low, high and perhaps scale, or choices"),
        ("gamma: !!python/object/apply:os.getcwd []", r"line 1, column 8: could not determine"),
    ],
)
def test_bad_file_is_refused_with_its_place(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "space.yml").write_text(content)
    with pytest.raises(ArgumentError, match=message):
        space_of("ppo", bases=("core", str(tmp_path / "space.yml")))


def test_file_that_is_not_there_is_refused_with_the_known_spaces() -> None:
    expected = r"No such file.*expected core, wide, atari, .* or a file"
    with pytest.raises(ArgumentError, match=expected):
        space_of("ppo", bases=("wid",))


def test_names_of_a_space_are_the_algorithms_own() -> None:
    assert known_names("trpo")["cg_max_steps"] == 15
    assert "policy_kwargs" not in known_names("ppo")
