"""``monitor.csv`` as SB3's ``Monitor`` writes it: the episodes of training."""

import csv
import json
import math
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.opening import MAX_LINE, MAX_TABLE_BYTES, open_plain, shown_name, text_lines
from reports.records import MAX_RETURN, SetAside, UnusableError, clean

WINDOW = 100
"""Episodes behind a training-return estimate; SB3's own ``ep_rew_mean`` takes as many."""
MAX_LENGTH = 2**31
MAX_SECONDS = 1e12
POINTS = 100
"""Points of a training curve."""

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

_WRITTEN = ("r", "l", "t")
"""The columns that ``ResultsWriter`` begins with, also where it appends and writes no header."""


@dataclass(frozen=True, eq=False)
class Episodes:
    """The training episodes of one environment, in the order of the file.

    SB3's ``Monitor(override_existing=False)`` appends: a second session's ``t`` starts anew, and
    no line says so.

    Attributes:
        env_id: as the header states it; None where it does not.
        returns: (E,) float64; E may be 0.
        lengths: (E,) int64, steps, ≥ 1.
        ended: (E,) float64, seconds: ``t_start`` of the last header before the episode, 0 where
            unstated, plus ``t``; falls where a session begins that has no header of its own.
        sessions: (E,) int64, 0 for the first session, ascending.
        successes: (E,) float64 in [0, 1]; None without a column ``is_success``.
        cut: whether the last line was half-written and left out.
        faults: how many rows hold no episode, and why the first of them does not; None where all
            do.
    """

    env_id: str | None
    returns: Floats
    lengths: Steps
    ended: Floats
    sessions: Steps
    successes: Floats | None
    cut: bool
    faults: str | None


@dataclass(frozen=True, eq=False)
class TrainingCurve:
    """Trailing means over the episodes of all environments of a run.

    Attributes:
        steps: (P,) int64, steps taken by all environments together, ascending.
        returns: (P,) float64, mean of the last up to ``WINDOW`` episodes at each step.
        episodes: behind the last mean.
        success_rate: over the same episodes; None where unlogged.
        sessions: how many lie one after the other in one file.
    """

    steps: Steps
    returns: Floats
    episodes: int
    success_rate: float | None
    sessions: int


def header_env_id(path: Path) -> str | None:
    """The environment's id in a monitor file's first line; None where there is none."""
    try:
        with open_plain(path, MAX_TABLE_BYTES) as file:
            return _header(file.readline(MAX_LINE).decode("utf-8", "replace"))[0]
    except (OSError, UnusableError):
        return None


def read_episodes(path: Path, limit: int = MAX_TABLE_BYTES) -> Episodes:
    """Read one monitor file.

    A last line that was cut in the middle is left out; ``Monitor`` ends every line it finished. A
    row that holds no episode is left out and counted.

    Args:
        path: the file.
        limit: bytes that it may hold at most.

    Raises:
        UnusableError: unreadable, not a monitor file, or most of the rows that its score would
            rest on hold no episode: an earlier score would stand as the last one.
    """
    rows = _Rows(shown_name(path))
    line = "\n"
    for number, line in enumerate(text_lines(path, "\n", limit), 1):
        if line.startswith("#{" if number > 1 else "#"):
            rows.begin(line)
        elif line.endswith("\n"):
            rows.add(number, line)
    return rows.episodes(cut=not line.endswith("\n"))


class _RowError(ValueError):
    """Why one row holds no episode."""


