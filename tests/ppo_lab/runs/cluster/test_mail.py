"""Calls that travel: run folders go by their place, and a result never gives way to a failure."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from ppo_lab.runs.cluster.mail import opened, place_in, receive, sealed
from ppo_lab.runs.cluster.packing import PackError, pack


@dataclass(frozen=True)
class Runs:
    """Run folders within an argument, as a trial of tuning has them."""

    folders: tuple[Path, ...]


def run(folder: Path, status: str, score: float) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": status, "score": score}))
    return folder


def test_paths_below_the_home_lie_below_the_other_home_and_others_stay(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    runs = Runs((here / "a" / "x_1", here / "b" / "x_2"))
    parcel = sealed(here, len, runs, here / "a" / "x_1", tmp_path / "else", "text")
    assert parcel.places == ("a/x_1", "b/x_2")
    function, arguments = opened(parcel.call, there)
    assert function is len
    folders = Runs((there / "a" / "x_1", there / "b" / "x_2"))
    assert arguments == (folders, there / "a" / "x_1", tmp_path / "else", "text")


def test_relative_homes_are_homes(tmp_path: Path) -> None:
    parcel = sealed(Path("logs/study"), len, Path("logs/study/screen/x_1"), Path("logs/other"))
    _, arguments = opened(parcel.call, tmp_path)
    assert arguments == (tmp_path / "screen" / "x_1", Path("logs/other"))


def test_what_is_finished_already_travels_with_the_call(tmp_path: Path) -> None:
    done, begun = run(tmp_path / "x_1", "completed", 1.0), tmp_path / "x_2"
    begun.mkdir()
    parcel = sealed(tmp_path, len, (done, begun))
    assert parcel.folders == {"x_1": pack(done)}


@pytest.mark.parametrize("place", ["../x", "/x", "", "a/../../x"])
def test_a_place_outside_the_home_is_none(tmp_path: Path, place: str) -> None:
    with pytest.raises(PackError, match="no place of a run folder"):
        place_in(tmp_path, place)


def test_a_folder_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    sent = pack(run(tmp_path / "node" / "x_1", "completed", 2.0))
    place = tmp_path / "home" / "x_1"
    with pytest.raises(PackError):
        receive(sent[:-40], place)
    assert list(place.parent.iterdir()) == []
    receive(sent, place)
    assert json.loads((place / "run.json").read_text())["score"] == 2.0
    assert [path.name for path in place.parent.iterdir()] == ["x_1"]


def test_a_failure_leaves_a_finished_run_beside_it(tmp_path: Path) -> None:
    place = run(tmp_path / "home" / "x_1", "completed", 1.0)
    receive(pack(run(tmp_path / "node" / "x_1", "failed", 0.0)), place)
    assert json.loads((place / "run.json").read_text())["status"] == "failed"
    kept = json.loads((place.with_name(".x_1.damaged-1") / "run.json").read_text())
    assert kept["status"] == "completed"
