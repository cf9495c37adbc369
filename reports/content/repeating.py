"""What repeats a report, and how long its runs took."""

import math
import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from reports.content.arrangement import Arrangement, RunGroup
from reports.content.document import ReportSettings
from reports.content.rows import Interval, MadeByRow, RuntimeRow
from reports.logs.records import Command, LoadedRuns, Run

_PACKAGES = ("ppo-lab", "numpy", "scipy")
_ESTIMATING = ("rliable", "arch")


def repeat_rows(
    loaded: LoadedRuns, settings: ReportSettings, title: str
) -> tuple[tuple[str, str], ...]:
    """Return the command that makes the report again, and the versions that made it.

    One source is called LOGS, so that the same logs give the same bytes wherever they lie.
    """
    sources = loaded.given if len(loaded.given) > 1 else ("LOGS",)
    words = ["python", "-m", "ppo_lab.report", *sources, "--baseline", settings.baseline]
    words += ["--seed", str(settings.seed)]
    words += ["--best"] if settings.best_checkpoints else []
    words += ["--engine", settings.engine] if settings.engine != "ppo_lab" else []
    words += ["--references", loaded.references] if loaded.references else []
    words += ["--title", title] if title else []
    packages = (*_PACKAGES, *(_ESTIMATING if settings.engine == "rliable" else ()))
    return (
        ("command", shlex.join(words)),
        ("Python", platform.python_version()),
        *((package, _version(package)) for package in packages),
    )


def made_by_rows(loaded: LoadedRuns) -> tuple[MadeByRow, ...]:
    """Return one row for all folders that the same commands made; of those that gave a run."""
    made: dict[tuple[Command, ...], list[str]] = {}
    for entry in loaded.made_by:
        if entry.commands and any(_lies_below(run.folder, entry.folder) for run in loaded.runs):
            made.setdefault(entry.commands, []).append(entry.folder)
    return tuple(
        MadeByRow(tuple(filter(None, folders)), tuple(map(shlex.join, commands)))
        for commands, folders in made.items()
    )


def _lies_below(run: str, folder: str) -> bool:
    return not folder or run == folder or run.startswith(f"{folder}/")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def runtime_rows(arrangement: Arrangement) -> tuple[RuntimeRow, ...]:
    """Return one row per label and task whose runs state how long they took."""
    rows = (_row(group) for group in arrangement.groups.values())
    return tuple(row for row in rows if row is not None)


def _row(group: RunGroup) -> RuntimeRow | None:
    timed = [(run, seconds) for run in group.runs if (seconds := _seconds(run))]
    if not timed:
        return None
    machines = {dict(run.circumstances).get("machine", "") for run, _ in timed} - {""}
    return RuntimeRow(
        task=group.task,
        label=group.label,
        runs=len(timed),
        seconds=_spread([seconds for _, seconds in timed]),
        steps_per_second=_spread([run.steps / seconds for run, seconds in timed]),
        machine="; ".join(sorted(machines)),
    )


def _spread(values: Sequence[float]) -> Interval:
    """The median, the least and the greatest."""
    return Interval(median(values), min(values), max(values))


def _seconds(run: Run) -> float | None:
    """Seconds that a run took; None where it states none, or only those since it was resumed."""
    if run.resumed_from:
        return None
    try:
        seconds = float(dict(run.circumstances).get("seconds", "nan"))
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None
