"""Spec 7: what moves β and ε between updates, as numbers and in training."""

from typing import Any

import pytest
import torch as th
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger

from ppo_lab import SpecPPO
from ppo_lab.ppo import objectives as obj
from ppo_lab.ppo.trust_region import KL_COEF_BOUNDS, adapt_clip_range, adapt_kl_coef


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (0.0, 1.0),  # 0 < 0.012/1.5 = 0.008: β/2
        (0.0079, 1.0),
        (0.0081, 2.0),  # from 0.008 to 0.018: as it was
        (0.0179, 2.0),
        (0.0181, 4.0),  # over 1.5 · 0.012 = 0.018: 2β
        (1.0, 4.0),
    ],
)
def test_beta_halves_below_and_doubles_above_its_target(kl: float, expected: float) -> None:
    assert adapt_kl_coef(2.0, kl, 0.012) == expected


@pytest.mark.parametrize(("kl", "bound"), [(0.0, KL_COEF_BOUNDS[0]), (1.0, KL_COEF_BOUNDS[1])])
def test_beta_stops_at_its_bounds_and_comes_back(kl: float, bound: float) -> None:
    beta = 1.0
    for _ in range(2000):  # unbounded, 2^±2000 would be 0 or infinite
        beta = adapt_kl_coef(beta, kl, 0.01)
    assert beta == bound
    assert adapt_kl_coef(beta, 1.0 - kl, 0.01) in (bound * 2, bound / 2)


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (0.01, 0.2),  # on target: stays
        (0.0, 0.2 * 1.1051709),  # e^0.1
        (0.005, 0.2 * 1.0512711),  # e^(0.1 · ½)
        (0.015, 0.2 * 0.9512294),  # e^(−0.1 · ½)
        (0.02, 0.2 * 0.9048374),  # e^−0.1
        (9.0, 0.2 * 0.9048374),  # at most one step, however far it is
    ],
)
def test_epsilon_grows_under_and_shrinks_over_its_target(kl: float, expected: float) -> None:
    assert adapt_clip_range(0.2, kl, 0.01, (0.01, 1.0)) == pytest.approx(expected, rel=1e-6)


def test_epsilon_stays_within_its_bounds() -> None:
    assert adapt_clip_range(0.2, 0.0, 0.01, (0.1, 0.21)) == 0.21
    assert adapt_clip_range(0.2, 9.0, 0.01, (0.19, 0.3)) == 0.19


class _Rows(KVWriter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: Any, step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        """Nothing to close."""


def _trained(updates: int, **kwargs: Any) -> tuple[SpecPPO, list[dict[str, Any]]]:
    """The model, and what each of its updates logged."""
    settings: dict[str, Any] = {"n_steps": 64, "batch_size": 64, "n_epochs": 4, "seed": 1} | kwargs
    model = SpecPPO("MlpPolicy", make_vec_env("CartPole-v1", 2, seed=2), device="cpu", **settings)
    writer = _Rows()
    model.set_logger(Logger(None, [writer]))
    model.learn(updates * 128)
    model.logger.dump()  # SB3 writes an update's numbers with the next rollout's
    return model, [row for row in writer.rows if "train/loss" in row]


def test_training_moves_beta_by_the_rule_and_logs_it() -> None:
    model, rows = _trained(5, objective="adaptive_kl", kl_coef=2.0, desired_kl=1e-3)
    assert len(rows) == 5
    beta = 2.0
    for row in rows:
        assert row["train/kl_coef"] == beta  # the β that the update was made with
        beta = adapt_kl_coef(beta, row["train/rollout_kl"], 1e-3)
    assert model.kl_coef == beta != 2.0


def test_training_moves_epsilon_by_the_rule_and_logs_it() -> None:
    model, rows = _trained(5, adaptive_clip_range=(0.05, 0.4), desired_kl=5e-3)
    assert len(rows) == 5
    epsilon = 0.2
    for row in rows:
        assert row["train/clip_range"] == epsilon
        epsilon = adapt_clip_range(epsilon, row["train/rollout_kl"], 5e-3, (0.05, 0.4))
    assert model._adapted_clip_range == epsilon != 0.2


def test_fixed_beta_stays_and_is_logged() -> None:
    model, rows = _trained(3, objective="kl", kl_coef=0.7, learning_rate=1e-2)
    assert [row["train/kl_coef"] for row in rows] == [0.7] * 3
    assert model.kl_coef == 0.7
    assert "train/rollout_kl" not in rows[0]


def test_logged_rollout_kl_is_the_k3_of_the_updated_policy_over_the_whole_rollout() -> None:
    # 128 samples in batches of 50, 50 and 28: each sample has to count alike.
    with pytest.warns(UserWarning, match="truncated mini-batch of size 28"):
        model, rows = _trained(1, objective="adaptive_kl", batch_size=50, learning_rate=1e-2)
    (batch,) = model.rollout_buffer.get(128)
    with th.no_grad():
        _, log_prob, _ = model.policy.evaluate_actions(
            batch.observations, batch.actions.long().flatten()
        )
    expected = obj.kl_k3(log_prob - batch.old_log_prob).item()
    assert rows[0]["train/rollout_kl"] == pytest.approx(expected, rel=1e-4)
    assert expected > 1e-4


def test_a_heavier_penalty_keeps_the_policy_nearer_to_the_old_one() -> None:
    kls = []
    for beta in (0.0, 100.0):
        _, rows = _trained(1, objective="kl", kl_coef=beta, learning_rate=3e-3, n_epochs=10)
        kls.append(rows[0]["train/approx_kl"])
    assert kls[1] < kls[0] / 2


def test_early_stopping_ends_the_update_where_the_kl_passes_one_and_a_half_targets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings: dict[str, Any] = {"batch_size": 128, "learning_rate": 1e-2, "n_epochs": 10}
    kls = []
    for epochs in range(1, 4):  # one minibatch an epoch: the mean reveals the last KL
        _, rows = _trained(1, **(settings | {"n_epochs": epochs}))
        kls.append(rows[0]["train/approx_kl"] * epochs - sum(kls))
    stop_at = 2
    target = (max(kls[:stop_at]) + kls[stop_at]) / 2 / 1.5
    assert max(kls[:stop_at]) < 1.5 * target < kls[stop_at]
    model, rows = _trained(1, **settings, target_kl=target, verbose=1)
    assert model._n_updates == stop_at + 1  # the epoch that was stopped counts, as in SB3
    assert f"Early stopping at epoch {stop_at}" in capsys.readouterr().out
    # … and its KL is in the mean.
    assert rows[0]["train/approx_kl"] == pytest.approx(sum(kls[: stop_at + 1]) / (stop_at + 1))


@pytest.mark.parametrize("backend", ["torch", "compiled"])
@pytest.mark.parametrize(("factor", "stops"), [(1.49, False), (1.51, True)])
def test_an_update_stops_beyond_one_and_a_half_targets_and_not_below(
    backend: str, factor: float, stops: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"batch_size": 128, "learning_rate": 1e-2, "n_epochs": 2}
    settings |= {"backend": backend}
    _, rows = _trained(1, **settings)
    kl = 2 * rows[0]["train/approx_kl"]  # a minibatch an epoch, the first before any step: 0
    _trained(1, **settings, target_kl=kl / factor, verbose=1)
    assert ("Early stopping at epoch 1" in capsys.readouterr().out) == stops
