"""Failed runs and their bounds; scipy's exact binomial intervals are the second opinion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.statistics.failures import (
    above_worst,
    failure_threshold,
    failures,
    most_failing,
    unseen_failures_p,
)
from reports.statistics.significance import equivalence_p, tost_p, welch_test


@given(st.integers(1, 60), st.data())
def test_the_bound_is_clopper_and_pearsons(runs: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, runs))
    interval = stats.binomtest(failed, runs, alternative="less").proportion_ci(0.95, "exact")
    assert most_failing(failed, runs) == pytest.approx(interval.high, rel=1e-9)


def test_none_of_ten_failed_and_up_to_26_per_cent_may() -> None:
    found = failures([np.linspace(0.8, 1.0, 10)])
    assert (found.failed, found.runs, found.share) == (0, 10, 0.0)
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / 10))  # 0.2589
    assert above_worst(10) == pytest.approx(1 - found.bound)


def test_a_failed_run_reaches_less_than_half_of_the_upper_quartile() -> None:
    # Of 0, 0.4, 0.5, 0.9, 1 the upper quartile is the fourth, 0.9, and its half 0.45.
    scores = np.array([1.0, 0.4, 0.9, 0.0, 0.5])
    assert failure_threshold(scores) == pytest.approx(0.45)
    assert failures([scores]).failed == 2
    assert failures([scores], below=0.6).failed == 3  # 0.54
    # Another task has a threshold of its own: 0.2 of 0.2, 0.2, 0.05 is good there.
    both = failures([scores, [0.2, 0.2, 0.05]])
    assert (both.failed, both.runs) == (3, 8)
    assert both.thresholds == pytest.approx((0.45, 0.1))


def test_a_majority_of_failures_is_still_counted() -> None:
    assert failures([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]).failed == 4


def test_where_nothing_worked_nothing_is_called_failed() -> None:
    found = failures([[-0.1, 0.0, -0.3]])
    assert (found.runs, found.failed, found.share, found.bound) == (0, 0, None, 1.0)
    assert found.thresholds == (None,)


def test_a_failure_not_seen_is_worked_out_by_hand() -> None:
    x = np.full(10, 1.0)
    # One in twenty fails from 1 to 0 and the means differ by 0.05: none of ten with 0.95^10.
    assert unseen_failures_p(x, x, 0.05) == pytest.approx(0.95**10)
    # A difference of 0.02 leaves 0.03 of the margin to the label that is lower already.
    assert unseen_failures_p(x, x - 0.02, 0.05) == pytest.approx((1 - 0.03 / 0.98) ** 10)
    assert unseen_failures_p(x - 0.02, x, 0.05) == unseen_failures_p(x, x - 0.02, 0.05)
    assert unseen_failures_p(x, x - 0.06, 0.05) == 1
    # Scores below 0 were seen: a fall to −1 from 1 needs one half of the share.
    y = np.array([1.0] * 9 + [-1.0])
    assert unseen_failures_p(y, y, 0.05) == pytest.approx(stats.binom.cdf(1, 10, 1 / 10 + 0.05 / 2))
    # Nothing can fall further than the floor.
    assert unseen_failures_p(np.zeros(3), np.zeros(3), 0.05) == 0


@given(st.integers(2, 120), st.floats(0.01, 0.5))
def test_it_is_small_exactly_where_the_bound_leaves_no_room(runs: int, margin: float) -> None:
    x = np.full(runs, 1.0)
    room = most_failing(0, runs)
    if abs(room - margin) > 1e-9:
        assert (unseen_failures_p(x, x, margin) <= 0.05) == (room <= margin)


def test_ten_equal_runs_are_not_called_equal_and_a_hundred_are() -> None:
    rng = np.random.default_rng(0)
    for runs, told in ((10, False), (100, True)):
        x, y = rng.normal(1, 0.01, (2, runs))
        seen, p = tost_p(welch_test(x, y), 0.05), equivalence_p(x, y, 0.05)
        assert seen is not None
        assert p is not None
        assert seen < 1e-6
        assert (p <= 0.05) == told
