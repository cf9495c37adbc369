"""Tests of pairs on one task; scipy and worked sums are the second opinion."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.samples import Floats, ScoresError
from reports.statistics.significance import (
    cliffs_delta,
    hedges_g,
    holm,
    pair_tests,
    permutation_p,
    tost_p,
    welch_test,
)

X = np.array([1.0, 2.0, 3.0, 4.0])
Y = np.array([2.5, 4.5, 5.0, 7.0, 6.0])


def normal(seed: int, runs: int, mean: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(mean, size=runs)


def test_welch_is_worked_out_by_hand() -> None:
    # Means 2.5 and 5, variances 5/3 and 2.875, squared errors 0.416667 and 0.575.
    test = welch_test(X, Y)
    assert test is not None
    assert test.difference == pytest.approx(-2.5)
    assert test.error == pytest.approx(np.sqrt(0.416667 + 0.575), rel=1e-6)
    assert test.freedom == pytest.approx(0.991667**2 / (0.416667**2 / 3 + 0.575**2 / 4), rel=1e-5)
    assert test.p == pytest.approx(2 * stats.t.cdf(-2.5 / test.error, test.freedom), rel=1e-9)
    half = stats.t.ppf(0.975, test.freedom) * test.error
    assert (test.low, test.high) == pytest.approx((-2.5 - half, -2.5 + half))


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(2, 9))
def test_welch_is_scipys(seed: int, runs_x: int, runs_y: int) -> None:
    x, y = normal(seed, runs_x), normal(seed + 1, runs_y, 0.5) * 3
    ours, theirs = welch_test(x, y), stats.ttest_ind(x, y, equal_var=False)
    assert ours is not None
    assert (ours.p, ours.freedom) == pytest.approx((theirs.pvalue, theirs.df))
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))


def test_one_side_may_be_constant_and_rounding_is_no_variance() -> None:
    # Against the constant 0.3 the test is Student's of one sample.
    test = welch_test(np.full(5, 0.3), X)
    assert test is not None
    assert test.p == pytest.approx(stats.ttest_1samp(X, 0.3).pvalue)
    assert welch_test(np.array([0.1 + 0.2, 0.3, 0.3]), np.full(4, 0.3)) is None


@given(st.integers(0, 10_000))
def test_few_runs_are_permuted_exactly_as_scipy_does(seed: int) -> None:
    x, y = normal(seed, 4), normal(seed + 1, 4, 1.0).round(1)
    theirs = stats.permutation_test(
        (x, y), lambda x, y, axis: np.abs(x.mean(axis=axis) - y.mean(axis=axis)),
        vectorized=True, alternative="greater", n_resamples=np.inf,
    ).pvalue  # fmt: skip
    assert permutation_p(x, y) == pytest.approx(theirs, abs=1e-12)


def test_ties_and_extremes_are_permuted_by_hand() -> None:
    # Of the 20 splits of 1 2 3 | 4 5 6, the observed and its mirror image differ most.
    assert permutation_p(np.array([1.0, 2, 3]), np.array([4.0, 5, 6])) == pytest.approx(2 / 20)
    assert permutation_p(np.array([0.1] * 3), np.array([0.1] * 3)) == 1


def test_many_runs_are_permuted_at_random_and_repeat() -> None:
    x, y = normal(0, 20), normal(1, 20, 0.5)
    p = permutation_p(x, y, seed=3)
    assert p == permutation_p(x, y, seed=3)
    welch = welch_test(x, y)
    assert welch is not None
    # Equal runs of normal scores: both tests ask the same; 9,999 splits leave ± 0.005 (one s.e.).
    assert p == pytest.approx(welch.p, abs=0.025)
    assert permutation_p(np.zeros(15), np.ones(15)) == pytest.approx(1 / 10_000)


def test_holm_is_worked_out_by_hand() -> None:
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, and never falling: .04 .06 .06 .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([0.9, None, 0.6]) == (1.0, None, 1.0)
    assert holm([]) == ()


def test_effect_sizes_are_worked_out_by_hand() -> None:
    # Squares about the means 5 and 11.5, ν = 7: pooled s = sqrt(16.5/7). J(7) = 0.8882 in Hedges.
    assert hedges_g(X, Y) == pytest.approx(-2.5 / np.sqrt(16.5 / 7) * 0.8882, abs=1e-4)
    # Pairs x > y: 3 > 2.5, 4 > 2.5; none equal: of 20 pairs 2 win and 18 lose.
    assert cliffs_delta(X, Y) == pytest.approx(-16 / 20)
    assert cliffs_delta(X, X) == 0


def test_equivalence_needs_a_small_difference_and_little_noise() -> None:
    x = normal(0, 400)
    assert tost_p(welch_test(x, x), 0.5) == pytest.approx(0, abs=1e-6)
    y = normal(1, 4)
    loose = tost_p(welch_test(normal(0, 4), y), 0.1)
    assert loose is not None
    assert loose > 0.05
    # At a difference of just the margin, p is one half.
    assert tost_p(welch_test(X, X + 1), 1.0) == pytest.approx(0.5)


def test_what_is_undefined_is_none_and_left_out_of_the_correction() -> None:
    samples = {"a": [[1.0, 1.0], X], "b": [[1.0, 1.0], Y]}
    constant, varied = pair_tests(samples, ["flat", "steep"], seed=0, margin=0.1)
    assert (constant.welch_p, constant.hedges_g, constant.equivalence_p) == (None, None, None)
    assert constant.permutation_p == 1
    assert varied.welch_holm == varied.welch_p
    (single,) = pair_tests({"a": [[1.0]], "b": [[2.0]]}, ["t"], seed=0, margin=0.1)
    assert (single.welch_p, single.permutation_p, single.equivalence_p) == (None, None, None)


def test_every_pair_is_compared_on_every_task_with_one_correction() -> None:
    samples = {name: [normal(i, 6, i), normal(i + 9, 5)] for i, name in enumerate("abc")}
    tests = pair_tests(samples, ["s", "t"], seed=0, margin=0.1)
    assert [(test.x, test.y) for test in tests[::2]] == list(combinations("abc", 2))
    smallest = min(tests, key=lambda test: test.welch_p or 1)
    assert smallest.welch_p is not None
    assert smallest.welch_holm == pytest.approx(6 * smallest.welch_p)


def test_a_pair_is_judged_alike_whichever_comes_first() -> None:
    a, b = [normal(0, 12)], [normal(1, 14, 0.5)]
    (there,) = pair_tests({"a": a, "b": b}, ["t"], seed=0, margin=0.1)
    (back,) = pair_tests({"b": b, "a": a}, ["t"], seed=0, margin=0.1)
    assert there.permutation_p == back.permutation_p
    assert there.welch_p == pytest.approx(back.welch_p)
    assert there.difference == -back.difference
    assert there.seeds == back.seeds


def test_wrong_margins_and_tasks_are_refused() -> None:
    with pytest.raises(ScoresError, match="margin=0"):
        pair_tests({"a": [X]}, ["t"], seed=0, margin=0)
    with pytest.raises(ScoresError, match="a: scores of 1 tasks; expected 2"):
        pair_tests({"a": [X]}, ["t", "u"], seed=0, margin=1)


def test_equivalence_is_corrected_over_all_comparisons() -> None:
    samples = {name: [normal(i, 90) / 50 + 1] for i, name in enumerate("abc")}
    tests = pair_tests(samples, ["t"], seed=0, margin=0.05)
    plain = [test.equivalence_p for test in tests]
    assert [test.equivalence_holm for test in tests] == list(holm(plain))
    # Fewer failures than seen, none of 90, if about one in twenty failed: 0.95^90 = 0.0099.
    assert all(p == pytest.approx(0.95**90, abs=0.006) for p in plain)
    assert all((test.tost_p or 0.0) < 1e-9 for test in tests)
