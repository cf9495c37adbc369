"""Runs by label and task: nothing is cut, and what is uneven is said."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reports.content.arrangement import GRID_POINTS, arrange, common_grid, on_grid, shared_steps
from reports.content.baseline import baseline_label
from reports.logs.records import TRAINING, Run


def run(
    label: str = "a",
    task: str = "A",
    seed: int | None = 0,
    returns: Sequence[float] = (0.0, 1.0),
    steps: Sequence[int] | None = None,
    **changes: object,
) -> Run:
    at = np.array(steps if steps is not None else range(10, 10 * len(returns) + 1, 10))
    made = Run(
        folder=f"{label}/{task}/{seed}",
        algo=label,
        settings="",
        task=task,
        seed=seed,
        steps=int(at[-1]),
        score=float(returns[-1]),
        low=0.0,
        high=2.0,
        source="stated",
        evaluation_episodes=1,
        evaluation_steps=at,
        evaluation_returns=np.array(returns, dtype=float),
        must_agree=(),
        hyperparameters="",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_every_run_enters_however_uneven_they_are() -> None:
    runs = [run("a", "A", seed) for seed in (2, 0, 1)]
    runs += [run("a", "B", 0), run("b", "A", 5, returns=(4.0, 3.0))]
    arranged = arrange(runs)
    assert (arranged.labels, arranged.tasks) == (("a", "b"), ("A", "B"))
    assert arranged.shared_tasks == ("A",)
    assert arranged.coverage() == {"a": {"A": 3, "B": 1}, "b": {"A": 1, "B": 0}}
    assert [r.seed for r in arranged.groups["a", "A"].runs] == [0, 1, 2]
    assert len(arranged.runs) == 5
    assert {task: len(scores) for task, scores in arranged.by_task("a").items()} == {"A": 3, "B": 1}
    (of_b,) = arranged.shared("b")
    np.testing.assert_array_equal(of_b, [1.5])  # 3/2
    np.testing.assert_array_equal(arranged.shared("b", best=True)[0], [2.0])  # 4/2
    assert arranged.statements == (
        "b has no run of B: B is left out of everything across tasks, and stands in its own table. "
        "Add its runs.",
        "a has uneven numbers of runs, all of which enter: 3 of A, 1 of B. Make "
        "those that are missing.",
    )


def test_labels_without_a_common_task_are_still_arranged() -> None:
    arranged = arrange([run("a", "A"), run("b", "B")])
    assert arranged.shared_tasks == ()
    assert arranged.shared("a") == ()
    assert any("No task was run by every label" in line for line in arranged.statements)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"budget": 40, "steps": [10, 40]}, "different step budgets (a: 20; b: 40)"),
        ({"measure": TRAINING}, "do not measure the same"),
        ({"seed": None}, "1 of 2 runs state no seed"),
        ({"budget": 100, "steps": [10, 80]}, "last evaluated before nine tenths of their step"),
    ],
)
def test_what_makes_scores_unequal_is_said(other: dict[str, object], words: str) -> None:
    arranged = arrange([run("a", budget=20), run("b", **other)])  # type: ignore[arg-type]
    assert any(words in line for line in arranged.statements)


def test_nine_tenths_of_the_budget_are_enough() -> None:
    for last, sentences in ((89, 1), (90, 0)):
        arranged = arrange([run(budget=100, steps=[10, last])])
        assert len(arranged.statements) == sentences


def test_budgets_a_rollout_apart_are_equal() -> None:
    # 2048 against 2000: the algorithms took whole rollouts.
    assert arrange([run("a", steps=[1000, 2048]), run("b", steps=[1000, 2000])]).statements == ()


def test_different_evaluation_steps_are_said_and_the_curve_keeps_them_all() -> None:
    arranged = arrange(
        [
            run(seed=0, steps=(10, 20, 30, 60), returns=(1, 2, 3, 4)),
            run(seed=1, steps=(10, 25), returns=(0, 1)),
        ]
    )
    grid = shared_steps([arranged.groups["a", "A"]])
    np.testing.assert_array_equal(grid, [10, 20, 25])
    np.testing.assert_allclose(arranged.groups["a", "A"].raw_curves(grid), [[1, 2, 2], [0, 0, 1]])
    np.testing.assert_allclose(arranged.groups["a", "A"].curves(grid), [[0.5, 1, 1], [0, 0, 0.5]])
    text = "\n".join(arranged.statements)
    assert "evaluated at different steps (2 to 4 points each)" in text
    assert "is not shown after step 25, where some runs have no evaluation; 1 of 2" in text


def test_the_last_evaluation_is_carried_forward_and_none_is_made_up() -> None:
    steps, values = np.array([10, 20, 20]), np.array([1.0, 2.0, 3.0])
    carried = on_grid(steps, values, np.array([5, 10, 19, 20, 99]))
    np.testing.assert_array_equal(carried, [np.nan, 1.0, 1.0, 3.0, 3.0])


def test_a_grid_goes_a_little_past_the_earliest_end_and_no_further() -> None:
    # 2000 · 1.05 = 2100: 2048 is still in, 2200 is not.
    grid = common_grid([np.array([1000, 2000]), np.array([500, 2048, 2200])])
    np.testing.assert_array_equal(grid, [1000, 2000, 2048])
    assert len(common_grid([np.array([10]), np.array([100])])) == 0
    assert len(common_grid([])) == 0


def test_long_curves_are_thinned_with_both_ends_kept() -> None:
    grid = common_grid([np.arange(1, 10_001)])
    assert (len(grid), grid[0], grid[-1]) == (GRID_POINTS, 1, 10_000)


@given(
    st.lists(
        st.lists(st.integers(0, 1000), min_size=1, max_size=20).map(sorted), min_size=1, max_size=5
    )
)
def test_on_the_common_grid_every_run_has_a_value(curves: list[list[int]]) -> None:
    grid = common_grid([np.array(steps) for steps in curves])
    for steps in curves:
        values = on_grid(np.array(steps), np.array(steps, dtype=float), grid)
        assert np.isfinite(values).all()
        assert (values <= grid).all()


@given(arrays(np.float64, (7,), elements=st.floats(-1, 1)))
def test_on_its_own_steps_a_curve_is_itself(values: np.ndarray) -> None:
    steps = np.arange(7) * 100
    np.testing.assert_array_equal(on_grid(steps, values, steps), values)


def test_success_rates_are_of_the_runs_that_logged_them() -> None:
    arranged = arrange([run(seed=0, success_rate=0.5), run(seed=1)])
    np.testing.assert_array_equal(arranged.groups["a", "A"].success_rates, [0.5])


def test_the_baseline_is_a_label_or_an_algorithm_with_one_label() -> None:
    tuned, default = run("ppo", settings="tuned"), run("ppo", settings="default")
    other = run("sac")
    assert baseline_label([tuned, other], "ppo") == "ppo (tuned)"
    assert baseline_label([tuned, default], "ppo (default)") == "ppo (default)"
    assert baseline_label([tuned, default, other], None) == "ppo (tuned)"
    assert baseline_label([default, other], None) == "ppo (default)"
    assert baseline_label([other], None) == "sac"
    with pytest.raises(ValueError, match="several labels"):
        baseline_label([tuned, default], "ppo")
    with pytest.raises(ValueError, match=r"no run has that label; the labels are sac"):
        baseline_label([other], "ppo")


def test_nan_references_are_the_callers_to_fill() -> None:
    (group,) = arrange([run(low=math.nan, high=math.nan)]).groups.values()
    assert math.isnan(group.scores[0])
    assert group.raw_scores[0] == 1.0
