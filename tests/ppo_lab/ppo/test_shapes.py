"""A formula refuses tensors that would broadcast to another shape than its own."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch as th
from hypothesis import given
from hypothesis import strategies as st

from ppo_lab.errors import ArgumentError
from ppo_lab.ppo import advantages as adv
from ppo_lab.ppo import objectives as obj
from ppo_lab.ppo.shapes import check_shapes

B, N = 4, 3
NUMBERS = {"gamma": 0.9, "gae_lambda": 0.8, "n_step": 2, "clip_range": 0.2, "clip_range_vf": 0.5}
NUMBERS |= {"vf_coef": 0.5, "ent_coef": 0.01}

Formula = Callable[..., th.Tensor]


def formulas(module: Any) -> list[Formula]:
    """Every public function of tensors, but those of one tensor of any shape."""
    functions = (getattr(module, name) for name in module.__all__)
    return [f for f in functions if inspect.isfunction(f) and f is not adv.normalize_advantages]


EXACT = [obj.categorical_kl, obj.gaussian_kl]
OF_SAMPLES = [f for f in formulas(obj) if f not in EXACT]
OF_ROWS = [*formulas(adv), *EXACT]


def tensors_of(formula: Formula, shape: tuple[int, ...], seed: int = 0) -> dict[str, th.Tensor]:
    """Random numbers in (0, 1) for every argument that is a tensor."""
    generator = th.Generator().manual_seed(seed)
    names = [name for name in inspect.signature(formula).parameters if name not in NUMBERS]
    return {name: th.rand(shape, generator=generator, dtype=th.float64) for name in names}


def called(formula: Formula, tensors: dict[str, th.Tensor]) -> th.Tensor:
    parameters = inspect.signature(formula).parameters
    numbers = {name: number for name, number in NUMBERS.items() if name in parameters}
    return formula(**tensors, **numbers)


@pytest.mark.parametrize(
    ("formula", "shape"),
    [*((f, (B,)) for f in OF_SAMPLES), *((f, (B, N)) for f in OF_ROWS)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_every_argument_given_as_a_column_is_refused(
    formula: Formula, shape: tuple[int, ...]
) -> None:
    right = tensors_of(formula, shape)
    called(formula, right)
    for name, tensor in right.items():
        column = tensor.reshape(B, -1)[:, :1]
        with pytest.raises(ArgumentError, match=rf"{name} of shape \(4, 1\).*: expected one shape"):
            called(formula, right | {name: column})


@pytest.mark.parametrize("formula", OF_SAMPLES)
def test_a_scalar_may_stand_beside_a_minibatch_or_for_it(formula: Formula) -> None:
    right = tensors_of(formula, (B,))
    called(formula, {name: tensor[0] for name, tensor in right.items()})
    if formula is obj.value_loss:
        return  # torch's mean square warns of it
    for name, tensor in right.items():
        called(formula, right | {name: tensor[0]})


@given(st.sampled_from(OF_SAMPLES), st.permutations(range(B)), st.integers(0, 2**31))
def test_the_order_of_a_minibatch_does_not_matter(
    formula: Formula, order: list[int], seed: int
) -> None:
    right = tensors_of(formula, (B,), seed)
    value = called(formula, right)
    moved = called(formula, {name: tensor[order] for name, tensor in right.items()})
    th.testing.assert_close(moved, value[order] if value.shape == (B,) else value)


@given(st.sampled_from(formulas(adv)), st.integers(0, N - 1), st.integers(0, 2**31))
def test_an_environments_targets_are_those_that_it_has_alone(
    formula: Formula, environment: int, seed: int
) -> None:
    right = tensors_of(formula, (B, N), seed)
    for name in {"terminated", "done"} & right.keys():
        right[name] = (right[name] < 0.5).double()
    alone = {name: tensor[:, [environment]] for name, tensor in right.items()}
    together = called(formula, right)[:, [environment]]
    th.testing.assert_close(called(formula, alone), together)


def test_one_row_of_log_std_serves_every_mean() -> None:
    right = tensors_of(obj.gaussian_kl, (B, N))
    row = right["log_std"][0]
    th.testing.assert_close(
        called(obj.gaussian_kl, right | {"log_std": row}),
        called(obj.gaussian_kl, right | {"log_std": row.repeat(B, 1)}),
    )
    with pytest.raises(ArgumentError, match=r"log_std of shape \(2,\)"):
        called(obj.gaussian_kl, right | {"log_std": row[:2]})


def test_the_message_says_what_was_given_and_what_was_expected() -> None:
    with pytest.raises(ArgumentError) as refused:
        check_shapes(1, ratio=th.zeros(64), advantages=th.zeros(64, 1))
    assert str(refused.value) == (
        "ratio of shape (64,), advantages of shape (64, 1): expected one shape of 1 dimension, or "
        "scalars"
    )
    with pytest.raises(ArgumentError, match="expected one shape of 2 dimensions"):
        check_shapes(2, values=th.zeros(()))
