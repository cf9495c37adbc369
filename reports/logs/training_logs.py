"""Folders of RL Zoo and of SB3 itself: ``evaluations.npz``, ``monitor.csv``, the zoo's YAML.

A run's score is the mean of its last evaluation; where nothing was evaluated, the mean of its
last training episodes, and then it says so.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.logs.archives import MAX_MODEL_BYTES, open_archive, read_member
from reports.logs.episodes import Episodes, header_env_id, read_episodes
from reports.logs.evaluations import FILE, Evaluations, read_evaluations
from reports.logs.identity import decisive
from reports.logs.monitors import left_out, training_curve
from reports.logs.names import told_by_names, whole
from reports.logs.opening import refusing
from reports.logs.reading import read_yaml
from reports.logs.records import (
    EVALUATION,
    TRAINING,
    UNKNOWN,
    LogKind,
    Run,
    SetAside,
    UnusableError,
    brief,
    named,
)
from reports.logs.run_folders import canonical, must_agree, task_name
from reports.logs.zoo_benchmark import is_benchmark, read_benchmark_folder
from reports.text import clean

_SYSTEM_LINE = re.compile(r"^- (?P<package>[\w .\-]+): (?P<version>[^\r\n]{1,100})$", re.M)
MAX_MONITOR_BYTES = 256_000_000
"""Of all monitor files of a run together."""
_MAX_SYSTEM_BYTES = 100_000


@dataclass(frozen=True)
class _Told:
    """What a folder tells of its run besides scores."""

    kind: LogKind
    algo: str
    task: str
    seed: int | None
    budget: int | None = None
    hyperparameters: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    tuning: str = UNKNOWN
    circumstances: tuple[tuple[str, str], ...] = ()
    decisive: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class _Scores:
    """What a folder holds of scores, and what they are."""

    curve: Evaluations
    measure: str
    evaluation: str
    remarks: tuple[str, ...]


def monitor_files(folder: Path) -> tuple[str, ...]:
    """Names of the folder's monitor files, in sorted order.

    Raises:
        UnusableError: the folder cannot be read.
    """
    with refusing("the folder", OSError):
        names = [path.name for path in folder.iterdir() if path.name.endswith("monitor.csv")]
    return tuple(sorted(names))


def read_training_folder(
    folder: Path, name: str, parts: Sequence[str]
) -> tuple[Run, list[SetAside]]:
    """Read a run folder of RL Zoo or of bare SB3.

    Args:
        folder: on disk; holds ``evaluations.npz`` or a monitor file.
        name: in the report.
        parts: names of the folders from the one that was searched down to this one: where no log
            states algorithm and environment, they do.

    Returns:
        The run, and what of its folder was set aside: a YAML file that is not safe to read, the
        half-written last line of a monitor file.

    Raises:
        UnusableError: its scores cannot be read.
    """
    asides: list[SetAside] = []
    monitors = monitor_files(folder)
    if is_benchmark(folder):
        return read_benchmark_folder(folder, name, parts, monitors)
    yaml_folder = _zoo_folder(folder)
    if yaml_folder is None:
        told = _told_by_names(parts, header_env_id(folder / monitors[0]) if monitors else None)
    else:
        told = _told_by_zoo(yaml_folder, name, parts, asides)
    if os.path.lexists(folder / FILE):
        scores = _evaluated(folder)
    else:
        scores = _trained(folder, name, monitors, asides)
    return _run(name, told, scores), asides


def _run(name: str, told: _Told, scores: _Scores) -> Run:
    curve = scores.curve
    return Run(
        folder=name,
        algo=told.algo,
        settings="",
        task=told.task,
        seed=told.seed,
        steps=int(curve.steps[-1]),
        score=float(curve.returns[-1]),
        evaluation_episodes=curve.episodes,
        evaluation_steps=curve.steps,
        evaluation_returns=curve.returns,
        must_agree=must_agree(told.budget, scores.evaluation, scores.measure),
        hyperparameters=told.hyperparameters,
        kind=told.kind,
        measure=scores.measure,
        budget=told.budget,
        success_rate=curve.success_rate,
        tuning=told.tuning,
        versions=told.versions,
        circumstances=told.circumstances,
        remarks=scores.remarks,
        decisive=told.decisive,
    )


def _evaluated(folder: Path) -> _Scores:
    curve = read_evaluations(folder / FILE)
    return _Scores(
        curve,
        measure=EVALUATION,
        evaluation=canonical({"episodes": curve.episodes}),
        remarks=("Its last evaluation was made during training: updates after it are not scored.",),
    )


def _trained(folder: Path, name: str, monitors: Sequence[str], asides: list[SetAside]) -> _Scores:
    files: list[Episodes] = []
    left = MAX_MONITOR_BYTES
    for monitor in monitors:
        files.append(read_episodes(folder / monitor))
        left -= (folder / monitor).stat().st_size
        if left < 0:
            limit = f"{MAX_MONITOR_BYTES // 1_000_000} MB"
            raise UnusableError(f"its monitor files are together larger than {limit}")
    curve = training_curve(files)
    asides.extend(left_out(monitors, files, name))
    again = (
        f"The time in its monitor files starts anew: {curve.sessions} sessions lie one after the "
        "other in one file, and are read in that order.",
    )
    return _Scores(
        curve,
        measure=TRAINING,
        evaluation=TRAINING,
        remarks=(
            f"Its score is the mean return of its last {curve.episodes} training episodes, "
            "played by the exploring policy while it was still learning.",
            *(again if curve.sessions > 1 else ()),
        ),
    )


def _zoo_folder(folder: Path) -> Path | None:
    """The folder of ``config.yml`` and ``args.yml`` that the zoo puts into a run folder."""
    for below in sorted(folder.iterdir()):
        if below.is_symlink() or not below.is_dir():
            continue
        if any(os.path.lexists(below / file) for file in ("config.yml", "args.yml")):
            return below
    return None


def _told_by_zoo(
    yaml_folder: Path, name: str, parts: Sequence[str], asides: list[SetAside]
) -> _Told:
    config = _yaml(yaml_folder / "config.yml", name, asides)
    args = _yaml(yaml_folder / "args.yml", name, asides)
    by_names = _told_by_names(parts, yaml_folder.name)
    algo, env, seed = args.get("algo"), args.get("env"), whole(args.get("seed"))
    budget = whole(args.get("n_timesteps")) or whole(config.get("n_timesteps"))
    chosen = {key: value for key, value in config.items() if key != "n_timesteps"}
    tuning = "unknown: the settings file that RL Zoo was given"
    if args.get("hyperparams"):
        tuning += ", changed on the command line"
    return _Told(
        kind="rl_zoo",
        algo=named(algo, by_names.algo) if isinstance(algo, str) else by_names.algo,
        task=task_name(env if isinstance(env, str) else yaml_folder.name, args.get("env_kwargs")),
        seed=seed,
        budget=budget,
        hyperparameters=canonical(config) if config else "",
        versions=_versions(yaml_folder.with_name(f"{yaml_folder.name}.zip")),
        tuning=tuning,
        circumstances=tuple(
            (what, brief(value))
            for what, value in (
                ("device", args.get("device")),
                ("environments", config.get("n_envs")),
                ("policy", config.get("policy")),
            )
            if value is not None
        ),
        decisive=decisive(chosen, budget, {}) if config else (),
    )


def _yaml(path: Path, name: str, asides: list[SetAside]) -> Mapping[str, object]:
    """What a YAML file holds; nothing where it is unfit, which costs its facts, not the run."""
    try:
        return read_yaml(path)
    except UnusableError as error:
        asides.append(SetAside(f"{name}/{clean(path.parent.name)}/{path.name}", str(error)))
        return {}


def _told_by_names(parts: Sequence[str], env_id: str | None) -> _Told:
    names = told_by_names(parts, env_id)
    return _Told(
        kind="sb3",
        algo=named(names.algo, "unnamed"),
        task=task_name(names.env, None),
        seed=names.seed,
    )


def _versions(path: Path) -> tuple[tuple[str, str], ...]:
    """The versions that SB3 noted beside the model: one text file of the archive, no pickle."""
    try:
        with open_archive(path, MAX_MODEL_BYTES) as archive:
            text = read_member(archive, "system_info.txt", _MAX_SYSTEM_BYTES).decode(
                "utf-8", "replace"
            )
    except Exception:  # no model, or none that tells: versions stay unknown
        return ()
    versions = {match["package"]: match["version"] for match in _SYSTEM_LINE.finditer(text)}
    return tuple(sorted((package, clean(version)) for package, version in versions.items()))
