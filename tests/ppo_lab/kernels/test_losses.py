"""The kernels' gradients are autograd's, for every shape, head and option."""

from typing import Any

import numpy as np
import pytest
import torch as th
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_lab.kernels.acting import act
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.losses import N_SUMS, Memory
from ppo_lab.kernels.settings import AdamSettings, UpdateSettings
from ppo_lab.kernels.typing import Rollout
from ppo_lab.kernels.update import Adam, update
from tests.ppo_lab.kernels.reference import Reference, losses, make_rollout, random_params

WIDTHS = st.lists(st.integers(1, 37), max_size=3).map(tuple)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    head = draw(st.sampled_from(["categorical", "gaussian", "multi_categorical"]))
    critic_inputs = draw(st.none() | st.integers(1, 12))
    sizes = st.integers(1, 6).map(lambda n: (n,))
    if head == "multi_categorical":
        sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
    return Layout(
        draw(st.integers(1, 9)),
        draw(WIDTHS),
        draw(WIDTHS),
        draw(st.sampled_from(["tanh", "relu"])),
        head,
        draw(sizes),
        critic_inputs,
        head != "gaussian" and draw(st.booleans()),
    )


UPDATE_SETTINGS = st.builds(
    UpdateSettings,
    objective=st.sampled_from(["clip", "kl", "vanilla"]),
    clip_range=st.floats(0.05, 0.5),
    clip_range_vf=st.none() | st.floats(0.05, 0.5),
    ent_coef=st.just(0.0) | st.floats(0.001, 0.5),
    vf_coef=st.floats(0.0, 2.0),
    kl_coef=st.floats(0.0, 3.0),
    normalize_advantage=st.booleans(),
)


def kernel_gradient(
    layout: Layout,
    params: np.ndarray,
    rollout: Rollout,
    indices: np.ndarray,
    options: UpdateSettings,
    rows: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(P,) the gradient, (N_DIAGNOSTICS,) and (B,) the ratios of these samples as one minibatch."""
    n = len(indices)
    memory = Memory(
        layout.workspace(rows),
        np.empty((rows, layout.n_actions), layout.action_dtype),
        np.full((2, layout.n_parameters), np.nan, np.float32),
        np.empty(N_SUMS),
    )
    chosen = Rollout(*(np.ascontiguousarray(array[indices]) for array in rollout))
    order = np.random.default_rng(n).permutation(n)
    adam, rates = Adam.zeros(layout), AdamSettings()
    result = update(
        layout, params.copy(), adam, chosen, order[None], n, options, rates, rates, memory, True
    )
    ratios = np.empty(n, np.float32)
    ratios[order] = result.ratios
    return memory.gradients[0], result.diagnostics[0], ratios


def away_from_kinks(
    layout: Layout, params: np.ndarray, rollout: Rollout, options: UpdateSettings
) -> np.ndarray:
    """The samples at which no clip, of ratio or value, nor a ReLU is within rounding of its kink.

    There the gradient jumps, and single precision may land on either side.
    """
    model = Reference(layout, params, th.float64)
    observations = th.as_tensor(rollout.observations).double()
    actions = th.as_tensor(rollout.actions)
    with th.no_grad():
        values, log_probs, _ = model.evaluate(observations, actions)
        ratio = th.exp(log_probs - th.as_tensor(rollout.old_log_probs))
        keep = ((ratio - 1).abs() - options.clip_range).abs() > 1e-4
        if options.clip_range_vf is not None:
            moved = (values - th.as_tensor(rollout.old_values)).abs()
            keep &= (moved - options.clip_range_vf).abs() > 1e-4
        if layout.activation == "relu":
            for name, depth in (("actor", len(layout.actor)), ("critic", len(layout.critic))):
                for index in range(depth):
                    below = model.seen_by(name, observations)
                    if index:
                        below = th.relu(model.network(name, index - 1, observations))
                    key = f"{name}_{index}_"
                    z = th.nn.functional.linear(
                        below, model.tensors[key + "weight"], model.tensors[key + "bias"]
                    )
                    keep &= (z.abs() > 1e-5).all(1)
    return np.flatnonzero(keep.numpy())


@settings(max_examples=100)
@given(layouts(), UPDATE_SETTINGS, st.integers(1, 70), st.integers(1, 80), st.integers(0, 2**32))
def test_gradients_of_any_layout_and_option_are_autograds(
    layout: Layout, options: UpdateSettings, n: int, rows: int, seed: int
) -> None:
    params = random_params(layout, seed)
    rollout = make_rollout(layout, params, n, seed)
    indices = away_from_kinks(layout, params, rollout, options)
    indices = np.random.default_rng(seed).permutation(indices)
    if len(indices) == 0:
        return
    found, diagnostics, ratios = kernel_gradient(layout, params, rollout, indices, options, rows)

    # In double precision: the kernel's own rounding is what is measured.
    model = Reference(layout, params, th.float64)
    expected = losses(model, rollout, indices, options)
    expected.total.backward()
    gradient = model.flat(gradients=True)
    for part in (slice(0, layout.n_actor), slice(layout.n_actor, None)):
        scale = np.linalg.norm(gradient[part])
        assert np.linalg.norm(found[part] - gradient[part]) <= 1e-5 * scale + 1e-6
    for position, term in enumerate(
        (-expected.objective, expected.value_loss, -expected.entropy, expected.total)
    ):
        np.testing.assert_allclose(diagnostics[position], term.item(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ratios, expected.ratio.detach().numpy(), rtol=1e-4)


@pytest.mark.parametrize(
    ("head", "sizes", "logits"),
    [
        ("categorical", (3,), [200.0, -200.0, 0.0]),
        ("categorical", (2,), [200.0, 199.0]),
        ("multi_categorical", (2, 3), [-200.0, 200.0, -200.0, -199.0, -201.0]),
    ],
)
def test_logits_of_two_hundred_neither_overflow_nor_underflow(
    head: Any, sizes: tuple[int, ...], logits: list[float]
) -> None:
    """e^200 is beyond single precision, and e^−200 is 0 in it: the largest has to go first."""
    layout = Layout(2, (), (3,), "tanh", head, sizes)
    params = random_params(layout, 0, scale=0.1)
    (bias,) = (place for place in layout.places() if place.role == ("actor", 0, "bias"))
    params[bias.start : bias.stop] = logits
    rollout = make_rollout(layout, params, 24, 1)
    options, indices = UpdateSettings("vanilla", ent_coef=0.5), np.arange(24)
    gradient, diagnostics, ratios = kernel_gradient(layout, params, rollout, indices, options, 24)
    model = Reference(layout, params, th.float64)
    expected = losses(model, rollout, indices, options)
    expected.total.backward()
    np.testing.assert_allclose(gradient, model.flat(gradients=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(diagnostics[0], -expected.objective.item(), rtol=1e-4)
    np.testing.assert_allclose(diagnostics[2], -expected.entropy.item(), rtol=1e-4, atol=1e-6)
    # In single precision a log-probability of −400 is known to within 2e-5.
    np.testing.assert_allclose(ratios, expected.ratio.detach().numpy(), rtol=2e-4)

    actions, noise = rollout.actions.copy(), np.full((24, layout.n_actions), 0.5)
    values, log_probs = np.empty(24, np.float32), np.empty(24, np.float32)
    work = layout.workspace(24)
    assert act(params, layout, rollout.observations, noise, work, actions, values, log_probs) == -1
    _, acted, _ = model.evaluate(th.as_tensor(rollout.observations).double(), th.as_tensor(actions))
    np.testing.assert_allclose(log_probs, acted.detach().numpy(), atol=1e-4)
