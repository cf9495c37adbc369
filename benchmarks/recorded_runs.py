"""Runs whose records are kept: what is run, in what order, and the small file that stays of each.

A record is ``<records>/<algorithm>-<settings>/<environment>_<number>/run.json``: what the run
folder's own ``run.json`` holds (environment, settings and where they stand, label, seed, steps,
score, wall and CPU seconds, versions, commit), the evaluations beside it (mean return at each
step, every episode's return at the last) and the CPU's name. ``python -m ppo_lab.report`` reads a
folder of records as it reads run folders. A run that has a record is not run again; one that is
killed leaves none, and nothing else is lost.
"""

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ppo_lab.commands.comparison import run_groups
from ppo_lab.commands.settings_source import OURS, SettingsSource
from ppo_lab.errors import ArgumentError, CommandError
from ppo_lab.runs.config import Evaluation, RunConfig, VecEnvKind, environment_folder_name
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.folder import to_json
from ppo_lab.runs.references import as_record, stated_reference
from ppo_lab.runs.resumable import read_run
from ppo_lab.runs.workers import execute_runs
from reports.logs.evaluations import FILE
from reports.logs.reading import read_json
from reports.logs.records import UnusableError
from reports.whole_files import write_whole
from tuning.protocol import TuningProtocol

RECORD = "run.json"
ENVIRONMENTS = ("mujoco", "box2d", "ale-py", "numba")
IN_WORDS_ONLY = ("reference", "origin")
"""What a record says beside what decides its result."""


@dataclass(frozen=True)
class Settings:
    """Where hyperparameters come from, and which algorithms train with them.

    Attributes:
        base: ``zoo`` or ``default``, as of ``compare --settings``.
        algos: that are run.
        preset: SpecPPO's, on top; None: none.
        given: further numbers for SpecPPO, on top of the preset.
    """

    base: str
    algos: tuple[str, ...] = (OURS, "ppo")
    preset: str | None = None
    given: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Benchmark:
    """What may be run.

    Attributes:
        name: of the folders of its runs and of its records.
        title: of its part of the page.
        budgets: environment → environment steps of a run.
        settings: word that a table files runs under → settings.
        backend: SpecPPO's.
        seed: of the protocol; its test seeds meet no other benchmark's and chose no settings.
        episodes: of each evaluation.
        points: evaluations of a run, evenly spread, the first before training.
        to_threshold: a table says which policies score Gymnasium's ``reward_threshold``.
        vec_env: how environments are stepped, as of ``--vec-env``; no score depends on it.
    """

    name: str
    title: str
    budgets: Mapping[str, int]
    settings: Mapping[str, Settings]
    backend: str
    seed: int
    episodes: int = 20
    points: int = 11
    to_threshold: bool = False
    vec_env: VecEnvKind = "dummy"


@dataclass(frozen=True)
class Choice:
    """What of a benchmark is run now.

    Attributes:
        tasks: environments.
        settings: words of :attr:`Benchmark.settings`.
        seeds: runs of SpecPPO on each environment.
        other_seeds: runs of every other algorithm, which have the first of the same seeds.
        budget: environment steps of a run; None: the benchmark's.
    """

    tasks: Sequence[str]
    settings: Sequence[str]
    seeds: int
    other_seeds: int
    budget: int | None = None


def runs_of(benchmark: Benchmark, choice: Choice) -> dict[Path, RunConfig]:
    """Place of a record below the records' folder → run; a seed of everything before the next.

    Raises:
        ArgumentError: an algorithm cannot be built with its settings in an environment.
    """
    count = max(choice.seeds, choice.other_seeds)
    protocol = TuningProtocol("", "", seeds=count, seed=benchmark.seed)
    rows = [
        row
        for task in choice.tasks
        for word in choice.settings
        for row in _rows(benchmark, task, word, choice)
    ]
    runs: dict[Path, RunConfig] = {}
    for index in range(count):
        for row in rows:
            if index >= (choice.seeds if row.algo == OURS else choice.other_seeds):
                continue
            evaluation = replace(row.evaluation, seed=protocol.judge_evaluation_seeds[index])
            name = f"{environment_folder_name(row.env)}_{index + 1}"
            place = Path(f"{row.algo}-{row.settings}") / name
            runs[place] = replace(row, seed=protocol.judge_seeds[index], evaluation=evaluation)
    return runs


