"""Arranging runs: matrices, and sentences on what they leave out."""

from pathlib import Path

import numpy as np
import pytest

from reports.comparison import compare
from reports.runs import NoRunsError, load_runs

from .conftest import MakeRun


def test_matrices_hold_runs_by_seed_and_tasks_by_name(logs: Path, make_run: MakeRun) -> None:
    for seed in (2, 1):
        make_run(env="B", seed=seed, score=0.1 * seed, low=0, high=1)
        make_run(env="A", seed=seed, score=0.1 * seed + 0.5, low=0, high=2)
    comparison = compare(load_runs(logs).runs)
    (scores,) = comparison.labels
    assert comparison.tasks == ("A", "B")
    assert scores.seeds == (1, 2)
    # Row: seed 1, seed 2; column: A at half scale, B as it is.
    np.testing.assert_allclose(scores.scores, [[0.3, 0.1], [0.35, 0.2]], atol=1e-12)
    np.testing.assert_allclose(scores.raw_scores, [[0.6, 0.1], [0.7, 0.2]], atol=1e-12)
    assert scores.curves.shape == (2, 2, 5)
    np.testing.assert_allclose(scores.curves[..., -1], scores.scores, atol=1e-12)
    assert comparison.omissions == ()


def test_labels_may_have_different_numbers_of_runs(logs: Path, make_run: MakeRun) -> None:
    for seed in range(3):
        make_run(algo="a", seed=seed)
    make_run(algo="b", seed=0)
    comparison = compare(load_runs(logs).runs)
    assert [scores.scores.shape for scores in comparison.labels] == [(3, 1), (1, 1)]
    assert comparison.omissions == ()


def test_a_task_that_a_label_never_ran_is_left_out_in_words(logs: Path, make_run: MakeRun) -> None:
    make_run(algo="a", env="A")
    make_run(algo="a", env="B")
    make_run(algo="b", env="A")
    comparison = compare(load_runs(logs).runs)
    assert comparison.tasks == ("A",)
    assert comparison.omissions == ("B is left out of the comparison: b (tuned) has no run of it.",)


def test_runs_beyond_the_least_run_task_are_left_out_in_words(
    logs: Path, make_run: MakeRun
) -> None:
    for folder, seed in (("1", 7), ("2", 5), ("3", 6)):
        make_run(env="A", seed=seed, folder=folder)
    make_run(env="B", seed=6)
    comparison = compare(load_runs(logs).runs)
    assert comparison.labels[0].scores.shape == (1, 2)
    assert {(run.task, run.seed) for run in comparison.runs} == {("A", 5), ("B", 6)}
    assert "its first 1 by seed enter" in comparison.omissions[0]


def test_labels_without_a_common_task_cannot_be_compared(logs: Path, make_run: MakeRun) -> None:
    make_run(algo="a", env="A")
    make_run(algo="b", env="B")
    with pytest.raises(NoRunsError, match="no environment was run by every label"):
        compare(load_runs(logs).runs)


def test_a_curve_keeps_the_steps_that_all_its_runs_share(logs: Path, make_run: MakeRun) -> None:
    make_run(seed=1, steps=(10, 20, 30), returns=(0.0, 0.2, 0.3))
    make_run(seed=2, steps=(10, 30), returns=(0.1, 0.5))
    comparison = compare(load_runs(logs).runs)
    np.testing.assert_array_equal(comparison.labels[0].curve_steps, [10, 30])
    assert "the 2 evaluation points they share, of up to 3" in comparison.omissions[0]


def test_of_two_evaluations_at_one_step_the_later_counts(logs: Path, make_run: MakeRun) -> None:
    make_run(steps=(10, 20, 20), returns=(0.0, 0.2, 0.6), low=0, high=1)
    scores = compare(load_runs(logs).runs).labels[0]
    np.testing.assert_array_equal(scores.curve_steps, [10, 20])
    np.testing.assert_allclose(scores.curves[0, 0], [0.0, 0.6], atol=1e-12)


def test_runs_without_a_shared_step_have_an_empty_curve(logs: Path, make_run: MakeRun) -> None:
    make_run(seed=1, steps=(10,), returns=(0.5,))
    make_run(seed=2, steps=(11,), returns=(0.5,))
    comparison = compare(load_runs(logs).runs)
    assert comparison.labels[0].curves.shape == (2, 1, 0)
    assert "the 0 evaluation points they share, of up to 1" in comparison.omissions[0]
