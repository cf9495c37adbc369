"""Run folders from disk to typed records; a bad folder is set aside, never a crash.

Nothing in a run folder is executed: ``run.json`` is parsed as JSON and ``evaluations.npz`` is
opened without pickles.
"""

import json
import math
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

FORMAT = 1
TUNING_STAGES = ("screen", "replicate")
"""Stages whose seeds chose hyperparameters, so they never judge them."""


class NoRunsError(ValueError):
    """Not one usable run was found; the message is one sentence."""


class _UnusableRunError(ValueError):
    """Why one folder cannot be used, in words that name no absolute path."""


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run.

    Attributes:
        folder: the run folder relative to the folder that was searched, with ``/``.
        task: the environment id, followed by its keyword arguments as JSON where there are any.
        steps: environment steps taken, at least 0.
        score: mean return of the final policy, finite.
        low: the score that normalises to 0.
        high: the score that normalises to 1, above ``low``; NaN where the environment states none
            (:func:`reports.references.fill_references`).
        source: where ``low`` and ``high`` come from, in words.
        evaluation_episodes: episodes behind every evaluation, at least 1.
        evaluation_steps: (P,) int64, environment steps of each evaluation, as stored.
        evaluation_returns: (P,) float64, mean return of each evaluation; the last one is ``score``.
        protocol: what must agree between the runs of one task for a fair comparison, as
            (what, value) pairs.
        hyperparameters: canonical JSON, so that equal settings are equal texts.
    """

    folder: str
    algo: str
    settings: str
    task: str
    seed: int
    steps: int
    score: float
    low: float
    high: float
    source: str
    evaluation_episodes: int
    evaluation_steps: NDArray[np.int64]
    evaluation_returns: NDArray[np.float64]
    protocol: tuple[tuple[str, str], ...]
    hyperparameters: str

    @property
    def label(self) -> str:
        """The name of the run's row in every table."""
        return f"{self.algo} ({self.settings})"

    @property
    def normalised_returns(self) -> NDArray[np.float64]:
        """(P,) float64: (evaluation_returns − low) / (high − low)."""
        return (self.evaluation_returns - self.low) / (self.high - self.low)

    @property
    def normalised_score(self) -> float:
        """(score − low) / (high − low): the final policy's entry of ``normalised_returns``."""
        return float(self.normalised_returns[-1])


@dataclass(frozen=True)
class SetAside:
    """A run folder that does not enter the statistics, and why."""

    folder: str
    reason: str


@dataclass(frozen=True)
class LoadedRuns:
    """What a folder held.

    Attributes:
        runs: usable runs, at least one, by folder.
        set_aside: folders that could not be used, by folder.
        tuning_runs: how many runs belong to tuning and were left out on principle.
    """

    runs: tuple[Run, ...]
    set_aside: tuple[SetAside, ...]
    tuning_runs: int


