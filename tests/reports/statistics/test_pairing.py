"""Runs in pairs: the exact signed-rank test summed over tasks, and the paired difference."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from reports.statistics.pairing import paired_test, signed_rank_p
from reports.statistics.samples import ScoresError


def by_seed(scores: list[float]) -> dict[int, float]:
    return dict(enumerate(scores))


def test_one_task_is_scipys_exact_test_and_students_interval() -> None:
    rng = np.random.default_rng(0)
    for runs in (3, 8, 15):
        x, y = rng.normal(size=(2, runs)) + np.array([[0.5], [0.0]])
        test = paired_test([by_seed(x.tolist())], [by_seed(y.tolist())])
        assert test.p == pytest.approx(stats.wilcoxon(x, y, method="exact").pvalue)
        ends = stats.ttest_rel(x, y).confidence_interval(0.95)
        assert (test.low, test.high) == pytest.approx((ends.low, ends.high))
        assert test.least_p == 2.0 ** (1 - runs)
        assert test.pairs == runs


def test_ties_zeros_and_several_tasks_are_counted_sign_by_sign() -> None:
    tasks = [np.array([1.0, 1.0, -2.0, 0.0]), np.array([0.5, 3.0, 3.0])]
    # Midranks 1.5, 1.5, 3 and 1, 2.5, 2.5 of the six that differ; every sign of each, by hand.
    ranks = [1.5, 1.5, 3.0, 1.0, 2.5, 2.5]
    seen = abs(1.5 + 1.5 - 3.0 + 1.0 + 2.5 + 2.5)
    sums = [abs(np.dot(signs, ranks)) for signs in product((-1, 1), repeat=6)]
    assert signed_rank_p(tasks) == pytest.approx(np.mean([s >= seen for s in sums]))
    assert signed_rank_p([np.zeros(4)]) == 1.0


def test_pairs_are_of_the_seeds_that_both_have() -> None:
    test = paired_test([{1: 3.0, 2: 5.0, 9: 99.0}], [{2: 4.0, 1: 1.0, 4: -99.0}])
    assert (test.pairs, test.difference) == (2, 1.5)  # (3 − 1 + 5 − 4)/2


def test_what_both_runs_of_a_seed_share_falls_out_of_the_variance() -> None:
    common = np.random.default_rng(1).normal(size=50)
    own = np.random.default_rng(2).normal(scale=0.1, size=(2, 50))
    x, y = common + own[0], common + own[1]
    share = paired_test([by_seed(x.tolist())], [by_seed(y.tolist())]).share
    expected = (x - y).var(ddof=1) / (x.var(ddof=1) + y.var(ddof=1))
    assert share == pytest.approx(expected)
    assert expected < 0.03
    # Two tasks: the variances of the mean difference add.
    double = paired_test([by_seed(x.tolist())] * 2, [by_seed(y.tolist())] * 2)
    assert double.share == pytest.approx(expected)


def test_equal_settings_are_told_apart_in_one_table_of_twenty_at_most() -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=(400, 2, 6))
    own = rng.normal(scale=0.3, size=(2, 400, 2, 6))
    told = sum(signed_rank_p(list(x - y)) <= 0.05 for x, y in zip(*(common + own), strict=True))
    assert told / 400 <= 0.05 + 2 * 0.0109  # √(0.05 · 0.95 / 400)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([{1: 0.0}], [{2: 0.0}], "no training seed is shared"),
        ([{1: 0.0}], [], "must share their tasks; 1 and 0"),
        ([{1: float("nan")}], [{1: 0.0}], "not finite"),
    ],
)
def test_what_makes_no_pairs_is_refused(
    x: list[dict[int, float]], y: list[dict[int, float]], message: str
) -> None:
    with pytest.raises(ScoresError, match=message):
        paired_test(x, y)
