"""Files appear whole or not at all."""

import os
import socket
from pathlib import Path

import pytest

from reports.whole_files import whole_file, write_all_whole, write_whole


def test_texts_and_bytes_take_the_place_of_a_former_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_whole(file, "é\n")
    assert file.read_bytes() == "é\n".encode()
    write_whole(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [file]


def test_until_it_is_whole_a_file_lies_beside_under_its_writers_name(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with whole_file(file) as beside:
        beside.write_text("half")
        assert not file.exists()
        # What ppo_lab.runs.leftovers knows by its process once that is dead.
        assert beside.name == f".a.txt.part-{os.getpid()}@{socket.gethostname()}"
    assert file.read_text() == "half"


def test_what_fails_leaves_the_former_file_and_nothing_beside(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("former")
    with pytest.raises(UnicodeEncodeError), whole_file(file) as beside:
        beside.write_text("half\ud800", encoding="utf-8")
    assert file.read_text() == "former"
    assert list(tmp_path.iterdir()) == [file]


def test_of_several_files_none_takes_its_place_before_all_are_written(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "none" / "b.txt"
    first.write_text("former")
    with pytest.raises(FileNotFoundError):
        write_all_whole({first: "new", second: "new"})
    assert first.read_text() == "former"
    with pytest.raises(FileNotFoundError):
        write_all_whole({second: "new", first: "new"})
    assert first.read_text() == "former"
    assert list(tmp_path.iterdir()) == [first]


def test_several_files_take_their_places_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed: list[str] = []
    rename = Path.replace

    def noted(self: Path, target: Path) -> Path:
        placed.append(target.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    write_all_whole({tmp_path / name: name for name in ("table.csv", "report.md", "report.html")})
    assert placed == ["table.csv", "report.md", "report.html"]
