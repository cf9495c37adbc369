"""Seeds until it is clear: the levels of the looks, Holm over the pairs, intervals, giving up."""

import time

import numpy as np
import pytest
from scipy import stats

from reports.statistics.samples import Floats, ScoresError
from reports.statistics.sequential import (
    Decision,
    UntilClear,
    conditional_power,
    decide,
    open_labels,
    open_pairs,
    stratified_welch,
)
from reports.statistics.spending import error_of_looks, nominal_levels, spent

FIVE = tuple(look / 5 for look in range(1, 6))


def test_the_looks_are_at_the_first_number_then_every_step_and_at_the_most() -> None:
    assert UntilClear().looks == (5, 10, 15, 20, 25, 30)
    assert UntilClear(max_seeds=12, first=3, step=4).looks == (3, 7, 11, 12)
    assert UntilClear(max_seeds=5).looks == (5,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"first": 2}, r"first=2: expected at least 3 seeds"),
        ({"step": 0}, r"step=0: expected at least 1 seed"),
        ({"max_seeds": 4}, r"max_seeds=4 is below first=5"),
        ({"max_seeds": 1000, "step": 1}, r"step=1 makes 996 looks: expected at most 200"),
        ({"error": 0.0}, r"error=0: expected a number between 0 and 0\.5"),
        ({"error": 0.5}, r"error=0\.5: expected"),
        ({"error": float("nan")}, r"error=nan: expected"),
        ({"futility": 1.0}, r"futility=1: expected at least 0 and less than 1"),
        ({"futility": -0.1}, r"futility=-0\.1: expected"),
    ],
)
def test_a_plan_out_of_range_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        UntilClear(**given)  # type: ignore[arg-type]


def test_levels_are_those_of_lan_and_demets_for_pococks_kind_of_spending() -> None:
    # Five equal looks, 0.05 two-sided: the boundaries that their own program (ldbounds) prints.
    bounds = stats.norm.isf(np.array(nominal_levels(FIVE, 0.05)) / 2)
    assert bounds == pytest.approx([2.4380, 2.4268, 2.4101, 2.3966, 2.3859], abs=5e-4)
    assert nominal_levels((1.0,), 0.05) == pytest.approx((0.05,))
    assert spent(1.0, 0.05) == pytest.approx(0.05)


@pytest.mark.parametrize("fractions", [FIVE, (0.1, 0.15, 0.7, 1.0)])
def test_levels_spend_the_error_and_no_more(fractions: tuple[float, ...]) -> None:
    # Of the joint normal law of the looks' z, integrated by scipy: correlations √(t_i/t_j).
    bounds = stats.norm.isf(np.array(nominal_levels(fractions, 0.05)) / 2)
    t = np.array(fractions)
    shares = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    law = stats.multivariate_normal(np.zeros(len(t)), shares, seed=0)
    assert 1 - law.cdf(bounds, lower_limit=-bounds) == pytest.approx(0.05, abs=2e-4)


def test_what_looking_again_costs_is_that_of_armitage_mcpherson_and_rowe() -> None:
    # Their table 2, 5 % level: 1, 2, 3, 5 and 10 equally spaced looks.
    told = [error_of_looks([i / k for i in range(1, k + 1)], 0.05) for k in (1, 2, 3, 5, 10)]
    assert told == pytest.approx([0.050, 0.083, 0.107, 0.142, 0.193], abs=5e-4)


def test_one_task_is_welchs_test_and_several_are_its_mean(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(7, 3)), 1 + 2 * rng.normal(size=(4, 3))
    alone = stratified_welch([x[:, 0]], [y[:, 0]])
    assert alone is not None
    known = stats.ttest_ind(x[:, 0], y[:, 0], equal_var=False)
    assert (alone.p, alone.freedom) == pytest.approx((known.pvalue, known.df))
    assert alone.z == pytest.approx(np.sign(alone.difference) * stats.norm.isf(known.pvalue / 2))
    assert alone.ends(0.05) == pytest.approx(known.confidence_interval(0.95))
    # Tasks that are copies of one: the same difference, a variance of a third, ν three times.
    tripled = stratified_welch([x[:, 0]] * 3, [y[:, 0]] * 3)
    assert tripled is not None
    assert tripled.difference == pytest.approx(alone.difference)
    assert tripled.error == pytest.approx(alone.error / np.sqrt(3))
    assert tripled.freedom == pytest.approx(3 * alone.freedom)
    assert stratified_welch([x[:, 0]], [y[:1, 0]]) is None
    assert stratified_welch([x[:, 0], x[:0, 0]], [y[:, 0]] * 2) is None


