"""One training run: its configuration in, its run folder out (design: evidence on disk)."""

import errno
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.interruption import by_user, one_line
from ppo_lab.registry import ALGORITHMS, known_algorithm
from ppo_lab.runs.config import (
    NO_PART,
    Evaluation,
    RunConfig,
    Trained,
    environment_folder_name,
)
from ppo_lab.runs.folder import (
    circumstances,
    damage,
    environment_source,
    to_json,
    write_configuration,
)
from ppo_lab.runs.leftovers import move_into_place, new_folder_beside
from ppo_lab.runs.watching import StoppedError, Watcher
from reports.logs.reading import read_json
from reports.logs.records import UnusableError

__all__ = [
    "Evaluation",
    "RunConfig",
    "RunResult",
    "Watcher",
    "check_run",
    "environment_folder_name",
    "execute_run",
    "finished_run",
    "is_damaged",
    "record_failure",
]

FORMAT = 1
TRACE_LINES, TRACE_COLUMNS = 150, 500
"""What ``run.json`` keeps of the traceback of a run that failed: its end."""
FULL_DISK_BYTES = 1_000_000
"""With less than this left, a failed run has failed for want of space."""


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        score: mean return of the final policy over the evaluation episodes, of a stopped run of
            its last policy; None if it failed.
        reason: why it failed or was stopped, one line; None if neither.
        seconds: wall-clock time of the run.
        reused: True where an earlier call left the run on disk.
        steps: environment steps taken.
        stopped: by whoever watched it.
        elsewhere: another machine made it, of those that share a storage.
    """

    score: float | None
    reason: str | None
    seconds: float
    reused: bool = False
    steps: int = 0
    stopped: bool = False
    elsewhere: bool = False


def finished_run(config: RunConfig, folder: Path) -> RunResult | None:
    """The result of this very run, if ``folder`` holds it finished, with all its files whole.

    Args:
        config: the run.
        folder: its run folder.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
    """
    return _result_or_damage(config, folder)[0]


def _result_or_damage(config: RunConfig, folder: Path) -> tuple[RunResult | None, str | None]:
    """The result of :func:`finished_run`, and why a finished run's is none: its damage."""
    try:
        record = read_json(folder / "run.json")
        if record["status"] != "completed":
            return None, None
        differing = [
            key
            for key, value in json.loads(to_json(config.as_dict())).items()
            if key not in NO_PART and _recorded(record, key) != value
        ]
        score, seconds, steps = (_number(record, key) for key in ("score", "seconds", "steps"))
        result = RunResult(score, None, seconds, reused=True, steps=int(steps))
    except (UnusableError, OSError, ValueError, KeyError, TypeError):
        return None, None  # nothing there, or nothing whole: the run is made anew
    if differing:
        raise ArgumentError(
            f"{folder} holds another run (it differs in {', '.join(differing)}); "
            "choose another --log-folder"
        )
    damaged = damage(config, folder, record)
    return (None if damaged else result), damaged


def is_damaged(config: RunConfig, folder: Path) -> bool:
    """Whether the files are not whole of a folder where this very run was finished.

    Args:
        config: the run.
        folder: its run folder, which is there.
    """
    try:
        if _result_or_damage(config, folder)[1]:
            return True
        read_json(folder / "run.json")
    except ArgumentError:
        return False  # another run's
    except UnusableError:
        return True
    return False


def _number(record: Mapping[str, object], key: str) -> float:
    value = record[key]
    if not isinstance(value, int | float) or not abs(value) < sys.float_info.max:
        raise ValueError(f"{key} is no finite number")
    return float(value)


def _recorded(record: Mapping[str, Any], key: str) -> Any:
    """The record's entry, or the default of one that was not recorded when the run was made."""
    if key not in record and key in _DEFAULTS:
        return _DEFAULTS[key]
    return record[key]


def _default(entry: Field[Any]) -> Any:
    """As JSON has it; for the entries that came later, which all have one."""
    made = entry.default if entry.default_factory is MISSING else entry.default_factory()
    return list(made) if isinstance(made, tuple) else made


_DEFAULTS = {
    entry.name: _default(entry)
    for entry in fields(RunConfig)
    if entry.default is not MISSING or entry.default_factory is not MISSING
}


def execute_run(
    config: RunConfig,
    folder: Path,
    *,
    trainer: Callable[[RunConfig, Path], Trained] | None = None,
    watcher: Watcher | None = None,
) -> RunResult:
    """Train, evaluate and leave the run folder; a finished one is not run again.

    The folder appears under its name when all of it is written, with ``run.json`` in it. A run
    that fails leaves a folder too, whose ``run.json`` gives the reason.

    Args:
        config: the run.
        folder: where its run folder goes; parents are made.
        trainer: does the training; None: the algorithm's own.
        watcher: may stop the run at one of its evaluations.

    Returns:
        The result; a failure of the training is a result with a reason, not an exception,
        whatever the environment raises: SystemExit and KeyboardInterrupt too.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
        OSError: the folder cannot be written or is removed meanwhile, or the disk is full.
        KeyboardInterrupt: the user has stopped the process.
    """
    finished, damaged = _result_or_damage(config, folder)
    if finished is not None:
        return finished
    if damaged:
        print(f"{folder} is made again: it was finished, but {damaged}", file=sys.stderr)
    unfinished = new_folder_beside(folder)
    started, cpu_started = time.perf_counter(), time.process_time()
    outcome = _train(config, unfinished, trainer or _trainer(config.algo, watcher))
    spent = _Spent(time.perf_counter() - started, time.process_time() - cpu_started)
    return _keep(config, unfinished, folder, outcome, spent)


