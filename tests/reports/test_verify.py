"""rliable as the engine, and as the check of what a report says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rliable import metrics

from ppo_lab.report import main
from reports import verify as verifying
from reports.content.document import Document
from reports.content.rows import Interval
from reports.report import Report, write_report
from reports.statistics import rliable_engine
from reports.statistics.samples import ScoresError
from reports.verify import END_TOLERANCE, verify
from tests.reports.conftest import write_run

SCORES = {"ppo": (0.3, 0.5, 0.7), "spec_ppo": (0.4, 0.6, 0.9)}
TASKS = ("CartPole-v1", "Pendulum-v1")


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("even")
    for algo, scores in SCORES.items():
        for place, env in enumerate(TASKS):
            for seed, score in enumerate(scores):
                shift = 0.05 * place
                write_run(logs, algo=algo, env=env, seed=seed, score=score + shift, low=0, high=1)
    return logs


def report(logs: Path, out: Path, engine: str = "ppo_lab", formats: tuple[str, ...] = ()) -> Report:
    return write_report(
        logs,
        out,
        engine=engine,
        formats=formats,
        table_draws=200,
        curve_draws=50,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def ours(even: Path, tmp_path_factory: pytest.TempPathFactory) -> Document:
    return report(even, tmp_path_factory.mktemp("ours")).document


def test_rliable_agrees_with_a_report(ours: Document) -> None:
    checked = verify(ours, 400)
    # IQM, mean and gap of two labels, and one probability of improvement: 7 points, 14 ends.
    assert (checked.points, checked.ends, checked.left_out) == (7, 14, ())
    assert checked.agrees
    assert checked.point < 1e-12
    assert checked.end <= END_TOLERANCE
    assert "agrees: of 7 points the greatest difference is" in checked.sentence


@pytest.mark.parametrize("measure", ["iqm", "mean", "optimality_gap", "improvement"])
def test_a_point_that_is_another_is_found(ours: Document, measure: str) -> None:
    row = next(row for row in ours.aggregates if row.improvement is not None)
    wrong = replace(getattr(row, measure), value=getattr(row, measure).value + 1e-6)
    rows = tuple(replace(row, **{measure: wrong}) if one is row else one for one in ours.aggregates)
    checked = verify(replace(ours, aggregates=rows), 10)
    assert not checked.agrees
    assert checked.point == pytest.approx(1e-6, rel=1e-6)
    assert "DISAGREES" in checked.sentence
    assert row.label in checked.where[0]


def test_a_run_that_is_missing_from_the_numbers_is_found(ours: Document) -> None:
    changed = (replace(ours.runs[0], score=ours.runs[0].score + 0.5), *ours.runs[1:])
    assert not verify(replace(ours, runs=changed), 10).agrees


def test_uneven_runs_are_said_to_be_unchecked(even: Path, ours: Document) -> None:
    kept = tuple(run for run in ours.runs if run is not ours.runs[0])
    checked = verify(replace(ours, runs=kept), 10)
    assert "Not checked: ppo (tuned) has from 2 to 3 runs of a task" in checked.sentence
    assert checked.points == 3  # of the other label; the pair needs both


def test_a_report_without_numbers_over_tasks_is_not_called_right(ours: Document) -> None:
    checked = verify(replace(ours, aggregates=()), 10)
    assert not checked.agrees
    assert "Nothing was checked" in checked.sentence


def test_rliables_numbers_are_the_ones_that_its_engine_gives(even: Path, tmp_path: Path) -> None:
    made = report(even, tmp_path, "rliable")
    for row in made.document.aggregates:
        algo = row.label.removesuffix(" (tuned)")
        matrix = np.add.outer(SCORES[algo], (0.0, 0.05))
        assert row.iqm.value == pytest.approx(metrics.aggregate_iqm(matrix))
        assert row.mean.value == pytest.approx(matrix.mean())
        assert row.iqm.low is not None
        assert row.iqm.low < row.iqm.value
    assert made.document.settings.interval_method == rliable_engine.INTERVALS
    assert any("made by rliable" in line for line in made.document.footer)
    assert {pair.other for pair in made.document.pairs} == {"ppo (tuned)", "spec_ppo (tuned)"}


@pytest.mark.slow
def test_rliables_plots_lie_beside_ours_and_repeat_byte_for_byte(
    even: Path, tmp_path: Path
) -> None:
    made = report(even, tmp_path, "rliable", ("md",))
    names = {file.name for file in made.files}
    for plot in ("rliable_intervals", "rliable_profiles", "rliable_improvement"):
        assert {f"{plot}.png", f"{plot}.svg"} <= names
    again = report(even, tmp_path / "again", "rliable", ("md",))
    for file, other in zip(made.files, again.files, strict=True):
        assert file.read_bytes() == other.read_bytes(), file.name
    report(even, tmp_path, "ppo_lab", ("md",))
    assert not list((tmp_path / "figures").glob("rliable*"))


@pytest.mark.slow
def test_the_command_prints_the_greatest_difference_and_fails_beyond_its_tolerance(
    even: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(even), "--out", str(tmp_path), "--format", "csv", "--verify"]
    assert main(words) == 0
    assert "agrees: of 7 points the greatest difference is" in capsys.readouterr().out
    monkeypatch.setattr(verifying, "POINT_TOLERANCE", -1.0)
    assert main(words) == 1
    assert "--verify: rliable" in capsys.readouterr().err


def test_an_engine_that_does_not_take_the_runs_is_a_usage_error(
    even: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "logs"
    write_run(logs, algo="a2c", env=TASKS[0], seed=1)
    for seed in (1, 2):
        write_run(logs, algo="a2c", env=TASKS[1], seed=seed)
    assert main([str(logs), "--out", str(tmp_path / "out"), "--engine", "rliable"]) == 2
    said = capsys.readouterr().err
    assert "--engine rliable: aggregates of a2c (tuned) has from 1 to 2 runs of a task" in said
    assert not (tmp_path / "out").exists()


def test_its_draws_are_of_the_seed_and_leave_numpys_generator_alone() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 2))
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    one, same, other = (
        rliable_engine.aggregates(scores, seed=seed, key="k", draws=50) for seed in (1, 1, 2)
    )
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert one == same != other


def test_one_run_has_no_interval_and_uneven_ones_are_refused() -> None:
    one = rliable_engine.aggregates(np.array([[0.5, 1.0]]), seed=0, key="k", draws=10)
    assert Interval.of(one.mean) == Interval(0.75)
    with pytest.raises(ScoresError, match="k has from 1 to 2 runs of a task; rliable takes"):
        rliable_engine.aggregates([[1.0], [1.0, 2.0]], seed=0, key="k", draws=10)
