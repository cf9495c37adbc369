"""Seeded damage to run folders: to bytes, to fields, to what kind of file lies there, to names."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.reports.conftest import write_run
from tests.reports.log_writers import write_monitor, write_zoo_run

HUGE = "9" * 5000
NUMBERS: tuple[Any, ...] = (
    *(0, -1, True, 1.5, 2**53, 2**63, 10**400, -(10**400), 1e308, -1.7e308, 1e-320, 1e100, 1e101),
    *(float("nan"), float("inf"), -float("inf"), "7", "", None, [], {}, [[[[]]]], "\ud800", "a\nb"),
)
TEXTS = ("", " ", "x\n\t\r\x00\x1b[31m", "[bold]", "<script>", "|", "$x_1^2$", "\ud800", "é" * 5000)
YAML = (
    "!!timestamp x",
    "2001-99-99",
    "1:" * 100_000 + "1",
    "0x" + "f" * 5000,
    HUGE,
    "!!binary é",
    "!!set {z, y}",
    "!!omap [1]",
    "!!bool x",
    "!!python/object/apply:os.getcwd []",
    "&a [*a]",
    "[" * 2000,
    "{a: 1, a: 2}",
    "\x00",
    ".nan",
    "1e400",
    "{[1]: 2}",
    "'",
    "<<: 1",
)
ROWS = ("nan,1,1", "1,2", "1,1,1,1", "1e400,1,1", "1,10" + "0" * 400 + ",1", '"', "\x00", "#{", "-")
ARRAYS: tuple[Callable[[], Any], ...] = (
    lambda: np.array([1e308, -1.7e308] * 50).reshape(5, 20),
    lambda: np.full((5, 20), np.nan),
    lambda: np.zeros((5, 0)),
    lambda: np.zeros((0, 20)),
    lambda: np.zeros(5),
    lambda: np.zeros((5, 20), bool),
    lambda: np.zeros((5, 20), complex),
    lambda: np.full((5, 20), np.longdouble("1e400")),
    lambda: np.full((5, 20), 2**64 - 1, np.uint64),
    lambda: np.full((5, 20), "text"),
    lambda: np.full((5, 20), None),
    lambda: np.zeros((1, 20_000_000), np.int8),
    lambda: np.zeros((5, 20), [("a", float)]),
    lambda: np.array(["2001-01-01"] * 5, "datetime64[D]"),
)


def write_sound(root: Path, kind: int, seed: int) -> Path:
    """Write one folder of PPO Lab, of the zoo, or of monitor files."""
    if kind == 0:
        return write_run(root, seed=seed, score=0.5 + seed / 1000)
    if kind == 1:
        return write_zoo_run(root, number=seed, seed=seed, returns=[20.0, 100.0 + seed])
    folder = root / f"sac/CartPole-v1_{seed}"
    write_monitor(folder / "0.monitor.csv", [float(seed)] * 30)
    write_monitor(folder / "1.monitor.csv", [1.0 + seed] * 30)
    return folder


def damage(folder: Path, rng: np.random.Generator) -> str:
    """Damage one file of a folder, or its name; return what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    # Half of it to what the file means: random bytes seldom get past a decoder.
    by_ending = {".json": _record, ".yml": _yaml, ".csv": _table, ".npz": _arrays}
    kinds = [_bytes, _kind, _name, *[by_ending[path.suffix]] * 3]
    what = kinds[rng.integers(len(kinds))]
    return f"{path.relative_to(folder)}: {what(path, folder, rng)}"


def _choice(of: tuple[Any, ...], rng: np.random.Generator) -> Any:
    return of[rng.integers(len(of))]


def _bytes(path: Path, _: Path, rng: np.random.Generator) -> str:
    content = bytearray(path.read_bytes())
    for _time in range(rng.integers(1, 6)):
        at = int(rng.integers(len(content) + 1))
        match rng.integers(4):
            case 0:
                content[at : at + 1] = rng.bytes(1)
            case 1:
                del content[at : at + int(rng.integers(1, 40))]
            case 2:
                content[at:at] = rng.bytes(int(rng.integers(1, 40)))
            case _:
                content[at:at] = content[: int(rng.integers(1, 200))]
    path.write_bytes(bytes(content))
    return "bytes"


def _kind(path: Path, _: Path, rng: np.random.Generator) -> str:
    path.unlink()
    what = int(rng.integers(7))
    if what == 0:
        os.mkfifo(path)
    elif what == 1:
        path.mkdir()
    elif what == 2:
        path.write_bytes(b"")
    elif what == 3 and len(str(path)) < 100:  # what a socket's address may hold
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    else:
        path.symlink_to(("/dev/zero", path.name, "nowhere")[what % 3])
    return f"kind {what}"


def _name(_: Path, folder: Path, rng: np.random.Generator) -> str:
    names = ("a\nb", "[bold]x", "<script>", "a|b", "$\\frac", "é" * 127, os.fsdecode(b"\xff"), "=1")
    target = folder.with_name(_choice(names, rng))
    if not target.exists():
        folder.rename(target)
    return f"name {target.name!r}"


def _record(path: Path, _: Path, rng: np.random.Generator) -> str:
    record = json.loads(path.read_text())
    keys = [*record, ("reference", "low"), ("reference", "high"), ("reference", "source")]
    key = keys[rng.integers(len(keys))]
    value = _choice((*NUMBERS, *TEXTS), rng)
    if isinstance(key, tuple):
        record[key[0]][key[1]] = value
    elif rng.integers(5) == 0:
        del record[key]
    else:
        record[key] = value
    text = json.dumps(record).replace('"7"', HUGE if rng.integers(2) else "1E400")
    path.write_text(text, encoding="utf-8")
    return f"{key} = {value!r}"[:80]


def _yaml(path: Path, _: Path, rng: np.random.Generator) -> str:
    value = _choice(YAML, rng)
    lines = path.read_text().splitlines()
    at = int(rng.integers(1, len(lines)))
    lines[at] = f"    - {value}" if rng.integers(2) else f"{lines[at]} {value}"
    encoding = "utf-16" if rng.integers(10) == 0 else "utf-8"
    path.write_bytes("\n".join(lines).encode(encoding))
    return f"line {at}: {value!r}"[:80]


def _table(path: Path, _: Path, rng: np.random.Generator) -> str:
    lines = path.read_text().splitlines()
    for _time in range(rng.integers(1, 20)):
        lines[int(rng.integers(len(lines)))] = _choice(ROWS, rng)
    path.write_text("\n".join(lines) + "\n" * int(rng.integers(2)))
    return "rows"


def _arrays(path: Path, _: Path, rng: np.random.Generator) -> str:
    with np.load(path) as archive:
        arrays = dict(archive)
    key = sorted(arrays)[rng.integers(len(arrays))]
    arrays[key] = _choice(ARRAYS, rng)()
    with path.open("wb") as file:
        (np.savez_compressed if rng.integers(2) else np.savez)(file, **arrays)
    return f"{key}: {arrays[key].dtype} {arrays[key].shape}"


def remove(folder: Path) -> None:
    """Remove a tree with whatever lies in it."""
    shutil.rmtree(folder)
