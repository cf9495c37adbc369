"""Every pair's probability of improvement; rliable is the second opinion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rliable import library, metrics

from reports.statistics.improvement import improvements, probability_of_improvement
from reports.statistics.samples import Floats, ScoresError

VALUES = st.floats(-3, 3).map(lambda value: round(value, 1))


def matrices(tasks: int) -> st.SearchStrategy[Floats]:
    return arrays(np.float64, st.tuples(st.integers(1, 8), st.just(tasks)), elements=VALUES)


def normal(seed: int, runs: int, tasks: int, mean: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(mean, size=(runs, tasks))


@given(st.integers(1, 3).flatmap(lambda tasks: st.tuples(matrices(tasks), matrices(tasks))))
def test_points_are_rliables(pair: tuple[Floats, Floats]) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        # Its Mann-Whitney test divides by a spread of zero for the p-value, which it drops.
        theirs = metrics.probability_of_improvement(*pair)
    assert probability_of_improvement(*pair) == pytest.approx(theirs, abs=1e-12)
    found = improvements({"x": pair[0], "y": pair[1]}, seed=0, draws=3)
    assert found["x", "y"].value == pytest.approx(theirs, abs=1e-12)


def test_percentile_intervals_are_rliables_within_monte_carlo_error() -> None:
    x, y = normal(0, 8, 2, 0.3), normal(1, 6, 2)
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(3)  # noqa: NPY002
        _, intervals = library.get_interval_estimates(
            {"k": [x, y]},
            lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
            reps=600,
        )
    finally:
        np.random.set_state(state)  # noqa: NPY002
    ours = improvements({"x": x, "y": y}, seed=0, draws=20_000, method="percentile")
    low, high = intervals["k"][:, 0]
    width = high - low
    # 600 draws leave an end a standard error of some 3 % of the width: 15 % are five of them.
    assert ours["x", "y"].low == pytest.approx(low, abs=0.15 * width)
    assert ours["x", "y"].high == pytest.approx(high, abs=0.15 * width)


def test_a_pair_and_its_reverse_mirror_each_other() -> None:
    samples = {"a": normal(0, 5, 2), "b": normal(1, 7, 2), "c": normal(2, 3, 2)}
    found = improvements(samples, seed=0, draws=300)
    assert len(found) == 6
    for x, y in found:
        there, back = found[x, y], found[y, x]
        assert there.value + back.value == pytest.approx(1)
        assert there.low is not None
        assert back.high is not None
        assert there.low + back.high == pytest.approx(1)
        assert 0 <= there.low <= there.value


def test_an_interval_depends_on_its_own_two_algorithms_only() -> None:
    samples = {"a": normal(0, 5, 2), "b": normal(1, 7, 2), "c": normal(2, 3, 2)}
    three = improvements(samples, seed=0, draws=300)
    two = improvements({"b": samples["b"], "a": samples["a"]}, seed=0, draws=300)
    assert two["a", "b"] == three["a", "b"]


def test_uneven_runs_are_worked_out_by_hand() -> None:
    # Task 1: 2>1, 2=2 ½ → 1.5 of 2. Task 2: 0<1 and 3>1 → 1 of 2. Mean (0.75 + 0.5)/2.
    x, y = [[2.0], [0.0, 3.0]], [[1.0, 2.0], [1.0]]
    found = improvements({"x": x, "y": y}, seed=0)["x", "y"]
    assert found.value == pytest.approx(0.625)
    assert (found.low, found.high) == (None, None)


def test_winning_every_time_is_not_certainty() -> None:
    x, y = np.array([[3.0], [4.0], [5.0]]), np.array([[0.0], [1.0], [2.0], [2.5]])
    found = improvements({"x": x, "y": y}, seed=0, draws=50)
    # Three pairs that share no run: 0.025^(1/3), since 0.292^3 = 0.0249.
    assert found["x", "y"].low == pytest.approx(0.2924, abs=1e-4)
    assert found["x", "y"].high == 1
    assert found["y", "x"].high == pytest.approx(1 - 0.2924, abs=1e-4)
    certain = improvements({"x": x, "y": y}, seed=0, draws=50, method="percentile")
    assert certain["x", "y"].low == 1


def test_different_numbers_of_tasks_are_refused() -> None:
    with pytest.raises(ScoresError, match=r"share their tasks.*'x': 2.*'y': 1"):
        improvements({"x": normal(0, 3, 2), "y": normal(0, 3, 1)}, seed=0)