@dataclass
class _Rows:
    """A monitor file, row by row, as arrays that grow: millions of rows are no objects."""

    name: str
    env_id: str | None = None
    started: float = 0.0
    places: dict[str, int] = field(default_factory=dict)
    names_follow: bool = True
    width: int = 0
    returns: "array[float]" = field(default_factory=lambda: array("d"))
    lengths: "array[int]" = field(default_factory=lambda: array("q"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    sessions: "array[int]" = field(default_factory=lambda: array("q"))
    successes: "array[float]" = field(default_factory=lambda: array("d"))
    session: int = 0
    rows: int = 0
    faults: int = 0
    first_fault: str = ""
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def begin(self, header: str) -> None:
        """Take a header line: the first, or one of a file that was joined from several."""
        env_id, self.started = _header(header)
        self.env_id = self.env_id or env_id
        if self.returns:
            self.session = self.sessions[-1] + 1
        self.names_follow = True

    def add(self, number: int, line: str) -> None:
        """Take a line of columns' names or of an episode."""
        try:
            fields = _fields(line)
            if not fields:
                return
            if self._names(fields):
                return
            self._episode(fields)
        except (_RowError, csv.Error) as error:
            self.faults += 1
            self.first_fault = self.first_fault or f"line {number}{error}"
            self.recent.append(False)
        else:
            self.recent.append(True)
        self.rows += 1

    def _names(self, fields: Sequence[str]) -> bool:
        """Take the columns' names, where they may stand; SB3 appends to a new file without any."""
        if not self.names_follow:
            return False
        self.names_follow = False
        titles = [title.strip() for title in fields]
        named = "r" in titles and "l" in titles
        if named:
            self.places = {title: titles.index(title) for title in titles}
        elif not self.places and _are_numbers(titles[: len(_WRITTEN)]):
            self.places = {title: place for place, title in enumerate(_WRITTEN)}
        elif not self.places:
            raise _no_columns(self.name)
        else:
            return False
        self.width = len(titles)
        return named

    def _episode(self, fields: Sequence[str]) -> None:
        places = self.places
        if len(fields) != self.width:
            raise _RowError(f": expected {self.width} fields, found {len(fields)}")
        value = _number(fields, places, "r", MAX_RETURN)
        length = _number(fields, places, "l", MAX_LENGTH)
        if length < 1 or not length.is_integer():
            raise _expected(fields, places, "l", f"a whole number from 1 to {MAX_LENGTH}")
        ended = self.started
        if "t" in places:
            ended += _number(fields, places, "t", MAX_SECONDS)
            if self.ended and ended < self.ended[-1] and self.session == self.sessions[-1]:
                self.session += 1
        if "is_success" in places:
            self.successes.append(_rate(fields[places["is_success"]]))
        self.returns.append(value)
        self.lengths.append(int(length))
        self.ended.append(ended)
        self.sessions.append(self.session)

    def episodes(self, *, cut: bool) -> Episodes:
        """Return what the rows hold, or refuse them."""
        if not self.places:
            raise _no_columns(self.name)
        bad = self.recent.count(False)
        if 2 * bad > len(self.recent):
            raise UnusableError(
                f"{self.name}: {bad} of its last {len(self.recent)} rows hold no episode; "
                f"{self.first_fault}"
            )
        successes = np.array(self.successes)
        known = len(successes) == len(self.returns) and ((successes >= 0) & (successes <= 1)).all()
        faults = f"{self.faults:,} of {self.rows:,} rows hold no episode and were left out; "
        return Episodes(
            env_id=self.env_id,
            returns=np.array(self.returns, dtype=np.float64),
            lengths=np.array(self.lengths, dtype=np.int64),
            ended=np.array(self.ended, dtype=np.float64),
            sessions=np.array(self.sessions, dtype=np.int64),
            successes=successes if known and "is_success" in self.places else None,
            cut=cut,
            faults=f"{faults}the first, {self.first_fault}" if self.faults else None,
        )


def training_curve(files: Sequence[Episodes]) -> TrainingCurve:
    """Merge a run's environments by the time at which episodes ended, and smooth.

    Args:
        files: at least one.

    Raises:
        UnusableError: not one episode was finished.
    """
    if not any(len(file.returns) for file in files):
        raise UnusableError("the monitor files hold no finished episode")
    order = _order([file for file in files if len(file.returns)])
    returns = np.concatenate([file.returns for file in files])[order]
    steps = np.cumsum(np.concatenate([file.lengths for file in files])[order])
    at = np.unique(np.linspace(0, len(returns) - 1, POINTS).round().astype(int))
    logged = [file.successes for file in files if file.successes is not None]
    means = _trailing_means(returns, at)
    rate = None
    if len(logged) == len(files):
        rate = float(_trailing_means(np.concatenate(logged)[order], at)[-1])
    sessions = 1 + max(int(file.sessions[-1]) for file in files if len(file.sessions))
    return TrainingCurve(steps[at], means, min(WINDOW, len(returns)), rate, sessions)


def _order(files: Sequence[Episodes]) -> Steps:
    """The order in which the episodes of all environments ended; never against a file's own."""
    ended = np.concatenate([file.ended for file in files])
    if all((np.diff(file.ended) >= 0).all() for file in files):
        return np.argsort(ended, kind="stable")
    if len({int(file.sessions[-1]) for file in files}) == 1:
        return np.lexsort((ended, np.concatenate([file.sessions for file in files])))
    # Which sessions belong together is unknown; environments of one run step together.
    steps = np.concatenate([np.cumsum(file.lengths) for file in files])
    return np.argsort(steps, kind="stable")


def left_out(names: Sequence[str], files: Sequence[Episodes], folder: str) -> list[SetAside]:
    """List the rows that hold no episode, and the last lines that are half-written."""
    asides: list[SetAside] = []
    for name, file in zip(names, files, strict=True):
        if file.faults:
            asides.append(SetAside(f"{folder}/{name}", file.faults))
        if file.cut:
            reason = "its last line is half-written and was left out"
            asides.append(SetAside(f"{folder}/{name}", reason))
    return asides


def _trailing_means(values: Floats, at: NDArray[np.int64]) -> Floats:
    # Each a mean of its own: a running sum would round small returns away after a large one.
    return np.array([values[max(0, last + 1 - WINDOW) : last + 1].mean() for last in at])


def _header(line: str) -> tuple[str | None, float]:
    try:
        stated = json.loads(line.removeprefix("#"))
        env_id, started = stated.get("env_id"), stated.get("t_start")
    except (ValueError, AttributeError, RecursionError):
        return None, 0.0
    if not isinstance(started, int | float) or not abs(started) <= MAX_SECONDS:
        started = 0.0
    known = isinstance(env_id, str) and env_id not in ("", "None")
    return clean(env_id) if known else None, float(started)


def _fields(line: str) -> list[str]:
    text = line.rstrip("\r\n")
    if '"' not in text:
        return text.split(",") if text else []
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise _RowError(f": {error}") from error


def _are_numbers(texts: Sequence[str]) -> bool:
    try:
        return len([float(text) for text in texts]) == len(_WRITTEN)
    except ValueError:
        return False


def _no_columns(name: str) -> UnusableError:
    return UnusableError(f"{name} has no columns r and l: not a monitor file of SB3")


def _number(fields: Sequence[str], places: dict[str, int], title: str, largest: float) -> float:
    try:
        number = float(fields[places[title]])
    except ValueError:
        raise _expected(fields, places, title, "a number") from None
    if not abs(number) <= largest:
        raise _expected(fields, places, title, f"a number of at most {largest:g}")
    return number


def _expected(
    fields: Sequence[str], places: dict[str, int], title: str, expected: str
) -> _RowError:
    place = places[title]
    given = clean(fields[place].strip())[:40]
    found = repr(given) if given else "nothing"
    return _RowError(f", column {place + 1} ({title}): expected {expected}, found {found}")


def _rate(text: str) -> float:
    if text in ("True", "False"):
        return float(text == "True")
    try:
        return float(text)
    except ValueError:
        return math.nan
