"""One damaged folder never brings down a report, nor changes what is said of the others."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ppo_lab.report import main
from reports.content.document import Document, to_json
from reports.logs.loading import load_runs
from reports.logs.records import LoadedRuns
from reports.report import FORMATS, Format, write_report
from tests.reports.damage import damage, write_sound

SECONDS = 2.0
"""Of processor time for one folder of three small files, on a slow machine."""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    for kind in range(3):
        for seed in (9001, 9002, 9003):
            write_sound(tmp_path / "sound", kind, seed)
    return tmp_path / "sound"


def plain(label: str) -> str:
    """Without what tells it from a damaged run's of the same name, whose settings are not known."""
    return label.partition(" (")[0]


def numbers(loaded: LoadedRuns) -> list[tuple[object, ...]]:
    return [
        (run.folder, plain(run.label), run.task, run.seed, run.score, *run.evaluation_returns)
        for run in loaded.runs
        if run.folder.startswith("sound/")
    ]


def rows(document: Document) -> list[object]:
    return [
        (row.folder, plain(row.label), row.seed, row.score, row.best_checkpoint)
        for row in document.runs
        if row.folder.startswith("sound/")
    ]


def damaged_folders(root: Path, count: int) -> list[tuple[Path, str]]:
    made = []
    for number in range(count):
        place = root / f"{number:04}"
        folder = write_sound(place, number % 3, number)
        made.append((place, damage(folder, np.random.default_rng(number))))
    return made


def check_reading(sound: Path, folders: Sequence[tuple[Path, str]]) -> None:
    """Read each folder beside the sound ones."""
    alone = numbers(load_runs(sound, sound.parent / "none"))
    assert len(alone) == 9
    left = 0
    for place, what in folders:
        start = time.process_time()
        loaded = load_runs(sound, place)
        assert time.process_time() - start < SECONDS, what
        assert numbers(loaded) == alone, what
        # It is a run yet, or is named with the reason why it is none.
        assert len(loaded.runs) == 10 or loaded.set_aside, what
        left += len(loaded.runs) == 9
        for aside in loaded.set_aside:
            assert "\n" not in aside.reason, what
            assert str(place) not in aside.reason, what
    assert left > len(folders) / 4  # else the damage is none


def check_report(sound: Path, bad: Path, out: Path, formats: Sequence[Format]) -> None:
    """Report on all of them at once."""
    made = []
    for other in (sound.parent / "none", bad):
        loaded = load_runs(sound, other)
        made.append(write_report(loaded, out, table_draws=10, curve_draws=10, formats=formats))
    assert rows(made[1].document) == rows(made[0].document)
    assert len(rows(made[1].document)) == 9
    assert (out / "report.json").read_text(encoding="utf-8") == to_json(made[1].document)


def test_fifty_damaged_folders_change_nothing_of_the_others(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    check_reading(sound, damaged_folders(tmp_path / "bad", 50))
    check_report(sound, tmp_path / "bad", tmp_path / "out", ("csv",))


@pytest.mark.slow  # each folder is read by itself, and one report is made of a thousand: a minute
def test_a_thousand_damaged_folders_change_nothing_of_the_others(
    sound: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    check_reading(sound, damaged_folders(tmp_path / "bad", 1000))
    check_report(sound, tmp_path / "bad", tmp_path / "out", FORMATS)
    assert main([str(sound), str(tmp_path / "bad"), "--out", str(tmp_path / "out")]) == 0