def _rows(benchmark: Benchmark, task: str, word: str, choice: Choice) -> list[RunConfig]:
    """One run of each algorithm, but for its seeds."""
    settings = benchmark.settings[word]
    source = SettingsSource(settings.base, preset=settings.preset)
    evaluation = Evaluation(benchmark.episodes, 0, benchmark.points)
    steps = choice.budget or benchmark.budgets[task]
    groups = run_groups(settings.algos, [task], source, steps, evaluation)
    reference = as_record(stated_reference(task, {}))
    rows = []
    for group in groups:
        ours = group.run.algo == OURS
        given = dict(settings.given or {}) if ours else {}
        own = {"backend": benchmark.backend, **given} if ours else {}
        hyperparameters = {**group.run.hyperparameters, **own}
        said = [f"; on top, {name} {value:g}" for name, value in given.items()]
        rows.append(
            replace(
                group.run,
                settings=word,
                hyperparameters=hyperparameters,
                reference=reference,
                vec_env=benchmark.vec_env,
                origin=group.run.origin + "".join(said),
            )
        )
    return rows


def missing(runs: Mapping[Path, RunConfig], records: Path) -> dict[Path, RunConfig]:
    """The runs that have no record yet.

    Raises:
        ArgumentError: the record in a run's place is another run's.
    """
    return {place: run for place, run in runs.items() if not _is_recorded(run, records / place)}


def _is_recorded(run: RunConfig, folder: Path) -> bool:
    if not (folder / RECORD).is_file():
        return False
    read_record(folder)
    # As a configuration: entries that came after the record was made have their defaults.
    record, wanted = (json.loads(to_json(each.as_dict())) for each in (read_run(folder)[0], run))
    differing = [
        key for key, value in wanted.items() if key not in IN_WORDS_ONLY and record[key] != value
    ]
    if differing:
        raise ArgumentError(
            f"{folder} is the record of another run (it differs in {', '.join(differing)}): "
            "choose another --records"
        )
    return True


def read_record(folder: Path) -> Mapping[str, Any]:
    """What a record holds.

    Raises:
        CommandError: it cannot be read.
    """
    try:
        return read_json(folder / RECORD)
    except UnusableError as error:
        raise CommandError(f"{folder / RECORD} is no record: {error}") from error


def make_records(
    runs: Mapping[Path, RunConfig], records: Path, log_folder: Path, jobs: int
) -> Iterator[tuple[RunConfig, RunResult]]:
    """Make runs and leave a record of each that was finished.

    Args:
        runs: of :func:`missing`.
        records: the folder that the records go into.
        log_folder: the folder that the run folders go into.
        jobs: processes.

    Yields:
        (run, result), as each is finished; a failed run has no record.
    """
    folders = {log_folder / place: run for place, run in runs.items()}
    for folder, result in execute_runs(folders, jobs):
        if result.score is not None and result.reason is None:
            place = records / folder.relative_to(log_folder)
            place.mkdir(parents=True, exist_ok=True)
            write_whole(place / RECORD, to_json(record_of(folder)) + "\n")
        yield folders[folder], result


def record_of(folder: Path) -> dict[str, Any]:
    """What stays of a finished run folder."""
    record = read_record(folder)
    with np.load(folder / FILE) as archive:
        steps, results = archive["timesteps"], archive["results"]
    return {
        **record,
        "versions": {**record["versions"], **_environment_versions()},
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpu": _gpu(str(record["device"])),
        "evaluations": {
            "steps": steps.tolist(),
            "returns": results.astype(np.float64).mean(axis=1).tolist(),
            "last": results[-1].tolist(),
        },
    }


@cache
def _environment_versions() -> dict[str, str]:
    """Of what steps the environments, and of what compiles, where they are installed."""
    versions = {}
    for package in ENVIRONMENTS:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _gpu(device: str) -> str | None:
    """The name of the GPU that a run was trained on."""
    if not device.startswith("cuda"):
        return None
    import torch as th

    return str(th.cuda.get_device_name(device))


@cache
def _cpu() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
