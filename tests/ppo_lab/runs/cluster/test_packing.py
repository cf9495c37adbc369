"""A run folder as bytes: it comes back whole, and nothing else comes with it."""

import io
import stat
import zipfile
from pathlib import Path

import pytest

from ppo_lab.runs.cluster import packing
from ppo_lab.runs.cluster.packing import PackError, pack, unpack


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run_1"
    (made / "CartPole-v1").mkdir(parents=True)
    (made / "run.json").write_text("{}")
    (made / "CartPole-v1" / "config.yml").write_bytes(bytes(range(256)) * 100)
    (made / "empty").touch()
    return made


def test_a_folder_comes_back_as_it_was(folder: Path, tmp_path: Path) -> None:
    (target := tmp_path / "there").mkdir()
    unpack(pack(folder), target)
    assert content(target) == content(folder)


def test_links_stay_where_they_are(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not of the run")
    (folder / "link").symlink_to(tmp_path / "secret")
    (target := tmp_path / "there").mkdir()
    unpack(pack(folder), target)
    assert "link" not in content(target)


def archive(name: str, mode: int = stat.S_IFREG | 0o644, compress: int = 0) -> bytes:
    """One file of this name."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compress) as made:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = compress
        made.writestr(entry, b"x" * 100)
    return written.getvalue()


@pytest.mark.parametrize(
    "sent",
    [
        archive("../outside"),
        archive("a/../../outside"),
        archive("/outside"),
        archive("a\\..\\..\\outside"),
        archive("C:outside"),
        archive("link", stat.S_IFLNK | 0o777),
        archive("device", stat.S_IFCHR | 0o644),
        archive("folder/"),
        archive("bomb", compress=zipfile.ZIP_DEFLATED),
        b"no archive",
        archive("cut off")[:-30],
        archive("changed").replace(b"x" * 100, b"y" * 100),
    ],
)
def test_what_is_no_run_folder_is_refused_and_nothing_is_written(
    sent: bytes, tmp_path: Path
) -> None:
    (target := tmp_path / "deep" / "there").mkdir(parents=True)
    with pytest.raises(PackError, match="came back"):
        unpack(sent, target)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_too_large_is_neither_sent_nor_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = pack(folder)
    (target := tmp_path / "there").mkdir()
    size = 2 + 25_600  # run.json and config.yml
    for name, value in (("MOST_BYTES", size - 1), ("MOST_FILES", 2)):
        monkeypatch.setattr(packing, name, value)
        with pytest.raises(PackError, match="all nodes share"):
            pack(folder)
        with pytest.raises(PackError, match="all nodes share"):
            unpack(sent, target)
        monkeypatch.undo()
    assert content(target) == {}
    monkeypatch.setattr(packing, "MOST_BYTES", size)
    unpack(sent, target)
    assert len(content(target)) == 3
