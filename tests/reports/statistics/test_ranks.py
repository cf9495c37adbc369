"""The stratified rank test; scipy, and every split of small cases, are the second opinion."""

import time
from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.statistics import ranks
from reports.statistics.ranks import fewest_runs, fewest_tasks, least_p, rank_test, rank_tests
from reports.statistics.samples import Floats, ScoresError

TIED = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=4).map(np.array)
TASKS = st.lists(st.tuples(TIED, TIED), min_size=1, max_size=3)


def normal(seed: int, runs: int, mean: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(mean, size=runs)


def wins(x: Floats, y: Floats) -> float:
    """U, by looking at every pair."""
    return float(sum((a > b) + (a == b) / 2 for a in x for b in y))


def every_split(x: Floats, y: Floats) -> list[float]:
    """U − R_x R_y / 2 of all splits of the pooled scores."""
    pooled = np.concatenate([x, y])
    found = []
    for chosen in combinations(range(len(pooled)), len(x)):
        others = [place for place in range(len(pooled)) if place not in chosen]
        found.append(wins(pooled[list(chosen)], pooled[others]) - len(x) * len(y) / 2)
    return found


@given(st.integers(0, 10_000), st.integers(1, 14), st.integers(1, 14))
def test_one_task_without_ties_is_scipys_exact_test(seed: int, runs_x: int, runs_y: int) -> None:
    x, y = normal(seed, runs_x), normal(seed + 1, runs_y, 0.7)
    ours, theirs = rank_test([x], [y]), stats.mannwhitneyu(x, y, method="exact")
    assert ours.exact
    assert ours.statistic == theirs.statistic
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(TASKS)
def test_ties_tasks_and_uneven_runs_are_every_split_counted(
    tasks: list[tuple[Floats, Floats]],
) -> None:
    observed = sum(wins(x, y) - len(x) * len(y) / 2 for x, y in tasks)
    sums = [sum(split) for split in product(*(every_split(x, y) for x, y in tasks))]
    expected = np.mean([abs(total) >= abs(observed) for total in sums])
    test = rank_test([x for x, _ in tasks], [y for _, y in tasks])
    assert test.p == pytest.approx(expected, rel=1e-12)
    assert test.statistic - test.expected == observed


@settings(max_examples=30)
@given(TASKS)
def test_a_pair_is_judged_alike_whichever_comes_first(tasks: list[tuple[Floats, Floats]]) -> None:
    x, y = [x for x, _ in tasks], [y for _, y in tasks]
    there, back = rank_test(x, y), rank_test(y, x)
    assert there.p == pytest.approx(back.p, rel=1e-12)
    assert there.mirrored().statistic == back.statistic
    tests = rank_tests({"x": x, "y": y})
    assert tests["y", "x"].statistic == back.statistic


def test_every_run_of_five_above_every_other_is_one_split_in_252_each_way() -> None:
    test = rank_test([[0.9, 0.91, 0.92, 0.93, 0.94]], [[0.1, 0.11, 0.12, 0.13, 0.14]])
    assert test.p == pytest.approx(2 / 252)
    assert test.p == pytest.approx(test.least_p)


def test_the_least_p_and_what_reaches_a_level_are_counted_by_hand() -> None:
    assert least_p([3], [3]) == pytest.approx(2 / 20)
    assert least_p([3, 2], [3, 4]) == pytest.approx(2 / (20 * 15))
    assert least_p([1], [1]) == 1
    # 2/20 with three runs of each, 2/70 with four; 2/400 with three runs on two tasks.
    assert fewest_runs(1, 0.05) == 4
    assert fewest_tasks(3, 3, 0.05) == 2
    # Of five pairs the level is 0.01: 2/70 is not enough, 2/252 is.
    assert fewest_runs(1, 0.01) == 5
    # One run of each, on T tasks: 2/2^T.
    assert fewest_tasks(1, 1, 0.05) == 6


def test_all_the_same_is_no_evidence() -> None:
    assert rank_test([[1.0, 1.0, 1.0]], [[1.0, 1.0]]).p == 1


@pytest.mark.parametrize("decimals", [6, 0])
def test_the_normal_limit_is_near_what_would_be_counted(
    decimals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = normal(0, 40).round(decimals), normal(1, 30, 0.2).round(decimals)
    counted = rank_test([x, x[:20]], [y, y[:25]])
    monkeypatch.setattr(ranks, "EXACT_WORK", 0)
    limit = rank_test([x, x[:20]], [y, y[:25]])
    assert (counted.exact, limit.exact) == (True, False)
    assert 1e-4 < counted.p < 0.05
    assert limit.p == pytest.approx(counted.p, rel=0.05)
    theirs = stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=decimals == 6)
    # Half a step is one half of a win without ties, and with them one quarter.
    tolerance = 1e-9 if decimals == 6 else 0.02
    assert rank_test([x], [y]).p == pytest.approx(theirs.pvalue, rel=tolerance)


def test_thousands_of_runs_take_the_limit() -> None:
    test = rank_test([normal(0, 3_000)], [normal(1, 3_000, 0.2)])
    assert not test.exact
    assert 0 < test.p < 1e-6


@pytest.mark.parametrize("most", [np.inf, 0.0])
def test_a_look_at_six_labels_on_ten_tasks_takes_less_than_a_second(most: float) -> None:
    samples = {
        str(label): [np.minimum(normal(10 * label + task, 30), most) for task in range(10)]
        for label in range(6)
    }
    started = time.process_time()
    tests = rank_tests(samples)
    assert time.process_time() - started < 1
    assert len(tests) == 30
    assert all(test.exact for test in tests.values())


def test_one_label_alone_is_compared_with_the_others_where_asked() -> None:
    samples: dict[str, Sequence[Floats]] = {name: [normal(0, 3)] for name in "abc"}
    assert set(rank_tests(samples, over="b")) == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}


def test_labels_with_other_tasks_are_refused() -> None:
    with pytest.raises(ScoresError, match="must share their tasks; 1 and 2"):
        rank_test([[1.0]], [[1.0], [2.0]])