def load_runs(folder: str | Path) -> LoadedRuns:
    """Read every run below a folder that holds a ``run.json``.

    Args:
        folder: searched at any depth, in sorted order; links to folders are not followed.

    Returns:
        The usable runs, the folders set aside (malformed, truncated, NaN, failed, or a second run
        of the same label, task and seed), and the number of tuning runs left out.

    Raises:
        NoRunsError: there is no such folder, or no run in it can be used.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NoRunsError(f"{root} is not a folder")
    runs: list[Run] = []
    set_aside: list[SetAside] = []
    first_with: dict[tuple[str, str, int], str] = {}
    tuning_runs = 0
    for path in sorted(root.rglob("run.json")):
        name = _clean(path.parent.relative_to(root).as_posix())
        try:
            record = _read_record(path)
            if record.get("stage") in TUNING_STAGES:
                tuning_runs += 1
                continue
            run = _to_run(record, path.parent, name)
        except _UnusableRunError as error:
            set_aside.append(SetAside(name, str(error)))
            continue
        key = (run.label, run.task, run.seed)
        if key in first_with:
            reason = f"same algorithm, settings, environment and seed as {first_with[key]}"
            set_aside.append(SetAside(name, reason))
            continue
        first_with[key] = name
        runs.append(run)
    if not runs:
        raise NoRunsError(_why_none(root, set_aside, tuning_runs))
    return LoadedRuns(tuple(runs), tuple(set_aside), tuning_runs)


def _why_none(root: Path, set_aside: list[SetAside], tuning_runs: int) -> str:
    if set_aside:
        first = set_aside[0]
        return (
            f"none of the {len(set_aside)} runs below {root} can be used; "
            f"the first, {first.folder}: {first.reason}"
        )
    if tuning_runs:
        return f"all {tuning_runs} runs below {root} are tuning runs, which never judge"
    return f"no run.json below {root}"


def _read_record(path: Path) -> Mapping[str, object]:
    _must_be_a_file(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise _UnusableRunError(
            f"run.json is not valid JSON (line {error.lineno}, column {error.colno})"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _UnusableRunError(f"run.json cannot be read ({type(error).__name__})") from error
    if not isinstance(record, dict):
        raise _UnusableRunError("run.json does not hold an object")
    if record.get("format") != FORMAT:
        raise _UnusableRunError(f"run.json is not of format {FORMAT}")
    return record


def _to_run(record: Mapping[str, object], folder: Path, name: str) -> Run:
    status = _text(record, "status")
    if status != "completed":
        reason = record.get("reason")
        raise _UnusableRunError(f"{status}: {_clean(str(reason))}" if reason else status)
    reference = _object(record, "reference")
    low = _number(reference, "low")
    high = math.nan if reference.get("high") is None else _number(reference, "high")
    if low >= high:
        raise _UnusableRunError("run.json: the reference's low must lie below its high")
    steps, results = _read_evaluations(folder / "evaluations.npz")
    with np.errstate(over="ignore"):
        returns = results.mean(axis=1)
        normalised = (returns - low) / (1.0 if math.isnan(high) else high - low)
    if not np.isfinite(normalised).all():
        raise _UnusableRunError("evaluations.npz holds returns too large to normalise")
    score = float(returns[-1])
    stated = record.get("score")
    if stated is not None and not math.isclose(
        _number(record, "score"), score, rel_tol=1e-6, abs_tol=1e-9
    ):
        raise _UnusableRunError(
            f"run.json states a score of {stated}, the last evaluation's mean is {score}"
        )
    return Run(
        folder=name,
        algo=_text(record, "algo"),
        settings=_text(record, "settings"),
        task=_task(record),
        seed=_integer(record, "seed"),
        steps=_integer(record, "steps"),
        score=score,
        low=low,
        high=high,
        source=_text(reference, "source"),
        evaluation_episodes=results.shape[1],
        evaluation_steps=steps,
        evaluation_returns=returns,
        protocol=(
            ("step budget", str(_integer(record, "timesteps"))),
            ("evaluation protocol", _canonical(record.get("evaluation"))),
            ("reference scores", f"{low} to {high}"),
        ),
        hyperparameters=_canonical(record.get("hyperparameters")),
    )


def _task(record: Mapping[str, object]) -> str:
    env = _text(record, "env")
    env_kwargs = record.get("env_kwargs")
    return f"{env} {_canonical(env_kwargs)}" if env_kwargs else env


def _read_evaluations(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return steps (P,) and results (P, E), finite, with P and E at least 1."""
    _must_be_a_file(path)
    unreadable = (OSError, ValueError, KeyError, EOFError, MemoryError)
    try:
        # Opened here: np.load leaves a file open that it opens itself and finds truncated.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise _UnusableRunError("evaluations.npz is not an npz archive")
            with archive:
                steps, results = np.asarray(archive["timesteps"]), np.asarray(archive["results"])
    except _UnusableRunError:
        raise
    except (*unreadable, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise _UnusableRunError(
            f"evaluations.npz cannot be read ({type(error).__name__})"
        ) from error
    numeric = steps.dtype.kind in "iu" and results.dtype.kind in "fiu"
    if not numeric or results.ndim != 2 or results.size == 0 or steps.shape != results.shape[:1]:
        raise _UnusableRunError(
            "evaluations.npz must hold whole timesteps of shape (P,) and results of shape (P, E)"
        )
    if not np.isfinite(results).all():
        raise _UnusableRunError("evaluations.npz holds returns that are NaN or infinite")
    return steps.astype(np.int64), results.astype(np.float64)


def _must_be_a_file(path: Path) -> None:
    # Opening a pipe that lies there would wait for ever.
    if not path.is_file():
        raise _UnusableRunError(f"{path.name} is {'no file' if path.exists() else 'missing'}")


def _text(record: Mapping[str, object], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise _UnusableRunError(f"run.json: {key} must be a text")
    return _clean(value)


def _integer(record: Mapping[str, object], key: str) -> int:
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _UnusableRunError(f"run.json: {key} must be a whole number, 0 or above")
    return value


def _number(record: Mapping[str, object], key: str) -> float:
    value = record.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _UnusableRunError(f"run.json: {key} must be a number")
    # JSON's whole numbers have no bound; compare before converting to a float, which has one.
    if abs(value) <= sys.float_info.max:
        return float(value)
    raise _UnusableRunError(f"run.json: {key} must be a finite number")


def _object(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = record.get(key)
    if not isinstance(value, dict):
        raise _UnusableRunError(f"run.json: {key} must be an object")
    return value


def _canonical(value: object) -> str:
    try:
        return _clean(json.dumps(value, sort_keys=True, ensure_ascii=False))
    except RecursionError as error:
        raise _UnusableRunError("run.json is nested too deeply") from error


def _clean(text: str) -> str:
    """Replace lone surrogates: JSON and file names may hold them, UTF-8 files may not."""
    return text.encode("utf-8", "replace").decode("utf-8")
