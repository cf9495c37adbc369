"""Which runs and which steps stand behind a row's numbers."""

from pathlib import Path

from reports.content.arrangement import Arrangement, arrange
from reports.content.document import ReportSettings
from reports.content.scores import aggregate_rows, task_score_rows
from reports.logs.loading import load_runs
from tests.reports.conftest import MakeRun

SETTINGS = ReportSettings(
    baseline="a (tuned)",
    seed=0,
    table_draws=10,
    curve_draws=10,
    equivalence_margin=0.05,
    threshold=0.9,
    failed_below=0.5,
    best_checkpoints=False,
)


def arranged(logs: Path, make_run: MakeRun) -> Arrangement:
    """One label that goes on after the other has ended, on two tasks with 1 and 2 runs of it."""
    for env, seeds in (("E", (1, 2)), ("F", (1,))):
        for seed in seeds:
            make_run(algo="a", env=env, seed=seed, steps=(10, 20, 30), returns=(0, 1, 1), low=0)
        make_run(algo="b", env=env, seed=1, steps=(10, 20), returns=(0, 0.5), low=0)
    return arrange(load_runs(logs).runs)


def test_an_area_covers_the_steps_that_every_label_was_watched_for(
    logs: Path, make_run: MakeRun
) -> None:
    # Up to step 20, where b ends: (0 + 1)/2. Over all of a's own steps it would be 0.75.
    arrangement = arranged(logs, make_run)
    (first, second) = aggregate_rows(arrangement, SETTINGS, (), {})
    assert first.area
    assert second.area
    assert (first.area.value, second.area.value) == (0.5, 0.25)
    by_task = task_score_rows(arrangement, SETTINGS)
    assert [row.area.value for row in by_task if row.area] == [0.5, 0.25, 0.5, 0.25]
    assert {row.horizon for row in by_task} == {20}


def test_a_row_states_the_fewest_runs_of_any_task(logs: Path, make_run: MakeRun) -> None:
    rows = aggregate_rows(arranged(logs, make_run), SETTINGS, (), {})
    assert [row.runs for row in rows] == [1, 1]
    assert [row.score for row in rows] == [None, None]  # of several tasks there is none