def test_without_any_variance_the_ranks_decide() -> None:
    # C(6, 3) = 20 and C(20, 10) = 184,756 splits.
    few, many = (stratified_welch([np.ones(n)], [np.zeros(n)]) for n in (3, 10))
    assert few is not None and many is not None  # noqa: PT018
    assert few.p == pytest.approx(2 / 20)
    assert many.p == pytest.approx(2 / 184_756)
    assert few.ends(0.05) is None
    same = stratified_welch([np.full(5, 0.1 + 0.2)], [np.full(5, 0.3)])
    assert same is not None
    assert same.p == 1.0


def shifted(
    rng: np.random.Generator, shifts: dict[str, float], seeds: int
) -> dict[str, list[Floats]]:
    return {label: [rng.normal(shift, size=seeds)] for label, shift in shifts.items()}


def test_what_is_clear_is_decided_at_once_and_its_labels_need_no_more(
    rng: np.random.Generator,
) -> None:
    samples = shifted(rng, {"a": 0, "b": 0.2, "c": 50}, 5)
    decided = decide(UntilClear(), 1, samples)
    assert [(d.x, d.y, d.verdict, d.seeds) for d in decided] == [
        ("a", "c", "lower", 5),
        ("b", "c", "lower", 5),
    ]
    assert open_pairs("abc", decided) == [("a", "b")]
    assert open_labels("abc", decided) == ["a", "b"]
    # c's later runs are not asked for, and would not be looked at.
    more = {**shifted(rng, {"a": 0, "b": 9}, 10), "c": samples["c"]}
    (last,) = decide(UntilClear(), 2, more, decided)
    assert (last.x, last.y, last.verdict, last.seeds) == ("a", "b", "lower", 10)
    assert open_labels("abc", [*decided, last]) == []


def test_holms_steps_give_what_a_pair_had_to_the_others() -> None:
    design = UntilClear(max_seeds=8, first=8, error=0.05)
    base = np.linspace(-1, 1, 8)
    # One look: level 0.05/m. Pairs a-c and b-c are far apart; a-b has a p between 0.05/3 and 0.05.
    gap = 0.78
    samples = {"a": [base], "b": [base + gap], "c": [base + 60]}
    p = stats.ttest_ind(base, base + gap, equal_var=False).pvalue
    assert 0.05 / 3 < p < 0.05
    decided = {(d.x, d.y): d for d in decide(design, 1, samples)}
    assert {pair: d.verdict for pair, d in decided.items()} == dict.fromkeys(decided, "lower")
    levels = sorted(d.level for d in decided.values())
    assert levels == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])
    # Its interval holds together with the other two's, so it is wider than its test.
    weak = decided["a", "b"]
    assert weak.high is not None
    assert weak.high > 0 > weak.difference  # type: ignore[operator]
    # Alone with a label like itself it is not told apart: nothing is handed on.
    alike = {"a": [base], "b": [base + gap], "c": [base + gap / 2]}
    assert {d.verdict for d in decide(design, 1, alike)} == {"not told"}


def test_a_pair_that_is_given_up_keeps_its_share_of_the_error() -> None:
    design = UntilClear(max_seeds=20, first=5, step=5)
    base = np.linspace(-1, 1, 10)
    given_up = Decision("a", "b", "given up", 5, 0.9, 0.01, 0.0, -1.0, 1.0)
    told = Decision("a", "c", "lower", 5, 0.0, 0.01, -9.0, -10.0, -8.0)
    samples = {"a": [base], "b": [base], "c": [base + 60]}
    levels = [
        decide(design, 2, samples, earlier)[0].level for earlier in ([given_up], [given_up, told])
    ]
    looks = design.fractions
    assert levels[0] == nominal_levels(looks, 0.05 / 3)[1]
    assert levels[1] == nominal_levels(looks, 0.05 / 2)[1]


