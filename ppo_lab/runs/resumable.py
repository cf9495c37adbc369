"""One run of its own: where its folder goes, how it survives a kill, how it goes on."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ppo_lab.errors import ArgumentError
from ppo_lab.hyperparams.environment_words import take_environment
from ppo_lab.runs.config import (
    NO_PART,
    VEC_ENVS,
    Evaluation,
    RunConfig,
    Trained,
    environment_folder_name,
)
from ppo_lab.runs.execution import FORMAT, RunResult, execute_run, finished_run
from ppo_lab.runs.folder import environment_source, to_json
from ppo_lab.runs.folder_lock import Holder, holder_of
from ppo_lab.runs.leftovers import discard, new_folder_beside, sweep, take_name
from ppo_lab.runs.session import CheckpointAfterUpdate, Session
from reports.logs.reading import read_json
from reports.logs.records import UnusableError
from reports.whole_files import write_whole

__all__ = [
    "Begun",
    "checkpoint_steps",
    "find_folder",
    "newest_model",
    "read_run",
    "run_once",
    "tensorboard_folder",
    "unfinished_folder",
]

UNFINISHED = ".unfinished"
"""What the name of a run's folder of checkpoints ends with, until the run is finished."""
TEXTS = ("algo", "env", "policy", "settings", "asked_device", "env_sha256")
"""Entries of a record that must be text."""
LARGEST = 2**63
"""No number in a run's record reaches this."""
CHECKPOINT = re.compile(r"rl_model_(\d+)_steps\.zip")


def unfinished_folder(folder: Path) -> Path:
    """Where the checkpoints of a run folder's run lie until it is finished."""
    return folder.with_name(folder.name + UNFINISHED)


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
    aside = unfinished_folder(folder)
    begun = new_folder_beside(aside)
    _write_record(config, begun, {})
    if folder.exists() or aside.exists():  # finished or begun since we looked
        discard(begun)
        return False
    return take_name(begun, aside)


def _write_record(config: RunConfig, aside: Path, facts: Mapping[str, Any]) -> None:
    """Say whose checkpoints these are; another process may be reading it."""
    where = environment_source(config)
    record = {"format": FORMAT, **config.as_dict(), **where, "status": "unfinished", **facts}
    write_whole(aside / "run.json", to_json(record) + "\n")


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
    aside = unfinished_folder(folder)
    if save_freq:
        saving = CheckpointAfterUpdate(
            save_freq, aside, keep_checkpoints, session.keep_replay_buffer
        )
        session = replace(session, callbacks=[*session.callbacks, saving])
    aside.mkdir(parents=True, exist_ok=True)
    _write_record(config, aside, _facts(session))
    sweep(aside, deep=False)
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
    from ppo_lab.runs.sb3_training import train

    facts = _facts(session)

    def trained(config: RunConfig, folder: Path) -> Trained:
        result = train(config, folder, session=session)
        return replace(result, facts={**result.facts, **facts})

    return trained


def _facts(session: Session) -> dict[str, Any]:
    """What ``run.json`` says of the session."""
    facts: dict[str, Any] = {}
    if session.start is not None:
        facts |= session.origin or {"resumed_from": session.start.as_posix()}
    if session.tensorboard_log is not None:
        facts["tensorboard"] = session.tensorboard_log
    return facts


def tensorboard_folder(
    root: Path, config: RunConfig, folder: Path, record: Mapping[str, Any]
) -> Path:
    """Where a run logs to TensorBoard: ``<root>/<algorithm>/<environment>_<number>``, made.

    Args:
        root: TensorBoard's folder of all runs.
        config: the run.
        folder: its run folder.
        record: of the stopped run that goes on, whose log is continued; empty for another run,
            which gets a folder that nothing else has logged into.
    """
    stem = root / config.algo / folder.name
    if "tensorboard" in record:
        former = Path(str(record["tensorboard"]))
        if former.is_dir() and former.resolve().parent == stem.resolve().parent:
            return former
    place, number = stem, 1
    while True:
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            number += 1
            place = stem.with_name(f"{stem.name}-{number}")
        else:
            return place


def read_run(folder: Path) -> tuple[RunConfig, Mapping[str, Any]]:
    """The configuration and the whole record of a run folder of ours; nothing in it is executed.

    Raises:
        ArgumentError: it is none.
    """
    file = folder / "run.json"
    if not folder.is_dir() or not os.path.lexists(file):
        what = "holds no run.json" if folder.is_dir() else "is no folder"
        raise ArgumentError(f"{folder} is no run of ppo_lab.train: it {what}")
    try:
        record: dict[str, Any] = dict(read_json(file))
        stated = {f.name: record[f.name] for f in fields(RunConfig) if f.name in record}
        config = RunConfig(**{**stated, "evaluation": Evaluation(**record["evaluation"])})
        _check_types(config)
    except (UnusableError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    return config, record


def _check_types(config: RunConfig) -> None:
    """Check what a record holds for a run, which anyone may have written.

    Raises:
        TypeError: an entry is of another type.
        ValueError: a number is too small.
    """
    texts = {name: getattr(config, name) for name in TEXTS}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a text, found {value!r:.50}")
    evaluation = config.evaluation
    numbers = {
        "seed": (config.seed, 0),
        "timesteps": (config.timesteps, 1),
        "n_envs": (config.n_envs, 1),
        "evaluation.episodes": (evaluation.episodes, 1),
        "evaluation.seed": (evaluation.seed, 0),
        "evaluation.points": (evaluation.points, 1),
    }
    for name, (number, least) in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise TypeError(f"{name} must be a whole number, found {number!r:.50}")
        if not least <= number < LARGEST:
            raise ValueError(f"{name} {number:.3g}: expected at least {least}")
    _check_environment(config)


def _check_environment(config: RunConfig) -> None:
    for name in ("hyperparameters", "env_kwargs", "monitor_kwargs"):
        if not isinstance(getattr(config, name), Mapping):
            raise TypeError(f"{name} must be an object")
    for name in ("env_wrapper", "vec_env_wrapper", "callback", "env_packages"):
        if not isinstance(getattr(config, name), list | tuple):
            raise TypeError(f"{name} must be a list")
    if not isinstance(config.eval_env_kwargs, Mapping | None):
        raise TypeError("eval_env_kwargs must be an object or null")
    if config.vec_env not in VEC_ENVS:
        raise ValueError(f"vec_env {config.vec_env!r:.50}: expected one of {', '.join(VEC_ENVS)}")
    take_environment({"frame_stack": config.frame_stack}, "run.json")
    if not isinstance(config.normalize, bool | Mapping):
        raise TypeError("normalize must be true, false or an object")


def newest_model(folder: Path) -> Path | None:
    """The newest checkpoint in a folder of them; None if there is none."""
    checkpoints = [
        path for path in folder.glob("rl_model_*_steps.zip") if CHECKPOINT.fullmatch(path.name)
    ]
    return max(checkpoints, key=checkpoint_steps, default=None)


def checkpoint_steps(file: Path) -> int:
    """The steps in a checkpoint's name; 0 for another model's."""
    match = CHECKPOINT.fullmatch(file.name)
    return int(match[1]) if match else 0


def _is_of(config: RunConfig, folder: Path) -> bool:
    try:
        other, _ = read_run(folder)
    except ArgumentError:
        return False
    return _identity(other) == _identity(config)


def _identity(config: RunConfig) -> str:
    return to_json({key: value for key, value in config.as_dict().items() if key not in NO_PART})
