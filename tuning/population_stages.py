"""What a population has found, replayed, judged and written down (Spec 15.3; the protocol).

A schedule is believed no sooner than constant settings: those of the best members are replayed
whole on the fresh tuning seeds, and the best mean is judged on the test seeds.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ppo_lab.runs.config import RunConfig, environment_folder_name
from ppo_lab.runs.execution import RunResult
from ppo_lab.runs.executor import Executor
from ppo_lab.runs.references import as_record, stored_reference
from ppo_lab.runs.workers import execute_runs, local_executor
from reports.text import counted
from reports.whole_files import write_whole
from tuning.candidates import Tuned
from tuning.exploration import truncated
from tuning.outputs import settings_yaml
from tuning.population import (
    Generation,
    Population,
    Schedule,
    best_schedules,
    rollouts,
    train_population,
)
from tuning.protocol import TuningProtocol
from tuning.search import Search
from tuning.shift import Progress
from tuning.spaces import Space, fit_to_budget
from tuning.stages import StudyError

__all__ = ["WORD", "PopulationOutcome", "planned_populations", "run_population"]

WORD = "pbt"
"""What the report files the runs of the schedule under."""
MOST_GENERATIONS = 10
"""Where none are asked for; fewer where a training has fewer rollouts."""
_Execute = Callable[[str, Mapping[Path, RunConfig]], dict[Path, RunResult]]


@dataclass(frozen=True)
class PopulationOutcome:
    """What a population came to.

    Attributes:
        algo: the algorithm's name.
        schedule: of the best mean over the fresh seeds.
        fresh: that mean.
        settings: the file with it, in the zoo's format.
        notes: plain sentences, the same for the same seed.
        failed: the reasons of the judged runs that failed.
    """

    algo: str
    schedule: Schedule
    fresh: float
    settings: Path
    notes: tuple[str, ...]
    failed: tuple[str, ...] = ()


def planned_populations(
    protocols: Mapping[str, TuningProtocol],
    spaces: Mapping[str, Space],
    folder: Path,
    size: int,
    generations: int | None,
) -> dict[str, Population]:
    """A population of every algorithm, checked before anything runs.

    Args:
        protocols: algorithm → its protocol.
        spaces: algorithm → what is searched.
        folder: the study's.
        size: members.
        generations: parts of their training; None: :data:`MOST_GENERATIONS`, or as many as there
            are rollouts.

    Raises:
        ArgumentError: one cannot be trained so; says why.
    """
    plans = {}
    for algo, protocol in protocols.items():
        space = fit_to_budget(spaces[algo], protocol.n_envs, protocol.timesteps)
        search = Search(algo, protocol, space)
        parts = generations
        if parts is None:
            parts = max(2, min(MOST_GENERATIONS, rollouts(search)))
        plans[algo] = Population(search, folder, size, parts)
    return plans


def run_population(
    population: Population,
    constant: Tuned,
    *,
    jobs: int,
    progress: Progress,
    run_timeout: float | None = None,
) -> PopulationOutcome:
    """Train a population, replay what it found on fresh seeds, and judge it on the test seeds.

    The judged runs lie beside those of the constant settings, below ``judge``, for one report.

    Args:
        population: the plan; its study's constant settings have been judged in the same folder.
        constant: what the same number of trials of constant settings came to.
        jobs: worker processes.
        progress: told of every result.
        run_timeout: seconds after which a run is ended and counts as failed; None: no limit.

    Raises:
        StudyError: a generation failed, or every schedule on a fresh seed.
        ArgumentError: the folder holds a finished run of another population.
        OSError: the folder cannot be written.
    """

    def execute(stage: str, runs: Mapping[Path, RunConfig]) -> dict[Path, RunResult]:
        results = {}
        with progress.stage(stage, len(runs)) as shown:
            for folder, result in execute_runs(runs, jobs, run_timeout, shown.waiting):
                shown.advance(result, population.search.algo)
                results[folder] = result
        return results

    with progress.stage("population", population.size * population.generations) as shown:

        def told(result: RunResult) -> None:
            shown.advance(result, population.search.algo)

        executor: Executor[RunResult] = local_executor(jobs, run_timeout)
        trained = train_population(population, executor, told, shown.waiting)
    schedules = best_schedules(population, trained, population.search.protocol.finalists)
    fresh = _replayed(population, schedules, execute)
    schedule = min(schedules, key=lambda each: (-fresh.get(each.member, -np.inf), each.member))
    judged = execute(f"judge {WORD}", _judged_runs(population, schedule))
    table = population.folder / f"population-{population.search.algo}.csv"
    write_whole(table, _table(population, trained))
    settings = population.folder / f"{population.search.algo}-{WORD}.yml"
    notes = _notes(population, trained, schedule, fresh, constant)
    write_whole(settings, _yaml(population, schedule, notes[-1]))
    reasons = [result.reason for result in judged.values() if result.reason]
    return PopulationOutcome(
        population.search.algo,
        schedule,
        fresh[schedule.member],
        settings,
        tuple(notes),
        tuple(reasons),
    )


def _replayed(
    population: Population, schedules: Sequence[Schedule], execute: _Execute
) -> dict[int, float]:
    """The mean over the fresh seeds of every schedule that finished on all of them, by member.

    Raises:
        StudyError: none did; gives a reason.
    """
    search, count = population.search, population.search.protocol.replicas
    places = {
        schedule.member: [
            population.folder.joinpath("replicate", f"{search.algo}-{WORD}") / name
            for name in _names(population, f"member_{schedule.member + 1}", count)
        ]
        for schedule in schedules
    }
    runs = {
        place: _following(schedule, search.run("replicate", index, schedule.hyperparameters))
        for schedule in schedules
        for index, place in enumerate(places[schedule.member])
    }
    results = execute(f"replicate {WORD}", runs)
    scores = {member: [results[place].score for place in its] for member, its in places.items()}
    means = {
        member: float(np.mean([score for score in its if score is not None]))
        for member, its in scores.items()
        if None not in its
    }
    if not means:
        reason = next(result.reason for result in results.values() if result.score is None)
        raise StudyError(f"no schedule of {search.algo} finished on every fresh seed: {reason}")
    return means


def _judged_runs(population: Population, schedule: Schedule) -> dict[Path, RunConfig]:
    search, folder = population.search, population.folder / "judge"
    names = _names(population, f"{search.algo}-{WORD}", search.protocol.seeds)
    beside = _names(population, f"{search.algo}-{search.protocol.base_word}", 1)[0]
    reference = as_record(stored_reference(folder / beside / "run.json"))
    runs = {}
    for index, name in enumerate(names):
        run = _following(schedule, search.run("judge", index, schedule.hyperparameters))
        origin = f"schedule of member {schedule.member + 1} of a population of {population.size}"
        runs[folder / name] = replace(run, settings=WORD, origin=origin, reference=reference)
    return runs


def _names(population: Population, where: str, count: int) -> list[str]:
    env = environment_folder_name(population.search.protocol.env)
    return [f"{where}/{env}_{number}" for number in range(1, count + 1)]


def _following(schedule: Schedule, run: RunConfig) -> RunConfig:
    return replace(run, callback=[*run.callback, *schedule.callback])


def _yaml(population: Population, schedule: Schedule, comment: str) -> str:
    protocol = population.search.protocol
    callback = [*protocol.environment.get("callback", ()), *schedule.callback]
    words = {**protocol.environment, **({"callback": callback} if callback else {})}
    return settings_yaml(
        replace(protocol, environment=words),
        population.search.policy,
        schedule.hyperparameters,
        [comment],
    )


def _table(population: Population, trained: Sequence[Generation]) -> str:
    """Every member in every generation as CSV, counted from 1."""
    out = io.StringIO()
    columns = ["generation", "member", "parent", "copied", "score", "reason", *population.searched]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for number, generation in enumerate(trained, 1):
        members = zip(generation.members, generation.results, strict=True)
        for index, (member, result) in enumerate(members, 1):
            row: dict[str, Any] = {
                "generation": number,
                "member": index,
                "parent": "" if member.parent is None else member.parent + 1,
                "copied": int(member.copied),
                "score": "" if result.score is None else result.score,
                "reason": result.reason or "",
            }
            settings = {name: member.hyperparameters.get(name) for name in population.searched}
            writer.writerow({**row, **{key: _cell(value) for key, value in settings.items()}})
    return out.getvalue()


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


def _notes(
    population: Population,
    trained: Sequence[Generation],
    schedule: Schedule,
    fresh: Mapping[int, float],
    constant: Tuned,
) -> list[str]:
    protocol, algo = population.search.protocol, population.search.algo
    copies = sum(member.copied for generation in trained for member in generation.members)
    failed = sum(score is None for generation in trained for score in generation.scores)
    lost = f"; {counted(failed, 'part')} failed" if failed else ""
    means = ", ".join(f"member {member + 1} {mean:.3f}" for member, mean in fresh.items())
    constants = [(c.is_default, c.mean) for c in constant.candidates]
    best = max(mean for _, mean in constants)
    pieces = counted(len(schedule.steps), "piece")
    some = truncated(population.size)
    return [
        f"Population of {algo}: {population.size} members of {protocol.timesteps} steps each, as "
        f"many steps as the {protocol.trials} trials of constant settings had, in "
        f"{population.generations} generations; after each, the worst {some} took over the weights "
        f"and the settings of one of the best {some}, every setting then up or down by a fifth: "
        f"{copies} times{lost}.",
        f"Schedules of {algo}, replayed from their first step on the {protocol.replicas} fresh "
        f"tuning seeds: {means}; the best constant settings there {best:.3f}.",
        f"{algo} ({WORD}) is the schedule of member {schedule.member + 1}, {pieces}: "
        f"{schedule.score:.3f} as it was found, {fresh[schedule.member]:.3f} on the fresh seeds.",
    ]
