"""Misconfiguration fails in the constructor, in one sentence that says what to do."""

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from sb3_contrib.ppo_recurrent.policies import MlpLstmPolicy
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.buffers import SpecRolloutBuffer
from ppo_lab.ppo.policies import SpecActorCriticPolicy


def construct(n_envs: int = 1, **kwargs: Any) -> SpecPPO:
    return SpecPPO("MlpPolicy", make_vec_env("CartPole-v1", n_envs), device="cpu", **kwargs)


NAN, INF = float("nan"), float("inf")
INTEGERS = ("n_steps", "batch_size", "n_epochs", "n_step")
FRACTIONS = ("gamma", "gae_lambda")
NOT_NEGATIVE = ("ent_coef", "vf_coef", "max_grad_norm", "kl_coef")
POSITIVE = ("critic_max_grad_norm", "target_kl", "desired_kl")
CHOICES = ("objective", "advantage_estimator", "normalize_advantage_over")
RANGES = ("clip_range", "clip_range_vf")
TRUTHS = ("normalize_advantage", "use_baseline", "use_sde")
RATES = ("learning_rate", "critic_learning_rate")

REFUSED: list[tuple[str, Any]] = [
    *((name, value) for name in INTEGERS for value in (0, -1, 2.0, "64", NAN, True, [64])),
    *((name, value) for name in FRACTIONS for value in (-0.01, 1.01, "0.9", NAN, None)),
    *((name, value) for name in NOT_NEGATIVE for value in (-1e-9, "0.1", NAN, None, [0.1])),
    *((name, value) for name in POSITIVE for value in (0, -1.0, "0.1", NAN)),
    *((name, value) for name in CHOICES for value in ("nothing", None, 3, ["clip"])),
    *((name, value) for name in (*RANGES, *RATES) for value in (-0.1, NAN, INF, "linear", [0.1])),
    *((name, value) for name in RANGES for value in (0, 0.0, "lin_0")),
    *(("adaptive_clip_range", v) for v in (0.2, (0.1,), (0.0, 1.0), (0.4, 0.2), ("a", "b"), NAN)),
    *(("adaptive_clip_range", v) for v in ((0.3, 0.4), (0.05, 0.1), (NAN, 0.4), (0.1, NAN))),
    *((name, value) for name in ("policy_kwargs", "rollout_buffer_kwargs") for value in (5, [64])),
    *((name, value) for name in TRUTHS for value in ("false", "no", None, 2, 1.0)),
    *((name, value) for name in ("mask_actions", "normalize_value") for value in ("no", 1, None)),
    ("policy_kwargs", "dict(net_arch=[64])"),
    ("rollout_buffer_class", 3),
    ("rollout_buffer_class", int),
]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda part: repr(part))
def test_an_impossible_value_is_refused_by_its_name_and_what_was_given(
    name: str, value: Any
) -> None:
    with pytest.raises(ArgumentError) as caught:
        construct(**{name: value})
    message = str(caught.value)
    assert f"{name}=" in message
    assert "\n" not in message
    # What SB3's users catch in these places.
    assert isinstance(caught.value, AssertionError)


COMBINATIONS: list[tuple[dict[str, Any], str]] = [
    ({"n_steps": 1, "batch_size": 2}, "n_steps × n_envs = 1 × 1 = 1: normalising advantages"),
    ({"n_steps": 32, "batch_size": 64}, "batch_size=64 is larger than the rollout"),
    ({"batch_size": 1}, "batch_size=1 with normalize_advantage=True"),
    ({"advantage_estimator": "gae", "use_baseline": False}, "GAE is made of the baseline"),
    ({"advantage_estimator": "mc", "rollout_buffer_class": RolloutBuffer}, "SpecRolloutBuffer"),
    (
        {
            "advantage_estimator": "mc",
            "use_baseline": False,
            "rollout_buffer_class": DictRolloutBuffer,
        },
        "SpecRolloutBuffer",
    ),
    ({"adaptive_clip_range": (0.1, 0.3), "objective": "kl"}, "only 'clip' has an ε"),
    ({"adaptive_clip_range": (0.1, 0.3), "clip_range": "lin_0.4"}, "start within its bounds"),
    ({"objective": "adaptive_kl", "kl_coef": 0.0}, "kl_coef=0.0 with objective='adaptive_kl'"),
    ({"objective": "adaptive_kl", "kl_coef": INF}, "kl_coef=inf with objective='adaptive_kl'"),
]


@pytest.mark.parametrize(("arguments", "sentence"), COMBINATIONS, ids=lambda part: str(part))
def test_an_impossible_combination_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        construct(**arguments)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


