"""What repeats a report, and how long its runs took."""

import shlex
from importlib.metadata import version
from pathlib import Path

from reports.report import Report, write_report
from tests.reports.conftest import write_run

QUICK = {"table_draws": 10, "curve_draws": 10, "formats": ("html",)}


def timed(logs: Path) -> None:
    for seed, seconds in enumerate((10.0, 20.0, 40.0)):
        write_run(logs, algo="ppo", seed=seed, seconds=seconds, machine="4 cores")
    write_run(logs, algo="a2c", seed=0, seconds=None)


def test_the_command_names_all_that_the_numbers_depend_on(tmp_path: Path) -> None:
    timed(tmp_path / "logs")
    report = write_report(
        tmp_path / "logs", tmp_path / "out", seed=7, best=True, title="Mine & yours", **QUICK
    )
    words = shlex.split(dict(report.document.repeat)["command"])
    assert words == [
        *("python", "-m", "ppo_lab.report", "LOGS", "--baseline", "ppo (tuned)"),
        *("--seed", "7", "--best", "--title", "Mine & yours"),
    ]
    assert dict(report.document.repeat)["numpy"] == version("numpy")
    assert shlex.join(words).replace("&", "&amp;").replace("'", "&#39;") in (
        report.files[-1].read_text()
    )


def test_wall_time_and_steps_a_second_are_the_records_own(tmp_path: Path) -> None:
    timed(tmp_path / "logs")
    report: Report = write_report(tmp_path / "logs", tmp_path / "out", runtime=True, **QUICK)
    (row,) = report.document.runtimes  # a2c states no seconds
    assert (row.label, row.runs, row.machine) == ("ppo (tuned)", 3, "4 cores")
    assert (row.seconds.value, row.seconds.low, row.seconds.high) == (20.0, 10.0, 40.0)
    # 10,240 steps each: 10,240/20, and from 10,240/40 to 10,240/10.
    speed = row.steps_per_second
    assert (speed.value, speed.low, speed.high) == (512.0, 256.0, 1024.0)
    page = report.files[-1].read_text()
    assert 'id="runtime-section"' in page
    assert 'id="figure-runtime-chart"' in page
    assert 'data-name="runtime"' in page


def test_what_differs_each_time_is_left_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    timed(tmp_path / "logs")
    report = write_report(tmp_path / "logs", tmp_path / "out", **QUICK)
    assert report.document.runtimes == ()
    assert "runtime-section" not in report.files[-1].read_text()
