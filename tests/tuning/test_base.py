"""What a study starts from: its first trial is that, and all that is not searched."""

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from stable_baselines3 import PPO

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.reading import layers_of, with_layers
from ppo_lab.hyperparams.sources import zoo_settings
from tests.tuning.test_study import opened, screened
from tuning.base import Base, check_rollout, missing
from tuning.parameters import Choice, Fixed, Real, Whole
from tuning.proposals import Hindsight
from tuning.protocol import TuningProtocol
from tuning.search import Search
from tuning.space_files import space_names, spaces_for
from tuning.spaces import SPACES, distributions
from tuning.study import study_settings
from tuning.trial_runs import TrialResult

SCHEDULED = {"n_steps": 512, "learning_rate": "lin_2.5e-4", "clip_range": 0.2, "gae_lambda": 0.95}
NETWORK = (
    "dict(log_std_init=-2, activation_fn=nn.ReLU, net_arch=dict(pi=[256, 256], vf=[256, 256]))"
)
CONSTANT = {**SCHEDULED, "learning_rate": 2.5e-4, "policy_kwargs": NETWORK}
STEPS = Whole("n_steps", 32, 4096, "power_of_two")


def base(hyperparameters: dict[str, Any], origin: str = "a.yml, here") -> Base:
    return Base("given", origin, "not known", hyperparameters)


def protocol(hyperparameters: dict[str, Any], **changes: Any) -> TuningProtocol:
    environment = {"normalize": True, "env_wrapper": ["rl_zoo3.wrappers.TimeFeatureWrapper"]}
    made = TuningProtocol(
        "ppo_lab/GridWorld-v0", "MlpPolicy", trials=10, window=2, environment=environment
    )
    return replace(made, base=base(hyperparameters), **changes)


@pytest.mark.parametrize("hyperparameters", [SCHEDULED, CONSTANT])
def test_the_first_trial_is_the_base_to_the_last_digit(
    tmp_path: Path, hyperparameters: dict[str, Any]
) -> None:
    study = opened(tmp_path / "a", protocol(hyperparameters), SPACES["core"]["spec_ppo"])
    screened(study, result=lambda _: TrialResult(scores=(1.0,)))
    first = study.outcomes()[0]
    assert first.user_attrs["hyperparameters"] == hyperparameters
    assert study.hyperparameters(first.params) == hyperparameters  # as finalist and as winner
    assert study.default_hyperparameters == hyperparameters
    # The search is told of it where it could have suggested it, and of nothing else.
    told = hyperparameters is CONSTANT
    assert bool(first.params) == told
    assert study.outside == ([] if told else ["learning_rate lin_2.5e-4",
                                              "critic_learning_rate lin_2.5e-4"])  # fmt: skip


def test_other_trials_have_the_bases_settings_where_the_search_does_not_say(tmp_path: Path) -> None:
    space = (*SPACES["core"]["spec_ppo"], Choice("net_arch", ([64, 64], [32, 32])))
    study = opened(tmp_path / "a", protocol(CONSTANT), space)
    screened(study, result=lambda _: TrialResult(scores=(1.0,)))
    for number in range(1, 10):
        trial = study.outcomes()[number]
        arguments = trial.user_attrs["hyperparameters"]
        assert arguments["n_steps"] == 512
        assert arguments["clip_range"] == trial.params["clip_range"] != 0.2
        layers = [int(size) for size in trial.params["net_arch"].split("x")]
        # The text stays the zoo's, all but the layers as it was.
        expected = f"dict(log_std_init=-2, activation_fn=nn.ReLU, net_arch={layers})"
        assert arguments["policy_kwargs"] == expected
    run = study.run("judge", 0, {})
    assert (run.normalize, run.env_wrapper) == (True, ["rl_zoo3.wrappers.TimeFeatureWrapper"])


def test_what_the_space_fixes_holds_for_the_base_too() -> None:
    search = Search("ppo", protocol(SCHEDULED), (Fixed("clip_range", 0.3), Fixed("n_steps", 64)))
    expected = {**SCHEDULED, "clip_range": 0.3, "n_steps": 64}
    assert search.default_hyperparameters == expected
    assert search.hyperparameters({}) == expected


