"""A CSV file of scores: algorithm, environment, seed, step, score; a row per evaluation."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reports.opening import MAX_TABLE_BYTES, read_text
from reports.records import (
    GIVEN,
    MAX_RETURN,
    MAX_STEPS,
    UNKNOWN,
    Run,
    SetAside,
    UnusableError,
    clean,
    named,
)
from reports.run_folders import protocol, task_name

COLUMNS = {
    "algorithm": ("algorithm", "algo", "method", "agent"),
    "environment": ("environment", "env", "env_id", "task"),
    "seed": ("seed", "run"),
    "step": ("step", "steps", "timestep", "timesteps", "total_timesteps", "global_step"),
    "score": ("score", "return", "returns", "mean_return", "reward", "mean_reward", "ep_rew_mean"),
    "settings": ("settings", "configuration"),
    "success_rate": ("success_rate",),
}
"""What each column may be called, in any case, preferred names first."""

OPTIONAL = ("step", "settings", "success_rate")
_LISTED = 20
_DIGITS = 16
_POINTED = re.compile(r"\d{1,20}(\.0*)?([eE]\+?\d{1,2})?", re.ASCII)
"""A whole number as a spreadsheet or ``pandas`` may write it: ``3.0``, ``1e6``."""


@dataclass
class _Rows:
    """The rows of one run."""

    first_line: int
    steps: dict[int, tuple[float, int]] = field(default_factory=dict)
    success_rate: dict[int, float] = field(default_factory=dict)
    fault: str | None = None


class _RowError(ValueError):
    """Why one row cannot be used."""


@dataclass(frozen=True)
class _Row:
    """The fields of one line, by what they mean."""

    line: int
    fields: Sequence[str]
    places: dict[str, int]

    def text(self, what: str) -> str:
        text = clean(self.fields[self.places[what]]).strip()
        if not text:
            raise _RowError(self._expected(what, "a name"))
        return text

    def whole(self, what: str) -> int:
        text = self.fields[self.places[what]].strip()
        number = float(text) if _POINTED.fullmatch(text) else math.nan
        if text.isascii() and text.isdigit() and len(text) < _DIGITS:
            return int(text)
        if number.is_integer() and number <= MAX_STEPS:
            return int(number)
        raise _RowError(self._expected(what, "a whole number, 0 or above"))

    def number(self, what: str) -> float:
        try:
            return float(self.fields[self.places[what]])
        except ValueError as error:
            raise _RowError(self._expected(what, "a number")) from error

    def score(self) -> float:
        number = self.number("score")
        if not abs(number) <= MAX_RETURN:
            raise _RowError(self._expected("score", f"a number of at most {MAX_RETURN:g}"))
        return number

    def rate(self) -> float:
        number = self.number("success_rate")
        if not 0 <= number <= 1:
            raise _RowError(self._expected("success_rate", "a share from 0 to 1"))
        return number

    def _expected(self, what: str, expected: str) -> str:
        place = self.places[what]
        given = clean(self.fields[place])[:40]
        return (
            f"line {self.line}, column {place + 1} ({what}): expected {expected}, found {given!r}"
        )


def read_scores(path: Path, name: str) -> tuple[list[Run], list[SetAside]]:
    """Read a table of scores.

    Columns are found by name, in any order and case, by the names in ``COLUMNS``; comma,
    semicolon or tab between them. Rows of one algorithm, settings, environment and seed are one
    run, and its last step is its score. Without a column for steps, each run has one row.

    Args:
        path: the file.
        name: in the report.

    Returns:
        The runs in the order of their first lines, and what was set aside: a run with a score
        that is no finite number, a row that cannot be told to be of any run, a second row of the
        same run and step, a half-written last line.

    Raises:
        UnusableError: unreadable, or without the columns.
    """
    text = read_text(path, MAX_TABLE_BYTES)
    header_line = text.partition("\n")[0]
    if header_line.startswith("#{"):
        raise UnusableError("a monitor file of SB3: give the folder that it lies in")
    delimiter = max(",;\t", key=header_line.count)
    lines = _lines(text, delimiter)
    header = next(lines, None)
    if header is None or isinstance(header[1], str):
        raise UnusableError("line 1 holds no header")
    places = _places(header[1])
    runs: dict[tuple[str, str, str, int], _Rows] = {}
    asides: list[SetAside] = []
    for line, fields in lines:
        try:
            if isinstance(fields, str):
                raise _RowError(f"line {line}: {fields}; what follows was not read")
            if len(fields) != len(header[1]):
                raise _RowError(_wrong_length(line, len(fields), len(header[1]), text))
            _add(_Row(line, fields, places), runs)
        except _RowError as error:
            asides.append(SetAside(name, str(error)))
    made: list[Run] = []
    for key, rows in runs.items():
        if rows.fault:
            reason = f"the run of {key[0]}, {key[2]}, seed {key[3]}: {rows.fault}"
            asides.append(SetAside(name, reason))
        elif rows.steps:
            made.append(_run(key, rows, name))
    return made, _shortened(asides, name)


def _lines(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each record's last line number and its fields; a message where quoting breaks off."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error)
            return
        if fields:
            yield reader.line_num, fields


def _places(header: Sequence[str]) -> dict[str, int]:
    titles = [re.sub(r"[ \-]+", "_", title.strip().lower()) for title in header]
    places: dict[str, int] = {}
    for what, names in COLUMNS.items():
        found = [titles.index(name) for name in names if name in titles]
        if found:
            places[what] = found[0]
        elif what not in OPTIONAL:
            raise UnusableError(
                f"line 1 names no column {what} (or {', '.join(names[1:])}); "
                f"found: {', '.join(clean(title)[:40] for title in header[:20])}"
            )
    return places


def _wrong_length(line: int, found: int, expected: int, text: str) -> str:
    cut = found < expected and not text.endswith("\n") and line == text.count("\n") + 1
    what = " (half-written last line)" if cut else ""
    return f"line {line}: expected {expected} fields, found {found}{what}"


def _add(row: _Row, runs: dict[tuple[str, str, str, int], _Rows]) -> None:
    settings = row.fields[row.places["settings"]].strip() if "settings" in row.places else ""
    key = (row.text("algorithm"), clean(settings), row.text("environment"), row.whole("seed"))
    rows = runs.setdefault(key, _Rows(row.line))
    try:
        step = row.whole("step") if "step" in row.places else 0
        score = row.score()
        rate = row.rate() if _filled(row, "success_rate") else None
    except _RowError as error:
        # Left out alone, an earlier score would stand as the run's last one.
        rows.fault = rows.fault or str(error)
        return
    if step in rows.steps:
        raise _RowError(
            f"line {row.line}: a second row of the same run and step as line {rows.steps[step][1]}"
        )
    rows.steps[step] = (score, row.line)
    if rate is not None:
        rows.success_rate[step] = rate


def _filled(row: _Row, what: str) -> bool:
    return what in row.places and bool(row.fields[row.places[what]].strip())


def _run(key: tuple[str, str, str, int], rows: _Rows, name: str) -> Run:
    algo, settings, env, seed = key
    steps = sorted(rows.steps)
    returns = np.array([rows.steps[step][0] for step in steps])
    return Run(
        folder=f"{name}:{rows.first_line}",
        algo=named(algo, "unnamed"),
        settings=named(settings, ""),
        task=task_name(env, None),
        seed=seed,
        steps=steps[-1],
        score=float(returns[-1]),
        low=math.nan,
        high=math.nan,
        source="",
        evaluation_episodes=0,
        evaluation_steps=np.array(steps, dtype=np.int64),
        evaluation_returns=returns,
        protocol=protocol(None, UNKNOWN, GIVEN, math.nan, math.nan),
        hyperparameters="",
        kind="scores",
        measure=GIVEN,
        success_rate=rows.success_rate.get(steps[-1]),
    )


def _shortened(asides: list[SetAside], name: str) -> list[SetAside]:
    if len(asides) <= _LISTED:
        return asides
    more = SetAside(name, f"and {len(asides) - _LISTED:,} more rows or runs")
    return [*asides[:_LISTED], more]
