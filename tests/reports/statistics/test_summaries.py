"""One task in plain numbers, and what may be doubted."""

import numpy as np
import pytest

from reports.statistics.samples import Scores
from reports.statistics.summaries import doubts, task_summary

SCORES = np.array([0.0, 1.0, 2.0, 3.0, 10.0])


def test_a_summary_is_worked_out_by_hand() -> None:
    found = task_summary(SCORES, seed=0, key="k", draws=500)
    assert (found.runs, found.min, found.max) == (5, 0.0, 10.0)
    assert found.mean.value == pytest.approx(16 / 5)
    assert found.iqm.value == pytest.approx((1 + 2 + 3) / 3)  # one of five cut at each end
    # Squared deviations from 3.2: 10.24 + 4.84 + 1.44 + 0.04 + 46.24 = 62.8, over 4.
    assert found.std == pytest.approx(np.sqrt(62.8 / 4))
    assert found.mean.low is not None
    assert found.mean.low < 3.2


def test_one_run_has_neither_spread_nor_interval() -> None:
    found = task_summary(SCORES[:1], seed=0, key="k")
    assert found.std is None
    assert found.mean.low is None


@pytest.mark.parametrize(
    ("scores", "beginnings"),
    [
        ([[1.0], [1.0, 2.0]], ["A task has one run: "]),
        ([[1.0, 2.0]], ["2 runs of a task: below 10", "One task: "]),
        (np.arange(18.0).reshape(9, 2), ["9 runs of a task: below 10"]),
        ([[1.0] * 10], ["One task: ", "All runs scored the same: "]),
        ([np.arange(19.0)], ["One task: "]),
        (np.arange(20.0).reshape(10, 2), []),
        (np.arange(20.0).reshape(20, 1), []),
    ],
)
def test_doubts_are_named(scores: Scores, beginnings: list[str]) -> None:
    sentences = doubts(scores)
    assert len(sentences) == len(beginnings)
    assert all(map(str.startswith, sentences, beginnings))
