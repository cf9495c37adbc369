"""Spec 8.2: what every update and rollout logs, over the whole update, by name and by number."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger, configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ppo_lab import SpecPPO
from ppo_lab.ppo import objectives as obj
from ppo_lab.ppo.diagnostics import UpdateDiagnostics, record_spreads

ITEMS_OF_8_2 = {
    "policy loss": "train/policy_gradient_loss",
    "value loss": "train/value_loss",
    "entropy": "train/entropy_loss",
    "KL (k3)": "train/approx_kl",
    "clip fraction": "train/clip_fraction",
    "ratio mean": "train/ratio_mean",
    "advantage mean": "train/advantage_mean",
    "advantage std": "train/advantage_std",
    "explained variance": "train/explained_variance",
    "actor's gradient norm": "train/actor_grad_norm",
    "critic's gradient norm": "train/critic_grad_norm",
    "ε": "train/clip_range",
    "β": "train/kl_coef",
    "actor's learning rate": "train/learning_rate",
    "critic's learning rate": "train/critic_learning_rate",
    "effective sample size": "train/effective_sample_size",
    "episode return, mean": "rollout/ep_rew_mean",
    "episode return, std": "rollout/ep_rew_std",
    "episode length, mean": "rollout/ep_len_mean",
    "episode length, std": "rollout/ep_len_std",
}


class _Rows(KVWriter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        """Nothing to close."""


def _learn(algorithm: Any = SpecPPO, updates: int = 2, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    """The model, and its last rollout's and last update's numbers."""
    settings: dict[str, Any] = {"n_steps": 64, "batch_size": 32, "n_epochs": 4, "seed": 1} | kwargs
    if algorithm is SpecPPO:
        settings.setdefault("backend", "torch")
    model = algorithm("MlpPolicy", make_vec_env("CartPole-v1", 2, seed=2), device="cpu", **settings)
    writer = _Rows()
    model.set_logger(Logger(None, [writer]))
    model.learn(updates * settings["n_steps"] * 2)
    model.logger.dump()
    return model, writer.rows[-2] | writer.rows[-1]


@pytest.fixture(scope="module")
def logged() -> dict[str, Any]:
    return _learn(objective="kl")[1]


@pytest.mark.parametrize("name", ITEMS_OF_8_2.values(), ids=ITEMS_OF_8_2.keys())
def test_every_item_of_the_specification_is_logged_as_a_finite_number(
    name: str, logged: dict[str, Any]
) -> None:
    assert np.isfinite(logged[name])


def test_every_name_that_ppo_logs_is_logged_too() -> None:
    settings: dict[str, Any] = {"clip_range_vf": 0.2}
    theirs, ours = _learn(PPO, **settings)[1], _learn(**settings)[1]
    assert set(theirs) <= set(ours)
    for name in ("train/explained_variance", "train/clip_range_vf", "rollout/ep_rew_mean"):
        assert ours[name] == theirs[name]
    for name in ("train/value_loss", "train/policy_gradient_loss", "train/entropy_loss"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-5)


def test_kl_covers_every_epoch_where_ppo_logs_the_last_alone() -> None:
    settings: dict[str, Any] = {"updates": 1, "batch_size": 128, "learning_rate": 3e-3}
    # One minibatch an epoch: what SB3 logs after n epochs is the n-th epoch's KL.
    epochs = [_learn(PPO, n_epochs=n, **settings)[1]["train/approx_kl"] for n in (1, 2, 3)]
    assert 1e-6 > epochs[0] < epochs[1] < epochs[2]
    ours = _learn(n_epochs=3, **settings)[1]["train/approx_kl"]
    assert ours == pytest.approx(np.mean(epochs), rel=1e-4)


def test_first_minibatch_has_ratio_one_and_all_its_samples_count() -> None:
    _, row = _learn(updates=1, batch_size=128, n_epochs=1)
    assert row["train/ratio_mean"] == pytest.approx(1, abs=1e-6)
    assert row["train/effective_sample_size"] == pytest.approx(128, rel=1e-5)
    assert row["train/clip_fraction"] == 0


@pytest.mark.parametrize("over", ["minibatch", "rollout"])
def test_advantages_are_logged_as_they_are_before_normalisation(over: str) -> None:
    model, row = _learn(updates=1, n_epochs=1, normalize_advantage_over=over)
    # The targets and the values are not normalised: their difference is the advantage.
    raw = model.rollout_buffer.returns - model.rollout_buffer.values
    assert row["train/advantage_mean"] == pytest.approx(raw.mean(), rel=1e-4)
    assert row["train/advantage_std"] == pytest.approx(raw.std(), rel=1e-4)


def test_gradient_norms_are_those_before_clipping() -> None:
    settings: dict[str, Any] = {"updates": 1, "n_epochs": 1, "batch_size": 128}
    free, clipped = (_learn(max_grad_norm=m, **settings)[1] for m in (1e9, 1e-3))
    for name in ("train/actor_grad_norm", "train/critic_grad_norm"):
        assert clipped[name] == free[name] > 1e-3


def test_spread_of_episodes_is_that_of_the_window() -> None:
    model, row = _learn(updates=3)
    returns = [episode["r"] for episode in model.ep_info_buffer]
    assert len(returns) > 5
    assert row["rollout/ep_rew_std"] == pytest.approx(np.std(returns))
    assert row["rollout/ep_len_std"] == row["rollout/ep_rew_std"]  # CartPole pays 1 a step


def test_a_policy_with_one_optimiser_logs_one_gradient_norm() -> None:
    from stable_baselines3.common.policies import ActorCriticPolicy

    class Own(ActorCriticPolicy):
        pass

    model = SpecPPO(Own, make_vec_env("CartPole-v1", 1, seed=2), n_steps=64, device="cpu")
    model.learn(64)
    assert model.logger.name_to_value["train/grad_norm"] > 0
    assert "train/actor_grad_norm" not in model.logger.name_to_value


def test_tensorboard_gets_the_histogram_of_every_ratio_of_the_update(tmp_path: Path) -> None:
    model = SpecPPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", 2, seed=2),
        n_steps=64,
        batch_size=32,
        n_epochs=3,
        seed=1,
        tensorboard_log=str(tmp_path),
        device="cpu",
    )
    model.learn(256)
    model.logger.close()
    events = EventAccumulator(str(tmp_path / "SpecPPO_1"))
    events.Reload()
    (event,) = events.Histograms("train/ratio")
    histogram = event.histogram_value
    assert histogram.num == 128 * 3
    (mean,) = events.Scalars("train/ratio_mean")
    assert histogram.sum / histogram.num == pytest.approx(mean.value, rel=1e-5)
    assert "train/effective_sample_size" in events.Tags()["scalars"]


def test_the_histogram_goes_to_tensorboard_alone(tmp_path: Path) -> None:
    logger = configure(str(tmp_path), ["csv", "json", "tensorboard"])
    model = SpecPPO("MlpPolicy", make_vec_env("CartPole-v1", 1), n_steps=64, device="cpu")
    model.set_logger(logger)
    model.learn(128)
    logger.close()
    header = (tmp_path / "progress.csv").read_text().splitlines()[0]
    assert "train/ratio_mean" in header.split(",")
    assert "train/ratio" not in header.split(",")


def test_record_writes_means_over_what_was_added() -> None:
    logger = Logger(None, [])
    diagnostics = UpdateDiagnostics(logger)
    diagnostics.add(value_loss=1.0, approx_kl=th.tensor(3.0))
    diagnostics.add(value_loss=2.0)
    one, half = th.tensor(1.0), th.tensor(0.5)
    ratio = th.tensor([1.0, 1.5, 0.5, 1.0])
    losses = obj.Losses(one, half, half, one, ratio.log(), ratio)
    diagnostics.add_losses(losses, approx_kl=1.0, clip_range=0.2)
    diagnostics.record()
    written = logger.name_to_value
    assert written["train/value_loss"] == pytest.approx((1 + 2 + 0.5) / 3)
    assert written["train/approx_kl"] == 2  # (3 + 1)/2
    assert written["train/policy_gradient_loss"] == -1
    assert written["train/entropy_loss"] == -0.5
    assert written["train/clip_fraction"] == 0.5
    # 4² / (1 + 2.25 + 0.25 + 1) = 16/4.5
    assert written["train/effective_sample_size"] == pytest.approx(16 / 4.5)
    assert "train/ratio" not in written  # nobody listens for a histogram


def test_spreads_are_the_standard_deviations_of_returns_and_of_lengths() -> None:
    logger = Logger(None, [])
    record_spreads(logger, [])
    assert not logger.name_to_value
    record_spreads(logger, [{"r": 1.0, "l": 2}, {"r": 3.0, "l": 8}])
    # (3 − 1)/2 = 1 and (8 − 2)/2 = 3
    assert logger.name_to_value == {"rollout/ep_rew_std": 1.0, "rollout/ep_len_std": 3.0}


def test_the_spread_of_advantages_whose_squares_overflow_in_single_precision_is_finite() -> None:
    logger = Logger(None, [])
    diagnostics = UpdateDiagnostics(logger)
    diagnostics.add_advantages(np.array([[1e25], [-1e25]], np.float32))
    diagnostics.record()
    assert logger.name_to_value["train/advantage_mean"] == 0.0
    assert logger.name_to_value["train/advantage_std"] == pytest.approx(1e25)
