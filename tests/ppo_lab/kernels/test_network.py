"""The parts below the losses: tanh, the products, Adam."""

from pathlib import Path

import numpy as np
import pytest
import torch as th
from hypothesis import given
from hypothesis import strategies as st

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels import network, optimizer, products
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.numba_internals import on_compiling
from ppo_lab.kernels.warm_up import warm_up
from tests.ppo_lab.kernels.calling import from_python

add_bias_and_activate = from_python(network.add_bias_and_activate)
adam_step, clip_factor, norm = map(
    from_python, (optimizer.adam_step, optimizer.clip_factor, optimizer.norm)
)
input_gradient, outputs, weight_gradient = map(
    from_python, (products.input_gradient, products.outputs, products.weight_gradient)
)


def compiled_tanh(x: np.ndarray) -> np.ndarray:
    row = x.astype(np.float32)[None].copy()
    add_bias_and_activate(row, np.zeros(row.shape[1], np.float32), 0)
    return row[0]


def test_tanh_is_right_to_four_ten_millionths_everywhere() -> None:
    x = np.concatenate([np.linspace(-12, 12, 400_001), np.geomspace(1e-30, 3e38, 10_000)])
    x = np.concatenate([x, -x]).astype(np.float32)
    assert np.abs(compiled_tanh(x) - np.tanh(x.astype(np.float64))).max() <= 4e-7
    assert np.abs(compiled_tanh(x)).max() <= 1.0
    small = np.geomspace(1e-30, 0.5, 1000).astype(np.float32)
    np.testing.assert_allclose(compiled_tanh(small), np.tanh(small), rtol=5e-7)


def test_tanh_of_nan_and_infinities() -> None:
    found = compiled_tanh(np.array([np.nan, np.inf, -np.inf]))
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:], [1.0, -1.0], atol=3e-7)


SIZE = st.integers(1, 40)


@given(SIZE, SIZE, SIZE, st.integers(0, 10**6))
def test_products_of_any_shape_are_numpys(n: int, n_in: int, n_out: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    below, weight, delta = draw(n, n_in), draw(n_out, n_in), draw(n, n_out)
    pack = np.full(64 * 40 * 2 + 384, np.nan, np.float32)
    above, w_gradient, b_gradient = (
        np.full_like(array, np.nan) for array in (delta, weight, below)
    )
    outputs(below, weight, above, pack)
    weight_gradient(delta, below, w_gradient, pack)
    input_gradient(delta, weight, b_gradient, pack)
    np.testing.assert_allclose(above, below @ weight.T, atol=1e-4)
    np.testing.assert_allclose(w_gradient, delta.T @ below, atol=1e-4)
    np.testing.assert_allclose(b_gradient, delta @ weight, atol=1e-4)


def test_a_wide_layer_goes_through_the_copied_panels() -> None:
    rng = np.random.default_rng(0)
    below, weight = (rng.standard_normal(s).astype(np.float32) for s in ((300, 200), (130, 200)))
    delta = rng.standard_normal((300, 130)).astype(np.float32)
    pack = np.zeros(64 * 300 * 2 + 384, np.float32)
    into = np.empty((130, 200), np.float32)
    weight_gradient(delta, below, into, pack)
    np.testing.assert_allclose(into, delta.T @ below, atol=1e-3)
    into = np.empty((300, 200), np.float32)
    input_gradient(delta, weight, into, pack)
    np.testing.assert_allclose(into, delta @ weight, atol=1e-3)


@pytest.mark.parametrize(("beta1", "beta2", "eps"), [(0.9, 0.999, 1e-5), (0.5, 0.9, 1e-8)])
def test_two_hundred_steps_of_adam_are_torchs(beta1: float, beta2: float, eps: float) -> None:
    rng = np.random.default_rng(0)
    params = rng.standard_normal(50).astype(np.float32)
    theirs = th.nn.Parameter(th.as_tensor(params.copy()))
    optimizer = th.optim.Adam([theirs], lr=3e-3, betas=(beta1, beta2), eps=eps)
    m, v = np.zeros_like(params), np.zeros_like(params)
    for step in range(1, 201):
        gradient = rng.standard_normal(50).astype(np.float32) * np.float32(10.0 ** (step % 5 - 3))
        theirs.grad = th.as_tensor(gradient.copy())
        length = th.nn.utils.clip_grad_norm_([theirs], 0.5)
        optimizer.step()
        assert norm(gradient) == pytest.approx(length.item(), rel=1e-6)
        factor = clip_factor(norm(gradient), 0.5)
        adam_step(params, gradient, m, v, step, np.array([3e-3, beta1, beta2, eps]), factor)
    np.testing.assert_allclose(params, theirs.detach().numpy(), atol=2e-6)


def test_places_tile_the_flat_vector_in_the_documented_order() -> None:
    layout = Layout(3, (5,), (), "tanh", "gaussian", (2,))
    places = layout.places()
    assert [place.role for place in places] == [
        ("actor", 0, "weight"),
        ("actor", 0, "bias"),
        ("actor", 1, "weight"),
        ("actor", 1, "bias"),
        ("actor", 1, "log_std"),
        ("critic", 0, "weight"),
        ("critic", 0, "bias"),
    ]
    assert [place.shape for place in places] == [(5, 3), (5,), (2, 5), (2,), (2,), (1, 3), (1,)]
    # 15 + 5 + 10 + 2 + 2 = 34 of the actor, 3 + 1 of the critic.
    assert [place.start for place in places] == [0, 15, 20, 30, 32, 34, 37]
    assert (layout.n_actor, layout.n_parameters, places[-1].stop) == (34, 38, 38)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": 0}, "at least 1"),
        ({"activation": "gelu"}, "'tanh' or 'relu'"),
        ({"head": "beta"}, "'multi_categorical'"),
        ({"action_sizes": (2, 3)}, "one per sub-action"),
        ({"action_sizes": ()}, "one per sub-action"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(changes: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {
        "inputs": 3,
        "actor": (4,),
        "critic": (4,),
        "activation": "tanh",
        "head": "categorical",
        "action_sizes": (2,),
    }
    with pytest.raises(ArgumentError, match=words):
        Layout(**{**arguments, **changes})  # type: ignore[arg-type]


def test_once_warm_a_layout_of_other_sizes_compiles_nothing() -> None:
    warm_up(Layout(2, (3,), (3,), "tanh", "categorical", (2,)))
    compiled: list[Path] = []
    with on_compiling(compiled.append):
        warm_up(Layout(5, (4, 4), (), "relu", "multi_categorical", (3, 2)))
    assert compiled == []
