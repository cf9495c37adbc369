"""A CSV file of scores: algorithm, environment, seed, step, score; a row per evaluation."""

import csv
import heapq
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from reports.logs.evaluations import Evaluations
from reports.logs.opening import text_lines
from reports.logs.records import (
    GIVEN,
    MAX_NAME,
    MAX_RETURN,
    MAX_RUNS,
    MAX_STEPS,
    TRAINING,
    UNKNOWN,
    Run,
    SetAside,
    UnusableError,
    named,
)
from reports.logs.run_folders import must_agree, task_name
from reports.logs.scalars import EPISODIC, SERIES, episodic_curve
from reports.text import clean

COLUMNS = {
    "algorithm": ("algorithm", "algo", "method", "agent", "exp_name"),
    "environment": ("environment", "env", "env_id", "task", "env_name", "gym_id"),
    "seed": ("seed", "run"),
    "step": ("step", "steps", "timestep", "timesteps", "total_timesteps", "global_step"),
    "score": (
        *("score", "return", "returns", "mean_return", "reward", "mean_reward", "ep_rew_mean"),
        *SERIES,
    ),
    "settings": ("settings", "configuration"),
    "success_rate": ("success_rate",),
}
"""What each column may be called, in any case, preferred names first."""

OPTIONAL = ("step", "settings", "success_rate")
_Key = tuple[str, str, str, int]
"""Algorithm, settings, environment and seed: what tells a run from another."""
_LISTED = 20
_DIGITS = 16
_POINTED = re.compile(r"\d{1,20}(\.0*)?([eE]\+?\d{1,2})?", re.ASCII)
"""A whole number as a spreadsheet or ``pandas`` may write it: ``3.0``, ``1e6``."""


@dataclass
class _Rows:
    """The rows of one run, as arrays that grow: millions of rows are no objects."""

    first_line: int
    steps: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    rates: "array[float]" = field(default_factory=lambda: array("d"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))
    fault: str | None = None


@dataclass
class _Faults:
    """Rows that cannot be used: the first ones in full, the others counted."""

    name: str
    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, reason: str) -> None:
        self.count += 1
        self.first.append((line, reason))
        if len(self.first) > 2 * _LISTED:
            self.first = heapq.nsmallest(_LISTED, self.first)

    def asides(self, of_runs: Sequence[str]) -> list[SetAside]:
        """The faults of rows by line, then those of whole runs; of many, the first and a count."""
        reasons = [reason for _, reason in heapq.nsmallest(_LISTED, self.first)]
        listed = [*reasons, *of_runs][:_LISTED]
        more = self.count + len(of_runs) - len(listed)
        asides = [SetAside(self.name, reason) for reason in listed]
        if more:
            asides.append(SetAside(self.name, f"and {more:,} more rows or runs"))
        return asides


class _RowError(ValueError):
    """Why one row cannot be used."""


@dataclass(slots=True)  # frozen, each of millions would take three times as long to make
class _Row:
    """The fields of one line, by what they mean."""

    line: int
    fields: Sequence[str]
    places: dict[str, int]

    def text(self, what: str) -> str:
        text = clean(self.fields[self.places[what]]).strip()
        if not text:
            raise _RowError(self._expected(what, "a name"))
        if len(text) > MAX_NAME:
            raise _RowError(self._expected(what, f"a name of at most {MAX_NAME:,} characters"))
        return text

    def whole(self, what: str) -> int:
        text = self.fields[self.places[what]].strip()
        if text.isascii() and text.isdigit() and len(text) < _DIGITS:
            return int(text)
        number = float(text) if _POINTED.fullmatch(text) else math.nan
        if number.is_integer() and number <= MAX_STEPS:
            return int(number)
        raise _RowError(self._expected(what, "a whole number, 0 or above"))

    def number(self, what: str) -> float:
        text = self.fields[self.places[what]]
        try:
            return float(text if "_" not in text else "")  # Python's 1_0 is 10
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
    lines = text_lines(path, "")
    header_line = next(lines, "")
    if header_line.startswith("#{"):
        raise UnusableError("a monitor file of SB3: give the folder that it lies in")
    delimiter = max(",;\t", key=header_line.count)
    # A quoted name may go on in the next line, so the header too is the reader's.
    records = _records(chain([header_line], lines), delimiter)
    header = next(records, None)
    if header is None or isinstance(header[1], str):
        raise UnusableError("line 1 holds no header")
    runs, faults = _gathered(records, header[1], name)
    episodic = _holds_episodes(header[1])
    made: list[Run] = []
    of_runs: list[str] = []
    for key, rows in runs.items():
        if rows.fault:
            of_runs.append(f"the run of {key[0]}, {key[2]}, seed {key[3]}: {rows.fault}")
        elif rows.steps:
            make = _run_of_episodes if episodic and len(rows.steps) > 1 else _run
            made.append(make(key, rows, name, faults))
    return made, faults.asides(of_runs)