def test_a_base_outside_the_space_leaves_the_sampler_as_if_it_had_never_been_tried() -> None:
    """Optuna samples jointly what every finished trial has: one without would end that."""
    space = SPACES["core"]["ppo"]
    searched = distributions(space)
    params = [
        {"clip_range": 0.1 + 0.02 * n, "gae_lambda": 0.9 - 0.005 * n, "learning_rate": 1e-3}
        for n in range(12)  # TPE draws blindly until it has 10
    ]
    known = [
        optuna.trial.create_trial(params=each, distributions=searched, value=each["clip_range"])
        for each in params
    ]
    unknown = optuna.trial.create_trial(value=9.0)
    failed = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
    made = replace(protocol(SCHEDULED), window=1)
    proposals = [
        Hindsight("study", made, 13, (first, *known)).propose(searched, params[0])
        for first in (unknown, failed)
    ]
    assert proposals[0].params == proposals[1].params
    # Pruners compare curves, not settings: they see it.
    watch = Hindsight("study", made, 13, (unknown, *known)).watch(params[0], searched)
    assert watch.study.get_trials()[0].value == 9.0


@pytest.mark.parametrize(
    ("parameter", "value", "holds"),
    [
        (STEPS, 512, True),
        (STEPS, 500, False),
        (STEPS, 16, False),
        (Real("gamma", 0.9, 0.9999, "one_minus_log"), 0.99, True),
        (Real("gamma", 0.9, 0.9999, "one_minus_log"), 1.0, False),
        (Real("learning_rate", 1e-5, 1e-2, "log"), "lin_0.001", False),
        (Real("ent_coef", 0.0, 0.02), 0.0, True),
        (Real("ent_coef", 1e-8, 0.1, "log"), 0.0, False),
        (Real("clip_range", 0.05, 0.5), True, False),
        (Choice("n_epochs", (3, 10)), 10, True),
        (Choice("n_epochs", (1, 10)), True, False),
        (Choice("net_arch", ([64, 64], [32, 32])), [64, 64], True),
        (Choice("target_kl", (None, 0.01)), None, True),
    ],
)
def test_a_parameter_holds_what_it_can_suggest(parameter: Any, value: Any, holds: bool) -> None:
    assert parameter.holds(value) == holds


def test_layers_are_read_and_replaced_in_a_mapping_and_in_the_zoos_text() -> None:
    assert layers_of(NETWORK) == [256, 256]
    assert layers_of({"net_arch": [8]}) == [8]
    assert layers_of("dict(net_arch=dict(pi=[8], vf=[9]))") == {"pi": [8], "vf": [9]}
    assert layers_of(None) is layers_of({"ortho_init": False}) is None
    assert with_layers(None, [8]) == {"net_arch": [8]}
    assert with_layers({"ortho_init": False}, [8]) == {"ortho_init": False, "net_arch": [8]}
    assert with_layers("dict(ortho_init=False)", [8]) == "dict(ortho_init=False, net_arch=[8])"
    assert with_layers("{'ortho_init': False}", [8]) == {"ortho_init": False, "net_arch": [8]}


def test_a_base_without_layers_has_sb3s_own_for_its_policy() -> None:
    space = (Choice("net_arch", ([64, 64], [32, 32])),)
    assert missing("ppo", base({}), space, "MlpPolicy") == []
    assert missing("ppo", base({}), space, "CnnPolicy") == ["net_arch []"]


def test_a_rollout_that_the_budget_does_not_hold_is_refused() -> None:
    check_rollout("ppo", base(SCHEDULED), (), 2, 1024)
    with pytest.raises(
        ArgumentError, match=r"n_steps 512 × 2 environments; raise --timesteps to 1024"
    ):
        check_rollout("ppo", base(SCHEDULED), (), 2, 1023)
    check_rollout("ppo", base(SCHEDULED), (Fixed("n_steps", 8),), 2, 1023)
    own = inspect.signature(PPO).parameters["n_steps"].default
    with pytest.raises(ArgumentError, match=rf"n_steps {own} × 1 env"):
        check_rollout("ppo", base({}), (), 1, own - 1)


