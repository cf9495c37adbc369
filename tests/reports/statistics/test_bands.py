"""Profiles and curves with bands; rliable is the second opinion."""

import numpy as np
import pytest
from rliable import library, metrics

from reports.statistics.bands import (
    iqm_curve,
    profile_thresholds,
    run_score_profile,
)
from reports.statistics.samples import Floats, ScoresError

SCORES = np.random.default_rng(0).gamma(2.0, 0.3, size=(9, 4))
TAUS = np.linspace(0, 2, 21)


def theirs(scores: Floats) -> tuple[Floats, Floats]:
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(5)  # noqa: NPY002
        profiles, bands = library.create_performance_profile(
            {"k": scores}, TAUS, use_score_distribution=True, reps=1_000
        )
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return profiles["k"], bands["k"]


def test_a_profile_and_its_percentile_band_are_rliables() -> None:
    ours = run_score_profile(SCORES, TAUS, seed=0, key="k", draws=8_000, method="percentile")
    expected, (low, high) = theirs(SCORES)
    np.testing.assert_allclose(ours.value, expected, atol=1e-12)
    # Shares move in steps of 1/36; an end may differ by one step, seldom.
    for mine, other in ((ours.low, low), (ours.high, high)):
        assert mine is not None
        assert np.abs(mine - other).max() <= 1 / 36 + 1e-9
        assert np.mean(np.abs(mine - other) > 1e-9) < 0.3


def test_a_stretched_band_lies_around_the_percentile_one_within_zero_and_one() -> None:
    wide = run_score_profile(SCORES[:3], TAUS, seed=0, key="k", draws=500)
    narrow = run_score_profile(SCORES[:3], TAUS, seed=0, key="k", draws=500, method="percentile")
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert (wide.low >= 0).all()
    assert (wide.low <= narrow.low + 1e-12).all()
    assert (wide.high >= narrow.high - 1e-12).all()
    assert (wide.high <= 1).all()


def test_a_profile_of_uneven_runs_weighs_tasks_alike() -> None:
    # Above 0.5: task 1 one of two, task 2 three of four: (1/2 + 3/4)/2.
    scores = [[0.0, 1.0], [0.0, 1.0, 2.0, 2.0]]
    assert run_score_profile(scores, [0.5], seed=0, key="k").value == pytest.approx([0.625])


def test_thresholds_span_all_scores() -> None:
    thresholds = profile_thresholds([SCORES, [[-1.0], [5.0, 2.0]]], points=7)
    assert thresholds == pytest.approx(np.linspace(-1, 5, 7))


def test_a_curve_is_rliables_iqm_at_every_step() -> None:
    curves = [SCORES[:, [task]] * np.array([0.5, 0.8, 1.0]) for task in range(4)]
    band = iqm_curve(curves, [10, 20, 30], seed=0, key="k", draws=400)
    expected = [metrics.aggregate_iqm(SCORES * factor) for factor in (0.5, 0.8, 1.0)]
    np.testing.assert_allclose(band.value, expected, atol=1e-12)
    assert band.low is not None
    assert band.high is not None
    # The points are multiples of each other, and a draw takes whole runs: so are the bands.
    np.testing.assert_allclose(band.low, band.low[-1] * np.array([0.5, 0.8, 1.0]), rtol=1e-9)
    assert (band.low < band.value).all()
    assert (band.value < band.high).all()


def test_one_run_has_a_curve_without_band() -> None:
    band = iqm_curve([[[1.0, 2.0]]], [10, 20], seed=0, key="k")
    assert band.value.tolist() == [1.0, 2.0]
    assert band.low is None
    assert run_score_profile([[1.0]], [0.0], seed=0, key="k").low is None


@pytest.mark.parametrize(
    ("curves", "steps", "said"),
    [
        ([[[1.0, 2.0]]], [10], r"curves of shapes \[\(1, 2\)\] at 1 steps"),
        ([[1.0, 2.0]], [10, 20], r"curves of shapes \[\(2,\)\]"),
        ([[[]]], [], "at least one step"),
        ([[[1.0, float("nan")]]], [10, 20], "ppo at step 20, task 1"),
    ],
)
def test_unusable_curves_are_named(curves: list[object], steps: list[int], said: str) -> None:
    with pytest.raises(ScoresError, match=said):
        iqm_curve(curves, steps, seed=0, key="ppo")  # type: ignore[arg-type]
