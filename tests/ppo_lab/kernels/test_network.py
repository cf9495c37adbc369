"""The parts below the losses: Adam, and what lies where."""

from pathlib import Path

import numpy as np
import pytest
import torch as th

from ppo_lab.errors import ArgumentError
from ppo_lab.kernels import optimizer
from ppo_lab.kernels.layout import FIXED, UNITS, Layout
from ppo_lab.kernels.losses import Memory
from ppo_lab.kernels.numba_internals import on_compiling
from ppo_lab.kernels.update import Adam
from ppo_lab.kernels.warm_up import warm_up
from tests.ppo_lab.kernels.calling import from_python

adam_step, clip_factor, norm = map(
    from_python, (optimizer.adam_step, optimizer.clip_factor, optimizer.norm)
)


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


def test_what_minibatches_go_through_starts_where_a_cache_line_of_64_bytes_does() -> None:
    layout = Layout(3, (5,), (7,), "tanh", "gaussian", (2,))
    for batch_size in (1, 50, 300):
        memory, adam = Memory.of(layout, batch_size), Adam.zeros(layout)
        for array in (memory.work, memory.gradients, adam.m, adam.v):
            assert array.ctypes.data % 64 == 0
        rows = (memory.work.size - layout.plan[FIXED]) // layout.plan[UNITS]
        assert rows * 4 % 64 == 0  # so every layer's activations do too
        assert len(memory.actions) == rows


def test_once_warm_a_layout_of_other_sizes_compiles_nothing() -> None:
    warm_up(Layout(2, (3,), (3,), "tanh", "categorical", (2,)))
    compiled: list[Path] = []
    with on_compiling(compiled.append):
        warm_up(Layout(5, (4, 4), (), "relu", "multi_categorical", (3, 2)))
    assert compiled == []
