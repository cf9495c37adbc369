"""One run of its own: where its folder goes, how it survives a kill, how it goes on."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.folder_lock import Holder, holder_of
from ppo_lab.leftovers import discard, new_folder_beside, take_name
from ppo_lab.run_config import NO_PART, Evaluation, RunConfig, Trained, environment_folder_name
from ppo_lab.run_folder import to_json
from ppo_lab.runs import FORMAT, RunResult, execute_run, finished_run
from ppo_lab.session import CheckpointAfterUpdate, Session

__all__ = ["Begun", "checkpoint_steps", "find_folder", "newest_model", "read_run", "run_once"]

UNFINISHED = ".unfinished"
"""What the name of a run's folder of checkpoints ends with, until the run is finished."""
CHECKPOINT = re.compile(r"rl_model_(\d+)_steps\.zip")


@dataclass(frozen=True)
class Begun:
    """Where a run's folder goes, and what is there already.

    Attributes:
        folder: ``<log folder>/<algorithm>/<environment>_<number>``, the zoo's place.
        finished: its result, if this very run is finished.
        stopped: its folder of checkpoints, if this very run was stopped and can go on.
        holder: the process that is making this very run now.
    """

    folder: Path
    finished: RunResult | None = None
    stopped: Path | None = None
    holder: Holder | None = None


def find_folder(config: RunConfig, log_folder: Path) -> Begun:
    """The place of a run: where this very run is already, else the next free number.

    Args:
        config: the run.
        log_folder: the zoo's ``logs``.
    """
    parent = log_folder / config.algo
    while True:
        begun, last = _there(config, parent)
        if begun is not None:
            return begun
        stem = parent / environment_folder_name(config.env)
        folder = stem.with_name(f"{stem.name}_{last + 1}")
        if _claim(config, folder):
            return Begun(folder)


def _there(config: RunConfig, parent: Path) -> tuple[Begun | None, int]:
    """This very run, if it is there, and the highest number that is taken."""
    name = re.escape(environment_folder_name(config.env))
    # Of either case: on some file systems they are one name.
    pattern = re.compile(rf"{name}_(\d+)({re.escape(UNFINISHED)})?", re.IGNORECASE)
    last = 0
    for path in sorted(parent.iterdir()) if parent.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if match is None:
            continue
        last = max(last, int(match[1]))
        if match[2]:
            if _is_of(config, path):
                place = path.with_name(path.name.removesuffix(UNFINISHED))
                stopped = path if newest_model(path) else None
                return Begun(place, stopped=stopped, holder=holder_of(path)), last
            continue
        try:
            result = finished_run(config, path)
        except ArgumentError:
            continue  # another run's
        if result is not None or _is_of(config, path):  # one that failed is tried again
            return Begun(path, finished=result), last
    return None, last


def _claim(config: RunConfig, folder: Path) -> bool:
    """Make a run's folder of checkpoints, with its record in it; False where another has it."""
    aside = folder.with_name(folder.name + UNFINISHED)
    begun = new_folder_beside(aside)
    _write_record(config, begun)
    if folder.exists() or aside.exists():  # finished or begun since we looked
        discard(begun)
        return False
    return take_name(begun, aside)


def _write_record(config: RunConfig, aside: Path) -> None:
    """Say whose checkpoints these are; another process may be reading it."""
    record = {"format": FORMAT, **config.as_dict(), "status": "unfinished"}
    beside = aside / f".run.json.part-{os.getpid()}"
    beside.write_text(to_json(record) + "\n", encoding="utf-8")
    beside.replace(aside / "run.json")


def run_once(
    config: RunConfig,
    folder: Path,
    session: Session,
    save_freq: int,
    keep_checkpoints: bool,
) -> RunResult:
    """Make the run; until it is finished, its checkpoints lie in ``<folder>.unfinished``.

    Args:
        config: the run.
        folder: where its run folder goes.
        session: what it has beside its configuration.
        save_freq: timesteps between checkpoints; 0: none.
        keep_checkpoints: put them all into the run folder; else the newest alone is kept, until
            the run is finished.

    Returns:
        The result; a failure of the training is a result with a reason, not an exception.
    """
    aside = folder.with_name(folder.name + UNFINISHED)
    if save_freq:
        saving = CheckpointAfterUpdate(save_freq, aside, keep_checkpoints)
        session = replace(session, callbacks=[*session.callbacks, saving])
    aside.mkdir(parents=True, exist_ok=True)
    _write_record(config, aside)
    for pattern in ("rl_model_*.part", ".part.zip", ".run.json.part-*"):
        for unwritten in aside.glob(pattern):  # a killed process's
            unwritten.unlink(missing_ok=True)
    result = None
    try:
        result = execute_run(config, folder, trainer=_trainer(session))
    finally:
        finished = result is not None and result.reason is None
        if finished and keep_checkpoints:
            for file in aside.glob("rl_model_*"):
                file.rename(folder / file.name)
        if finished or newest_model(aside) is None:
            shutil.rmtree(aside, ignore_errors=True)
    return result


def _trainer(session: Session) -> Callable[[RunConfig, Path], Trained]:
    from ppo_lab.sb3_training import train

    def trained(config: RunConfig, folder: Path) -> Trained:
        result = train(config, folder, session=session)
        if session.start is None:
            return result
        return replace(result, facts={**result.facts, "resumed_from": session.start.as_posix()})

    return trained


def read_run(folder: Path) -> tuple[RunConfig, Mapping[str, Any]]:
    """The configuration and the whole record of a run folder of ours; nothing in it is executed.

    Raises:
        ArgumentError: it is none.
    """
    file = folder / "run.json"
    if not folder.is_dir() or not file.is_file():
        what = "holds no run.json" if folder.is_dir() else "is no folder"
        raise ArgumentError(f"{folder} is no run of ppo_lab.train: it {what}")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        known = {f.name: record[f.name] for f in fields(RunConfig) if f.name in record}
        config = RunConfig(**{**known, "evaluation": Evaluation(**record["evaluation"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    return config, record


def newest_model(folder: Path) -> Path | None:
    """The newest checkpoint in a folder of them; None if there is none."""
    found = [
        path for path in folder.glob("rl_model_*_steps.zip") if CHECKPOINT.fullmatch(path.name)
    ]
    return max(found, key=checkpoint_steps, default=None)


def checkpoint_steps(file: Path) -> int:
    """The steps in a checkpoint's name; 0 for another model's."""
    match = CHECKPOINT.fullmatch(file.name)
    return int(match[1]) if match else 0


def _is_of(config: RunConfig, folder: Path) -> bool:
    try:
        found, _ = read_run(folder)
    except ArgumentError:
        return False
    return _identity(found) == _identity(config)


def _identity(config: RunConfig) -> str:
    return to_json({key: value for key, value in config.as_dict().items() if key not in NO_PART})