def test_a_study_of_another_base_is_refused_in_a_sentence(tmp_path: Path) -> None:
    space = SPACES["core"]["spec_ppo"]
    recorded = study_settings("spec_ppo", protocol(SCHEDULED), space)["base"]
    assert json.loads(json.dumps(recorded))["hyperparameters"] == SCHEDULED
    opened(tmp_path / "a", protocol(SCHEDULED), space)
    opened(tmp_path / "a", protocol(dict(SCHEDULED)), space)  # goes on
    changed = protocol({**SCHEDULED, "gae_lambda": 0.9})
    with pytest.raises(
        ArgumentError, match=r"base hyperparameters gae_lambda 0.95 there, 0.9 here"
    ):
        opened(tmp_path / "a", changed, space)
    other = replace(changed, base=base(SCHEDULED, "b.yml, there"))
    with pytest.raises(ArgumentError, match=r"\(base a.yml, here there, b.yml, there here\)"):
        opened(tmp_path / "a", other, space)
    with pytest.raises(ArgumentError, match=r"\(base a.yml, here there, None here\)"):
        opened(tmp_path / "a", replace(changed, base=None), space)


def test_atari_and_minigrid_are_scored_by_drawn_actions_as_everywhere() -> None:
    made = TuningProtocol("ppo_lab/GridWorld-v0", "MlpPolicy")
    assert made.evaluation(True, 0).deterministic
    pytest.importorskip("ale_py", reason="the package ale-py is missing")
    games = replace(made, env="ale_py:ALE/Pong-v5")
    assert not games.evaluation(True, 0).deterministic
    assert not games.evaluation(False, 0).deterministic


CONTINUOUS = (
    "Pendulum-v1 BipedalWalker-v3 LunarLanderContinuous-v3 HalfCheetah-v4 Hopper-v4 Ant-v4 "
)
CONTINUOUS += "Swimmer-v4 Walker2d-v4 Humanoid-v4 Reacher-v2 InvertedDoublePendulum-v2"
DISCRETE = "CartPole-v1 MountainCar-v0 Acrobot-v1 LunarLander-v3 MiniGrid-FourRooms-v0"


@pytest.mark.parametrize(
    ("space", "env_id"),
    [("ppo-continuous", env_id) for env_id in CONTINUOUS.split()]
    + [("ppo-discrete", env_id) for env_id in DISCRETE.split()]
    + [("atari", "ale_py:ALE/Pong-v5")],
)
def test_the_named_spaces_hold_the_zoos_settings_but_for_schedules(space: str, env_id: str) -> None:
    pytest.importorskip("rl_zoo3", reason="the package rl_zoo3 is missing")
    if ":" in env_id:
        pytest.importorskip("ale_py", reason="the package ale-py is missing")
    settings = zoo_settings("ppo", env_id)
    assert settings is not None
    assert not settings.is_empty
    for algo, searched in spaces_for(["ppo", "spec_ppo", "ppo_lstm"], [space], []).items():
        outside = missing(algo, base(dict(settings.hyperparameters)), searched, settings.policy)
        assert [words for words in outside if " lin_" not in words] == []


def test_named_spaces_are_for_the_algorithms_that_they_list() -> None:
    assert space_names() == ["core", "wide", "atari", "ppo-continuous", "ppo-discrete"]
    with pytest.raises(ArgumentError, match="--space atari: it has none for 'a2c'; it is for ppo"):
        spaces_for(["a2c"], ["atari"], [])
    changed = spaces_for(["ppo"], ["atari"], ["clip_range=0.1:0.2", "vf_coef=default"])["ppo"]
    assert {p.name: p for p in changed}["clip_range"] == Real("clip_range", 0.1, 0.2)
    assert "vf_coef" not in {p.name for p in changed}
