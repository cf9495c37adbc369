"""Stretched percentile intervals: worked factors, and coverage with three seeds."""

import numpy as np
import pytest
from scipy import stats

from reports.aggregates import bootstrap_aggregates
from reports.intervals import interval, stretch_factor

T_2, Z = 4.302653, 1.959964
"""97.5 % quantiles of Student's t (two degrees of freedom) and of the normal law, from tables."""


def test_one_task_is_stretched_by_the_missing_variance_and_students_t() -> None:
    # R = 3: sqrt(3/2) × t_2 / z = 1.224745 × 2.195271
    factor = stretch_factor([np.array(0.7)], [3])
    assert factor == pytest.approx(np.sqrt(3 / 2) * T_2 / Z, rel=1e-6)


def test_equal_tasks_share_their_degrees_of_freedom() -> None:
    # Ten tasks, R = 3, v = s²/3: (10 v)² / (10 v²/4) − 2 = 38. Its own formula, not T(R − 1) = 20.
    factor = stretch_factor([np.array(2.0)] * 10, [3] * 10)
    assert factor == pytest.approx(np.sqrt(3 / 2) * stats.t.ppf(0.975, 38) / Z, rel=1e-6)


def test_a_task_without_variance_does_not_lend_its_runs() -> None:
    alone = stretch_factor([np.array(2.0)], [3])
    beside = stretch_factor([np.array(2.0), np.array(0.0)], [3, 50])
    assert beside == pytest.approx(alone)


def test_the_factor_does_not_depend_on_the_unit_of_the_scores() -> None:
    variances = [np.array(2.0), np.array(0.5)]
    tiny = [variance * 1e-300 for variance in variances]
    assert stretch_factor(tiny, [4, 6]) == pytest.approx(stretch_factor(variances, [4, 6]))


def test_no_variance_and_many_runs_give_factors_near_one() -> None:
    assert stretch_factor([np.array(0.0)], [1_000]) == pytest.approx(1, abs=0.003)
    assert stretch_factor([np.array(1.0)], [5], "percentile") == 1


def test_arms_are_stretched_and_kept_within_the_support() -> None:
    draws = np.linspace(0.2, 0.8, 1001)  # 2.5 % and 97.5 %: 0.215 and 0.785
    low, high = interval(0.4, draws)
    assert (low, high) == pytest.approx((0.215, 0.785))
    low, high = interval(0.4, draws, stretch=2.0)
    assert (low, high) == pytest.approx((0.4 - 2 * 0.185, 0.4 + 2 * 0.385))
    assert interval(0.4, draws, 2.0, (0.1, 1.0)) == pytest.approx((0.1, 1.0))


def test_an_arm_never_points_inwards() -> None:
    low, high = interval(0.9, np.linspace(0.2, 0.8, 1001), stretch=2.0)
    assert low < 0.9
    assert high == pytest.approx(0.9)


def test_three_seeds_of_one_task_hold_the_truth_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    held = {"percentile": 0, "stretched": 0}
    for _ in range(1_500):
        scores = rng.normal(size=3)
        draws = bootstrap_aggregates((scores,), 300, rng)[:, 1]
        for method in held:
            factor = stretch_factor([scores.var(ddof=1)], [3], method)  # type: ignore[arg-type]
            low, high = interval(scores.mean(), draws, factor)
            held[method] += int(low <= 0 <= high)
    # Standard errors 0.011 and 0.006; three seeds fall to one side of the truth in 1/4 of samples.
    assert held["percentile"] / 1_500 == pytest.approx(0.74, abs=0.04)
    assert held["stretched"] / 1_500 > 0.93
