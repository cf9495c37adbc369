"""One training run: its configuration in, its run folder out (design: evidence on disk)."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ppo_lab.algorithms import ALGORITHMS, known_algorithm
from ppo_lab.errors import ArgumentError, NonFiniteError
from ppo_lab.run_config import Evaluation, RunConfig, Trained, environment_folder_name
from ppo_lab.run_folder import (
    circumstances,
    move_into_place,
    new_folder_beside,
    to_json,
    write_configuration,
)

__all__ = [
    "Evaluation",
    "RunConfig",
    "RunResult",
    "check_run",
    "environment_folder_name",
    "execute_run",
    "finished_run",
    "record_failure",
]

FORMAT = 1


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        score: mean return of the final policy over the evaluation episodes; None if it failed.
        reason: why it failed, one line; None if it did not.
        seconds: wall-clock time of the run.
        reused: True where an earlier call left the run on disk.
    """

    score: float | None
    reason: str | None
    seconds: float
    reused: bool = False


def finished_run(config: RunConfig, folder: Path) -> RunResult | None:
    """The result of this very run, if ``folder`` holds it finished.

    Args:
        config: the run.
        folder: its run folder.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
    """
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if record["status"] != "completed":
            return None
        differing = [
            key
            for key, value in json.loads(to_json(config.as_dict())).items()
            if _recorded(record, key) != value
        ]
        result = RunResult(float(record["score"]), None, float(record["seconds"]), reused=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing there, or nothing whole: the run is made anew
    if differing:
        raise ArgumentError(
            f"{folder} holds another run (it differs in {', '.join(differing)}); "
            "choose another --log-folder"
        )
    return result


def _recorded(record: Mapping[str, Any], key: str) -> Any:
    """The record's entry, or the default of one that was not recorded when the run was made."""
    if key not in record and key in _DEFAULTS:
        return _DEFAULTS[key]
    return record[key]


_DEFAULTS = {
    field.name: field.default for field in fields(RunConfig) if field.default is not MISSING
}


def execute_run(
    config: RunConfig, folder: Path, trainer: Callable[[RunConfig, Path], Trained] | None = None
) -> RunResult:
    """Train, evaluate and leave the run folder; a finished one is not run again.

    The folder appears under its name when all of it is written, with ``run.json`` in it. A run
    that fails leaves a folder too, whose ``run.json`` gives the reason.

    Args:
        config: the run.
        folder: where its run folder goes; parents are made.
        trainer: does the training; None: the algorithm's own.

    Returns:
        The result; a failure of the training is a result with a reason, not an exception.

    Raises:
        ArgumentError: the folder holds a finished run of another configuration.
        OSError: the folder cannot be written.
    """
    known = finished_run(config, folder)
    if known is not None:
        return known
    partial = new_folder_beside(folder)
    started = time.perf_counter()
    trained, reason = None, None
    try:
        write_configuration(config, partial / environment_folder_name(config.env))
        trained = (trainer or _trainer(config.algo))(config, partial)
        if not np.isfinite(trained.score):
            raise NonFiniteError(f"the final policy's mean return is {trained.score}")
    except Exception as error:
        trained, reason = None, f"{type(error).__name__}: {' '.join(str(error).split())}"
    seconds = time.perf_counter() - started
    _write_record(config, partial, trained, reason, seconds)
    move_into_place(partial, folder)
    return RunResult(trained.score if trained else None, reason, seconds)


def record_failure(config: RunConfig, folder: Path, reason: str) -> RunResult:
    """Leave the folder of a run that could not leave one itself: its process died.

    Args:
        config: the run.
        folder: its run folder.
        reason: one line.
    """
    partial = new_folder_beside(folder)
    _write_record(config, partial, None, reason, 0.0)
    move_into_place(partial, folder)
    return RunResult(None, reason, 0.0)


def check_run(config: RunConfig) -> None:
    """Build a run's environment and algorithm and let them go again, before many such runs begin.

    Args:
        config: the run.

    Raises:
        ArgumentError: they cannot be built; gives the reason in one line.
    """
    if ALGORITHMS[known_algorithm(config.algo)].tabular:
        from ppo_lab.tabular_training import check
    else:
        from ppo_lab.sb3_training import check
    try:
        check(config)
    except Exception as error:
        raise ArgumentError(
            f"{config.algo} on {config.env} cannot be built: {type(error).__name__}: "
            f"{' '.join(str(error).split())}"
        ) from error


def _trainer(algo: str) -> Callable[[RunConfig, Path], Trained]:
    if ALGORITHMS[known_algorithm(algo)].tabular:
        from ppo_lab.tabular_training import train
    else:
        from ppo_lab.sb3_training import train
    return train


def _write_record(
    config: RunConfig, folder: Path, trained: Trained | None, reason: str | None, seconds: float
) -> None:
    record = {
        "format": FORMAT,
        **config.as_dict(),
        "steps": trained.steps if trained else 0,
        "score": trained.score if trained else None,
        "status": "failed" if reason else "completed",
        "reason": reason,
        "seconds": round(seconds, 3),
        **(trained.facts if trained else {}),
        **circumstances(),
    }
    (folder / "run.json").write_text(to_json(record) + "\n", encoding="utf-8")
