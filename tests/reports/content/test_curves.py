"""Curves: normalised over the tasks of all labels, in the environment's own units on one task."""

from pathlib import Path

from reports.content.arrangement import arrange
from reports.content.curves import curve_rows
from reports.logs.loading import load_runs
from tests.reports.conftest import MakeRun
from tests.reports.content.test_scores import SETTINGS


def test_a_curve_is_normalised_across_tasks_and_in_own_units_on_one(
    logs: Path, make_run: MakeRun
) -> None:
    for algo, last in (("a", 300.0), ("b", 500.0)):
        make_run(algo=algo, env="E", steps=(10, 20), returns=(100, last), low=100, high=500)
    make_run(algo="b", env="F", steps=(10, 20), returns=(1, 2), low=0, high=4)
    curves = curve_rows(arrange(load_runs(logs).runs), SETTINGS)
    assert [(curve.label, curve.task, curve.value) for curve in curves] == [
        ("a (tuned)", None, (0.0, 0.5)),  # (300 − 100)/(500 − 100)
        ("b (tuned)", None, (0.0, 1.0)),
        ("a (tuned)", "E", (100.0, 300.0)),
        ("b (tuned)", "E", (100.0, 500.0)),
        ("b (tuned)", "F", (1.0, 2.0)),  # which a never ran
    ]
    assert {curve.low for curve in curves} == {()}  # one run has no band