def test_hopeless_pairs_are_given_up_from_the_second_look_on(rng: np.random.Generator) -> None:
    base = np.linspace(-1, 1, 30)
    # Bernoulli's twins: the same scores, so z = 0.
    twins = {n: {"a": [base[:n]], "b": [base[:n]]} for n in (5, 10, 30)}
    design, heedless = UntilClear(), UntilClear(futility=0)
    assert decide(design, 1, twins[5]) == ()
    assert [d.verdict for d in decide(design, 2, twins[10])] == ["given up"]
    assert decide(heedless, 2, twins[10]) == ()
    assert [d.verdict for d in decide(heedless, 6, twins[30])] == ["not told"]
    # Half of the way with z = 0: normal about 0 with variance 1/2 at the end.
    assert conditional_power(0.0, 0.5, 0.05) == pytest.approx(
        2 * stats.norm.sf(stats.norm.isf(0.025) / np.sqrt(0.5))
    )


def test_runs_that_failed_are_left_out_and_too_few_of_them_decide_nothing() -> None:
    samples = {"a": [np.array([0.0])], "b": [np.array([5.0, 6.0, 7.0])]}
    assert decide(UntilClear(), 1, samples) == ()
    (last,) = decide(UntilClear(max_seeds=5), 1, samples)
    assert (last.verdict, last.p, last.difference) == ("not told", None, None)


def test_what_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(ScoresError, match="1 label: expected at least two"):
        decide(UntilClear(), 1, {"a": [[1.0, 2.0]]})
    with pytest.raises(ScoresError, match="look 7: expected 1 to 6"):
        decide(UntilClear(), 7, {"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]})
    with pytest.raises(ScoresError, match="share their tasks; 1 and 2"):
        decide(UntilClear(), 1, {"a": [[1.0, 2.0]], "b": [[1.0, 2.0], [1.0, 2.0]]})
    with pytest.raises(ScoresError, match="finite"):
        decide(UntilClear(), 1, {"a": [[1.0, np.nan]], "b": [[1.0, 2.0]]})


def told_by_looking(rng: np.random.Generator, shift: float, spread: float) -> tuple[bool, int]:
    design = UntilClear(futility=0)
    whole = {"a": rng.normal(size=30), "b": shift + spread * rng.normal(size=30)}
    for number, upto in enumerate(design.looks, 1):
        decided = decide(design, number, {label: [x[:upto]] for label, x in whole.items()})
        if decided:
            return decided[0].told, upto
    raise AssertionError("the last look decides")


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_equal_labels_are_told_apart_in_one_comparison_of_twenty_at_most(spread: float) -> None:
    rng = np.random.default_rng(1)
    told = sum(told_by_looking(rng, 0.0, spread)[0] for _ in range(400))
    assert told / 400 <= 0.05 + 2 * 0.0109  # √(0.05 · 0.95 / 400)


def test_a_difference_of_two_deviations_needs_about_eight_seeds() -> None:
    rng = np.random.default_rng(2)
    looked = [told_by_looking(rng, 2.0, 1.0) for _ in range(150)]
    assert all(told for told, _ in looked)
    assert np.mean([seeds for _, seeds in looked]) == pytest.approx(7.9, abs=0.9)


def test_a_look_at_six_labels_on_ten_tasks_with_thirty_seeds_takes_less_than_a_second(
    rng: np.random.Generator,
) -> None:
    samples = {str(label): [rng.normal(size=30) for _ in range(10)] for label in range(6)}
    nominal_levels.cache_clear()
    started = time.process_time()
    assert len(decide(UntilClear(), 6, samples)) == 15
    assert time.process_time() - started < 1


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
