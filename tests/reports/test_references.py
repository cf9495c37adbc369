"""Normalisation where nobody states a good score."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reports.references import FALLBACK, UNIT_SCALE, fill_references
from reports.runs import Run


def run(label: str, score: float, high: float = math.nan, low: float = 0.0) -> Run:
    return Run(
        folder=f"{label}-{score}",
        algo=label,
        settings="tuned",
        task="Task-v0",
        seed=0,
        steps=10,
        score=score,
        low=low,
        high=high,
        source="low: random",
        evaluation_episodes=1,
        evaluation_steps=np.array([10]),
        evaluation_returns=np.array([score]),
        protocol=(),
        hyperparameters="{}",
    )


def test_best_mean_score_of_a_label_becomes_one() -> None:
    runs = [run("a", 2.0), run("a", 4.0), run("b", 1.0)]
    filled = fill_references(runs)
    assert [r.high for r in filled] == [3.0, 3.0, 3.0]  # (2 + 4) / 2
    assert sum(r.normalised_score for r in filled[:2]) / 2 == pytest.approx(1.0)
    assert filled[2].normalised_score == pytest.approx(1 / 3)
    assert all(FALLBACK in r.source for r in filled)


def test_stated_high_scores_stay() -> None:
    stated = run("a", 2.0, high=10.0)
    assert fill_references([stated]) == (stated,)


def test_tasks_do_not_mix() -> None:
    other = replace(run("a", 8.0), task="Other-v0")
    assert [r.high for r in fill_references([run("a", 2.0), other])] == [2.0, 8.0]


def test_where_no_label_beats_the_random_policy_the_scale_stays_the_rewards() -> None:
    (filled,) = fill_references([run("a", -3.0)])
    assert filled.high == 1.0
    assert filled.normalised_score == -3.0
    assert UNIT_SCALE in filled.source
