"""A whole compiled update does what the torch update does on the same data and order."""

from dataclasses import replace

import numpy as np
import pytest
import torch as th

from ppo_lab.kernels.divergence import rollout_kl
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout
from ppo_lab.kernels.update import DIAGNOSTICS, Adam, UpdateResult, update
from ppo_lab.ppo import objectives as obj
from tests.ppo_lab.kernels.reference import Reference, make_rollout, random_params, torch_update

DISCRETE = Layout(4, (16, 16), (24,), "tanh", "categorical", (3,))
BOX = Layout(3, (12,), (9, 7), "relu", "gaussian", (2,))
MULTI = Layout(5, (), (8,), "tanh", "multi_categorical", (2, 4))
ACTOR, CRITIC = AdamSettings(1e-3), AdamSettings(2e-3, 0.8, 0.99, 1e-8)
MASKED = replace(DISCRETE, masked=True)
MASKED_PARTS = replace(MULTI, masked=True, critic_inputs=7)
SEES_MORE = replace(BOX, critic_inputs=6)
N, BATCH, EPOCHS = 150, 32, 4  # the last minibatch of an epoch has 22


def run(
    layout: Layout, settings: UpdateSettings, rollout: Rollout | None = None
) -> tuple[UpdateResult, np.ndarray, Adam, np.ndarray, Rollout]:
    params = random_params(layout, 1)
    rollout = rollout or make_rollout(layout, params, N, 2)
    rng = np.random.default_rng(3)
    permutations = np.stack([rng.permutation(N) for _ in range(EPOCHS)])
    adam = Adam.zeros(layout)
    moved = params.copy()
    result = update(
        layout, moved, adam, rollout, permutations, BATCH, settings, ACTOR, CRITIC, None, True
    )
    return result, moved, adam, permutations, rollout


OPTIONS = [
    (DISCRETE, UpdateSettings()),
    (DISCRETE, UpdateSettings(clip_range_vf=0.3, ent_coef=0.05, critic_max_grad_norm=1.5)),
    (BOX, UpdateSettings(ent_coef=0.01, max_grad_norm=5.0)),
    (BOX, UpdateSettings("kl", kl_coef=2.0, normalize_advantage=False, critic_max_grad_norm=0.1)),
    (MULTI, UpdateSettings("vanilla", vf_coef=1.0, ent_coef=0.02)),
    (MULTI, UpdateSettings(clip_range=0.1, kl_limit=1e3)),
    (MASKED, UpdateSettings(ent_coef=0.05, clip_range_vf=0.3)),
    (MASKED_PARTS, UpdateSettings("kl", ent_coef=0.02, critic_max_grad_norm=0.5)),
    (SEES_MORE, UpdateSettings(ent_coef=0.01)),
]


@pytest.mark.parametrize(("layout", "settings"), OPTIONS)
def test_parameters_after_twenty_steps_are_those_of_torch(
    layout: Layout, settings: UpdateSettings
) -> None:
    result, moved, _, permutations, rollout = run(layout, settings)
    model = Reference(layout, random_params(layout, 1))
    expected = torch_update(model, rollout, permutations, BATCH, settings, ACTOR, CRITIC)
    # 20 steps of size η: rounding is amplified where a moment of Adam is near 0, so that single
    # numbers differ by up to about 1e-5 of the largest parameter.
    assert np.abs(moved - model.flat()).max() <= 1e-5 * np.abs(model.flat()).max()
    assert not result.stopped
    assert result.failure is None
    assert result.epochs == expected.epochs
    for column, name in enumerate(DIAGNOSTICS):
        np.testing.assert_allclose(
            result.diagnostics[:, column],
            [row[column] for row in expected.diagnostics],
            rtol=1e-3,
            atol=2e-5,
            err_msg=name,
        )


