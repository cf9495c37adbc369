"""Time to a threshold, failures included, and the area under a curve."""

import numpy as np
import pytest
from scipy import stats

from reports.statistics.efficiency import area_under_curve, threshold_times, time_to_threshold
from reports.statistics.samples import ScoresError


def test_time_is_the_first_step_at_or_above_the_threshold() -> None:
    steps, returns = [100, 200, 300, 400], [0.1, 0.5, 0.2, 0.9]
    assert time_to_threshold(steps, returns, 0.5) == 200
    assert time_to_threshold(steps, returns, 0.1) == 100
    assert time_to_threshold(steps, returns, 1.0) is None


def test_runs_that_never_arrive_count_with_the_whole_horizon() -> None:
    found = threshold_times([100, 300, None, 900], 400, seed=0, key="k")
    assert found.share.value == 0.5
    # Wilson, 2 of 4, z = 1.96: (2 + 1.9207)/(4 + 3.8415) ± 1.96/7.8415 × sqrt(1 + 0.96036)
    assert found.share.low == pytest.approx(0.5 - 0.34996, abs=1e-4)
    assert found.share.high == pytest.approx(0.5 + 0.34996, abs=1e-4)
    assert found.median == 300  # by then, two of four had arrived
    assert found.restricted_mean.value == pytest.approx((100 + 300 + 400 + 400) / 4)
    assert found.restricted_mean.high == 400  # no mean of times capped at 400 lies beyond


def test_a_median_beyond_the_horizon_is_unknown() -> None:
    found = threshold_times([100, None, None], 400, seed=0, key="k")
    assert found.median is None
    assert found.share.value == pytest.approx(1 / 3)


def test_one_run_has_no_interval_of_its_time() -> None:
    found = threshold_times([100], 400, seed=0, key="k")
    assert found.restricted_mean.low is None
    assert found.share.low is not None
    with pytest.raises(ScoresError, match="ppo: no run"):
        threshold_times([], 400, seed=0, key="ppo")


def test_area_is_the_mean_height_of_the_curve() -> None:
    # Trapezoids 0.5 × 1 and 1 × 2 over 3 steps.
    assert area_under_curve([0, 1, 3], [0, 1, 1]) == pytest.approx(2.5 / 3)
    assert area_under_curve([10, 20, 70], [4, 4, 4]) == pytest.approx(4)
    assert area_under_curve([10], [7]) == 7


def test_unusable_curves_are_refused() -> None:
    with pytest.raises(ScoresError, match="ascend"):
        area_under_curve([1, 1], [0, 1])
    with pytest.raises(ScoresError, match="NaN"):
        time_to_threshold([1, 2], [0, np.nan], 1)
    with pytest.raises(ScoresError, match="one return per step"):
        area_under_curve([1, 2], [0])


@pytest.mark.parametrize(
    ("reached", "runs"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (29, 30)]
)
def test_the_share_that_arrived_has_scipys_wilson_interval(reached: int, runs: int) -> None:
    times = [5.0] * reached + [None] * (runs - reached)
    share = threshold_times(times, 10, seed=1, key="share").share
    expected = stats.binomtest(reached, runs).proportion_ci(0.95, method="wilson")
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-14)
    assert share.value == reached / runs
