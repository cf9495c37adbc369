"""Hyperparameters over training: floats, callables and the zoo's strings (Spec 7.4)."""

import pickle
from typing import Any

import pytest
from stable_baselines3.common.env_util import make_vec_env

from ppo_lab import SpecPPO
from ppo_lab.errors import ArgumentError
from ppo_lab.ppo.schedules import LinearAnnealing, as_schedule


@pytest.mark.parametrize("value", [0.0, 3e-4, 1, lambda progress: progress])
def test_floats_and_callables_stay_as_they_are(value: Any) -> None:
    assert as_schedule("learning_rate", value) is value


def test_lin_string_falls_linearly_to_zero() -> None:
    schedule = as_schedule("learning_rate", "lin_0.004")
    assert callable(schedule)
    assert [schedule(p) for p in (1.0, 0.5, 0.25, 0.0)] == [0.004, 0.002, 0.001, 0.0]


def test_a_number_in_a_string_is_that_number() -> None:
    assert as_schedule("clip_range", "1e-3") == 1e-3


def test_linear_annealing_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(LinearAnnealing(0.2)))(0.5) == 0.1


@pytest.mark.parametrize(
    "value",
    [
        *("", "lin_", "lin_x", "linear_0.1", "lin_lin_0.1", "0.1_lin_0.1", "lin_-1", "-1", "nan"),
        *("inf", "lin_inf", "lin_nan", -1e-9, float("nan"), float("inf"), None, True, [1e-3], 1j),
    ],
)
def test_everything_else_is_refused_in_one_sentence(value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        as_schedule("learning_rate", value)
    assert str(caught.value) == (
        f"learning_rate={value!r}: expected a finite number ≥ 0, a callable of the progress "
        "remaining, or the zoo's form 'lin_<number>'"
    )


def test_schedules_move_both_learning_rates_and_epsilon_in_training() -> None:
    model = SpecPPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 1, seed=0),
        learning_rate="lin_0.001",
        critic_learning_rate=lambda progress: 0.01 + progress,
        clip_range="lin_0.4",
        clip_range_vf="lin_0.8",
        n_steps=64,
        n_epochs=1,
        device="cpu",
    )
    model.learn(256)
    # The fourth update of four begins with 1 − 256/256 of the training left; the third with ¼.
    logged = model.logger.name_to_value
    assert logged["train/learning_rate"] == logged["train/clip_range"] == 0
    assert logged["train/clip_range_vf"] == 0
    assert logged["train/critic_learning_rate"] == 0.01
    model.learn(64 * 3 + 1)  # four updates again, the last with progress below 0
    model._current_progress_remaining = 0.25
    model.train()
    logged = model.logger.name_to_value
    assert logged["train/learning_rate"] == 0.00025
    assert logged["train/clip_range"] == 0.1
    assert logged["train/clip_range_vf"] == 0.2
    assert logged["train/critic_learning_rate"] == 0.26
    assert model.policy.optimizer.param_groups[0]["lr"] == 0.00025
    assert model.policy.critic_optimizer.param_groups[0]["lr"] == 0.26  # type: ignore[operator]
