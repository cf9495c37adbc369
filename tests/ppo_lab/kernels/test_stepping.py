"""A step in one call does what its parts do: the encoding, ``act``, and NumPy's ``clip``."""

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from ppo_lab.compiled.rows import encode
from ppo_lab.errors import ArgumentError
from ppo_lab.kernels.acting import act
from ppo_lab.kernels.layout import Layout
from ppo_lab.kernels.stepping import StepArrays, run_step, step_arrays

T, K = 3, 4
GAUSSIAN = Layout(3, (5,), (4,), "tanh", "gaussian", (2,))
CHOICES = Layout(3, (5,), (4,), "relu", "categorical", (3,))
WIDE = np.array([[-0.3, -np.inf], [0.2, 0.1]])


def arrays(layout: Layout, seen: Any, bounds: Any) -> StepArrays:
    generator = np.random.default_rng(2)
    noise = generator.random((T, K, layout.n_actions))
    if layout.head == "gaussian":
        noise = generator.normal(size=noise.shape)
    return StepArrays(
        generator.normal(size=layout.n_parameters).astype(np.float32),
        layout.plan,
        layout.workspace(K),
        seen,
        np.full((K, layout.inputs), 7.0, np.float32),
        noise,
        np.zeros(noise.shape, layout.action_dtype),
        np.zeros((T, K), np.float32),
        np.zeros((T, K), np.float32),
        bounds,
        np.zeros(noise.shape, bounds.dtype),
    )


@pytest.mark.parametrize(("dtype", "low"), [(np.float32, np.float32), (np.float64, np.float64)])
def test_a_gaussian_step_is_act_and_then_numpys_clip(dtype: Any, low: Any) -> None:
    seen = np.random.default_rng(1).normal(size=(T, K, 3)).astype(dtype)
    ours = step_arrays(GAUSSIAN, arrays(GAUSSIAN, seen, WIDE.astype(low)))
    for t in range(T):
        assert run_step(t, *ours) == -1
        actions, values, log_probs = (
            np.zeros((K, 2), np.float32),
            np.zeros(K, np.float32),
            np.zeros(K, np.float32),
        )
        inputs = seen[t].astype(np.float32)
        act(ours.params, GAUSSIAN, inputs, ours.noise[t], ours.work, actions, values, log_probs)
        np.testing.assert_array_equal(ours.actions[t], actions)
        np.testing.assert_array_equal(ours.values[t], values)
        np.testing.assert_array_equal(ours.log_probs[t], log_probs)
        clipped = np.clip(actions, *WIDE.astype(low))
        assert ours.clipped.dtype == clipped.dtype
        np.testing.assert_array_equal(ours.clipped[t], clipped)
    assert (np.abs(ours.actions - ours.clipped) > 0).any()


def test_a_discrete_observation_is_one_hot() -> None:
    seen = np.random.default_rng(1).integers(0, 3, (T, K, 1))
    ours = step_arrays(CHOICES, arrays(CHOICES, seen, np.zeros((2, 0), np.int64)))
    for t in range(T):
        assert run_step(t, *ours) == -1
        actions, values, log_probs = (
            np.zeros((K, 1), np.int64),
            np.zeros(K, np.float32),
            np.zeros(K, np.float32),
        )
        inputs = encode(seen[t, :, 0], spaces.Discrete(3))
        act(ours.params, CHOICES, inputs, ours.noise[t], ours.work, actions, values, log_probs)
        np.testing.assert_array_equal(ours.actions[t], actions)
        np.testing.assert_array_equal(ours.values[t], values)
        np.testing.assert_array_equal(ours.log_probs[t], log_probs)


def test_the_first_environment_whose_numbers_are_none_is_named() -> None:
    seen = np.zeros((T, K, 3))
    seen[1, 2:, 0] = np.nan
    ours = arrays(GAUSSIAN, seen, WIDE.astype(np.float32))
    assert [run_step(t, *ours) for t in range(T)] == [-1, 2, -1]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("params", np.zeros(3, np.float32)),
        ("work", np.zeros(1, np.float32)),
        ("seen", np.zeros((T, K, 2))),
        ("seen", np.zeros((T, K, 3), np.int64)),
        ("inputs", np.zeros((K, 3))),
        ("noise", np.zeros((T, K, 1))),
        ("actions", np.zeros((T, K, 2))),
        ("values", np.zeros((T, K + 1), np.float32)),
        ("log_probs", np.zeros((T, K))),
        ("bounds", np.zeros((2, 3))),
        ("clipped", np.zeros((T, K, 2), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, wrong: Any) -> None:
    right = arrays(GAUSSIAN, np.zeros((T, K, 3)), WIDE)
    step_arrays(GAUSSIAN, right)
    with pytest.raises(ArgumentError, match=r"the kernels take|work holds"):
        step_arrays(GAUSSIAN, right._replace(**{name: wrong}))
