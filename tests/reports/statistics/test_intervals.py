"""Stretched percentile intervals: worked factors, and coverage with three seeds."""

import numpy as np
import pytest
from scipy import stats

from reports.statistics.aggregates import bootstrap_aggregates
from reports.statistics.intervals import Stretch, interval, stretch

T_2, Z = 4.302653, 1.959964
"""97.5 % quantiles of Student's t (two degrees of freedom) and of the normal law, from tables."""


def test_one_task_is_stretched_by_the_missing_variance_and_students_t() -> None:
    # R = 3: sqrt(3/2) × t_2 / z = 1.224745 × 2.195271
    found = stretch([np.array(0.7)], [3])
    assert found is not None
    assert found.freedom == pytest.approx(2)
    assert found.factor == pytest.approx(np.sqrt(3 / 2) * T_2 / Z, rel=1e-6)


def test_equal_tasks_share_their_degrees_of_freedom() -> None:
    # Ten tasks, R = 3, v = s²/3: (10 v)² / (10 v²/4) − 2 = 38. Its own formula, not T(R − 1) = 20.
    found = stretch([np.array(2.0)] * 10, [3] * 10)
    assert found is not None
    assert found.factor == pytest.approx(np.sqrt(3 / 2) * stats.t.ppf(0.975, 38) / Z, rel=1e-6)


def factor(variances: list[float], runs: list[int]) -> float:
    found = stretch([np.array(variance) for variance in variances], runs)
    assert found is not None
    return float(found.factor)


def test_a_task_without_variance_does_not_lend_its_runs() -> None:
    assert factor([2.0, 0.0], [3, 50]) == pytest.approx(factor([2.0], [3]))


def test_the_factor_does_not_depend_on_the_unit_of_the_scores() -> None:
    assert factor([2e-300, 5e-301], [4, 6]) == pytest.approx(factor([2.0, 0.5], [4, 6]))


def test_no_variance_and_many_runs_give_factors_near_one() -> None:
    assert factor([0.0], [1_000]) == pytest.approx(1, abs=0.003)
    assert stretch([np.array(1.0)], [5], "percentile") is None


def test_arms_are_stretched_and_kept_within_the_support() -> None:
    draws = np.linspace(0.2, 0.8, 1001)  # 2.5 % and 97.5 %: 0.215 and 0.785
    assert interval(0.4, draws) == pytest.approx((0.215, 0.785))
    # Arms 0.185 and 0.385; of the difference, 0.2, the shorter gains 1/4: 0.235.
    widening = Stretch(np.array(2.0), np.array(4.0))
    low, high = interval(0.4, draws, widening)
    assert (low, high) == pytest.approx((0.4 - 2 * 0.235, 0.4 + 2 * 0.385))
    assert interval(0.4, draws, widening, (0.1, 1.0)) == pytest.approx((0.1, 1.0))


def test_no_arm_points_inwards() -> None:
    widening = Stretch(np.array(2.0), np.array(1e9))
    low, high = interval(0.9, np.linspace(0.2, 0.8, 1001), widening)
    assert low < 0.9
    assert high == pytest.approx(0.9)


def test_three_seeds_of_one_task_hold_the_truth_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    held = {"percentile": 0, "stretched": 0}
    for _ in range(1_500):
        scores = rng.normal(size=3)
        draws = bootstrap_aggregates((scores,), 300, rng)[:, 1]
        for method in held:
            widening = stretch([scores.var(ddof=1)], [3], method)  # type: ignore[arg-type]
            low, high = interval(scores.mean(), draws, widening)
            held[method] += int(low <= 0 <= high)
    # Standard errors 0.011 and 0.006; three seeds fall to one side of the truth in 1/4 of samples.
    assert held["percentile"] / 1_500 == pytest.approx(0.74, abs=0.04)
    assert held["stretched"] / 1_500 > 0.93