SACS = {"pi": [8], "qf": [8]}


@pytest.mark.parametrize(
    ("policy_kwargs", "sentence"),
    [
        ({"ortho_init": "no"}, "ortho_init='no': expected True or False"),
        ({"share_features_extractor": "False"}, "share_features_extractor='False': expected"),
        ({"normalize_images": None}, "normalize_images=None: expected True or False"),
        # SB3 makes a critic without a hidden layer of it.
        ({"net_arch": SACS}, "net_arch={'pi': [8], 'qf': [8]}: expected the layers of 'pi'"),
        ({"net_arch": [SACS]}, "net_arch={'pi': [8], 'qf': [8]}: expected the layers of 'pi'"),
    ],
    ids=str,
)
def test_policy_arguments_that_sb3_reads_as_others_are_refused(
    policy_kwargs: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        construct(policy_kwargs=policy_kwargs)
    assert sentence in str(caught.value)


def test_a_policy_that_makes_its_own_layers_names_them_as_it_likes() -> None:
    class Own(SpecActorCriticPolicy):
        def _build_mlp_extractor(self) -> None:
            named: Any = self.net_arch
            self.net_arch = [*named["pi"], *named["qf"]]
            super()._build_mlp_extractor()

    env = make_vec_env("CartPole-v1")
    model = SpecPPO(Own, env, policy_kwargs={"net_arch": SACS}, device="cpu")
    assert [layer.out_features for layer in model.policy.mlp_extractor.value_net[::2]] == [8, 8]


POSSIBLE: list[dict[str, Any]] = [
    {"n_steps": 1, "batch_size": 1, "normalize_advantage": False},
    {"n_steps": 2, "batch_size": 2},
    {"n_steps": 4, "batch_size": 1, "normalize_advantage_over": "rollout"},
    {"gamma": 0.0, "gae_lambda": 1, "vf_coef": 0, "max_grad_norm": INF},
    {"objective": "kl", "kl_coef": 0.0},
    {"adaptive_clip_range": [0.2, 0.2]},
    {"advantage_estimator": "mc", "rollout_buffer_class": SpecRolloutBuffer},
    {"rollout_buffer_class": RolloutBuffer, "target_kl": None, "critic_max_grad_norm": None},
    {"learning_rate": 0.0, "critic_learning_rate": "lin_0"},
    {"normalize_advantage": np.bool_(False), "use_baseline": 1, "use_sde": 0},
]


@pytest.mark.parametrize("arguments", POSSIBLE, ids=str)
def test_what_is_possible_at_the_edge_is_taken_and_trains(arguments: dict[str, Any]) -> None:
    settings = {"n_steps": 8, "batch_size": 4, "n_epochs": 1} | arguments
    model = construct(**settings).learn(settings["n_steps"])
    assert model._n_updates == 1


POLICIES: dict[str, str | type[MlpLstmPolicy]] = {
    "Policy MlpPolcy unknown; closest: MlpPolicy": "MlpPolcy",
    "Policy CnnLstmPolicy unknown; it has LSTMs, .*RecurrentPPO trains it": "CnnLstmPolicy",
    "policy .* has LSTMs, .*ppo_lab.RecurrentPPO trains it": MlpLstmPolicy,
}


@pytest.mark.parametrize(("sentence", "policy"), POLICIES.items(), ids=str)
def test_a_policy_that_there_is_not_is_told_with_what_there_is(sentence: str, policy: Any) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        SpecPPO(policy, "CartPole-v1")


def test_two_environments_are_enough_to_normalise_one_step() -> None:
    model = construct(n_envs=2, n_steps=1, batch_size=2)
    assert model.rollout_buffer.buffer_size * model.n_envs == 2


def test_a_smaller_last_minibatch_is_warned_of_and_no_other() -> None:
    with pytest.warns(UserWarning, match="truncated mini-batch of size 24") as caught:
        construct(n_steps=64, batch_size=40)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        construct(n_steps=64, batch_size=32)


def test_a_keyword_that_there_is_not_is_told_with_those_that_are_like_it() -> None:
    with pytest.raises(TypeError, match=r"'learning_rat' of SpecPPO; closest: learning_rate"):
        construct(learning_rat=0.1)

    class Mine(SpecPPO):
        """A class of a user's."""

    with pytest.raises(ArgumentError, match=r"'gae_lamda' of Mine; closest: gae_lambda"):
        Mine("MlpPolicy", "CartPole-v1", gae_lamda=0.9)


def test_the_signature_is_the_constructors_own() -> None:
    assert list(inspect.signature(SpecPPO).parameters)[:3] == ["policy", "env", "learning_rate"]
