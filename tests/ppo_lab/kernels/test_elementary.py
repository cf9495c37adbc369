"""tanh, exp and log as loops over arrays use them."""

import numba
import numpy as np

from ppo_lab.kernels.compiling import FASTMATH
from ppo_lab.kernels.elementary import exp, log, tanh


@numba.njit(fastmath=FASTMATH, error_model="numpy")  # type: ignore[untyped-decorator]
def evaluate(x: np.ndarray, tanhs: np.ndarray, exps: np.ndarray, logs: np.ndarray) -> None:
    for i in range(x.size):
        tanhs[i], exps[i], logs[i] = tanh(x[i]), exp(x[i]), log(x[i])


def compiled(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = numbers.astype(np.float32)
    tanhs, exps, logs = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    evaluate(x, tanhs, exps, logs)
    return tanhs, exps, logs


def test_tanh_is_right_to_four_ten_millionths_everywhere() -> None:
    x = np.concatenate([np.linspace(-12, 12, 400_001), np.geomspace(1e-30, 3e38, 10_000)])
    x = np.concatenate([x, -x]).astype(np.float32)
    assert np.abs(compiled(x)[0] - np.tanh(x.astype(np.float64))).max() <= 4e-7
    assert np.abs(compiled(x)[0]).max() <= 1.0
    small = np.geomspace(1e-30, 0.5, 1000).astype(np.float32)
    np.testing.assert_allclose(compiled(small)[0], np.tanh(small), rtol=5e-7)


def test_exp_is_right_to_four_ten_millionths_of_itself() -> None:
    x = np.linspace(-87.33, 88.36, 1_000_001).astype(np.float32)
    np.testing.assert_allclose(compiled(x)[1], np.exp(x.astype(np.float64)), rtol=4e-7)
    assert compiled(np.zeros(1))[1][0] == 1.0  # the ratio of a policy that has not moved


def test_log_is_right_to_three_ten_millionths_of_itself() -> None:
    x = np.concatenate([np.geomspace(1.2e-38, 3e38, 500_000), np.linspace(0.5, 2, 500_001)])
    x = x.astype(np.float32)
    np.testing.assert_allclose(compiled(x)[2], np.log(x.astype(np.float64)), rtol=3e-7)
    assert compiled(np.ones(1))[2][0] == 0.0


def test_what_is_not_finite_stays_so_for_the_guards() -> None:
    tanhs, exps, logs = compiled(np.array([np.nan, np.inf, -np.inf]))
    assert np.isnan([tanhs[0], exps[0], logs[0]]).all()
    np.testing.assert_allclose(tanhs[1:], [1.0, -1.0], atol=3e-7)
    assert (exps[1], exps[2], logs[1]) == (np.inf, 0.0, np.inf)
    assert compiled(np.array([89.0, 1e30, -88.0, -1e30]))[1].tolist() == [np.inf, np.inf, 0.0, 0.0]