@dataclass(frozen=True)
class _Outcome:
    """How a training ended."""

    status: str
    reason: str | None = None
    score: float | None = None
    steps: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Spent:
    """A run's wall-clock time, and the CPU time of its process, whose threads it counts too."""

    seconds: float
    cpu_seconds: float


def _train(
    config: RunConfig, folder: Path, trainer: Callable[[RunConfig, Path], Trained]
) -> _Outcome:
    written = folder / environment_folder_name(config.env)
    try:
        write_configuration(config, written)
        trained = trainer(config, folder)
        if not np.isfinite(trained.score):
            raise NonFiniteError(f"the final policy's mean return is {trained.score}")
        _check_is_there(written)
    except StoppedError as stop:
        reason, score, steps = stop.args
        return _Outcome("stopped", reason, score, steps)
    except BaseException as error:
        if by_user(error):  # an environment may have made something else of it
            raise KeyboardInterrupt from error
        _check_is_there(written)
        # Whatever says so, and in whatever words: torch has its own.
        if shutil.disk_usage(folder).free < FULL_DISK_BYTES:
            shutil.rmtree(folder, ignore_errors=True)
            message = os.strerror(errno.ENOSPC)
            raise OSError(errno.ENOSPC, message, str(folder.parent)) from error
        return _Outcome("failed", one_line(error), facts={"traceback": _trace(error)})
    return _Outcome("completed", None, trained.score, trained.steps, trained.facts)


def _trace(error: BaseException) -> list[str]:
    """The last lines of a traceback, for who has to mend what raised it."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return [line[:TRACE_COLUMNS] for line in lines[-TRACE_LINES:]]


def _check_is_there(written: Path) -> None:
    """What a run wrote first must be there to its end: SB3 makes a folder again that is gone."""
    if not (written / "config.yml").is_file():
        raise FileNotFoundError(
            f"{written.parents[1]}: the run's folder in it was removed while the run was made; "
            "the same command makes it again"
        )


def _keep(
    config: RunConfig, unfinished: Path, folder: Path, outcome: _Outcome, spent: _Spent
) -> RunResult:
    record = {
        "format": FORMAT,
        **config.as_dict(),
        **environment_source(config),
        "steps": outcome.steps,
        "score": outcome.score,
        "status": outcome.status,
        "reason": outcome.reason,
        "seconds": round(spent.seconds, 3),
        "cpu_seconds": round(spent.cpu_seconds, 3),
        "device": "cpu",  # where there is no network, or none was built
        **outcome.facts,
        **circumstances(),
    }
    (unfinished / "run.json").write_text(to_json(record) + "\n", encoding="utf-8")
    # A failure takes the place of no result, damaged as its files may be.
    keep_former = outcome.status == "failed" and _is_completed(folder)
    move_into_place(unfinished, folder, keep_former)
    stopped = outcome.status == "stopped"
    return RunResult(
        outcome.score, outcome.reason, spent.seconds, steps=outcome.steps, stopped=stopped
    )


def _is_completed(folder: Path) -> bool:
    try:
        return read_json(folder / "run.json").get("status") == "completed"
    except UnusableError:
        return False


def record_failure(config: RunConfig, folder: Path, reason: str) -> RunResult:
    """Leave the folder of a run that could not leave one itself: its process died.

    Args:
        config: the run.
        folder: its run folder.
        reason: one line.
    """
    unfinished = new_folder_beside(folder)
    return _keep(config, unfinished, folder, _Outcome("failed", reason), _Spent(0.0, 0.0))


def check_run(config: RunConfig) -> None:
    """Build a run's environment and algorithm and let them go again, before many such runs begin.

    Args:
        config: the run.

    Raises:
        ArgumentError: they cannot be built; gives the reason in one line.
    """
    if ALGORITHMS[known_algorithm(config.algo)].tabular:
        from ppo_lab.runs.tabular_training import check
    else:
        from ppo_lab.runs.sb3_training import check
    try:
        check(config)
    except BaseException as error:
        if by_user(error):
            raise KeyboardInterrupt from error
        raise ArgumentError(
            f"{config.algo} on {config.env} cannot be built: {one_line(error)}"
        ) from error


def _trainer(algo: str, watcher: Watcher | None) -> Callable[[RunConfig, Path], Trained]:
    if ALGORITHMS[known_algorithm(algo)].tabular:
        from ppo_lab.runs.tabular_training import train
    else:
        from ppo_lab.runs.sb3_training import train
    return partial(train, watcher=watcher)
