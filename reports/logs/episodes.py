"""``monitor.csv`` as SB3's ``Monitor`` writes it, row by row: the episodes of one environment."""

import csv
import json
import math
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from reports.logs.opening import MAX_LINE, MAX_TABLE_BYTES, open_plain, shown_name, text_lines
from reports.logs.records import MAX_RETURN, Floats, Steps, UnusableError
from reports.text import clean

RECENT = 100
"""The last rows of a file, on which a run's score may rest: as many as ``monitors.WINDOW``."""
MAX_LENGTH = 2**31
MAX_SECONDS = 1e12

_BLOCK = 10_000
"""Rows that are read together where all of them are sound."""
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
    lines = text_lines(path, "\n", limit)
    line, number = "\n", 0
    while block := list(islice(lines, _BLOCK)):
        line = block[-1]
        if not rows.add_sound(block):
            for number_in, row in enumerate(block, number + 1):
                if row.startswith("#{" if number_in > 1 else "#"):
                    rows.begin(row)
                elif row.endswith("\n"):
                    rows.add(number_in, row)
        number += len(block)
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
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT))

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
            if not fields or self._names(fields):
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

    def add_sound(self, lines: Sequence[str]) -> bool:
        """Take many lines at once if each of them holds an episode; else none of them."""
        text, commas = "".join(lines), self.width - 1
        if self.names_follow or "#" in text or '"' in text or not text.endswith("\n"):
            return False
        if "t" not in self.places or any(line.count(",") != commas for line in lines):
            return False
        titles = [title for title in (*_WRITTEN, "is_success") if title in self.places]
        places = [self.places[title] for title in titles]
        rates: dict[Any, Callable[[str], float]] = dict.fromkeys(places[len(_WRITTEN) :], _rate)
        try:
            table: Floats = np.loadtxt(
                lines,
                dtype=np.float64,
                delimiter=",",
                comments=None,
                usecols=places,
                converters=rates,
                encoding="utf-8",
                ndmin=2,
            )
        except ValueError:
            return False
        returns, lengths, times = table.T[: len(_WRITTEN)]
        if not (
            len(table) == len(lines)
            and (np.abs(returns) <= MAX_RETURN).all()
            and ((lengths >= 1) & (lengths <= MAX_LENGTH) & (lengths % 1 == 0)).all()
            and (np.abs(times) <= MAX_SECONDS).all()
        ):
            return False
        self._extend(returns, lengths, self.started + times, table.T[len(_WRITTEN) :])
        return True

    def _extend(self, returns: Floats, lengths: Floats, ended: Floats, successes: Floats) -> None:
        going_on = bool(self.sessions) and self.sessions[-1] == self.session
        before = self.ended[-1] if going_on else ended[0]
        sessions = self.session + np.cumsum(np.diff(ended, prepend=before) < 0)
        self.session = int(sessions[-1])
        self.returns.frombytes(returns.tobytes())
        self.lengths.frombytes(lengths.astype(np.int64).tobytes())
        self.ended.frombytes(ended.tobytes())
        self.sessions.frombytes(sessions.astype(np.int64).tobytes())
        for rates in successes:
            self.successes.frombytes(rates.tobytes())
        self.recent.extend([True] * min(len(returns), RECENT))
        self.rows += len(returns)

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
        logged = len(successes) == len(self.returns) and ((successes >= 0) & (successes <= 1)).all()
        faults = f"{self.faults:,} of {self.rows:,} rows hold no episode and were left out; "
        return Episodes(
            env_id=self.env_id,
            returns=np.array(self.returns, dtype=np.float64),
            lengths=np.array(self.lengths, dtype=np.int64),
            ended=np.array(self.ended, dtype=np.float64),
            sessions=np.array(self.sessions, dtype=np.int64),
            successes=successes if logged and "is_success" in self.places else None,
            cut=cut,
            faults=f"{faults}the first, {self.first_fault}" if self.faults else None,
        )


def _header(line: str) -> tuple[str | None, float]:
    try:
        stated = json.loads(line.removeprefix("#"))
        env_id, started = stated.get("env_id"), stated.get("t_start")
    except (ValueError, AttributeError, RecursionError):
        return None, 0.0
    if not isinstance(started, int | float) or not abs(started) <= MAX_SECONDS:
        started = 0.0
    has_id = isinstance(env_id, str) and env_id not in ("", "None")
    return clean(env_id) if has_id else None, float(started)


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
    text = fields[places[title]]
    try:
        number = float(text if "_" not in text else "")  # Python's 1_0 is 10
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
    shown = repr(given) if given else "nothing"
    return _RowError(f", column {place + 1} ({title}): expected {expected}, found {shown}")


def _rate(text: str) -> float:
    if text in ("True", "False"):
        return float(text == "True")
    try:
        return float(text)
    except ValueError:
        return math.nan