def test_the_moments_and_steps_are_those_of_torchs_adam() -> None:
    layout, settings = DISCRETE, UpdateSettings()
    _, _, adam, permutations, rollout = run(layout, settings)
    model = Reference(layout, random_params(layout, 1))
    optimizers = torch_update(
        model, rollout, permutations, BATCH, settings, ACTOR, CRITIC
    ).optimizers
    for name, kernels in (("exp_avg", adam.m), ("exp_avg_sq", adam.v)):
        moments = [optimizer.state[p][name] for optimizer in optimizers for p in optimizer.state]
        theirs = np.concatenate([m.numpy().flatten() for m in moments])
        np.testing.assert_allclose(kernels, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())
    assert adam.steps.tolist() == [20, 20]


def test_the_target_kl_stops_before_the_step_that_passes_it() -> None:
    settings = UpdateSettings(kl_limit=0.03)
    params = random_params(DISCRETE, 1)
    rollout = make_rollout(DISCRETE, params, N, 2, drift=0.0)
    settings = replace(settings, max_grad_norm=100.0)
    result, moved, adam, permutations, _ = run(DISCRETE, settings, rollout)
    model = Reference(DISCRETE, params)
    fast = AdamSettings(1e-3)
    expected = torch_update(model, rollout, permutations, BATCH, settings, fast, CRITIC)
    assert result.stopped == expected.stopped
    assert len(result.diagnostics) == len(expected.diagnostics)
    assert adam.steps[0] == len(result.diagnostics) - result.stopped

    # k3 of a rollout whose old policy is elsewhere is beyond the target at once.
    result, moved, adam, _, _ = run(
        DISCRETE, settings, make_rollout(DISCRETE, params, N, 2, drift=1.0)
    )
    assert result.stopped
    assert (len(result.diagnostics), result.epochs, adam.steps.tolist()) == (1, 1, [0, 0])
    assert np.isnan(result.diagnostics[0, 8:]).all()
    assert np.isfinite(result.diagnostics[0, :8]).all()
    assert len(result.ratios) == BATCH
    np.testing.assert_array_equal(moved, params)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30])
def test_a_loss_that_is_not_finite_fails_and_keeps_the_last_good_parameters(poison: float) -> None:
    rollout = make_rollout(DISCRETE, random_params(DISCRETE, 1), N, 2)
    order = np.random.default_rng(3).permutation(N)
    rollout.returns[order[2 * BATCH]] = poison  # in the third minibatch
    result, moved, adam, _, _ = run(DISCRETE, UpdateSettings(), rollout)
    assert result.failure is not None
    assert not np.isfinite(result.failure).all()
    assert adam.steps.tolist() == [2, 2]
    assert len(result.diagnostics) == 2
    assert np.isfinite(result.diagnostics).all()
    assert np.isfinite(moved).all()


def test_every_ratio_is_kept_on_request_and_is_one_before_the_first_step() -> None:
    rollout = make_rollout(BOX, random_params(BOX, 1), N, 2, drift=0.0)
    result, _, _, _, _ = run(BOX, UpdateSettings(), rollout)
    assert result.ratios.shape == (EPOCHS * N,)
    np.testing.assert_allclose(result.ratios[:BATCH], 1.0, atol=2e-6)
    means = [result.ratios[i * BATCH : (i + 1) * BATCH].mean() for i in range(4)]
    np.testing.assert_allclose(result.diagnostics[:4, 6], means, rtol=1e-5)


@pytest.mark.parametrize("layout", [DISCRETE, BOX, MULTI, MASKED, MASKED_PARTS, SEES_MORE])
def test_the_rollouts_kl_is_k3_over_all_of_it(layout: Layout) -> None:
    params = random_params(layout, 1)
    rollout = make_rollout(layout, params, 500, 2)
    with th.no_grad():
        _, log_prob, _ = Reference(layout, params).evaluate(
            th.as_tensor(rollout.observations), th.as_tensor(rollout.actions)
        )
        expected = obj.kl_k3(log_prob - th.as_tensor(rollout.old_log_probs)).item()
    found = rollout_kl(
        params,
        layout,
        rollout.observations,
        rollout.actions,
        rollout.old_log_probs,
        layout.workspace(64),
    )
    assert found == pytest.approx(expected, rel=1e-4)


def test_an_update_repeats_bit_for_bit() -> None:
    first, second = (run(DISCRETE, UpdateSettings())[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)