def _gathered(
    records: Iterator[tuple[int, list[str] | str, bool]], header: Sequence[str], name: str
) -> tuple[dict[_Key, _Rows], _Faults]:
    places = _places(header)
    runs: dict[_Key, _Rows] = {}
    faults = _Faults(name)
    for line, fields, ended in records:
        try:
            if isinstance(fields, str):
                raise _RowError(f"line {line}: {fields}; what follows was not read")
            if len(fields) != len(header):
                cut = len(fields) < len(header) and not ended
                what = " (half-written last line)" if cut else ""
                raise _RowError(
                    f"line {line}: expected {len(header)} fields, found {len(fields)}{what}"
                )
            _add(_Row(line, fields, places), runs)
        except _RowError as error:
            faults.add(line, str(error))
    return runs, faults


def _records(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str] | str, bool]]:
    """Yield each record's last line number, its fields, and whether its line was ended.

    A message stands for the fields where quoting breaks off.
    """
    ended = True

    def watched() -> Iterator[str]:
        nonlocal ended
        for line in lines:
            ended = line.endswith(("\n", "\r"))
            yield line

    reader = csv.reader(watched(), delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, str(error), True
            return
        if fields:
            yield reader.line_num, fields, ended


def _titles(header: Sequence[str]) -> list[str]:
    return [re.sub(r"[ \-]+", "_", title.strip().lower()) for title in header]


def _holds_episodes(header: Sequence[str]) -> bool:
    """Whether the scores are single training episodes', as CleanRL logs them."""
    title = _titles(header)[_places(header)["score"]]
    return title in SERIES and SERIES[title][1]


def _places(header: Sequence[str]) -> dict[str, int]:
    titles = _titles(header)
    if not titles[0] and len(titles) > 1 and not set(titles) & set(COLUMNS["score"]):
        raise UnusableError(
            "line 1 names labels alone: a table of means, as openrlbenchmark prints it, holds no "
            "runs; give the runs' own logs"
        )
    places: dict[str, int] = {}
    for what, names in COLUMNS.items():
        columns = [titles.index(name) for name in names if name in titles]
        if columns:
            places[what] = columns[0]
        elif what not in OPTIONAL:
            raise UnusableError(
                f"line 1 names no column {what} (or {', '.join(names[1:])}); "
                f"found: {', '.join(clean(title)[:40] for title in header[:20])}"
            )
    return places


def _add(row: _Row, runs: dict[_Key, _Rows]) -> None:
    settings = row.text("settings") if _filled(row, "settings") else ""
    key = (row.text("algorithm"), settings, row.text("environment"), row.whole("seed"))
    if key not in runs and len(runs) >= MAX_RUNS:
        raise _RowError(f"line {row.line}: beyond the first {MAX_RUNS:,} runs, which are all read")
    rows = runs.get(key) or runs.setdefault(key, _Rows(row.line))
    try:
        step = row.whole("step") if "step" in row.places else 0
        score = row.score()
        rate = row.rate() if _filled(row, "success_rate") else math.nan
    except _RowError as error:
        # Left out alone, an earlier score would stand as the run's last one.
        rows.fault = rows.fault or str(error)
        return
    rows.steps.append(step)
    rows.scores.append(score)
    rows.rates.append(rate)
    rows.lines.append(row.line)


def _filled(row: _Row, what: str) -> bool:
    return what in row.places and bool(row.fields[row.places[what]].strip())


def _run(key: _Key, rows: _Rows, name: str, faults: _Faults) -> Run:
    """Make a run of its rows by step; of several rows of one step the first counts."""
    order = np.argsort(np.array(rows.steps), kind="stable")
    steps, lines = np.array(rows.steps)[order], np.array(rows.lines)[order]
    again = np.diff(steps, prepend=-1) == 0
    first = lines[~again][np.cumsum(~again) - 1]
    for place in np.flatnonzero(again).tolist():
        reason = f"a second row of the same run and step as line {first[place]}"
        faults.add(int(lines[place]), f"line {lines[place]}: {reason}")
    kept = order[~again]
    rate = rows.rates[kept[-1]]
    curve = Evaluations(
        steps[~again],
        np.array(rows.scores)[kept],
        0,
        None if math.isnan(rate) else rate,
    )
    return _made(key, f"{name}:{rows.first_line}", curve, GIVEN)


def _run_of_episodes(key: _Key, rows: _Rows, name: str, _: _Faults) -> Run:
    """Make a run whose rows are training episodes: several may end at one step."""
    order = np.argsort(np.array(rows.steps), kind="stable")
    curve = episodic_curve(np.array(rows.steps)[order], np.array(rows.scores)[order])
    remark = EPISODIC.format(count=curve.episodes)
    return replace(_made(key, f"{name}:{rows.first_line}", curve, TRAINING), remarks=(remark,))


def _made(key: _Key, folder: str, curve: Evaluations, measure: str) -> Run:
    algo, settings, env, seed = key
    return Run(
        folder=folder,
        algo=named(algo, "unnamed"),
        settings=named(settings, ""),
        task=task_name(env, None),
        seed=seed,
        steps=int(curve.steps[-1]),
        score=float(curve.returns[-1]),
        evaluation_episodes=curve.episodes,
        evaluation_steps=curve.steps,
        evaluation_returns=curve.returns,
        must_agree=must_agree(None, TRAINING if measure == TRAINING else UNKNOWN, measure),
        kind="scores",
        measure=measure,
        success_rate=curve.success_rate,
    )
