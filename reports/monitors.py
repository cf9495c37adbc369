"""``monitor.csv`` as SB3's ``Monitor`` writes it: the episodes of training."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.opening import MAX_LINE, MAX_TABLE_BYTES, open_plain, read_text
from reports.records import MAX_RETURN, SetAside, UnusableError, clean

WINDOW = 100
"""Episodes behind a training-return estimate; SB3's own ``ep_rew_mean`` takes as many."""
MAX_LENGTH = 2**31
POINTS = 100
"""Points of a training curve."""

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Episodes:
    """The training episodes of one environment, in the order in which they ended.

    Attributes:
        env_id: as the header states it; None where it does not.
        started: ``t_start``, seconds; 0 where unstated.
        returns: (E,) float64; E may be 0.
        lengths: (E,) int64, steps, ≥ 1.
        times: (E,) float64, seconds since ``started``.
        successes: (E,) float64 in [0, 1]; None without a column ``is_success``.
        cut: whether the last line was half-written and left out.
    """

    env_id: str | None
    started: float
    returns: Floats
    lengths: Steps
    times: Floats
    successes: Floats | None
    cut: bool


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """Trailing means over the episodes of all environments of a run.

    Attributes:
        steps: (P,) int64, steps taken by all environments together, ascending.
        returns: (P,) float64, mean of the last up to ``WINDOW`` episodes at each step.
        episodes: behind the last mean.
        success_rate: over the same episodes; None where unlogged.
    """

    steps: Steps
    returns: Floats
    episodes: int
    success_rate: float | None


def header_env_id(path: Path) -> str | None:
    """The environment's id in a monitor file's first line; None where there is none."""
    try:
        with open_plain(path, MAX_TABLE_BYTES) as file:
            return _header(file.readline(MAX_LINE).decode("utf-8", "replace"))[0]
    except (OSError, UnusableError):
        return None


def read_episodes(path: Path) -> Episodes:
    """Read one monitor file.

    A last line that was cut in the middle is left out; ``Monitor`` ends every line it finished.

    Raises:
        UnusableError: unreadable, not a monitor file, or a line that holds no episode, by line
            and column.
    """
    text = read_text(path, MAX_TABLE_BYTES)
    env_id, started = _header(text.partition("\n")[0])
    lines = text.split("\n")
    cut = lines.pop() != ""
    start = 1 if lines and lines[0].startswith("#") else 0
    reader = csv.reader(io.StringIO("\n".join(lines[start:])), strict=True)
    try:
        rows = [[field.strip() for field in row] for row in reader]
    except csv.Error as error:
        raise UnusableError(f"{path.name}: line {start + reader.line_num}: {error}") from error
    columns = {name: index for index, name in enumerate(rows[0])} if rows else {}
    if not {"r", "l"} <= set(columns):
        raise UnusableError(f"{path.name} has no columns r and l: not a monitor file of SB3")
    wanted = ["r", "l", *(name for name in ("t", "is_success") if name in columns)]
    table = _table(rows[1:], [(name, columns[name]) for name in wanted], start + 2, path.name)
    values = dict(zip(wanted, table, strict=True))
    returns, lengths = values["r"], values["l"]
    if not (np.abs(returns) <= MAX_RETURN).all():
        raise UnusableError(f"{path.name} holds returns that are NaN, infinite or too large")
    if not ((lengths >= 1) & (lengths < MAX_LENGTH)).all():
        raise UnusableError(f"{path.name} holds episode lengths below 1 or beyond {MAX_LENGTH}")
    times = values.get("t", np.zeros(len(returns)))
    successes = values.get("is_success")
    if successes is not None and not ((successes >= 0) & (successes <= 1)).all():
        successes = None
    return Episodes(env_id, started, returns, lengths.astype(np.int64), times, successes, cut)


def training_curve(files: Sequence[Episodes]) -> TrainingCurve:
    """Merge a run's environments by the time at which episodes ended, and smooth.

    Args:
        files: at least one.

    Raises:
        UnusableError: not one episode was finished.
    """
    if not any(len(file.returns) for file in files):
        raise UnusableError("the monitor files hold no finished episode")
    ended = np.concatenate([file.started + file.times for file in files])
    order = np.argsort(ended, kind="stable")
    returns = np.concatenate([file.returns for file in files])[order]
    steps = np.cumsum(np.concatenate([file.lengths for file in files])[order])
    at = np.unique(np.linspace(0, len(returns) - 1, POINTS).round().astype(int))
    logged = [file.successes for file in files if file.successes is not None]
    means = _trailing_means(returns, at)
    rate = None
    if len(logged) == len(files):
        rate = float(_trailing_means(np.concatenate(logged)[order], at)[-1])
    return TrainingCurve(steps[at], means, min(WINDOW, len(returns)), rate)


def cut_lines(names: Sequence[str], files: Sequence[Episodes], folder: str) -> list[SetAside]:
    """List the last lines that were left out."""
    return [
        SetAside(f"{folder}/{name}", "its last line is half-written and was left out")
        for name, file in zip(names, files, strict=True)
        if file.cut
    ]


def _trailing_means(values: Floats, at: NDArray[np.int64]) -> Floats:
    # Each a mean of its own: a running sum would round small returns away after a large one.
    return np.array([values[max(0, last + 1 - WINDOW) : last + 1].mean() for last in at])


def _header(line: str) -> tuple[str | None, float]:
    try:
        stated = json.loads(line.removeprefix("#"))
        env_id, started = stated.get("env_id"), stated.get("t_start")
    except (ValueError, AttributeError, RecursionError):
        return None, 0.0
    if not isinstance(started, int | float) or not abs(started) < 1e300:
        started = 0.0
    known = isinstance(env_id, str) and env_id not in ("", "None")
    return clean(env_id) if known else None, float(started)


def _table(
    rows: Sequence[Sequence[str]], columns: Sequence[tuple[str, int]], first_line: int, name: str
) -> list[Floats]:
    """Return the columns as numbers."""
    table: list[list[float]] = [[] for _ in columns]
    for line, row in enumerate(rows, first_line):
        if not row:
            continue
        for (title, index), values in zip(columns, table, strict=True):
            try:
                values.append(_number(row[index]))
            except (IndexError, ValueError) as error:
                given = repr(clean(row[index])[:40]) if index < len(row) else "nothing"
                raise UnusableError(
                    f"{name}: line {line}, column {index + 1} ({title}): expected a number, "
                    f"found {given}"
                ) from error
    return [np.array(values, dtype=np.float64) for values in table]


def _number(text: str) -> float:
    if text in ("True", "False"):
        return float(text == "True")
    return float(text) if text else math.nan
