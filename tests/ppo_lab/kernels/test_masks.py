"""Kernels under masks, and with inputs of the critic's own (Spec 12, 13)."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.acting import act
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.losses import Memory
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout
from ppo_lab.kernels.update import Adam, update
from tests.ppo_lab.kernels.reference import make_rollout, random_masks, random_params
from tests.ppo_lab.kernels.test_update import BOX, DISCRETE, MASKED, MASKED_PARTS, MULTI


def acted(
    layout: Layout, rows: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Actions, values and log π that the kernel gives for rows (K, W)."""
    k = len(rows)
    actions = np.empty((k, layout.n_actions), np.int64)
    values, log_probs = np.empty(k, np.float32), np.empty(k, np.float32)
    params, work = random_params(layout, 1, scale=1.0), layout.workspace(256)
    assert act(params, layout, rows, noise, work, actions, values, log_probs) == -1
    return actions, values, log_probs


def moved(layout: Layout, rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    """The parameters after two epochs, and the gradient of the last minibatch."""
    params, n = random_params(layout, 1), len(rollout.returns)
    order = np.stack([np.random.default_rng(seed).permutation(n) for seed in (1, 2)])
    memory, rates = Memory.of(layout, 32), AdamSettings(1e-3)
    settings = UpdateSettings(ent_coef=0.05, critic_max_grad_norm=0.5)
    update(layout, params, Adam.zeros(layout), rollout, order, 32, settings, rates, rates, memory)
    return params, memory.gradients[0]


@pytest.mark.parametrize(
    "layout", [replace(each, actor=(), critic=()) for each in (MASKED, MASKED_PARTS)]
)
def test_of_a_million_draws_none_is_forbidden(layout: Layout) -> None:
    rng, k = np.random.default_rng(0), 1_000_000
    rows = np.zeros((k, layout.row), np.float32)
    rows[:, -layout.n_outputs :] = masks = random_masks(layout, k, rng)
    noise = rng.random((k, layout.n_actions))
    noise[::3], noise[1::3] = 0.0, np.nextafter(1.0, 0.0)
    actions, _, log_probs = acted(layout, rows, noise)
    starts = np.cumsum((0, *layout.action_sizes[:-1]))
    assert np.take_along_axis(masks, starts + actions, axis=1).all()
    only_one = masks.sum(axis=1) == layout.n_actions
    assert only_one.any()
    assert (log_probs[only_one] == 0).all()  # log 1
    taken = np.ravel_multi_index([*actions[~only_one].T], layout.action_sizes)
    assert (np.bincount(taken, minlength=np.prod(layout.action_sizes)) > 0).all()


@pytest.mark.parametrize("layout", [DISCRETE, MULTI])
def test_where_all_is_allowed_the_bits_are_those_without_masks(layout: Layout) -> None:
    masked, rng = replace(layout, masked=True), np.random.default_rng(3)
    rollout = make_rollout(layout, random_params(layout, 1), 100, 2)
    ones = np.ones((100, layout.n_outputs), np.float32)
    rows = np.concatenate([rollout.observations, ones], axis=1)
    noise = rng.random((100, layout.n_actions))
    plain = acted(layout, rollout.observations, noise)
    for one, other in zip(acted(masked, rows, noise), plain, strict=True):
        np.testing.assert_array_equal(one, other)
    under_masks = moved(masked, rollout._replace(observations=rows))
    for one, other in zip(under_masks, moved(layout, rollout), strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_one_action_is_left_the_actor_learns_nothing() -> None:
    rollout = make_rollout(MASKED, random_params(MASKED, 1), 64, 2)
    rollout.observations[:, -MASKED.n_outputs :] = np.eye(3)[rollout.actions[:, 0]]
    params, gradient = moved(MASKED, rollout)
    assert (gradient[: MASKED.n_actor] == 0).all()
    before = random_params(MASKED, 1)
    np.testing.assert_array_equal(params[: MASKED.n_actor], before[: MASKED.n_actor])
    assert (params[MASKED.n_actor :] != before[MASKED.n_actor :]).any()


@pytest.mark.parametrize("layout", [replace(BOX, critic_inputs=4), MASKED_PARTS])
def test_the_actor_does_not_depend_on_what_the_critic_alone_sees(layout: Layout) -> None:
    rollout = make_rollout(layout, random_params(layout, 1), 100, 2)
    other = rollout._replace(observations=rollout.observations.copy())
    assert layout.critic_inputs is not None
    own = slice(layout.inputs, layout.inputs + layout.critic_inputs)
    other.observations[:, own] += 1.0
    for one, changed in zip(moved(layout, rollout), moved(layout, other), strict=True):
        np.testing.assert_array_equal(one[: layout.n_actor], changed[: layout.n_actor])
        assert (one[layout.n_actor :] != changed[layout.n_actor :]).any()


BAD_ROWS: dict[str, tuple[Any, str]] = {
    "nothing": ([0, 0, 0], "the mask of row 1 allows no action"),
    "no truth value": ([0.5, 1, 1], "other numbers than 0 and 1"),
    "not a number": ([np.nan, 1, 1], "other numbers than 0 and 1"),
    "what was done": (None, "row 1 has the action .*, which it forbids"),
}


@pytest.mark.parametrize(("mask", "words"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_masks_that_cannot_be_are_refused(mask: Any, words: str) -> None:
    rollout = make_rollout(MASKED, random_params(MASKED, 1), 8, 2)
    done = 1 - np.eye(3)[rollout.actions[1, 0]]
    rollout.observations[1, -3:] = done if mask is None else mask
    with pytest.raises(ArgumentError, match=words):
        moved(MASKED, rollout)


def test_rows_of_another_width_and_masks_of_a_gaussian_are_refused() -> None:
    rollout = make_rollout(DISCRETE, random_params(DISCRETE, 1), 8, 2)
    with pytest.raises(ArgumentError, match=r"float32 of shape \(8, 7\)"):
        moved(MASKED, rollout)
    with pytest.raises(ArgumentError, match="only counted actions have masks"):
        replace(BOX, masked=True)
    with pytest.raises(ArgumentError, match="at least 1"):
        replace(BOX, critic_inputs=0)
