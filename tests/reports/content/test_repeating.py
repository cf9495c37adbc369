"""What repeats a report and its runs, and how long they took."""

import html
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

from reports.content.rows import MadeByRow
from reports.logs.loading import load_runs
from reports.logs.made_by import MADE_BY, made_by_text
from reports.output.markdown import compose
from reports.report import Report, write_report
from tests.reports.conftest import write_run

QUICK = {"table_draws": 10, "curve_draws": 10, "formats": ("html",)}


def commands_on(page: Path) -> list[str]:
    """What stands in the boxes of "To repeat it", as a reader copies it."""
    boxes = re.findall(r"<code>(.*?)</code>", page.read_text(), re.DOTALL)
    return [html.unescape(re.sub(r"</?span>", "", box)) for box in boxes]


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
    assert shlex.join(words) in commands_on(report.files[-1])


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


COMPARE = ("python", "-m", "ppo_lab.compare", "--envs", "./my env.py:Walk", "-P", "gamma:0.9")
MORE = (*COMPARE, "--seeds", "20")
TRAIN = ("python", "-m", "ppo_lab.train", "--env", "CartPole-v1; $(reboot) `x` <b>")


def noted(folder: Path, *commands: Sequence[str]) -> None:
    (folder / MADE_BY).write_text(made_by_text([tuple(command) for command in commands]))


def test_the_commands_that_made_the_runs_are_shown_quoted_and_in_their_order(
    tmp_path: Path,
) -> None:
    timed(tmp_path / "logs")
    noted(tmp_path / "logs", COMPARE, MORE)
    report = write_report(tmp_path / "logs", tmp_path / "out", **QUICK)
    assert report.document.made_by == (MadeByRow((), (shlex.join(COMPARE), shlex.join(MORE))),)
    assert shlex.split(report.document.made_by[0].commands[0]) == list(COMPARE)
    assert f"```bash\n{shlex.join(COMPARE)}\n{shlex.join(MORE)}\n```" in compose(
        report.document, (), ()
    )
    on_page = commands_on(report.files[-1])
    assert on_page[:2] == [shlex.join(COMPARE), shlex.join(MORE)]


def test_of_several_folders_each_says_its_own_and_those_without_a_run_nothing(
    tmp_path: Path,
) -> None:
    for place, seed in (("a", 0), ("b", 1), ("c", 2)):
        write_run(tmp_path / "logs" / place, algo="ppo", seed=seed)
    noted(tmp_path / "logs" / "a", COMPARE)
    noted(tmp_path / "logs" / "b", TRAIN)
    noted(tmp_path / "logs" / "c", COMPARE)
    (tmp_path / "logs" / "idle").mkdir()
    noted(tmp_path / "logs" / "idle", MORE)
    report = write_report(tmp_path / "logs", tmp_path / "out", **QUICK)
    assert report.document.made_by == (
        MadeByRow(("a", "c"), (shlex.join(COMPARE),)),
        MadeByRow(("b",), (shlex.join(TRAIN),)),
    )
    page = report.files[-1].read_text()
    assert "In a, c:" in page
    assert "<b>" not in page[page.index('id="repeat-section"') : page.index('id="runs-section"')]
    assert "````" not in compose(report.document, (), ())  # of one back-tick each


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ('{"format": 2, "commands": []}', "damaged"),
        ('{"format": 1, "commands": [["python", "-m", 3]]}', "damaged"),
        (made_by_text([("rm", "-rf", "~")]), "no command of ppo_lab.train"),
        (made_by_text([("python", "-m", "ppo_lab.train;reboot")]), "no command of"),
        (made_by_text([(*COMPARE, "a\nreboot")]), "no command of"),
        (made_by_text([(*COMPARE, "a\u202etxet")]), "no command of"),
        (made_by_text([(*COMPARE, "a" * 10_000)]), "no command of"),
        (made_by_text([COMPARE] * 101), "more than 100"),
    ],
    ids=["no JSON", "format", "number", "rm", "shell", "line", "turned", "long", "many"],
)
def test_a_note_that_is_none_of_ours_is_named_and_not_shown(
    text: str, reason: str, tmp_path: Path
) -> None:
    write_run(tmp_path, algo="ppo", seed=0)
    (tmp_path / MADE_BY).write_text(text)
    loaded = load_runs(tmp_path)
    assert loaded.made_by == ()
    (aside,) = loaded.set_aside
    assert aside.folder == MADE_BY
    assert reason in aside.reason
