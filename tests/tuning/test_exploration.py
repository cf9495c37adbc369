"""Exploit and explore (Spec 15.3): who copies whom, and how settings are perturbed."""

import numpy as np
import pytest

from tuning.exploration import Copied, exploited, perturbed, random_suggestions, truncated
from tuning.parameters import Choice, Fixed, Parameter, Real, Whole
from tuning.spaces import SPACES, distributions


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("population", "some"), [(2, 1), (4, 1), (5, 1), (6, 2), (8, 2), (20, 4)])
def test_a_fifth_is_rounded_up(population: int, some: int) -> None:
    assert truncated(population) == some


def test_each_of_the_worst_fifth_copies_one_of_the_best_fifth_drawn_alike() -> None:
    scores = [3.0, 9.0, 1.0, 5.0, 8.0, 0.0, 4.0, 2.0, 6.0, 7.0]
    counts = {1: 0, 4: 0}
    for seed in range(400):
        copies = exploited(scores, generator(seed))
        # The two worst are 0 at 5 and 1 at 2; the two best 9 at 1 and 8 at 4.
        assert [copy.member for copy in copies] == [5, 2]
        for copy in copies:
            counts[copy.donor] += 1
    # 800 fair draws: 400 ± 4 standard deviations of √200 ≈ 14.1.
    assert abs(counts[1] - 400) < 57


def test_of_equal_scores_the_lower_number_is_the_better_one() -> None:
    assert exploited([1.0, 1.0, 1.0], generator()) == [Copied(2, 0)]


def test_a_member_that_failed_is_the_worst_and_copies_whatever_its_place() -> None:
    scores = [None, -1e9, 5.0, None, None]
    copies = exploited(scores, generator())
    # A fifth of five is one, but three have no weights; the worst one that has keeps its own.
    assert sorted(copy.member for copy in copies) == [0, 3, 4]
    assert {copy.donor for copy in copies} == {2}


def test_nobody_copies_where_one_alone_is_left_but_those_without_weights() -> None:
    assert exploited([None, 1.0], generator()) == [Copied(0, 1)]
    assert exploited([2.0, 1.0], generator()) == [Copied(1, 0)]


def moved(parameter: Parameter, value: object, key: str = "x") -> set[object]:
    """What a setting can become."""
    draws = (perturbed((parameter,), {key: value}, generator(seed)) for seed in range(30))
    return {draw[key] for draw in draws}


def test_a_number_goes_up_or_down_by_a_fifth_within_its_range() -> None:
    rate = Real("x", 1e-5, 1e-2, "log")
    assert moved(rate, 1e-3) == {1e-3 * 0.8, 1e-3 * 1.2}
    assert moved(rate, 9e-3) == {9e-3 * 0.8, 1e-2}
    assert moved(Real("x", 0.8, 0.99), 0.8) == {0.8, 0.8 * 1.2}


def test_one_minus_the_discount_is_what_moves() -> None:
    found = moved(Real("x", 0.95, 0.9999, "one_minus_log"), 0.01, "one_minus_x")
    assert found == {0.01 * 0.8, 0.01 * 1.2}  # γ 0.99 becomes 0.992 or 0.988


def test_whole_numbers_move_by_one_at_least_and_powers_of_two_to_the_next() -> None:
    assert moved(Whole("x", 1, 30), 10) == {8, 12}
    assert moved(Whole("x", 1, 30), 2) == {1, 3}  # 1.6 and 2.4 would both be 2
    assert moved(Whole("x", 1, 30), 1) == {1, 2}
    assert moved(Whole("x", 32, 512, "power_of_two"), 6, "log2_x") == {5, 7}
    assert moved(Whole("x", 32, 512, "power_of_two"), 9, "log2_x") == {8, 9}


def test_a_choice_moves_to_a_neighbour_and_what_is_fixed_stays() -> None:
    assert moved(Choice("x", (None, 0.01, 0.02)), 0.01) == {None, 0.02}
    assert moved(Choice("x", (None, 0.01, 0.02)), None) == {None, 0.01}
    space = (Fixed("y", 3), Real("x", 0.0, 10.0))
    assert set(perturbed(space, {"x": 1.0}, generator())) == {"x"}


def test_up_and_down_are_as_likely_and_settings_move_apart() -> None:
    space = (Real("a", 0.0, 10.0), Real("b", 0.0, 10.0))
    draws = [perturbed(space, {"a": 1.0, "b": 1.0}, generator(seed)) for seed in range(400)]
    ups = np.array([[draw["a"] > 1, draw["b"] > 1] for draw in draws])
    assert (abs(ups.sum(axis=0) - 200) < 40).all()  # four standard deviations of 10
    assert abs((ups[:, 0] == ups[:, 1]).sum() - 200) < 40


def test_what_a_population_begins_with_is_drawn_from_the_space_and_repeats() -> None:
    space = SPACES["wide"]["spec_ppo"]
    first, again = (random_suggestions(space, 6, 7) for _ in range(2))
    assert first == again != random_suggestions(space, 6, 8)
    assert len({str(each) for each in first}) == 6
    for each in first:
        for key, distribution in distributions(space).items():
            assert distribution._contains(distribution.to_internal_repr(each[key]))
