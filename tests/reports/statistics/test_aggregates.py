"""Aggregates of even and uneven runs; rliable and worked sums are the second opinion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rliable import library, metrics
from scipy import stats

from reports.statistics.aggregates import aggregate_points, aggregates, bootstrap_aggregates
from reports.statistics.iqm import MiddleHalf, interquartile_mean, winsorised
from reports.statistics.resampling import by_task, resampled_counts
from reports.statistics.samples import Floats, ScoresError, Strata, generator, strata

VALUES = st.floats(-3, 3).map(lambda value: round(value, 1))
MATRICES = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=VALUES)
RAGGED = st.lists(
    st.lists(VALUES, min_size=2, max_size=8).map(np.array), min_size=1, max_size=4
).map(tuple)


def rliables(scores: Floats) -> Floats:
    return np.array(
        [
            metrics.aggregate_iqm(scores),
            metrics.aggregate_mean(scores),
            metrics.aggregate_optimality_gap(scores),
        ]
    )


@given(MATRICES)
def test_points_are_rliables(scores: Floats) -> None:
    np.testing.assert_allclose(aggregate_points(strata(scores)), rliables(scores), atol=1e-12)


@given(RAGGED, st.integers(0, 9))
def test_draws_are_the_points_of_the_resampled_scores(tasks: Strata, seed: int) -> None:
    runs = [len(task) for task in tasks]
    drawn = bootstrap_aggregates(tasks, 5, np.random.default_rng(seed))
    (counts,) = resampled_counts(runs, 5, np.random.default_rng(seed))
    for draw in range(5):
        resample = tuple(
            np.repeat(task, count[:, draw].astype(int))
            for task, count in zip(tasks, by_task(counts, runs), strict=True)
        )
        np.testing.assert_allclose(drawn[draw], aggregate_points(resample), atol=1e-12)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 12), st.integers(1, 4))
def test_percentile_intervals_are_rliables_within_monte_carlo_error(
    seed: int, runs: int, tasks: int
) -> None:
    scores = np.random.default_rng(seed).gamma(2.0, size=(runs, tasks))
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        _, intervals = library.get_interval_estimates({"k": scores}, rliables, reps=2_000)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    drawn = bootstrap_aggregates(strata(scores), 20_000, generator(seed, "k"))
    # Of our draws a share of 0.025 lies beyond their end, up to five of its standard errors,
    # sqrt(0.025 × 0.975 / 2,000) = 0.0035. Few runs repeat a draw: equal ones count on both sides.
    low, high = intervals["k"]
    for outside, reaching in (
        (drawn < low - 1e-9, drawn <= low + 1e-9),
        (drawn > high + 1e-9, drawn >= high - 1e-9),
    ):
        assert (outside.mean(axis=0) <= 0.025 + 5 * 0.0035).all()
        assert (reaching.mean(axis=0) >= 0.025 - 5 * 0.0035).all()


def test_uneven_runs_are_worked_out_by_hand() -> None:
    # Task means 2 and 4.5. IQM: N = 5, so 1/5 of the weight is cut at each end. Weights in order
    # 1 2 3 | 4 5: 1/6 1/6 1/6 1/4 1/4. From the low end 1/5 takes the 1 whole and 1/30 of the 2,
    # from the high end 1/5 of the 5's 1/4, which leaves 1/20. Left over, times 60:
    # 2 × 8, 3 × 10, 4 × 15, 5 × 3, sum of weights 36.
    iqm, mean, gap = aggregate_points(strata([[1, 2, 3], [4, 5]]))
    assert iqm == pytest.approx((2 * 8 + 3 * 10 + 4 * 15 + 5 * 3) / 36)
    assert mean == pytest.approx((2 + 4.5) / 2)
    assert gap == pytest.approx(0.0)  # every score is at least 1, and counts as 1


def test_an_optimality_gap_is_never_below_zero_however_far_its_interval_is_stretched() -> None:
    # The gap is (0.1 + 0 + 0)/3. A resample leaves the 0.9 out with probability (2/3)³ = 0.30, so
    # the percentile interval ends at 0, and stretching by any factor above 1 would go on below it.
    gap = aggregates([[0.9, 1.0, 1.0]], seed=0, key="k", draws=500).optimality_gap
    assert gap.value == pytest.approx(0.1 / 3)
    assert gap.low == 0.0


def test_every_task_counts_alike_however_many_runs_it_has() -> None:
    few, many = [[0.0, 1.0], [2.0, 3.0]], [[0.0, 1.0], [2.0, 3.0] * 10]
    np.testing.assert_allclose(
        aggregate_points(strata(many))[1:], aggregate_points(strata(few))[1:], atol=1e-12
    )


@given(RAGGED)
def test_iqm_does_not_depend_on_the_order_of_tasks_or_runs(tasks: Strata) -> None:
    shuffled = tuple(task[::-1] for task in reversed(tasks))
    assert interquartile_mean(tasks) == pytest.approx(interquartile_mean(shuffled), abs=1e-12)


@given(arrays(np.float64, st.integers(1, 30), elements=VALUES))
def test_winsorised_scores_end_where_the_middle_half_does(scores: Floats) -> None:
    cut = len(scores) // 4
    expected = stats.mstats.winsorize(scores, limits=(cut / len(scores) + 1e-9,) * 2)
    np.testing.assert_allclose(winsorised((scores,))[0], np.asarray(expected))


def test_counts_add_to_the_runs_of_every_task_in_every_block() -> None:
    runs, draws = [3, 700, 2], 2_000
    blocks = [block.copy() for block in resampled_counts(runs, draws, np.random.default_rng(0))]
    assert len(blocks) > 1
    assert sum(block.shape[1] for block in blocks) == draws
    for block in blocks:
        for task, count in zip(by_task(block, runs), runs, strict=True):
            assert (task.sum(axis=0) == count).all()


def test_each_run_is_drawn_equally_often() -> None:
    (counts,) = resampled_counts([4, 5], 20_000, np.random.default_rng(1))
    # A count's variance is (R − 1)/R < 1: five standard errors of the mean of 20,000 are 0.035.
    np.testing.assert_allclose(counts.mean(axis=1), 1, atol=0.035)
    np.testing.assert_allclose(counts[:4].var(axis=1), 3 / 4, atol=0.05)


def test_constant_scores_have_intervals_without_width() -> None:
    found = aggregates(np.full((7, 3), 0.1), seed=0, key="k", draws=300)
    for estimate in (found.iqm, found.mean):
        assert estimate.value == pytest.approx(0.1, abs=1e-15)
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.high - estimate.low < 1e-15


def test_one_run_of_any_task_gives_no_interval() -> None:
    found = aggregates([[0.1, 0.2], [0.3]], seed=0, key="k")
    assert found.mean.value == pytest.approx((0.15 + 0.3) / 2)
    assert (found.mean.low, found.iqm.high) == (None, None)


def test_seed_and_key_fix_the_draws_and_the_global_generator_is_untouched() -> None:
    scores = np.random.default_rng(0).normal(size=(6, 2))
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    first = aggregates(scores, seed=1, key="a", draws=500)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(before) == str(after)
    assert aggregates(scores, seed=1, key="a", draws=500) == first
    assert aggregates(scores, seed=2, key="a", draws=500).iqm.low != first.iqm.low
    assert aggregates(scores, seed=1, key="b", draws=500).iqm.low != first.iqm.low


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([[0.1, float("nan")], [0.2]], "ppo, task 1: 1 of 2 scores are NaN or infinite"),
        ([[0.1], [0.2, float("inf")]], "ppo, task 2: 1 of 2"),
        ([[0.1], []], r"ppo, task 2: an array of shape \(0,\)"),
        ([], "ppo: no task"),
        (np.zeros((2, 2, 2)), "ppo, task 1: an array of shape"),
    ],
)
def test_unusable_scores_are_named(scores: object, said: str) -> None:
    with pytest.raises(ScoresError, match=said):
        aggregates(scores, seed=0, key="ppo")  # type: ignore[arg-type]


def test_middle_half_of_many_resamples_stays_within_the_scores() -> None:
    scores = (np.array([1e6, 0.1, 0.2, 0.3, 1e-6]),)
    (counts,) = resampled_counts([5], 1_000, np.random.default_rng(0))
    drawn = MiddleHalf(scores)(counts)
    assert drawn.min() >= 1e-6
    assert drawn.max() <= 1e6
