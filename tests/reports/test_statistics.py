"""Aggregates and intervals, with rliable itself as the second opinion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rliable import library, metrics

from reports.comparison import Comparison, LabelScores
from reports.statistics import (
    Draws,
    Matrix,
    bootstrap,
    interquartile_mean,
    label_statistics,
    learning_curves,
    probability_of_improvement,
)

DRAWS = Draws(table=200, curve=100, seed=3)
VALUES = st.floats(-3, 3).map(lambda value: round(value, 1))


def matrices(tasks: int) -> st.SearchStrategy[Matrix]:
    shapes = st.tuples(st.integers(1, 12), st.just(tasks))
    return arrays(np.float64, shapes, elements=VALUES)


def label(name: str, scores: Matrix, points: int = 3) -> LabelScores:
    curves = scores[..., None] * np.linspace(0.5, 1, points)
    steps = np.arange(1, points + 1) * 100
    return LabelScores(name, scores, scores, steps, curves, tuple(range(len(scores))))


def comparison(**scores: Matrix) -> Comparison:
    labels = tuple(label(name, matrix) for name, matrix in scores.items())
    tasks = next(iter(scores.values())).shape[1]
    return Comparison(labels, tuple(f"task {n}" for n in range(tasks)), (), ())


def normal(seed: int, runs: int, tasks: int = 1) -> Matrix:
    return np.random.default_rng(seed).normal(0.5, 0.2, (runs, tasks))


@given(matrices(tasks=3))
def test_interquartile_mean_is_rliables(scores: Matrix) -> None:
    ours = float(interquartile_mean(scores.ravel()))
    assert ours == pytest.approx(metrics.aggregate_iqm(scores), abs=1e-12)


@given(st.integers(1, 3).flatmap(lambda tasks: st.tuples(matrices(tasks), matrices(tasks))))
def test_probability_of_improvement_is_rliables(pair: tuple[Matrix, Matrix]) -> None:
    x, y = pair
    with np.errstate(invalid="ignore", divide="ignore"):
        # Its Mann-Whitney test divides by a spread of zero for the p-value, which it drops.
        theirs = metrics.probability_of_improvement(x, y)
    assert probability_of_improvement(x, y) == pytest.approx(theirs, abs=1e-12)


@given(st.integers(1, 3).flatmap(lambda tasks: st.tuples(matrices(tasks), matrices(tasks))))
def test_improvements_of_each_over_the_other_add_to_one(pair: tuple[Matrix, Matrix]) -> None:
    x, y = pair
    total = probability_of_improvement(x, y) + probability_of_improvement(y, x)
    assert total == pytest.approx(1, abs=1e-12)


def test_aggregates_are_worked_out_by_hand() -> None:
    # Tasks in columns, means 0.5 and 0.9. All eight sorted: .2 .4 .6 .7 .8 .8 .9 1.2
    scores = np.array([[0.2, 0.7], [0.4, 0.9], [0.6, 0.8], [0.8, 1.2]])
    (row,) = label_statistics(comparison(a=scores), "a", DRAWS)
    assert row.mean.value == pytest.approx((0.5 + 0.9) / 2)
    assert row.median.value == pytest.approx((0.5 + 0.9) / 2)  # of two tasks
    assert row.iqm.value == pytest.approx((0.6 + 0.7 + 0.8 + 0.8) / 4)
    # 1.2 counts as 1: 1 − (2.0 + 0.7 + 0.9 + 0.8 + 1.0) / 8
    assert row.optimality_gap.value == pytest.approx(1 - 5.4 / 8)
    assert row.raw_mean is None
    assert row.improvement is None


def test_improvement_is_over_the_baseline_with_ties_counting_half() -> None:
    # Pairs (a, b): 1>0, 1=1 ½, 3>0, 3>1 → 3.5 of 4.
    a, b = np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]])
    rows = label_statistics(comparison(a=a, b=b), "b", DRAWS)
    assert rows[0].improvement is not None
    assert rows[0].improvement.value == pytest.approx(3.5 / 4)
    assert rows[1].improvement is None
    assert rows[0].raw_mean == pytest.approx(2.0)


def test_an_unknown_baseline_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="sac"):
        label_statistics(comparison(a=normal(0, 3)), "sac", DRAWS)


def test_intervals_are_rliables_for_the_same_draws() -> None:
    scores = normal(0, 8, 2)
    points, low, high = bootstrap(
        lambda x: np.array([metrics.aggregate_iqm(x)]), scores, draws=300, seed=1, key="k"
    )
    # A second opinion that shares no draws: 300 draws leave a few per cent of the width.
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(7)  # noqa: NPY002
        theirs, intervals = library.get_interval_estimates(
            {"k": scores}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=3000
        )
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert low is not None
    assert high is not None
    assert points == pytest.approx(theirs["k"], abs=1e-12)
    width = float(intervals["k"][1, 0] - intervals["k"][0, 0])
    assert low == pytest.approx(intervals["k"][0], abs=0.15 * width)
    assert high == pytest.approx(intervals["k"][1], abs=0.15 * width)


def test_the_interval_of_a_mean_is_near_the_normal_one() -> None:
    scores = normal(5, 200)
    (row,) = label_statistics(comparison(a=scores), "a", Draws(table=2000, curve=10, seed=0))
    half = 1.96 * scores.std() / np.sqrt(200)
    assert row.mean.low == pytest.approx(scores.mean() - half, abs=0.1 * half)
    assert row.mean.high == pytest.approx(scores.mean() + half, abs=0.1 * half)


def test_the_same_seed_repeats_and_another_differs() -> None:
    of = comparison(a=normal(0, 8), b=normal(1, 5))
    first = label_statistics(of, "b", DRAWS)
    assert label_statistics(of, "b", DRAWS) == first
    assert label_statistics(of, "b", Draws(table=200, curve=100, seed=4)) != first


def test_a_labels_interval_does_not_depend_on_the_others_or_their_order() -> None:
    a, b, c = normal(0, 8), normal(1, 5), normal(2, 6)
    ab = {row.label: row for row in label_statistics(comparison(a=a, b=b), "b", DRAWS)}
    cba = {row.label: row for row in label_statistics(comparison(c=c, b=b, a=a), "b", DRAWS)}
    assert ab["a"] == cba["a"]
    assert ab["b"] == cba["b"]


def test_labels_draw_apart_even_with_equal_scores() -> None:
    scores = normal(0, 8)
    a, b = label_statistics(comparison(a=scores, b=scores), "b", DRAWS)
    assert a.mean.value == b.mean.value
    assert a.mean.low != b.mean.low


def test_the_global_generator_is_left_as_it_was_found() -> None:
    def state() -> tuple[object, ...]:
        legacy = np.random.get_state(legacy=False)  # noqa: NPY002
        return repr(legacy["state"]["key"].tolist()), legacy["state"]["pos"], legacy["gauss"]

    before = state()
    label_statistics(comparison(a=normal(0, 8), b=normal(1, 5)), "b", DRAWS)
    learning_curves(comparison(a=normal(0, 8)), DRAWS)
    assert state() == before

    def broken(_: Matrix) -> Matrix:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        bootstrap(broken, normal(0, 3), draws=5, seed=0, key="k")
    assert state() == before


def test_constant_scores_have_intervals_without_width() -> None:
    rows = label_statistics(comparison(a=np.full((4, 1), 0.5), b=np.full((3, 1), 0.5)), "b", DRAWS)
    for estimate in (rows[0].mean, rows[0].iqm, rows[0].median, rows[0].optimality_gap):
        assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)
    assert rows[0].improvement is not None
    assert rows[0].improvement.value == 0.5


def test_one_run_gives_no_interval_in_place_of_a_certain_one() -> None:
    rows = label_statistics(comparison(a=normal(0, 1), b=normal(1, 5)), "b", DRAWS)
    assert (rows[0].iqm.low, rows[0].iqm.high) == (None, None)
    assert rows[0].improvement is not None
    assert rows[0].improvement.low is None
    assert rows[1].iqm.low is not None
    assert learning_curves(comparison(a=normal(0, 1)), DRAWS)[0].low is None


def test_a_curve_is_the_iqm_at_each_point_within_its_band() -> None:
    scores = normal(0, 9, 2)
    (curve,) = learning_curves(comparison(a=scores), DRAWS)
    expected = [metrics.aggregate_iqm(scores * factor) for factor in (0.5, 0.75, 1.0)]
    np.testing.assert_allclose(curve.iqm, expected, atol=1e-12)
    assert curve.low is not None
    assert curve.high is not None
    assert (curve.low <= curve.iqm).all()
    assert (curve.iqm <= curve.high).all()


def test_a_label_without_evaluation_points_has_no_curve() -> None:
    without = label("a", normal(0, 3), points=0)
    assert learning_curves(Comparison((without,), ("t",), (), ()), DRAWS) == ()
