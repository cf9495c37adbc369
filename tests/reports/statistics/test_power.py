"""Seeds needed: what the rank test finds in samples is the second opinion."""

import numpy as np
import pytest
from scipy import stats

from reports.statistics.power import (
    rank_runs,
    rate_interval,
    rate_variance,
    seeds_needed,
)
from reports.statistics.samples import Floats


def sorted_normal(runs: int, mean: float) -> Floats:
    """Normal scores without chance: quantiles."""
    return np.asarray(stats.norm.ppf((np.arange(runs) + 0.5) / runs) + mean)


@pytest.mark.parametrize("effect", [0.7, 1.0, 2.0])
def test_the_number_gives_scipys_rank_test_its_power(effect: float) -> None:
    runs = rank_runs(float(stats.norm.cdf(effect / np.sqrt(2))), 1, 0.05)
    assert runs is not None
    rng, powers = np.random.default_rng(0), {}
    for size in (runs - 2, runs, runs + 2):
        x, y = rng.normal(effect, size=(4_000, size)), rng.normal(size=(4_000, size))
        p = stats.mannwhitneyu(x, y, axis=1, method="exact" if size < 15 else "asymptotic").pvalue
        powers[size] = float((p <= 0.05).mean())
    # Two standard errors of the simulation are sqrt(0.16/4000) × 2 = 0.013.
    assert powers[runs - 2] < 0.8
    assert powers[runs + 2] > 0.8
    assert powers[runs] > 0.75


def test_tasks_and_a_stricter_level_change_the_number_as_they_should() -> None:
    one, four, strict = rank_runs(0.7, 1, 0.05), rank_runs(0.7, 4, 0.05), rank_runs(0.7, 1, 0.01)
    assert one is not None
    assert four is not None
    assert strict is not None
    assert four == pytest.approx(one / 4, abs=1)
    assert strict > one
    # Certain to win: as many as could be significant at all, 2/70 with four.
    assert rank_runs(1.0, 1, 0.05) == 4
    assert rank_runs(0.5, 1, 0.05) is None
    assert rank_runs(0.51, 1, 0.05) is None  # some 13,000


def test_the_variance_is_that_of_exponential_scores() -> None:
    # X of rate 1, Y of rate 3: P(X > Y) = 3/4.
    rng = np.random.default_rng(0)
    x, y = rng.exponential(1, (20_000, 6, 1)), rng.exponential(1 / 3, (20_000, 1, 6))
    rates = (x > y).mean(axis=(1, 2))
    assert rates.mean() == pytest.approx(0.75, abs=0.005)
    assert rates.var() == pytest.approx(rate_variance(0.75, [(6, 6)]), rel=0.05)


def test_the_interval_has_its_ends_where_the_estimate_is_1_28_errors_away() -> None:
    sizes = [(5, 5), (4, 6)]
    low, high = rate_interval(0.7, sizes)
    for end in (low, high):
        error = np.sqrt(rate_variance(end, sizes))
        assert abs(0.7 - end) / error == pytest.approx(stats.norm.ppf(0.9), rel=1e-6)
    certain, one = rate_interval(1.0, [(5, 5)])
    assert certain < 0.9
    assert one == 1


def test_a_pilot_gives_a_range_and_a_small_difference_no_end() -> None:
    x, y = sorted_normal(12, 1.0), sorted_normal(12, 0.0)
    apart = seeds_needed([x], [y])
    assert apart == seeds_needed([y], [x])
    assert apart.low is not None
    assert apart.high is not None
    assert apart.low < 18 < apart.high  # what one standard deviation asks for
    assert f"{apart.low} to {apart.high} runs of each would" in apart.sentence
    assert "guessed from 12 runs of each" in apart.sentence
    equal = seeds_needed([x, y], [x, y])
    assert equal.low is not None
    assert equal.high is None
    assert "on each of 2 tasks" in equal.sentence
    assert "no most" in equal.sentence
    many = sorted_normal(4_000, 0.0)
    assert seeds_needed([many], [many]).sentence.startswith("More than 1,000 runs of each")
